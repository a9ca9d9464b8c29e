//! What a central bank finds out before it serves: a busy port, a folder in use, keys and a genesis that do not fit.

use std::path::{Path, PathBuf};

use cbdc_central_bank::config::OperatorConfig;
use cbdc_central_bank::{Config, StartError, start};
use cbdc_client::NodeName;
use cbdc_devnet::Network;
use cbdc_ledger::BankId;
use cbdc_ledger::member::Role;
use cbdc_node::DataFolderError;
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;
use cbdc_storage::StoreError;

use crate::running::{Running, config, network};

/// The same file of bank 1.
fn of_bank_one(network: &Network, own: &Path) -> PathBuf {
    network.config_path(NodeName::Bank(BankId(1))).with_file_name(own.file_name().unwrap())
}

async fn refused(config: Config) -> StartError {
    start(config).await.err().expect("the node does not start")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_port_is_named_before_the_store_is_opened() {
    let (network, _folder) = network();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config { listen: taken.local_addr().unwrap(), ..config(&network) };
    let data_dir = config.data_dir.clone();
    let refused = refused(config).await;
    assert!(matches!(refused, StartError::Serve(_)), "{refused}");
    assert!(refused.to_string().contains(&taken.local_addr().unwrap().to_string()), "{refused}");
    assert!(!data_dir.join("CURRENT").exists(), "nothing was opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_on_a_folder_is_refused_and_the_first_goes_on() {
    let running = Running::start().await;
    let second = Config { listen: "127.0.0.1:0".parse().unwrap(), ..config(&running.network) };
    let refused = refused(second).await;
    assert!(matches!(refused, StartError::Store(StoreError::Locked { .. })), "{refused}");
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    running.settle(&running.opening(1)).await;
    running.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_other_than_membership_names_is_refused_and_the_folder_stays_free() {
    let (network, _folder) = network();
    let good = config(&network);
    let signing_key = of_bank_one(&network, &good.signing_key);
    let (certificate, private_key) =
        (of_bank_one(&network, &good.certificate), of_bank_one(&network, &good.private_key));
    let another_signer = refused(Config { signing_key, ..good.clone() }).await;
    assert!(matches!(another_signer, StartError::OtherKey { what: "signing key", .. }), "{another_signer}");
    let another_node = refused(Config { certificate, private_key, ..good.clone() }).await;
    assert!(matches!(another_node, StartError::OtherKey { what: "certificate's key", .. }), "{another_node}");
    let no_member = refused(Config { member: 9, ..good.clone() }).await;
    assert!(matches!(no_member, StartError::DataFolder(DataFolderError::OtherOwner { .. })), "{no_member}");
    start(good).await.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_the_network_does_not_have_is_refused_with_key_expected_and_found() {
    let (network, _folder) = network();
    let good = config(&network);
    let operator = |member, signing_key: &Path| Config {
        operator: Some(OperatorConfig { member, signing_key: signing_key.to_owned() }),
        ..good.clone()
    };
    let own = good.operator.clone().unwrap().signing_key;
    let another = of_bank_one(&network, &own);
    let missing = own.with_file_name("missing.key");
    for (config, key, expected) in [
        (operator(1, &missing), "the key signing_key", "missing.key"),
        (operator(1, &another), "the key signing_key", "of operator 1 at height 0, "),
        (operator(7, &own), "the key member", "an active operator at height 0 (1), found 7"),
    ] {
        let refused = refused(config).await;
        let text = refused.to_string();
        assert!(matches!(refused, StartError::Operator { .. }), "{text}");
        assert!(text.contains("[operator]") && text.contains(key) && text.contains(expected), "{text}");
    }
    start(good).await.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genesis_that_cannot_be_used_is_named() {
    let (network, folder) = network();
    let good = config(&network);
    let missing = folder.path().join("missing.bin");
    let damaged = folder.path().join("damaged.bin");
    let mut bytes = std::fs::read(&good.genesis).unwrap();
    bytes.pop();
    std::fs::write(&damaged, bytes).unwrap();
    for genesis in [missing, damaged] {
        let refused = refused(Config { genesis: genesis.clone(), ..good.clone() }).await;
        assert!(matches!(&refused, StartError::Genesis(_)), "{refused}");
        assert!(refused.to_string().contains(&genesis.display().to_string()), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_stopped_serves_the_same_chain_when_it_starts_again() {
    let running = Running::start().await;
    let opening = running.opening(1);
    let first = running.settle(&opening).await;
    let mut chain = ChainClient::new(running.as_member(Role::Auditor, 1));
    let before = chain.get_header(v1::GetHeaderRequest { height: Some(first.height) }).await.unwrap().into_inner();
    let again = running.restart().await;
    assert_eq!(again.settle(&opening).await, first, "the first outcome stands");
    let mut chain = ChainClient::new(again.as_member(Role::Auditor, 1));
    let after = chain.get_header(v1::GetHeaderRequest { height: Some(first.height) }).await.unwrap().into_inner();
    assert_eq!(after, before);
    again.node.shutdown().await;
}

#[test]
fn a_value_out_of_its_range_is_named_with_the_range() {
    let (network, _folder) = network();
    let file = network.config_path(network.central_bank());
    let text = std::fs::read_to_string(&file).unwrap();
    let top = |line: &str| format!("{line}\n{text}");
    let in_sequencer = |line: &str| format!("{text}\n[sequencer]\n{line}\n");
    for (text, found) in [
        (in_sequencer("queue_commands_max = 0"), "found 0"),
        (in_sequencer("queue_commands_max = -1"), "found -1"),
        (in_sequencer("interval_ms = 99999999999"), "from 0 to 60000, found 99999999999"),
        (in_sequencer("commands_max = 99999999"), "from 1 to 65536, found 99999999"),
        (in_sequencer("commands_max = 0"), "found 0"),
        (in_sequencer("proposals_in_flight_max = 0"), "found 0"),
        (top("verification_threads = 100000"), "from 0 to 1024, found 100000"),
        (top("checkpoint_every_blocks = 0"), "found 0"),
        (text.replacen("member = 1", "member = 0", 1), "found 0"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Config::load(&file).unwrap_err().to_string();
        assert!(error.contains("expected a number from") && error.contains(found), "{error}");
        assert!(error.contains("config.toml:"), "the line is named: {error}");
    }
}
