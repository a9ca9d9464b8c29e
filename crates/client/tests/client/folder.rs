//! A development network's folder: what is read of it, and how its named wallets are opened.

use cbdc_client::{AccountId, BankId, Class, ClientError, MemberId, NetworkFolder, NodeName, Role};

use crate::support::bank::FakeBank;
use crate::support::receipt::payer;
use crate::support::{genesis, write_config, write_network};

#[test]
fn nodes_and_addresses_are_read_from_genesis_and_configurations() {
    let dir = tempfile::tempdir().unwrap();
    let identity = write_network(dir.path(), "127.0.0.1:7001");
    let folder = NetworkFolder::open(dir.path()).unwrap();
    let (central_bank, bank) = (NodeName::CentralBank(MemberId(1)), NodeName::Bank(BankId(1)));
    assert_eq!(folder.nodes().collect::<Vec<_>>(), [central_bank, bank]);
    assert_eq!(folder.central_bank(), central_bank);
    assert_eq!((folder.address(bank).unwrap(), folder.metrics_address(bank).unwrap()), ("127.0.0.1:7001", None));
    assert_eq!(folder.data_dir(bank).unwrap(), dir.path().join("bank-1/data"));
    assert_eq!(folder.anchor().network(), genesis(Some(identity.public_key())).network());
    let key = folder.signing_key(Role::Committee, MemberId(1)).unwrap();
    assert_eq!(key.public_key(), folder.anchor().genesis().members[1].signing_key);
    let missing = folder.address(NodeName::Bank(BankId(9))).unwrap_err().to_string();
    assert!(missing.contains("bank-9") && missing.contains("bank-1"), "{missing}");
}

#[test]
fn a_node_that_was_admitted_later_is_listed_once_its_data_folder_is_prepared() {
    let dir = tempfile::tempdir().unwrap();
    write_network(dir.path(), "127.0.0.1:7001");
    let banks = || NetworkFolder::open(dir.path()).unwrap().banks().collect::<Vec<_>>();
    let network = NetworkFolder::open(dir.path()).unwrap().anchor().network().to_string();
    let data = dir.path().join("bank-7/data");
    std::fs::create_dir_all(&data).unwrap();
    let own = |network: &str, member| {
        let text = format!("network = \"{network}\"\nrole = \"bank\"\nmember = {member}\nbegun = false\n");
        std::fs::write(data.join("NODE"), text).unwrap();
    };
    own(&network, 7);
    assert_eq!(banks(), [BankId(1)], "without a configuration");
    write_config(dir.path(), "bank-7", "127.0.0.1:7007");
    assert_eq!(banks(), [BankId(1), BankId(7)]);
    for (of, member) in [("another", 7), (network.as_str(), 8)] {
        own(of, member);
        assert_eq!(banks(), [BankId(1)], "the data of bank {member} of network {of}");
    }
}

#[test]
fn a_damaged_folder_is_refused_with_the_file_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    write_network(dir.path(), "127.0.0.1:7001");
    std::fs::write(dir.path().join("bank-1/config.toml"), "listen = 7001\n").unwrap();
    let error = NetworkFolder::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("bank-1/config.toml"), "{error}");
    write_config(dir.path(), "bank-1", "127.0.0.1:7001");
    assert!(NetworkFolder::open(dir.path()).is_ok());
    std::fs::write(dir.path().join("genesis.bin"), b"no genesis").unwrap();
    assert!(matches!(NetworkFolder::open(dir.path()), Err(ClientError::Genesis(_))));
}

#[test]
fn keys_that_others_may_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    write_network(dir.path(), "127.0.0.1:7001");
    let path = dir.path().join("committee-1/signing.key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let folder = NetworkFolder::open(dir.path()).unwrap();
    let error = folder.signing_key(Role::Committee, MemberId(1)).unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_named_wallet_is_opened_once_and_found_again() {
    let bank = FakeBank::start().await;
    let opened = bank.folder.open_wallet("alice", BankId(1), Class::HOUSEHOLD).await.unwrap();
    assert_eq!(opened.account, Some(payer()));
    let again = bank.folder.open_wallet("alice", BankId(1), Class::HOUSEHOLD).await.unwrap();
    assert_eq!(again, opened);
    assert_eq!(bank.script.opened.lock().unwrap().len(), 1, "the bank is asked once");
    assert_eq!(bank.folder.account_of("alice").unwrap(), payer());
    assert_eq!(bank.folder.wallet("alice").unwrap().account(), payer());
    let other = AccountId::new(BankId(2), 9);
    assert_eq!(bank.folder.account_of(&other.to_string()).unwrap(), other);
    let unknown = bank.folder.account_of("alcie").unwrap_err().to_string();
    assert!(unknown.contains("alice"), "{unknown}");
    let taken = bank.folder.open_wallet("alice", BankId(1), Class::MERCHANT).await.unwrap_err();
    assert!(matches!(taken, ClientError::Usage(_)), "{taken}");
}

#[tokio::test]
async fn a_wallet_whose_bank_was_away_is_opened_later_with_the_same_key_and_holder() {
    let bank = FakeBank::start().await;
    let address = bank.folder.address(NodeName::Bank(BankId(1))).unwrap().to_owned();
    write_config(bank.dir.path(), "bank-1", "127.0.0.1:1");
    let without_bank = NetworkFolder::open(bank.dir.path()).unwrap();
    let error = without_bank.open_wallet("alice", BankId(1), Class::HOUSEHOLD).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(matches!(without_bank.wallet("alice"), Err(ClientError::NotFound(_))));
    let begun = without_bank.wallet_file("alice").unwrap();
    assert_eq!(begun.account, None);

    write_config(bank.dir.path(), "bank-1", &address);
    let opened = bank.folder.open_wallet("alice", BankId(1), Class::HOUSEHOLD).await.unwrap();
    assert_eq!((opened.holder, opened.account), (begun.holder, Some(payer())));
    let key = begun.key(&bank.folder.wallets_dir()).unwrap().public_key();
    let requests = bank.script.opened.lock().unwrap();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((request.public_key.as_ref(), request.holder.as_ref()), (&key.0[..], &begun.holder.0[..]));
}
