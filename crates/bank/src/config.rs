//! The configuration of a bank's node.
//!
//! ```toml
//! bank = 1                                # the bank's number, as genesis or a proposal names it
//! genesis = "../genesis.bin"              # what the network began with
//! data_dir = "data"                       # RocksDB
//! listen = "127.0.0.1:7101"               # gRPC for wallets, back office and members
//! metrics_listen = "127.0.0.1:9101"       # Prometheus; leave it out for none
//! certificate = "node.crt"                # PEM, carries the node key that membership names
//! private_key = "node.key"                # PEM, mode 0600
//! signing_key = "signing.key"             # 64 hexadecimal digits, mode 0600
//! central_bank = "127.0.0.1:7000"         # or all of its nodes: ["127.0.0.1:7000", "127.0.0.1:7001"]
//! replica = "full"                        # "full", or "partial": headers and this bank's customers alone
//! peers = ["127.0.0.1:7102"]              # banks to follow while the central bank cannot be reached
//!
//! [limits]                                # see cbdc_node::limits; every key has a default
//! memory_mib = 512
//! ```
//!
//! Paths are relative to the folder of the file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cbdc_node::config::{beside, load_config, within};
use cbdc_node::{ConfigError, Limits};
use serde::Deserialize;

/// The replica of the chain that a bank keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaKind {
    /// Every block: the bank applies all of it, and serves it to others.
    #[default]
    Full,
    /// Headers and filtered blocks of its own customers, from the central bank only: a payment costs only the two banks
    /// involved.
    Partial,
}

/// A bank's configuration. Keys without a default are mandatory; unknown keys are errors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The bank's number.
    #[serde(deserialize_with = "within::<_, _, 1, 65_535>")]
    pub bank: u16,
    /// The genesis file.
    pub genesis: PathBuf,
    /// The folder of the store.
    pub data_dir: PathBuf,
    /// The address that gRPC is served on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address that Prometheus may read metrics from.
    #[serde(default)]
    pub metrics_listen: Option<SocketAddr>,
    /// The node's certificate, PEM.
    pub certificate: PathBuf,
    /// The private key of the certificate, PEM, readable by its owner only.
    pub private_key: PathBuf,
    /// The bank's signing key, 64 hexadecimal digits, readable by its owner only.
    pub signing_key: PathBuf,
    /// The central bank's nodes, `host:port`: one address, or a list of them. The bank finds the one that leads.
    #[serde(deserialize_with = "one_or_more")]
    pub central_bank: Vec<String>,
    /// The kind of replica. A data folder holds one or the other.
    #[serde(default)]
    pub replica: ReplicaKind,
    /// Other banks' nodes, `host:port`, from which to follow the chain while the central bank cannot be reached. Only a
    /// full replica can follow them.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Whether to verify customers' signatures before relaying, so that junk is stopped here and the central bank has
    /// no reason to slow the bank. The central bank verifies all of them in any case.
    #[serde(default = "default_precheck_signatures")]
    pub precheck_signatures: bool,
    /// Whether to verify every signature in blocks from the central bank too, not only from peers. Only a full replica
    /// has them all.
    #[serde(default)]
    pub verify_blocks: bool,
    /// The fewest blocks between two checkpoints of the replica; 0 for none.
    #[serde(default = "default_checkpoint_every_blocks", deserialize_with = "within::<_, _, 0, 1_000_000_000>")]
    pub checkpoint_every_blocks: u64,
    /// Whether to accept payments into the outbox while the central bank cannot be reached, if the customer asks for
    /// it.
    #[serde(default = "default_accept_when_unreachable")]
    pub accept_when_unreachable: bool,
    /// Limits on what callers may use.
    #[serde(default)]
    pub limits: Limits,
    /// The time to wait for the central bank's answer to such a payment before accepting it, ms: less than customers
    /// wait for theirs.
    #[serde(default = "default_accept_after_ms", deserialize_with = "within::<_, _, 0, 60_000>")]
    pub accept_after_ms: u64,
}

