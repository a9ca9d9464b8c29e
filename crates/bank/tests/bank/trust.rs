//! Trust follows the chain: after keys of a bank and of the central bank were replaced, clients that know genesis
//! alone, and a bank that was away, find their way to the keys in force by themselves; receipts of before and after
//! verify.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cbdc_client::{
    Anchor, BankId, BlockPosition, Choice, Class, ClientError, Connection, GovernanceAction, Height, MemberId,
    NodeName, Role, Timestamp, VerifiedReceipt,
};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_proto::transport::ServerTrust;

use crate::running::{bank_config, central_bank_config};

const CENTRAL_BANK: NodeName = NodeName::CentralBank(MemberId(1));

/// A network, and another one whose keys take the place of the first one's.
struct Keys {
    network: Network,
    other: Network,
    _folders: [tempfile::TempDir; 2],
}

impl Keys {
    fn new() -> Keys {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        // Bank 1 keeps a full replica, bank 2 a partial one.
        let spec = NetworkSpec { ports: Ports::Free, banks: 2, full_replicas: 1, ..NetworkSpec::default() };
        let create = |folder: &tempfile::TempDir| Network::create(&folder.path().join("net"), &spec).unwrap();
        Keys { network: create(&folders[0]), other: create(&folders[1]), _folders: folders }
    }

    /// A client that knows genesis and the addresses, and nothing that was followed before.
    fn stranger(&self) -> Network {
        drop(std::fs::remove_file(self.network.dir().join(Anchor::FOLLOWED)));
        Network::open(self.network.dir()).unwrap()
    }

    /// Has the committee replace a member's keys by those that it has in the other network.
    async fn replace(&self, role: Role, id: MemberId) {
        let now = Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64);
        let signing_key = self.other.signing_key(role, id).unwrap().public_key();
        let node_key = Some(self.other.identity(role, id).unwrap().public_key());
        let actions = vec![GovernanceAction::ReplaceKeys { role, id, signing_key, node_key }];
        let seat = |id| self.network.governance(Role::Committee, MemberId(id)).unwrap();
        let proposed = seat(1).propose(actions, now, now.plus_ms(60_000)).await.unwrap();
        let (_, number) = proposed.result().unwrap();
        // The block that enacts it may end the central bank before the answer is out.
        drop(seat(2).vote(number, Choice::Approve).await);
        for file in ["signing.key", "node.key", "node.pem"] {
            let of = |network: &Network| network.dir().join(format!("{role}-{id}")).join(file);
            std::fs::copy(of(&self.other), of(&self.network)).unwrap();
        }
    }

    async fn start_bank(&self, bank: u16) -> cbdc_bank::Node {
        cbdc_bank::start(bank_config(&self.network, bank)).await.unwrap()
    }
}

async fn newest(network: &Network, node: NodeName) -> Result<Height, ClientError> {
    Ok(network.chain(node).await?.header(None).await?.header.height)
}

