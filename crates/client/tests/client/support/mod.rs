//! A network's folder with fixed keys, and a bank that answers as a test tells it to.
#![allow(dead_code)]

use std::path::Path;

use cbdc_client::{Anchor, MemberId, NodeIdentity, Role, SigningKey, Timestamp};
use cbdc_ledger::books::Books;
use cbdc_ledger::genesis::DayCount;
use cbdc_ledger::member::Member;
use cbdc_ledger::policy::Parameters;
use cbdc_ledger::{FormatVersion, Genesis};
use cbdc_proto::transport::key_file::{write_private, write_signing_key};

pub mod bank;
pub mod receipt;

/// The members beside bank 1, which is the last one. A member's signing key has its index, from 1, as its seed.
const ROLES: [Role; 6] =
    [Role::CentralBank, Role::Committee, Role::Operator, Role::Registrar, Role::Auditor, Role::Bank];

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

/// The key that signs headers.
pub fn central_bank_key() -> SigningKey {
    key(1)
}

/// A genesis of one member a role; bank 1 connects with `bank_node_key`.
pub fn genesis(bank_node_key: Option<cbdc_ledger::PublicKey>) -> Genesis {
    let member = |(index, role): (u8, Role)| Member {
        role,
        id: MemberId(1),
        name: role.to_string(),
        signing_key: key(index).public_key(),
        node_key: bank_node_key.filter(|_| role == Role::Bank),
    };
    Genesis {
        format: FormatVersion::One,
        currency: *b"XTS",
        currency_exponent: 2,
        day_count: DayCount::Actual365,
        day_offset_minutes: 0,
        created_at: Timestamp(1),
        validity_ms_max: 3_600_000,
        header_signatures: 1,
        threshold: 1,
        members: (1..).zip(ROLES).map(member).collect(),
        books: Books::default(),
        policy: Parameters::default(),
    }
}

pub fn anchor() -> Anchor {
    Anchor::new(genesis(None))
}

/// Writes the folder of a network whose bank 1 listens at `bank_address`, and returns that bank's identity.
pub fn write_network(dir: &Path, bank_address: &str) -> NodeIdentity {
    for (seed, role) in (1..).zip(ROLES) {
        let folder = dir.join(format!("{role}-1"));
        std::fs::create_dir_all(&folder).unwrap();
        write_signing_key(&folder.join("signing.key"), &[seed; 32]).unwrap();
    }
    let identity = write_identity(&dir.join("bank-1"));
    std::fs::write(dir.join("genesis.bin"), genesis(Some(identity.public_key())).to_bytes()).unwrap();
    write_config(dir, "central-bank-1", "127.0.0.1:1");
    write_config(dir, "bank-1", bank_address);
    identity
}

pub fn write_config(dir: &Path, node: &str, address: &str) {
    let text = format!("genesis = \"../genesis.bin\"\ndata_dir = \"data\"\nlisten = \"{address}\"\n");
    std::fs::write(dir.join(node).join("config.toml"), text).unwrap();
}

fn write_identity(folder: &Path) -> NodeIdentity {
    let node_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&node_key).unwrap();
    let (certificate_path, key_path) = (folder.join("node.pem"), folder.join("node.key"));
    std::fs::write(&certificate_path, certificate.pem()).unwrap();
    write_private(&key_path, node_key.serialize_pem().as_bytes()).unwrap();
    NodeIdentity::load(&certificate_path, &key_path).unwrap()
}
