//! Creation of a network's folder: genesis, keys, certificates and configurations.
//!
//! 1. Everything is written into a folder next to the target, `.NAME.new-PID`.
//! 2. It takes the target's name in one rename. If the target is an empty folder, the contents are moved into it,
//!    `genesis.bin` last. So a folder with a genesis is a complete network, whatever interrupts its creation.
//!
//! Every member gets a signing key for its commands and a node key with a certificate for its connections. Genesis
//! names both; nodes trust the key in a certificate, never the authority. The authority (`ca.pem`) is for clients in
//! other languages, whose TLS libraries require one; its own key is discarded.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cbdc_client::random_bytes;
use cbdc_ledger::genesis::{DayCount, opening_books};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::{BankId, FormatVersion, Genesis, MemberId, SigningKey};
use cbdc_node::Owner;
use cbdc_proto::transport::NodeIdentity;
use cbdc_proto::transport::key_file::{write_private, write_signing_key};
use cbdc_proto::wall_clock::wall_clock;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::error::NetworkError;
use super::ports::{NetworkPorts, NodePorts, choose};
use super::spec::NetworkSpec;

/// The treatment of an existing folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    Refuse,
    /// Replaces it if it is a network's folder.
    Replace,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Creates the folder.
pub(super) fn create(dir: &Path, spec: &NetworkSpec, existing: Existing) -> Result<(), NetworkError> {
    let spec = spec.checked()?;
    let dir = &std::path::absolute(dir).map_err(|source| NetworkError::Write { path: dir.to_owned(), source })?;
    check_target(dir, existing)?;
    if existing == Existing::Replace {
        check_not_in_use(dir)?;
    }
    let building = beside(dir);
    remove_dir(&building)?;
    let made = build(&building, spec);
    if let Err(error) = made {
        fs::remove_dir_all(&building).ok();
        return Err(error);
    }
    if existing == Existing::Replace {
        remove_dir(dir)?;
    }
    put_in_place(&building, dir).map_err(|source| NetworkError::Write { path: dir.to_owned(), source })
}

fn put_in_place(building: &Path, dir: &Path) -> io::Result<()> {
    if !dir.is_dir() {
        return fs::rename(building, dir);
    }
    let genesis = std::ffi::OsStr::new(cbdc_client::NetworkFolder::GENESIS);
    let names: Vec<_> =
        fs::read_dir(building)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
    for name in names.iter().filter(|name| *name != genesis).chain(names.iter().filter(|name| *name == genesis)) {
        fs::rename(building.join(name), dir.join(name))?;
    }
    fs::remove_dir(building)
}

fn check_target(dir: &Path, existing: Existing) -> Result<(), NetworkError> {
    let path = || dir.to_owned();
    let is_empty = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => false,
        Ok(mut entries) => entries.next().is_none(),
    };
    match existing {
        _ if is_empty => Ok(()),
        Existing::Refuse => Err(NetworkError::Exists { path: path() }),
        Existing::Replace if dir.join(cbdc_client::NetworkFolder::GENESIS).is_file() => Ok(()),
        Existing::Replace => Err(NetworkError::NotANetwork { path: path() }),
    }
}

/// Refuses to replace a network one of whose nodes runs.
fn check_not_in_use(dir: &Path) -> Result<(), NetworkError> {
    // A folder that cannot be read has no nodes that its configurations could have started.
    let Ok(network) = cbdc_client::NetworkFolder::open(dir) else { return Ok(()) };
    for node in network.nodes() {
        if cbdc_storage::is_locked(&network.data_dir(node)?) {
            return Err(NetworkError::InUse { path: dir.to_owned(), node });
        }
    }
    Ok(())
}

fn beside(dir: &Path) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!(".{name}.new-{}", std::process::id()))
}

