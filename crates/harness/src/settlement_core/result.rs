//! The result of measuring the core: the one object that `cbdc bench core --json` prints. Its keys are a contract, as
//! those of a run are ([`crate::result`]).

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{BANKS, CoreOptions};
use crate::measure::latency::LatencyRecorder;
use crate::measure::machine::Machine;
use crate::result::MachineFacts;

/// Version of the object's layout.
pub const SCHEMA_VERSION: u32 = 1;

/// The core, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct CoreResult {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of the program.
    pub version: String,
    /// The command that repeats it.
    pub command: String,
    /// Funded wallets.
    pub wallets: u32,
    /// Banks.
    pub banks: u16,
    /// Transfers in a block proposal.
    pub batch: u32,
    /// The most block proposals between being proposed and being settled.
    pub in_flight: u32,
    /// Transfers that were proposed, after the warm-up.
    pub transfers: u64,
    /// Block proposals.
    pub proposals: u64,
    /// Transfers that settled.
    pub settled: u64,
    /// Transfers that a rule refused.
    pub refused: u64,
    /// Those by reason.
    pub refusals: BTreeMap<String, u64>,
    /// Settled transfers a second, from the first block proposal to the last one settled.
    pub transfers_per_s: f64,
    /// The time between those, in seconds.
    pub duration_s: f64,
    /// Time to open and fund the wallets, in seconds.
    pub set_up_s: f64,
    /// Latency of a block proposal, from being proposed to its last outcome.
    pub batch_latency_ms: BatchLatencyMs,
    /// Syncs of the write-ahead log, counted by the store: never fewer than block proposals.
    pub fsyncs: u64,
    /// The same as counted by RocksDB.
    pub wal_syncs_by_rocksdb: u64,
    /// CPU time of this process by stage.
    pub cpu_us_per_transfer: CoreCpu,
    /// CBDC issued, minor units.
    pub issued_minor: u64,
    /// The money in wallets and treasuries at the end, minor units.
    pub held_minor: u64,
    /// The checks that were on.
    pub checks: CoreChecks,
    /// Findings, as sentences.
    pub findings: Vec<String>,
    /// The store: its folder and file system.
    pub store: StoreFacts,
    /// The machine.
    pub machine: MachineFacts,
}

/// Percentiles over block proposals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct BatchLatencyMs {
    /// Half were faster.
    pub p50: f64,
    /// 99 % were faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

/// CPU µs for each transfer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct CoreCpu {
    /// The whole process.
    pub total: f64,
    /// Drawing and encoding transfers: the work of clients, verification and the sequencer in a network.
    pub prepare: f64,
    /// openraft's tasks and this measurement's.
    pub ordering: f64,
    /// The log's writer: record, checksum, write-ahead log, fsync.
    pub log_writer: f64,
    /// Reading a committed block proposal.
    pub decode: f64,
    /// Applying it and sealing the block.
    pub apply: f64,
    /// Signing the header; header and outcomes to the archive.
    pub archive: f64,
    /// RocksDB's own threads: flush and compaction.
    pub store_background: f64,
}

/// The checks that were on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct CoreChecks {
    /// Payers' signatures: never here.
    pub signatures: bool,
    /// Each block proposal was on disk before it was applied.
    pub fsync: bool,
    /// Every rule that can apply to a payment was in force.
    pub policy: bool,
    /// Invariants, sums, syncs and archive agree at the end.
    pub books: bool,
}

/// The store: its folder and file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct StoreFacts {
    /// Its folder.
    pub folder: String,
    /// The kind of file system, as the kernel names it.
    pub filesystem: String,
    /// Whether it is still there.
    pub kept: bool,
}

impl StoreFacts {
    /// The facts of a folder.
    pub fn of(folder: &Path, filesystem: String, kept: bool) -> Self {
        Self { folder: folder.display().to_string(), filesystem, kept }
    }

    /// Whether the folder is in memory, so that a sync reaches no disk.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.filesystem.as_str(), "tmpfs" | "ramfs")
    }
}

impl BatchLatencyMs {
    /// The percentiles of what was recorded.
    pub fn of(latency: &LatencyRecorder) -> Self {
        let summary = latency.summary();
        Self { p50: summary.p50, p99: summary.p99, max: summary.max }
    }
}

impl CoreResult {
    /// A result with the facts known before the run.
    pub fn begin(options: &CoreOptions, machine: &Machine) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: options.command.clone(),
            wallets: options.wallets,
            banks: BANKS,
            batch: options.batch,
            in_flight: options.in_flight,
            transfers: options.transfers,
            checks: CoreChecks { policy: options.policy, ..CoreChecks::default() },
            machine: MachineFacts {
                cores: machine.cores,
                cpu: machine.cpu.clone(),
                memory_gib: machine.memory_gib,
                kernel: machine.kernel.clone(),
                ..MachineFacts::default()
            },
            ..Self::default()
        }
    }
}
