//! The central bank node's configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cbdc_node::Limits;
use cbdc_node::config::{ConfigError, beside, load_config, within};
use serde::Deserialize;

/// The configuration; `cbdc init` writes one. Paths are relative to the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node's member number in the role central-bank.
    #[serde(default = "one", deserialize_with = "within::<_, _, 1, 65_535>")]
    pub member: u16,
    /// The genesis file.
    pub genesis: PathBuf,
    /// The node's data folder; made if it is missing.
    pub data_dir: PathBuf,
    /// The address that members connect to.
    pub listen: SocketAddr,
    /// The address that Prometheus reads metrics from; none if absent.
    pub metrics_listen: Option<SocketAddr>,
    /// The node's TLS certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM, readable by nobody else.
    pub private_key: PathBuf,
    /// The key that signs headers: 64 hexadecimal digits, readable by nobody else.
    pub signing_key: PathBuf,
    #[serde(default)]
    pub sequencer: SequencerConfig,
    /// The nodes of the central bank that order together; this node orders alone if absent.
    pub ordering: Option<OrderingSection>,
    /// Threads that verify signatures; 0 means one for each core.
    #[serde(default, deserialize_with = "within::<_, _, 0, 1_024>")]
    pub verification_threads: usize,
    /// The fewest blocks between two checkpoints; at least 1, since the log is purged up to the newest.
    #[serde(default = "default_checkpoint_every_blocks", deserialize_with = "within::<_, _, 1, 1_000_000_000>")]
    pub checkpoint_every_blocks: u64,
    /// After a start on a chain, the longest wait for what the banks know of it before the first block is sealed, in
    /// milliseconds.
    #[serde(default = "default_wait_for_banks_ms", deserialize_with = "within::<_, _, 0, 600_000>")]
    pub wait_for_banks_ms: u64,
    /// After a start, the longest time since the last block that the machine's clock may show, in hours; beyond it an
    /// operator has to accept the clock.
    #[serde(default = "default_clock_gap_max_h", deserialize_with = "within::<_, _, 1, 87_600>")]
    pub clock_gap_max_h: u32,
    /// The address of a bank to recover lost blocks from, before the node serves. A command-line option, for one start.
    #[serde(skip)]
    pub recover_from: Option<String>,
    /// Whether this node goes on alone, since a majority of those that order with it is lost for good. A command-line
    /// option, for one start.
    #[serde(skip)]
    pub go_on_alone: bool,
    /// Breaks the protocol ([`cbdc_ordering::members::Members`]), for tests that show that this is found out. In no
    /// file, and no option.
    #[doc(hidden)]
    #[serde(skip)]
    pub flaw: Option<cbdc_ordering::members::Flaw>,
    /// A file whose number of milliseconds each sync of the disk waits, for tests of a slow disk; none if absent.
    pub sync_delay_ms_file: Option<PathBuf>,
    /// If present, requests to issue and redeem are approved automatically, within the committee's limits.
    pub operator: Option<OperatorConfig>,
    /// Limits on what callers may use.
    #[serde(default)]
    pub limits: Limits,
}

/// The sequencer's limits: they decide when a block proposal is cut.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SequencerConfig {
    /// The number of commands at which a block proposal is cut at once.
    #[serde(deserialize_with = "within::<_, _, 1, 65_536>")]
    pub commands_max: usize,
    /// The shortest time between two block proposals, unless one is full or the ledger itself has something due. Longer
    /// under load, see [`crate::sequencer`].
    #[serde(deserialize_with = "within::<_, _, 0, 60_000>")]
    pub interval_ms: u64,
    /// The commands that may be in flight in the node at once, and one batch per member beyond. A member may have as
    /// many as are free; a batch that finds no capacity within five seconds is refused as OVERLOADED.
    #[serde(deserialize_with = "within::<_, _, 1, 16_777_216>")]
    pub queue_commands_max: usize,
    /// The block proposals that may be on their way to disk at once.
    #[serde(deserialize_with = "within::<_, _, 1, 64>")]
    pub proposals_in_flight_max: usize,
}

impl Default for SequencerConfig {
    fn default() -> Self {
        SequencerConfig { commands_max: 8_192, interval_ms: 1, queue_commands_max: 65_536, proposals_in_flight_max: 2 }
    }
}

/// The nodes of the central bank that order together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderingSection {
    /// All of them, this node included. Those of a new network begin its log with this list, which must be the same on
    /// each; afterwards the members and their addresses are those in the log.
    pub members: Vec<OrderingMember>,
    /// Whether this node joins a network that orders already: it asks the others to be admitted.
    #[serde(default)]
    pub join: bool,
    /// Whether this node, while it follows, verifies every signature in the leader's block proposals itself. Without
    /// it, it trusts the leader's verdicts.
    #[serde(default)]
    pub verify_on_followers: bool,
    /// Log entries before the newest checkpoint that a follower may still be sent instead of the checkpoint. The log is
    /// kept in any case, and a node that gets it has every block.
    #[serde(default = "default_entries_for_followers", deserialize_with = "within::<_, _, 0, 1_000_000_000>")]
    pub entries_for_followers: u64,
}

impl OrderingSection {
    /// The nodes of a network, with the defaults of everything else.
    pub fn of(members: Vec<OrderingMember>) -> OrderingSection {
        let entries_for_followers = default_entries_for_followers();
        OrderingSection { members, join: false, verify_on_followers: false, entries_for_followers }
    }
}

/// One of the nodes that order together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderingMember {
    /// The node's member number in the role central-bank.
    #[serde(deserialize_with = "within::<_, _, 1, 65_535>")]
    pub member: u16,
    /// The address at which the others, banks and desks reach it, `host:port`.
    pub address: String,
}

/// Whether a text is a host and a port, at which others can reach a node.
pub(crate) fn is_host_and_port(text: &str) -> bool {
    text.parse::<http::uri::Authority>().is_ok_and(|address| address.port().is_some())
}

/// The operator in whose name requests are approved.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorConfig {
    pub member: u16,
    pub signing_key: PathBuf,
}

fn one() -> u16 {
    1
}

fn default_entries_for_followers() -> u64 {
    100_000
}

fn default_checkpoint_every_blocks() -> u64 {
    5_000
}

/// Longer than a bank pauses before it tries the central bank again, and shorter than it waits for an answer.
fn default_wait_for_banks_ms() -> u64 {
    2_500
}

fn default_clock_gap_max_h() -> u32 {
    168
}

impl Config {
    /// The bound on the time since the last block.
    pub fn clock_gap_max(&self) -> Duration {
        Duration::from_secs(3_600 * u64::from(self.clock_gap_max_h))
    }

    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let mut config: Config = load_config(path)?;
        for relative in [
            &mut config.genesis,
            &mut config.data_dir,
            &mut config.certificate,
            &mut config.private_key,
            &mut config.signing_key,
        ] {
            *relative = beside(path, relative);
        }
        if let Some(file) = &mut config.sync_delay_ms_file {
            *file = beside(path, file);
        }
        if let Some(operator) = &mut config.operator {
            operator.signing_key = beside(path, &operator.signing_key);
        }
        Ok(config)
    }
}