/// Reads one address, or a list of at least one.
fn one_or_more<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "an address, or a list of addresses")]
    enum Addresses {
        One(String),
        Several(Vec<String>),
    }
    match Addresses::deserialize(from)? {
        Addresses::One(address) => Ok(vec![address]),
        Addresses::Several(addresses) if addresses.is_empty() => {
            Err(serde::de::Error::custom("expected at least one address of the central bank, found none"))
        }
        Addresses::Several(addresses) => Ok(addresses),
    }
}

fn default_checkpoint_every_blocks() -> u64 {
    5_000
}

fn default_precheck_signatures() -> bool {
    true
}

fn default_accept_when_unreachable() -> bool {
    true
}

fn default_accept_after_ms() -> u64 {
    2_000
}

impl Config {
    /// Reads a configuration file and makes its paths absolute or relative to the current folder.
    ///
    /// # Errors
    /// The file cannot be read, or a key is unknown, missing or wrong; the message names file, line and column.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let mut config: Config = load_config(path)?;
        let paths = [
            &mut config.genesis,
            &mut config.data_dir,
            &mut config.certificate,
            &mut config.private_key,
            &mut config.signing_key,
        ];
        for relative in paths {
            *relative = beside(path, relative);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
bank = 1
genesis = "../genesis.bin"
data_dir = "data"
listen = "127.0.0.1:0"
certificate = "node.crt"
private_key = "node.key"
signing_key = "signing.key"
central_bank = "127.0.0.1:7000"
"#;

    #[test]
    fn paths_are_relative_to_the_file_and_the_rest_has_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bank.toml");
        std::fs::write(&file, MINIMAL).unwrap();
        let config = Config::load(&file).unwrap();
        assert_eq!(config.data_dir, folder.path().join("data"));
        assert!(config.accept_when_unreachable && config.precheck_signatures && !config.verify_blocks);
        assert_eq!((config.checkpoint_every_blocks, config.accept_after_ms), (5_000, 2_000));
    }

    #[test]
    fn another_word_for_the_replica_is_answered_with_those_that_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bank.toml");
        for (word, expected) in [("full", ReplicaKind::Full), ("partial", ReplicaKind::Partial)] {
            std::fs::write(&file, format!("{MINIMAL}replica = \"{word}\"\n")).unwrap();
            assert_eq!(Config::load(&file).unwrap().replica, expected);
        }
        std::fs::write(&file, format!("{MINIMAL}replica = \"own\"\n")).unwrap();
        let message = Config::load(&file).unwrap_err().to_string();
        assert!(
            message.contains("bank.toml:10") && message.contains("`own`") && message.contains("`partial`"),
            "{message}"
        );
    }

    #[test]
    fn a_value_out_of_its_range_is_named_with_the_range() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bank.toml");
        for (text, found) in [
            (MINIMAL.replace("bank = 1", "bank = 0"), "from 1 to 65535, found 0"),
            (MINIMAL.replace("bank = 1", "bank = 65536"), "found 65536"),
            (format!("{MINIMAL}accept_after_ms = 99999999\n"), "from 0 to 60000"),
            (format!("{MINIMAL}checkpoint_every_blocks = -1\n"), "found -1"),
        ] {
            std::fs::write(&file, text).unwrap();
            let message = Config::load(&file).unwrap_err().to_string();
            assert!(message.contains("expected a number from") && message.contains(found), "{message}");
        }
    }

    #[test]
    fn a_central_bank_has_one_node_or_several() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bank.toml");
        let with = |nodes: &str| {
            std::fs::write(&file, MINIMAL.replace("\"127.0.0.1:7000\"", nodes)).unwrap();
            Config::load(&file)
        };
        assert_eq!(with("\"a:1\"").unwrap().central_bank, ["a:1"]);
        assert_eq!(with("[\"a:1\", \"b:2\"]").unwrap().central_bank, ["a:1", "b:2"]);
        for (nodes, expected) in [("[]", "at least one address"), ("7", "an address, or a list of addresses")] {
            let message = with(nodes).unwrap_err().to_string();
            assert!(message.contains("bank.toml:9") && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bank.toml");
        std::fs::write(&file, format!("{MINIMAL}verify_at_egde = true\n")).unwrap();
        let message = Config::load(&file).unwrap_err().to_string();
        assert!(message.contains("bank.toml:10") && message.contains("verify_at_egde"), "{message}");
    }
}
