//! Latency bound, CPU cost, and whether the load generator kept up.

use serde::{Deserialize, Serialize};

/// The bound and whether it held.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct SloVerdict {
    /// The bound on p99.
    pub p99_ms: f64,
    /// Whether p99 stayed within it.
    pub held: bool,
}

/// CPU µs for each settled payment; a role is absent when all nodes shared one process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct CpuPerPayment {
    /// All processes, load generator included.
    pub total: f64,
    /// The part of it that checked signatures.
    pub verify: f64,
    /// The central bank's process.
    pub central_bank: Option<f64>,
    /// All banks' processes.
    pub banks: Option<f64>,
    /// This process.
    pub load_generator: Option<f64>,
}

/// The generator's adherence to its plan, and the remaining capacity of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct LoadGenerator {
    /// The generator limited the run: payments left late although the network could take them and a core was free.
    pub bottleneck: bool,
    /// The machine limited the run: payments left late because its cores were full with work other than the
    /// generator's.
    #[serde(default)]
    pub starved: bool,
    /// 99 % of the payments were sent at most this long after they were due.
    pub late_ms_p99: f64,
    /// The same, excluding the time that a message may take to fill and the time during which the network accepted
    /// nothing.
    #[serde(default)]
    pub own_late_ms_p99: f64,
    /// The generator's share of the CPU time of all processes of the run; absent when all shared one process.
    #[serde(default)]
    pub cpu_share: Option<f64>,
    /// The share of the machine's cores that the run's processes kept busy while the load ran, generator included.
    #[serde(default)]
    pub machine_busy_share: f64,
    /// The share that other programs kept busy during the load.
    #[serde(default)]
    pub others_busy_share: f64,
}
