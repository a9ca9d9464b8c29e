//! The audit of a stopped node's data folder: it changes nothing, reads everything, and says where the chain ends too
//! early.

use std::path::{Path, PathBuf};

use cbdc_client::NodeName;
use cbdc_ledger::command::{Head, Record};
use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, Class, Genesis, Height, HolderId, MemberId, SigningKey, Timestamp};
use cbdc_node::audit::{AuditError, AuditReport, ExpectedHead, audit_data_folder};
use cbdc_proto::transport::connect;
use cbdc_proto::v1;
use cbdc_storage::{Column, Direction, Durability, HeaderStore, KeyRange, RocksStore, Store, WriteBatch};

use crate::running::Running;

/// The folder of a network that has stopped, with some blocks and a deposit.
struct Stopped {
    genesis: Genesis,
    bank: PathBuf,
    central_bank: PathBuf,
    _running: tempfile::TempDir,
}

async fn stopped() -> Stopped {
    let running = Running::start(cbdc_node::Limits::default()).await;
    let network = &running.network;
    let identity = network.identity(Role::Bank, MemberId(1)).unwrap();
    let trust = network.anchor().trust(Role::CentralBank, MemberId(1)).unwrap();
    let channel = connect(&running.central_bank.address().to_string(), Some(&identity), &trust).unwrap();
    let mut settlement = v1::settlement_client::SettlementClient::new(channel);
    let mut height = 0;
    for number in 1..=6_u8 {
        let key = SigningKey::from_seed([number; 32]);
        let registrar = network.first_registrar().unwrap();
        let registration = registrar.register(BankId(1), HolderId([number; 16]), Class::HOUSEHOLD, key.public_key());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
        let head =
            Head { flags: 0, key_version: 0, sequence: number.into(), valid_until: Timestamp(now).plus_ms(60_000) };
        let signing_key = network.signing_key(Role::Bank, MemberId(1)).unwrap();
        let command = registration.opening(head, &key).unwrap().sign(network.anchor().network(), &signing_key);
        let command = cbdc_ledger::Command::from(command).to_bytes().into();
        let outcome = settlement.submit_command(v1::SubmitCommandRequest { command }).await.unwrap().into_inner();
        assert!(outcome.settled, "{outcome:?}");
        height = outcome.height;
    }
    let mut office = v1::bank_client::BankClient::new(running.to_bank(Some(&identity)));
    let account = cbdc_ledger::AccountId::new(BankId(1), 1).to_string();
    for _ in 0..400 {
        if office.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner().height >= height {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    let credit = v1::CreditDepositRequest { account, amount_minor: 500, request_id: vec![7; 16].into() };
    office.credit_deposit(credit).await.unwrap();
    let data = |node| running.network.data_dir(node).unwrap();
    let (bank, central_bank) = (data(NodeName::Bank(BankId(1))), data(network.central_bank()));
    let genesis = network.anchor().genesis().clone();
    let _running = running.stop_and_keep().await;
    Stopped { genesis, bank, central_bank, _running }
}

impl Stopped {
    fn audit(&self, folder: &Path, expected: &[&str]) -> AuditReport {
        let expected =
            expected.iter().map(|head| ExpectedHead { head: head.parse().unwrap(), named_by: "a test".into() });
        audit_data_folder(folder, self.genesis.clone(), expected.collect(), |_, _| {}).unwrap()
    }
}

fn bytes_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

/// Flips a bit in the last record of a column.
fn flip(folder: &Path, column: Column) {
    let store = RocksStore::open(folder).unwrap();
    let (key, record) = store.collect(column, &KeyRange::all(), Direction::Reverse, 1).unwrap().remove(0);
    let mut record = record.to_vec();
    record[0] ^= 1;
    let mut batch = WriteBatch::new();
    batch.put(column, key, record);
    store.write(batch, Durability::Synced).unwrap();
    store.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_changes_no_file_says_what_it_cannot_know_and_compares_with_a_head() {
    let stopped = stopped().await;
    for folder in [&stopped.bank, &stopped.central_bank] {
        let before = bytes_of(folder);
        let report = stopped.audit(folder, &[]);
        assert!(report.ok, "{:?}", report.findings);
        assert!(report.not_known[0].contains("newest"), "{:?}", report.not_known);
        assert!(bytes_of(folder) == before, "{} is as it was", folder.display());

        let head = format!("{}:{}", report.blocks, report.tip);
        let compared = stopped.audit(folder, &[&head]);
        assert!(compared.ok && compared.not_known.is_empty(), "{compared:?}");
        let later = format!("{}:{}", report.blocks + 19, report.tip);
        let short = stopped.audit(folder, &[&later]);
        assert!(!short.ok && short.findings[0].contains("19 blocks are missing"), "{:?}", short.findings);
        let other = format!("{}:{}", report.blocks, "ab".repeat(32));
        assert!(stopped.audit(folder, &[&other]).findings[0].contains("abab"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_flipped_in_any_column_is_named() {
    let stopped = stopped().await;
    for column in [Column::Deposits, Column::Log, Column::Outcomes, Column::Headers] {
        flip(&stopped.bank, column);
        let report = stopped.audit(&stopped.bank, &[]);
        let named = report.findings.iter().any(|finding| finding.contains(&format!("column {column}")));
        assert!(!report.ok && named, "{column}: {:?}", report.findings);
        flip(&stopped.bank, column);
        assert!(stopped.audit(&stopped.bank, &[]).ok);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_were_cut_off_are_missed_in_the_other_columns() {
    let stopped = stopped().await;
    let blocks = stopped.audit(&stopped.bank, &[]).blocks;
    let store = RocksStore::open(&stopped.bank).unwrap();
    let mut batch = WriteBatch::new();
    HeaderStore::remove_from(&mut batch, blocks - 2);
    store.write(batch, Durability::Synced).unwrap();
    store.close();
    drop(store);
    let report = stopped.audit(&stopped.bank, &[]);
    let expected = format!("outcomes go on to block {}", Height(blocks));
    assert!(report.findings.iter().any(|finding| finding.contains(&expected)), "{:?}", report.findings);
}

#[test]
fn what_is_no_data_folder_is_answered_with_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &Path| match cbdc_node::audit::check_data_folder(path) {
        Err(error @ AuditError::NoDataFolder { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(check(&folder.path().join("nodata")).contains("does not exist"));
    assert!(check(folder.path()).contains("no file CURRENT"));
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/CURRENT"), "").unwrap();
    assert!(check(folder.path()).contains("add /data"));
}
