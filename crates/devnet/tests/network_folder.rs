//! What a new network's folder holds, and how it may and may not be created.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cbdc_client::{BankId, MemberId, NodeName, Role};
use cbdc_devnet::{Network, NetworkError, NetworkSpec, Ports};
use cbdc_ledger::{Class, Genesis, HolderId, SigningKey};

fn spec() -> NetworkSpec {
    NetworkSpec { ports: Ports::Free, ..NetworkSpec::default() }
}

fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_member_has_a_folder_and_genesis_names_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::create(&folder.path().join("net"), &spec()).unwrap();
    let genesis = Genesis::from_bytes(&std::fs::read(network.dir().join("genesis.bin")).unwrap()).unwrap();
    assert_eq!((genesis.members.len(), genesis.threshold), (1 + 3 + 3 + 4, 2));
    for member in &genesis.members {
        assert_eq!(network.identity(member.role, member.id).unwrap().public_key(), member.node_key.unwrap());
        assert_eq!(network.signing_key(member.role, member.id).unwrap().public_key(), member.signing_key);
    }
    assert_eq!(network.nodes().count(), 4);
    assert!(folder.path().join("net/ca.pem").is_file() && folder.path().join("net/genesis.toml").is_file());
}

#[test]
fn no_secret_may_be_read_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::create(&folder.path().join("net"), &spec()).unwrap();
    let mut secrets = 0;
    for member in names_in(network.dir()).into_iter().filter(|name| network.dir().join(name).is_dir()) {
        for name in names_in(&network.dir().join(&member)).into_iter().filter(|name| name.ends_with(".key")) {
            let mode = std::fs::metadata(network.dir().join(&member).join(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{member}/{name}");
            secrets += 1;
        }
    }
    assert_eq!(secrets, 2 * 11);
}

#[test]
fn a_folder_that_is_there_is_replaced_only_when_asked_and_only_if_it_is_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let first = Network::create(&dir, &spec()).unwrap();
    assert!(matches!(Network::create(&dir, &spec()), Err(NetworkError::Exists { .. })));
    assert_eq!(Network::open(&dir).unwrap().anchor().network(), first.anchor().network());

    let second = Network::create_or_replace(&dir, &spec()).unwrap();
    assert_ne!(second.anchor().network(), first.anchor().network());

    let other = folder.path().join("thesis");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("chapter-1.tex"), "years of work").unwrap();
    assert!(matches!(Network::create_or_replace(&other, &spec()), Err(NetworkError::NotANetwork { .. })));
    assert!(other.join("chapter-1.tex").is_file());
    assert_eq!(names_in(folder.path()), ["net", "thesis"], "nothing half-made is left beside them");
}

#[test]
fn an_empty_folder_may_become_a_network() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Network::create(folder.path(), &spec()).is_ok());
}

#[test]
fn a_spec_that_cannot_be_is_refused_with_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    for wrong in [
        NetworkSpec { banks: 0, ..spec() },
        NetworkSpec { banks: 100, ..spec() },
        NetworkSpec { ports: Ports::From(65_500), ..spec() },
        NetworkSpec { ports: Ports::From(0), ..spec() },
        NetworkSpec { currency: "euro".to_owned(), ..spec() },
        NetworkSpec { currency: "eur".to_owned(), ..spec() },
        NetworkSpec { threshold: 4, ..spec() },
        NetworkSpec { central_banks: 0, ..spec() },
        NetworkSpec { central_banks: 2, ..spec() },
        NetworkSpec { central_banks: 9, ..spec() },
        NetworkSpec { header_signatures: 0, ..spec() },
        NetworkSpec { central_banks: 3, header_signatures: 4, ..spec() },
        NetworkSpec { central_banks: 3, reached_at: vec![([127, 0, 0, 1], 7000).into()], ..spec() },
        NetworkSpec { central_banks: 3, ports: Ports::From(65_300), ..spec() },
    ] {
        let error = Network::create(&dir, &wrong).unwrap_err().to_string();
        assert!(error.contains("expected") || error.contains("must"), "{error}");
    }
    assert!(names_in(folder.path()).is_empty());
}