fn remove_dir(dir: &Path) -> Result<(), NetworkError> {
    match fs::remove_dir_all(dir) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(NetworkError::Write { path: dir.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn build(dir: &Path, spec: &NetworkSpec) -> Result<(), NetworkError> {
    make_dir(dir)?;
    let authority = make_authority()?;
    write(&dir.join("ca.pem"), authority.pem().as_bytes())?;
    let seats = seats(spec);
    let members = seats
        .into_iter()
        .map(|(role, id, name)| make_member(&dir.join(format!("{role}-{id}")), Some(&authority), role, id, name))
        .collect::<Result<_, _>>()?;
    let genesis = genesis(spec, members)?;
    genesis.validate()?;
    write(&dir.join(cbdc_client::NetworkFolder::GENESIS), &genesis.to_bytes())?;
    write(&dir.join("genesis.toml"), readable(&genesis).as_bytes())?;
    write_configs(dir, spec, &choose(spec.ports, spec.central_banks, spec.banks)?)?;
    prepare_data_folders(dir, &genesis)
}

/// Every member's role, number and name.
fn seats(spec: &NetworkSpec) -> Vec<(Role, u16, String)> {
    let central_bank = |node: u16| match spec.central_banks {
        1 => "Central Bank".to_owned(),
        _ => format!("Central Bank, node {node}"),
    };
    let mut seats: Vec<_> =
        (1..=spec.central_banks).map(|node| (Role::CentralBank, node, central_bank(node))).collect();
    seats.extend((1..=spec.banks).map(|bank| (Role::Bank, bank, format!("Bank {bank}"))));
    seats.extend(
        (1..=NetworkSpec::COMMITTEE_SEATS).map(|seat| (Role::Committee, seat, format!("Committee seat {seat}"))),
    );
    seats.push((Role::Operator, 1, "Operations desk".to_owned()));
    seats.push((Role::Registrar, 1, "Registrar".to_owned()));
    seats.push((Role::Court, 1, "Court".to_owned()));
    seats.push((Role::Auditor, 1, "Auditor".to_owned()));
    seats
}

fn make_authority() -> Result<Authority, NetworkError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "CBDC development network");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, key)?)
}

/// Makes the keys of a member that joins a network: signing key, node key, and a certificate that the node key itself
/// has signed, in a new folder.
///
/// # Errors
/// The folder exists already, or cannot be written.
pub fn make_keys(folder: &Path, role: Role, id: MemberId, name: String) -> Result<Member, NetworkError> {
    if folder.exists() {
        return Err(NetworkError::KeysExist { path: folder.to_owned() });
    }
    make_member(folder, None, role, id.0, name)
}

