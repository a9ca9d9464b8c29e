//! A central bank on loopback, in a new folder, with the keys of all its members.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]
use std::time::{SystemTime, UNIX_EPOCH};

use cbdc_central_bank::{Config, Node, start};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::command::{Head, Record};
use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, Class, Command, HolderId, MemberId, SigningKey, Timestamp};
use cbdc_proto::transport::{NodeIdentity, ServerTrust, connect};
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use cbdc_storage::{Column, Direction, Durability, KeyRange, Store, WriteBatch};
use tonic::transport::Channel;

/// A running central bank.
pub struct Running {
    pub network: Network,
    pub node: Node,
    pub _folder: tempfile::TempDir,
}

/// A new network of two banks, none of whose nodes run yet.
pub fn network() -> (Network, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec { ports: Ports::Free, banks: 2, ..NetworkSpec::default() };
    (Network::create(&folder.path().join("net"), &spec).unwrap(), folder)
}

pub fn config(network: &Network) -> Config {
    Config::load(&network.config_path(network.central_bank())).unwrap()
}

pub fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

/// The key of the holder of a bank's `number`th wallet.
pub fn holder_key(bank: u16, number: u8) -> SigningKey {
    SigningKey::from_seed([number + 100 * (bank as u8 - 1); 32])
}

/// The command by which a bank of a network opens its `number`th wallet.
pub fn opening_of(network: &Network, bank: u16, number: u8) -> Command {
    let key = holder_key(bank, number);
    let mut holder = HolderId([number; 16]);
    holder.0[0] = bank as u8;
    let registrar = network.first_registrar().unwrap();
    let registration = registrar.register(BankId(bank), holder, Class::HOUSEHOLD, key.public_key());
    let head = Head { flags: 0, key_version: 0, sequence: number.into(), valid_until: now().plus_ms(60_000) };
    let record = registration.opening(head, &key).unwrap();
    let key = network.signing_key(Role::Bank, MemberId(bank)).unwrap();
    record.sign(network.anchor().network(), &key).into()
}

/// Removes all checkpoints from a store.
pub fn remove_checkpoints(store: &dyn Store) {
    let mut batch = WriteBatch::new();
    let found = store.collect(Column::Checkpoint, &KeyRange::all(), Direction::Forward, usize::MAX).unwrap();
    for (key, _) in found {
        batch.delete(Column::Checkpoint, key);
    }
    store.write(batch, Durability::Synced).unwrap();
}

impl Running {
    pub async fn start() -> Running {
        Running::start_with(|_| {}).await
    }

    pub async fn start_with(set: impl FnOnce(&mut Config)) -> Running {
        let (network, folder) = network();
        let mut config = config(&network);
        set(&mut config);
        let node = start(config).await.unwrap();
        Running { network, node, _folder: folder }
    }

    /// Stops the node and starts it again on its folder.
    pub async fn restart(self) -> Running {
        let Running { network, node, _folder } = self;
        node.shutdown().await;
        let node = start(config(&network)).await.unwrap();
        Running { network, node, _folder }
    }

    pub fn trust(&self) -> ServerTrust {
        let central = self.network.central_bank();
        self.network.anchor().trust(central.role(), central.id()).unwrap()
    }

    pub fn channel(&self, identity: Option<&NodeIdentity>) -> Channel {
        connect(&self.node.address().to_string(), identity, &self.trust()).unwrap()
    }

    pub fn as_member(&self, role: Role, id: u16) -> Channel {
        self.channel(Some(&self.network.identity(role, MemberId(id)).unwrap()))
    }

    /// The command by which bank 1 opens its `number`th wallet.
    pub fn opening(&self, number: u8) -> Command {
        self.opening_at(1, number)
    }

    /// The command by which a bank opens its `number`th wallet.
    pub fn opening_at(&self, bank: u16, number: u8) -> Command {
        opening_of(&self.network, bank, number)
    }

    /// Submits a command as bank 1; its outcome must settle.
    pub async fn settle(&self, command: &Command) -> v1::Outcome {
        self.settle_at(1, command).await
    }

    /// Submits a command as a bank; its outcome must settle.
    pub async fn settle_at(&self, bank: u16, command: &Command) -> v1::Outcome {
        let request = v1::SubmitCommandRequest { command: command.to_bytes().into() };
        let mut settlement = SettlementClient::new(self.as_member(Role::Bank, bank));
        let outcome = settlement.submit_command(request).await.unwrap().into_inner();
        assert!(outcome.settled, "{outcome:?}");
        outcome
    }
}
