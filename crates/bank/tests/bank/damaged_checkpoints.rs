//! Damaged checkpoints: the chain is whole, so that a node starts from an older one, or from genesis.

use std::path::{Path, PathBuf};

use cbdc_client::{BankId, Class, NodeName};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::Header;
use cbdc_storage::{CheckpointStore, Column, Direction, Durability, KeyRange, RocksStore, Store, WriteBatch};

use crate::running::{bank_config, central_bank_config};

const NODES: [NodeName; 3] =
    [NodeName::CentralBank(cbdc_client::MemberId(1)), NodeName::Bank(BankId(1)), NodeName::Bank(BankId(2))];

struct Nodes {
    central: cbdc_central_bank::Node,
    banks: [cbdc_bank::Node; 2],
}

impl Nodes {
    async fn start(network: &Network) -> Nodes {
        let central = cbdc_central_bank::start(central_bank_config(network)).await.unwrap();
        let bank = async |bank| cbdc_bank::start(bank_config(network, bank)).await.unwrap();
        Nodes { central, banks: [bank(1).await, bank(2).await] }
    }

    async fn stop(self) {
        let [one, two] = self.banks;
        one.shutdown().await;
        two.shutdown().await;
        self.central.shutdown().await;
    }

    /// The newest header, once every node has it.
    async fn head(&self, network: &Network) -> Header {
        for _ in 0..400 {
            let mut heads = Vec::new();
            for node in NODES {
                let chain = network.chain(node).await.unwrap();
                heads.push(chain.header(None).await.unwrap().header);
            }
            if heads.iter().all(|head| *head == heads[0]) {
                return heads[0];
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("the banks did not follow within 10 s");
    }
}

/// A network that has run: one bank with a full and one with a partial replica, each node with two checkpoints.
async fn network() -> (Network, tempfile::TempDir, Header) {
    let folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec {
        ports: Ports::Free,
        banks: 2,
        full_replicas: 1,
        checkpoint_every_blocks: Some(1),
        ..NetworkSpec::default()
    };
    let network = Network::create(&folder.path().join("net"), &spec).unwrap();
    let nodes = Nodes::start(&network).await;
    for number in 0..12 {
        network.open_wallet(&format!("wallet-{number}"), BankId(1 + number % 2), Class::HOUSEHOLD).await.unwrap();
    }
    let head = nodes.head(&network).await;
    nodes.stop().await;
    (network, folder, head)
}

fn data(network: &Network) -> [PathBuf; 3] {
    NODES.map(|node| network.data_dir(node).unwrap())
}

fn heights(folder: &Path) -> Vec<u64> {
    let store = std::sync::Arc::new(RocksStore::open(folder).unwrap());
    let heights = CheckpointStore::new(store.clone()).heights().unwrap();
    store.close();
    heights
}

/// Flips a bit in each record of a node's checkpoints whose key `chosen` accepts.
fn damage(folder: &Path, chosen: impl Fn(&[u8]) -> bool) {
    let store = RocksStore::open(folder).unwrap();
    let records = store.collect(Column::Checkpoint, &KeyRange::all(), Direction::Forward, usize::MAX).unwrap();
    let mut batch = WriteBatch::new();
    for (key, record) in records.into_iter().filter(|(key, _)| chosen(key)) {
        let mut record = record.to_vec();
        let middle = record.len() / 2;
        record[middle] ^= 4;
        batch.put(Column::Checkpoint, key, record);
    }
    assert!(!batch.operations().is_empty(), "something was damaged");
    store.write(batch, Durability::Synced).unwrap();
    store.close();
}

/// Asserts that every node starts, has the same chain, and continues.
async fn goes_on(network: &Network, head: Header, name: &str) -> Header {
    let nodes = Nodes::start(network).await;
    for node in NODES {
        let chain = network.chain(node).await.unwrap();
        assert_eq!(chain.header(Some(head.height)).await.unwrap().header, head, "the chain of {node} is as it was");
    }
    for bank in [1, 2] {
        network.open_wallet(&format!("{name}-{bank}"), BankId(bank), Class::HOUSEHOLD).await.unwrap();
    }
    let head = nodes.head(network).await;
    nodes.stop().await;
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_newest_checkpoint_is_passed_over_for_an_older_one() {
    let (network, _folder, mut head) = network().await;
    const CHUNK: u8 = 1;
    const MANIFEST: u8 = 0;
    for (kind, name) in [(CHUNK, "chunk"), (MANIFEST, "manifest")] {
        for folder in data(&network) {
            let newest = *heights(&folder).last().expect("each node has checkpoints");
            damage(&folder, |key| key[0] == kind && key[1..9] == newest.to_be_bytes());
        }
        head = goes_on(&network, head, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_checkpoint_a_node_starts_from_genesis_and_writes_new_ones() {
    let (network, _folder, head) = network().await;
    let before = data(&network).map(|folder| heights(&folder));
    data(&network).iter().for_each(|folder| damage(folder, |_| true));
    goes_on(&network, head, "first").await;
    for number in 0..3 {
        // New checkpoints replace the damaged ones.
        let nodes = Nodes::start(&network).await;
        for bank in [1, 2, 1, 2] {
            let name = format!("later-{number}-{bank}");
            network.open_wallet(&name, BankId(bank), Class::HOUSEHOLD).await.unwrap();
        }
        nodes.stop().await;
    }
    for (folder, before) in data(&network).iter().zip(before) {
        let after = heights(folder);
        assert!(after.last() > before.last(), "{before:?}, then {after:?}");
    }
}
