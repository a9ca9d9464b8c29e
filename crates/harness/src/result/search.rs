//! The search for the highest rate within a bound: its steps and its result.

use serde::{Deserialize, Serialize};

/// One step of the search for the highest rate within a bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct LoadPoint {
    /// The rate offered.
    pub offered_per_s: f64,
    /// The rate settled, of payments due in the measured time.
    pub settled_per_s: f64,
    /// The rate settled in the measured time, whenever payments were due.
    #[serde(default)]
    pub settled_in_window_per_s: f64,
    /// Half of the payments were faster.
    pub p50_ms: f64,
    /// 99 % of the payments were faster.
    pub p99_ms: f64,
    /// Whether the rate held: latency within the bound, everything offered settled in time, no error.
    pub held: bool,
    /// The reason why it did not hold.
    #[serde(default)]
    pub limit: Limit,
    /// Payments that a rule or a full queue refused.
    #[serde(default)]
    pub refused: u64,
    /// Payments without an outcome.
    #[serde(default)]
    pub failed: u64,
    /// CPU of all processes, load generator included.
    #[serde(default)]
    pub cpu_us_per_payment: f64,
    /// The part of it that checked signatures.
    #[serde(default)]
    pub verify_us_per_payment: f64,
    /// The load generator's part of it; absent when all nodes shared one process.
    #[serde(default)]
    pub generator_us_per_payment: Option<f64>,
    /// The delay with which payments left the generator by its own fault, 99th percentile.
    #[serde(default)]
    pub generator_late_ms_p99: f64,
    /// The share of the machine's cores that the run kept busy.
    #[serde(default)]
    pub machine_busy_share: f64,
    /// The share that other programs kept busy.
    #[serde(default)]
    pub others_busy_share: f64,
}

/// The reason why a rate did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Nothing: it held.
    #[default]
    None,
    /// The 99th percentile is above the bound.
    Latency,
    /// Less was settled than offered.
    Throughput,
    /// Payments had no outcome, or were refused because a queue was full.
    Errors,
    /// The load generator did not keep up, which says nothing about the network.
    Generator,
    /// The machine's cores were full, so that even the load generator waited for one.
    Machine,
    /// The audit had findings.
    Audit,
    /// No higher rate can be offered with so few wallets.
    Wallets,
}

impl Limit {
    /// The limit in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Limit::None => "held",
            Limit::Latency => "latency above the bound",
            Limit::Throughput => "less settled than offered",
            Limit::Errors => "errors",
            Limit::Generator => "the load generator did not keep up",
            Limit::Machine => "the machine's cores were full",
            Limit::Audit => "the audit found something",
            Limit::Wallets => "too few wallets for a higher rate",
        }
    }
}

/// The highest rate that held.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct Maximum {
    /// The bound on the 99th percentile.
    pub slo_p99_ms: f64,
    /// The highest rate offered that held; 0 if none did.
    pub offered_per_s: f64,
    /// The rate settled at it.
    pub settled_per_s: f64,
    /// The lowest rate above it that did not hold; absent if none was found.
    pub failed_at_per_s: Option<f64>,
    /// The reason why that one did not hold.
    pub limit: Limit,
    /// The number of rates tried.
    pub steps: u32,
    /// The duration of the search.
    pub took_s: f64,
}