#[test]
fn banks_follow_the_base_port_and_know_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec { ports: Ports::From(7000), ..NetworkSpec::default() };
    let network = Network::create(&folder.path().join("net"), &spec).unwrap();
    let bank = NodeName::Bank(BankId(2));
    assert_eq!(network.address(bank).unwrap(), "127.0.0.1:7002");
    assert_eq!(network.metrics_address(bank).unwrap(), Some("127.0.0.1:7102"));
    let config = std::fs::read_to_string(network.config_path(bank)).unwrap();
    assert!(config.contains(r#"peers = ["127.0.0.1:7001", "127.0.0.1:7003"]"#), "{config}");
    assert!(network.address(NodeName::Bank(BankId(4))).unwrap_err().to_string().contains("bank-3"));
}

fn central_bank(network: &Network, node: u16) -> cbdc_central_bank::Config {
    cbdc_central_bank::Config::load(&network.config_path(NodeName::CentralBank(MemberId(node)))).unwrap()
}

#[test]
fn three_nodes_of_the_central_bank_order_together_and_banks_know_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec { central_banks: 3, header_signatures: 2, ports: Ports::From(7000), ..spec() };
    let network = Network::create(&folder.path().join("net"), &spec).unwrap();
    let genesis = network.anchor().genesis();
    let seats = genesis.members.iter().filter(|member| member.role == Role::CentralBank);
    assert_eq!(seats.map(|member| member.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(genesis.header_signatures, 2);

    let addresses = ["127.0.0.1:7000", "127.0.0.1:7202", "127.0.0.1:7203"];
    for node in 1..=3 {
        let config = central_bank(&network, node);
        let ordering = config.ordering.unwrap();
        let members: Vec<_> = ordering.members.iter().map(|member| (member.member, member.address.as_str())).collect();
        assert_eq!(members, [(1, addresses[0]), (2, addresses[1]), (3, addresses[2])]);
        assert!(!ordering.join && config.operator.is_some() && config.data_dir.join("NODE").is_file());
        assert_eq!((config.member, config.listen.to_string().as_str()), (node, addresses[usize::from(node) - 1]));
    }
    let bank = cbdc_bank::Config::load(&network.config_path(NodeName::Bank(BankId(2)))).unwrap();
    assert_eq!(bank.central_bank, addresses);
}

#[test]
fn a_single_node_of_the_central_bank_orders_alone() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::create(&folder.path().join("net"), &spec()).unwrap();
    assert!(central_bank(&network, 1).ordering.is_none());
    let config = std::fs::read_to_string(network.config_path(NodeName::Bank(BankId(1)))).unwrap();
    assert!(config.contains("\ncentral_bank = \"127.0.0.1:"), "{config}");
}

#[test]
fn nodes_reach_the_central_bank_through_the_callers_proxies() {
    let folder = tempfile::tempdir().unwrap();
    let reached_at: Vec<_> = (1..=3).map(|node| std::net::SocketAddr::from(([127, 0, 0, 1], 9000 + node))).collect();
    let spec = NetworkSpec { central_banks: 3, reached_at: reached_at.clone(), ..spec() };
    let network = Network::create(&folder.path().join("net"), &spec).unwrap();
    let shown: Vec<String> = reached_at.iter().map(ToString::to_string).collect();
    let config = central_bank(&network, 2);
    assert_eq!(config.ordering.unwrap().members.into_iter().map(|node| node.address).collect::<Vec<_>>(), shown);
    assert!(!reached_at.contains(&config.listen));
    let bank = cbdc_bank::Config::load(&network.config_path(NodeName::Bank(BankId(1)))).unwrap();
    assert_eq!(bank.central_bank, shown);
}

#[test]
fn an_even_number_of_nodes_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let even = NetworkSpec { central_banks: 4, ..spec() };
    let error = Network::create(&folder.path().join("net"), &even).unwrap_err().to_string();
    assert!(error.contains("no more failures than 3") && error.ends_with("found 4"), "{error}");
}

#[test]
fn the_readable_genesis_is_toml_and_names_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::create(&folder.path().join("net"), &spec()).unwrap();
    let text = std::fs::read_to_string(network.dir().join("genesis.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["network_id"].as_str(), Some(network.anchor().network().to_string().as_str()));
    assert_eq!(table["members"].as_array().map(Vec::len), Some(11));
}

#[test]
fn the_registrar_certifies_a_key_for_this_network() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::create(&folder.path().join("net"), &spec()).unwrap();
    let key = SigningKey::from_seed([7; 32]).public_key();
    let registrar = network.first_registrar().unwrap();
    let registration = registrar.register(BankId(1), HolderId([7; 16]), Class::HOUSEHOLD, key);
    assert_eq!(registration.certificate.registrar, MemberId(1));
    assert!(network.governance(Role::Committee, MemberId(9)).is_err());
}
