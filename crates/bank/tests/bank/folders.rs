//! Data folders: a node starts on its own data alone, and begins a new chain only if told to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cbdc_bank::{Config, StartError};
use cbdc_client::{ClientError, NodeName};
use cbdc_devnet::{InProcess, Network, NetworkError, NetworkSpec};
use cbdc_ledger::command::{Choice, GovernanceAction};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::{BankId, MemberId, Timestamp};
use cbdc_node::data_folder::NODE_FILE;
use cbdc_node::{DataFolderError, Owner};
use cbdc_proto::wall_clock::wall_clock;
use cbdc_storage::{Column, Durability, RocksStore, Store, WriteBatch};

use crate::running::{bank_config, central_bank_config, network};

/// A network that has run: the central bank, and two banks with a deposit each.
async fn stopped() -> (Network, tempfile::TempDir) {
    let (network, folder) = network(2);
    let central = cbdc_central_bank::start(central_bank_config(&network)).await.unwrap();
    for bank in [1, 2] {
        let node = cbdc_bank::start(bank_config(&network, bank)).await.unwrap();
        let name = format!("of-bank-{bank}");
        let wallet = network.open_wallet(&name, BankId(bank), cbdc_client::Class::HOUSEHOLD).await.unwrap();
        let account = wallet.account.unwrap();
        let office = network.bank_office(BankId(bank)).unwrap();
        office.credit_deposit(account, cbdc_client::Amount::from_minor(77_700), [1; 16]).await.unwrap();
        node.shutdown().await;
    }
    central.shutdown().await;
    (network, folder)
}

async fn refused(config: Config) -> DataFolderError {
    match cbdc_bank::start(config).await.err().expect("the node does not start") {
        StartError::DataFolder(error) => error,
        other => panic!("{other}"),
    }
}