async fn until_reached(network: &Network, node: NodeName, height: Height) {
    let is_there = async || newest(network, node).await.is_ok_and(|newest| newest >= height);
    until(&format!("{node} has block {height}"), is_there).await;
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..800 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it did not come about within 20 s: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_and_banks_follow_replaced_keys_from_genesis() {
    let keys = Keys::new();
    let network = &keys.network;
    let mut central = cbdc_central_bank::start(central_bank_config(network)).await.unwrap();
    let (mut one, mut two) = (keys.start_bank(1).await, keys.start_bank(2).await);
    network.open_wallet("alice", BankId(1), Class::HOUSEHOLD).await.unwrap();
    network.open_wallet("bob", BankId(2), Class::HOUSEHOLD).await.unwrap();
    let first = BlockPosition { height: Height(1), index: 0 };
    let old_receipt = network.chain(CENTRAL_BANK).await.unwrap().receipt(first).await.unwrap().to_bytes();
    let old_client = Network::open(network.dir()).unwrap();

    // A bank's keys: its customers find it again, those of before and those who know genesis alone.
    keys.replace(Role::Bank, MemberId(1)).await;
    one.shutdown().await;
    one = keys.start_bank(1).await;
    for client in [&old_client, &keys.stranger()] {
        // The restarted bank has the proof once it has followed the block.
        let wallet = client.wallet("alice").unwrap();
        until("alice finds her bank", async || wallet.status().await.is_ok()).await;
        assert!(client.anchor().membership().height() > Height(0));
    }
    // Another node at the bank's address proves nothing.
    let trust = old_client.anchor().trust(Role::Bank, MemberId(1)).unwrap();
    let elsewhere = Connection::new(old_client.address(NodeName::Bank(BankId(2))).unwrap(), None, &trust).unwrap();
    let refused = elsewhere.is_ready().await.unwrap_err();
    assert!(refused.to_string().contains("another key than membership names"), "{refused}");

    // The central bank's keys, while bank 2 is away.
    two.shutdown().await;
    keys.replace(Role::CentralBank, MemberId(1)).await;
    let stopped = tokio::time::timeout(Duration::from_secs(20), central.stopped()).await.expect("it stops");
    assert!(stopped.unwrap_err().to_string().contains("replaced the key"));
    central.shutdown().await;
    // Nobody waits for what bank 2 knows of the chain.
    let config = cbdc_central_bank::Config { wait_for_banks_ms: 0, ..central_bank_config(network) };
    central = cbdc_central_bank::start(config).await.unwrap();
    network.open_wallet("carol", BankId(1), Class::HOUSEHOLD).await.unwrap();
    for client in [&old_client, &keys.stranger()] {
        let head = newest(client, CENTRAL_BANK).await.unwrap();
        until_reached(client, NodeName::Bank(BankId(1)), head).await;
        client.governance_reader().await.unwrap().members().await.unwrap();
    }
    two = keys.start_bank(2).await;
    let head = newest(network, CENTRAL_BANK).await.unwrap();
    until_reached(network, NodeName::Bank(BankId(2)), head).await;

    // Receipts of before and after, by who knows genesis alone and whoever serves the proofs.
    let position = BlockPosition { height: head, index: 0 };
    let new_receipt = keys.stranger().chain(CENTRAL_BANK).await.unwrap().receipt(position).await.unwrap().to_bytes();
    for bank in [1, 2] {
        let anchor = Anchor::new(network.anchor().genesis().clone());
        assert!(VerifiedReceipt::from_bytes(&old_receipt, &anchor).is_ok());
        let unknown = VerifiedReceipt::from_bytes(&new_receipt, &anchor);
        assert!(matches!(unknown, Err(ClientError::Proof(_))), "{unknown:?}");
        let address = network.address(NodeName::Bank(BankId(bank))).unwrap();
        let anybody = Connection::new(address, None, &ServerTrust::AnyKey).unwrap();
        assert!(anchor.follow_from(&anybody).await.unwrap(), "bank {bank} has the proofs");
        assert!(!anchor.follow_from(&anybody).await.unwrap(), "there are no more");
        for receipt in [&old_receipt, &new_receipt] {
            VerifiedReceipt::from_bytes(receipt, &anchor).unwrap();
        }
        assert_eq!(anchor.membership().members(), network.anchor().membership().members());
    }

    // What was followed is kept, and no bit of it can be changed into other keys.
    let file = network.dir().join(Anchor::FOLLOWED);
    newest(&Network::open(network.dir()).unwrap(), CENTRAL_BANK).await.unwrap();
    let kept = std::fs::read(&file).unwrap();
    let load = || Anchor::load(&network.dir().join("genesis.bin")).unwrap().membership();
    let whole = load();
    assert_eq!(whole.members(), network.anchor().membership().members());
    for at in (0..kept.len()).step_by(7) {
        let mut changed = kept.clone();
        changed[at] ^= 1;
        std::fs::write(&file, changed).unwrap();
        assert!(load().height() < whole.height(), "byte {at}");
    }
    std::fs::write(&file, &kept[..kept.len() - 1]).unwrap();
    assert!(load().height() < whole.height());
    tokio::join!(one.shutdown(), two.shutdown());
    central.shutdown().await;
}