fn make_member(
    folder: &Path,
    authority: Option<&Authority>,
    role: Role,
    id: u16,
    name: String,
) -> Result<Member, NetworkError> {
    make_dir(folder)?;
    let seed: [u8; 32] = random_bytes();
    let signing_key = SigningKey::from_seed(seed).public_key();
    let signing_path = folder.join("signing.key");
    write_signing_key(&signing_path, &seed).map_err(|source| NetworkError::Write { path: signing_path, source })?;

    let node_key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.push(DnType::CommonName, format!("{role}-{id}"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = match authority {
        Some(authority) => params.signed_by(&node_key, authority)?,
        None => params.self_signed(&node_key)?,
    };
    let (certificate_path, key_path) = (folder.join("node.pem"), folder.join("node.key"));
    write(&certificate_path, certificate.pem().as_bytes())?;
    let written = write_private(&key_path, node_key.serialize_pem().as_bytes());
    written.map_err(|source| NetworkError::Write { path: key_path.clone(), source })?;
    let node_key = Some(NodeIdentity::load(&certificate_path, &key_path)?.public_key());
    Ok(Member { role, id: MemberId(id), name, signing_key, node_key })
}

fn genesis(spec: &NetworkSpec, members: Vec<Member>) -> Result<Genesis, NetworkError> {
    let reserves = (1..=spec.banks).map(|bank| (BankId(bank), spec.opening_reserves));
    let books = opening_books(reserves, spec.banknotes, spec.equity).ok_or_else(|| NetworkError::Spec {
        expected: "an opening balance sheet below 2^64 minor units".to_owned(),
        found: "a larger one".to_owned(),
    })?;
    let mut currency = [0; 3];
    currency.copy_from_slice(spec.currency.as_bytes());
    Ok(Genesis {
        format: FormatVersion::NEWEST,
        currency,
        currency_exponent: spec.currency_exponent,
        day_count: DayCount::Actual365,
        day_offset_minutes: 0,
        created_at: wall_clock(),
        validity_ms_max: spec.validity_ms_max,
        header_signatures: spec.header_signatures,
        threshold: spec.threshold,
        members,
        books,
        policy: spec.policy.clone(),
    })
}

/// Genesis as TOML, for people only.
fn readable(genesis: &Genesis) -> String {
    let mut text =
        String::from("# genesis.bin for people. No program reads this file, and changing it has no effect.\n\n");
    let currency = String::from_utf8_lossy(&genesis.currency);
    let mut line =
        |key: &str, value: String| writeln!(text, "{key} = {value}").expect("writing to a string cannot fail");
    line("network_id", format!("\"{}\"", genesis.network()));
    line("currency", format!("\"{currency}\""));
    line("currency_exponent", genesis.currency_exponent.to_string());
    line("created_at", format!("\"{}\"", genesis.created_at));
    line("validity_ms_max", genesis.validity_ms_max.to_string());
    line("header_signatures", genesis.header_signatures.to_string());
    line("committee_threshold", genesis.threshold.to_string());
    text.push_str(
        "\n# Differences from a policy without limits, fees and rates, as `cbdc policy` writes them.\n[policy]\n",
    );
    let none = cbdc_ledger::policy::Parameters::default();
    for (name, value) in cbdc_ledger::policy::text::differences(&none, &genesis.policy, genesis.currency_exponent) {
        writeln!(text, "\"{name}\" = \"{value}\"").expect("as above");
    }
    for (bank, books) in genesis.books.banks() {
        writeln!(text, "\n[books.bank-{bank}]\nreserves_minor = {}", books.reserves).expect("as above");
    }
    for member in &genesis.members {
        writeln!(text, "\n[[members]]\nrole = \"{}\"\nnumber = {}\nname = \"{}\"", member.role, member.id, member.name)
            .expect("as above");
        writeln!(text, "signing_key = \"{}\"", member.signing_key).expect("as above");
        if let Some(key) = member.node_key {
            writeln!(text, "node_key = \"{key}\"").expect("as above");
        }
    }
    text
}

fn write_configs(dir: &Path, spec: &NetworkSpec, ports: &NetworkPorts) -> Result<(), NetworkError> {
    for node in 1..=spec.central_banks {
        let config = central_bank_config(spec, node, ports);
        write(&dir.join(format!("central-bank-{node}")).join("config.toml"), config.as_bytes())?;
    }
    for bank in 1..=spec.banks {
        let config = bank_config(spec, bank, ports);
        write(&dir.join(format!("bank-{bank}")).join("config.toml"), config.as_bytes())?;
    }
    Ok(())
}

/// Prepares the data folder of each node for its first start.
fn prepare_data_folders(dir: &Path, genesis: &Genesis) -> Result<(), NetworkError> {
    let nodes = genesis.members.iter().filter(|member| [Role::CentralBank, Role::Bank].contains(&member.role));
    for member in nodes {
        let folder = dir.join(format!("{}-{}", member.role, member.id)).join("data");
        Owner::new(genesis, member.role, member.id).prepare(genesis, false, &folder)?;
    }
    Ok(())
}

/// The configuration keys common to all nodes.
fn common(ports: NodePorts) -> String {
    let NodePorts { listen, metrics } = ports;
    format!(
        "genesis = \"../genesis.bin\"\ndata_dir = \"data\"\nlisten = \"{listen}\"\nmetrics_listen = \"{metrics}\"\n\
         certificate = \"node.pem\"\nprivate_key = \"node.key\"\nsigning_key = \"signing.key\"\n"
    )
}

/// The addresses at which nodes reach the central bank's, in order.
fn central_bank_addresses(spec: &NetworkSpec, ports: &NetworkPorts) -> Vec<SocketAddr> {
    match spec.reached_at.as_slice() {
        [] => ports.central_banks.iter().map(|node| node.listen).collect(),
        proxies => proxies.to_vec(),
    }
}

fn central_bank_config(spec: &NetworkSpec, node: u16, ports: &NetworkPorts) -> String {
    let title = match spec.central_banks {
        1 => "The central bank's node.",
        _ => "A node of the central bank.",
    };
    let own = common(ports.central_banks[usize::from(node) - 1]);
    let mut text = format!("# {title} Paths are relative to this file.\nmember = {node}\n{own}");
    if let Some(threads) = spec.verification_threads {
        text.push_str(&format!("verification_threads = {threads}\n"));
    }
    if let Some(blocks) = spec.checkpoint_every_blocks {
        text.push_str(&format!("checkpoint_every_blocks = {blocks}\n"));
    }
    if spec.slow_disks {
        text.push_str(&format!("sync_delay_ms_file = \"{}\"\n", NetworkSpec::SYNC_DELAY_MS_FILE));
    }
    let sequencer = [
        ("commands_max", spec.sequencer.commands_max),
        ("interval_ms", spec.sequencer.interval_ms),
        ("queue_commands_max", spec.sequencer.queue_commands_max),
        ("proposals_in_flight_max", spec.sequencer.proposals_in_flight_max),
    ];
    if sequencer.iter().any(|(_, value)| value.is_some()) {
        text.push_str("\n[sequencer]\n");
    }
    for (key, value) in sequencer {
        if let Some(value) = value {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    if spec.central_banks > 1 {
        text.push_str(
            "\n# The central bank's nodes, which order together: the same list at each.\n[ordering]\nmembers = [\n",
        );
        for (member, address) in (1..).zip(central_bank_addresses(spec, ports)) {
            text.push_str(&format!("    {{ member = {member}, address = \"{address}\" }},\n"));
        }
        text.push_str("]\n");
        if spec.verify_on_followers {
            text.push_str("verify_on_followers = true\n");
        }
    }
    if spec.automatic_operator {
        text.push_str(
            "\n# The operator agrees to banks' requests automatically, within the committee's limits.\n[operator]\n",
        );
        text.push_str("member = 1\nsigning_key = \"../operator-1/signing.key\"\n");
    }
    text
}

fn bank_config(spec: &NetworkSpec, bank: u16, ports: &NetworkPorts) -> String {
    let own = ports.banks[usize::from(bank) - 1];
    let mut text =
        format!("# A commercial bank's node. Paths are relative to this file.\nbank = {bank}\n{}", common(own));
    match central_bank_addresses(spec, ports).as_slice() {
        [only] => text.push_str(&format!("central_bank = \"{only}\"\n")),
        nodes => {
            let nodes: Vec<String> = nodes.iter().map(|node| format!("\"{node}\"")).collect();
            text.push_str(&format!("central_bank = [{}]\n", nodes.join(", ")));
        }
    }
    let full = usize::from(spec.full_replicas).min(ports.banks.len());
    let peers = ports.banks[..full].iter().filter(|peer| **peer != own).map(|peer| format!("\"{}\"", peer.listen));
    let peers: Vec<String> = peers.collect();
    if bank > spec.full_replicas {
        text.push_str("replica = \"partial\"\n");
    } else if spec.peers && !peers.is_empty() {
        text.push_str(&format!("peers = [{}]\n", peers.join(", ")));
    }
    text.push_str(&format!("precheck_signatures = {}\n", spec.precheck_signatures));
    if let Some(blocks) = spec.checkpoint_every_blocks {
        text.push_str(&format!("checkpoint_every_blocks = {blocks}\n"));
    }
    text
}

fn make_dir(dir: &Path) -> Result<(), NetworkError> {
    fs::create_dir_all(dir).map_err(|source| NetworkError::Write { path: dir.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), NetworkError> {
    fs::write(path, bytes).map_err(|source| NetworkError::Write { path: path.to_owned(), source })
}