/// Removes the owner from a folder, as in folders of earlier versions.
fn forget_owner(folder: &Path) {
    std::fs::remove_file(folder.join(NODE_FILE)).unwrap();
    let store = RocksStore::open(folder).unwrap();
    let mut batch = WriteBatch::new();
    batch.delete(Column::Meta, b"owner");
    store.write(batch, Durability::Synced).unwrap();
    store.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_another_bank_role_or_network_are_refused_and_stay_as_they_are() {
    let (network, _folder) = stopped().await;
    let (one, two, central) = (bank_config(&network, 1), bank_config(&network, 2), central_bank_config(&network));
    let error = refused(Config { data_dir: one.data_dir.clone(), ..two.clone() }).await;
    assert!(matches!(error, DataFolderError::OtherOwner { .. }), "{error}");
    assert!(error.to_string().contains("bank 1 of") && error.to_string().contains("bank 2 of"), "{error}");
    let on_a_bank = cbdc_central_bank::Config { data_dir: one.data_dir.clone(), ..central.clone() };
    let error = cbdc_central_bank::start(on_a_bank).await.err().unwrap();
    assert!(matches!(error, cbdc_central_bank::StartError::DataFolder(DataFolderError::OtherOwner { .. })), "{error}");
    let error = refused(Config { data_dir: central.data_dir.clone(), ..one.clone() }).await;
    assert!(matches!(error, DataFolderError::OtherOwner { .. }), "{error}");

    // Another genesis is reported as such, not as damage; the audit says the same.
    let (other, _other_folder) = crate::running::network(2);
    let other_genesis = bank_config(&other, 1).genesis;
    let error = refused(Config { genesis: other_genesis, ..one.clone() }).await;
    let ids = [&network, &other].map(|network| network.anchor().network().to_string());
    assert!(ids.iter().all(|id| error.to_string().contains(id)), "{error}");
    let genesis = other.anchor().genesis().clone();
    let audited = cbdc_node::audit::audit_data_folder(&one.data_dir, genesis, Vec::new(), |_, _| {});
    assert!(matches!(audited, Err(cbdc_node::audit::AuditError::OtherNetwork { .. })), "{audited:?}");

    // The store itself names its owner, whatever the file says.
    let own_file = std::fs::read(one.data_dir.join(NODE_FILE)).unwrap();
    std::fs::copy(two.data_dir.join(NODE_FILE), one.data_dir.join(NODE_FILE)).unwrap();
    let error = refused(Config { data_dir: one.data_dir.clone(), ..two.clone() }).await;
    assert!(matches!(error, DataFolderError::OtherData { .. }), "{error}");
    std::fs::write(one.data_dir.join(NODE_FILE), own_file).unwrap();
    cbdc_bank::start(one).await.unwrap().shutdown().await;
    cbdc_bank::start(two).await.unwrap().shutdown().await;
    cbdc_central_bank::start(central).await.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_begun_unasked() {
    let (network, _folder) = stopped().await;
    let (central, one) = (central_bank_config(&network), bank_config(&network, 1));
    let elsewhere = network.dir().join("mounted-elsewhere");
    let start = |config: &cbdc_central_bank::Config| cbdc_central_bank::start(config.clone());
    std::fs::rename(&central.data_dir, &elsewhere).unwrap();
    let error = start(&central).await.err().unwrap();
    assert!(error.to_string().contains("--new") && error.to_string().contains("mount"), "{error}");
    assert!(!central.data_dir.exists(), "nothing was made");
    std::fs::create_dir(&central.data_dir).unwrap();
    let error = start(&central).await.err().unwrap();
    assert!(error.to_string().contains("--new"), "an empty folder is no first start either: {error}");

    // Told to begin, it does; with data there it is not a first start.
    cbdc_central_bank::prepare_data_folder(&central, false).unwrap();
    cbdc_central_bank::prepare_data_folder(&central, false).unwrap();
    start(&central).await.unwrap().shutdown().await;
    let error = cbdc_central_bank::prepare_data_folder(&central, false).unwrap_err();
    assert!(error.to_string().contains("holds data already"), "{error}");

    // The file alone is not the data.
    for entry in std::fs::read_dir(&one.data_dir).unwrap().map(|entry| entry.unwrap().path()) {
        if !entry.ends_with(NODE_FILE) {
            std::fs::remove_file(entry).unwrap();
        }
    }
    let error = refused(one.clone()).await;
    assert!(matches!(error, DataFolderError::StoreGone { .. }), "{error}");
    assert!(!error.to_string().contains("--new"), "the network has a chain: {error}");
    let error = cbdc_bank::prepare_data_folder(&one, false).unwrap_err();
    assert!(error.to_string().contains("is gone"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_damaged_file_is_named_and_mended_only_by_the_right_member() {
    let (network, _folder) = stopped().await;
    let (one, two, central) = (bank_config(&network, 1), bank_config(&network, 2), central_bank_config(&network));
    let file = one.data_dir.join(NODE_FILE);
    let owner = Owner::new(network.anchor().genesis(), Role::Bank, MemberId(1));
    let whole = std::fs::read(&file).unwrap();
    let comment = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&file, damaged).unwrap();
        let checked = owner.check(network.anchor().genesis(), &one.data_dir);
        let is_named = matches!(checked, Err(DataFolderError::DamagedFile { .. }));
        assert!(is_named || (at < comment && checked.is_ok()), "byte {at}: {checked:?}");
    }
    for cut in [0, comment + 3, whole.len() - 3] {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let error = refused(one.clone()).await;
        assert!(error.to_string().contains("--adopt"), "cut at {cut}: {error}");
    }
    std::fs::remove_file(&file).unwrap();
    let error = refused(one.clone()).await;
    assert!(matches!(error, DataFolderError::Unnamed { .. }) && error.to_string().contains("--adopt"), "{error}");

    // So are data of earlier versions, which name no owner: their records are examined.
    for is_of_before in [false, true] {
        if is_of_before {
            forget_owner(&one.data_dir);
        }
        let wrong = Config { data_dir: one.data_dir.clone(), ..two.clone() };
        let error = cbdc_bank::adopt_data_folder(&wrong, false).unwrap_err();
        assert!(error.to_string().contains("bank 1"), "{error}");
        let wrong = cbdc_central_bank::Config { data_dir: one.data_dir.clone(), ..central.clone() };
        assert!(cbdc_central_bank::adopt_data_folder(&wrong, false).is_err());
        cbdc_bank::adopt_data_folder(&one, false).unwrap();
        cbdc_bank::start(one.clone()).await.unwrap().shutdown().await;
    }
    forget_owner(&central.data_dir);
    let wrong = Config { data_dir: central.data_dir.clone(), ..one.clone() };
    assert!(cbdc_bank::adopt_data_folder(&wrong, false).is_err());
    let (other, _other_folder) = crate::running::network(2);
    let wrong = cbdc_central_bank::Config { genesis: central_bank_config(&other).genesis, ..central.clone() };
    let error = cbdc_central_bank::adopt_data_folder(&wrong, false).unwrap_err();
    assert!(error.to_string().contains("first block"), "{error}");
    cbdc_central_bank::adopt_data_folder(&central, false).unwrap();
    cbdc_central_bank::start(central).await.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_genesis_does_not_name_says_that_it_was_admitted() {
    let (network, _folder) = network(2);
    // The keys of nobody in this network.
    let (elsewhere, _folder_elsewhere) = crate::running::network(1);
    let Config { certificate, private_key, signing_key, .. } = bank_config(&elsewhere, 1);
    let keys = Config { certificate, private_key, signing_key, ..bank_config(&network, 1) };
    let of = |bank| Config { bank, data_dir: network.dir().join(format!("data-{bank}")), ..keys.clone() };
    for bank in [0, 99] {
        let error = cbdc_bank::prepare_data_folder(&of(bank), false).unwrap_err().to_string();
        assert!(error.contains(&format!("bank {bank}")) && error.contains("1, 2"), "{error}");
        assert!(!of(bank).data_dir.exists());
        assert!(matches!(refused(of(bank)).await, DataFolderError::NoData { .. }));
    }
    assert!(cbdc_bank::prepare_data_folder(&of(0), true).is_err());
    cbdc_bank::prepare_data_folder(&of(3), true).unwrap();
    for _ in 0..2 {
        cbdc_bank::start(of(3)).await.unwrap().shutdown().await;
    }
}

/// Keys of a network elsewhere, where nobody else has them.
fn bring_keys(network: &Network, bank: u16) -> Member {
    let (elsewhere, _folder) = crate::running::network(1);
    let (from, to) = (elsewhere.dir().join("bank-1"), network.dir().join(format!("bank-{bank}")));
    std::fs::create_dir(&to).unwrap();
    for file in ["node.pem", "node.key", "signing.key"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let config = std::fs::read_to_string(from.join("config.toml")).unwrap();
    let of_central_bank = |network: &Network| network.address(network.central_bank()).unwrap().to_owned();
    let config = config
        .replace(&of_central_bank(&elsewhere), &of_central_bank(network))
        .replace("bank = 1\n", &format!("bank = {bank}\n"));
    std::fs::write(to.join("config.toml"), config).unwrap();
    let (role, id) = (Role::Bank, MemberId(bank));
    let signing_key = network.signing_key(role, id).unwrap().public_key();
    let node_key = Some(network.identity(role, id).unwrap().public_key());
    Member { role, id, name: format!("Bank {bank}"), signing_key, node_key }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_was_admitted_later_runs_with_the_network_and_a_dismissed_one_does_not() {
    let (network, _folder) = network(2);
    let banks = |network: &Network| network.banks().map(|bank| bank.0).collect::<Vec<_>>();
    let running = InProcess::start(&network).await.unwrap();
    let seat = |id| network.governance(Role::Committee, MemberId(id)).unwrap();
    let admit = [3, 4].map(|bank| GovernanceAction::AdmitMember(bring_keys(&network, bank))).to_vec();
    let dismiss = vec![GovernanceAction::DismissMember { role: Role::Bank, id: MemberId(4) }];
    for actions in [admit, dismiss] {
        let now = Timestamp(wall_clock().0);
        let (_, number) = seat(1).propose(actions, now, now.plus_ms(60_000)).await.unwrap().result().unwrap();
        seat(2).vote(number, Choice::Approve).await.unwrap();
    }
    running.stop().await;
    let config = |bank: u16| {
        let file = network.dir().join(format!("bank-{bank}/config.toml"));
        Config::load(&file).unwrap()
    };
    for bank in [3, 4] {
        cbdc_bank::prepare_data_folder(&config(bank), true).unwrap();
    }

    // Its data folder tells of it before membership is followed; membership alone tells of the dismissal.
    let network = Network::open(network.dir()).unwrap();
    assert_eq!(banks(&network), [1, 2, 3, 4]);
    let central_bank = cbdc_central_bank::start(central_bank_config(&network)).await.unwrap();
    let connection = network.connect_reader(network.central_bank()).await.unwrap();
    let dismissed = async {
        // The central bank may still be replaying its log.
        while banks(&Network::open(network.dir()).unwrap()) != [1, 2, 3] {
            tokio::time::sleep(Duration::from_millis(25)).await;
            network.anchor().follow_from(&connection).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), dismissed).await.expect("the dismissal is not followed");
    central_bank.shutdown().await;
    let network = Network::open(network.dir()).unwrap();
    let running = InProcess::start(&network).await.unwrap();
    // It serves its own back office once its replica knows it.
    let office = network.bank_office(BankId(3)).unwrap();
    let treasury = loop {
        match office.treasury().await {
            Ok(treasury) => break treasury,
            Err(ClientError::NoAnswer { .. } | ClientError::Unreachable { .. }) => {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(treasury.available_minor, 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_network_is_not_replaced() {
    let (network, _folder) = network(1);
    let genesis = std::fs::read(network.dir().join("genesis.bin")).unwrap();
    let replace = || Network::create_or_replace(network.dir(), &NetworkSpec::default());
    let node = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
    let error = replace().err().unwrap();
    assert!(matches!(error, NetworkError::InUse { node: NodeName::Bank(BankId(1)), .. }), "{error}");
    assert_eq!(std::fs::read(network.dir().join("genesis.bin")).unwrap(), genesis);
    node.shutdown().await;
    replace().unwrap();
}

/// A store on which a program started a node names its owner as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_given_store_is_compared_too() {
    let (network, _folder) = network(2);
    let store: Arc<dyn Store> = Arc::new(cbdc_storage::MemoryStore::new());
    cbdc_bank::start_on(bank_config(&network, 1), store.clone()).await.unwrap().shutdown().await;
    let error = cbdc_bank::start_on(bank_config(&network, 2), store).await.err().unwrap();
    assert!(matches!(error, StartError::DataFolder(DataFolderError::OtherData { .. })), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_node_whose_data_are_gone_stops_and_says_so() {
    let (network, _folder) = network(1);
    let (of_central, of_bank) = (central_bank_config(&network), bank_config(&network, 1));
    let mut central = cbdc_central_bank::start(of_central.clone()).await.unwrap();
    let mut bank = cbdc_bank::start(of_bank.clone()).await.unwrap();
    std::fs::remove_file(of_bank.data_dir.join(NODE_FILE)).unwrap();
    for entry in std::fs::read_dir(&of_central.data_dir).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let within = std::time::Duration::from_secs(30);
    let stopped = tokio::time::timeout(within, bank.stopped()).await.expect("it stops").unwrap_err().to_string();
    assert!(stopped.contains("NODE is gone"), "{stopped}");
    let stopped = tokio::time::timeout(within, central.stopped()).await.expect("it stops").unwrap_err().to_string();
    assert!(stopped.contains("is gone"), "{stopped}");
    bank.shutdown().await;
    central.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_start_with_keys_that_do_not_fit_and_names_the_files() {
    let (network, _folder) = crate::running::network(2);
    let other = bank_config(&network, 2);
    let named = |error: String, files: &[&std::path::Path]| {
        for file in files {
            assert!(error.contains(&file.display().to_string()), "{} is not named: {error}", file.display());
        }
    };
    let own = bank_config(&network, 1);
    let config = cbdc_bank::Config { private_key: other.private_key.clone(), ..own.clone() };
    let error = cbdc_bank::start(config).await.err().unwrap().to_string();
    named(error, &[&own.certificate, &other.private_key]);
    let (certificate, private_key) = (other.certificate.clone(), other.private_key.clone());
    let config = cbdc_bank::Config { certificate, private_key, ..own.clone() };
    let error = cbdc_bank::start(config).await.err().unwrap().to_string();
    assert!(error.contains("bank-2"), "{error}");
    named(error, &[&other.certificate]);
    let config = cbdc_bank::Config { signing_key: other.signing_key.clone(), ..own.clone() };
    named(cbdc_bank::start(config).await.err().unwrap().to_string(), &[&other.signing_key]);

    let own = crate::running::central_bank_config(&network);
    let config = cbdc_central_bank::Config { private_key: other.private_key.clone(), ..own.clone() };
    let error = cbdc_central_bank::start(config).await.err().unwrap().to_string();
    named(error, &[&own.certificate, &other.private_key]);
    let config = cbdc_central_bank::Config { signing_key: other.signing_key.clone(), ..own.clone() };
    named(cbdc_central_bank::start(config).await.err().unwrap().to_string(), &[&other.signing_key]);
    cbdc_central_bank::start(own).await.unwrap().shutdown().await;
}
