//! The result of a run: `summary.json`, and the one object that `cbdc bench --json` prints.
//!
//! Keys are a contract: a published key keeps its name, its unit (last in the name) and its meaning; new keys may be
//! added; anything else raises [`SCHEMA_VERSION`]. A test pins the keys.
//!
//! `offered`, `settled`, `refused`, `failed`, `refusals`, `settled_per_s` and `latency_ms` cover payments *due* in the
//! measured time; `offered = settled + refused + failed`. `timeline` covers the warm-up too. Shares are from 0 to 1.

mod facts;
mod money;
mod policy;
mod search;
mod speed;

use std::collections::BTreeMap;

use cbdc_devnet::policy::CURRENCY_EXPONENT;
use serde::{Deserialize, Serialize};

use crate::measure::Machine;
use crate::scenario::Scenario;

pub use crate::measure::amounts::{AmountBucket, AmountCounter};
pub use crate::measure::gaps::SettlingGap;
pub use crate::measure::latency::LatencyMs;
pub use crate::measure::timeline::Second;
pub use facts::{Checks, IdleStalls, MachineFacts, ScenarioFacts, Shape};
pub use money::{
    AuditVerdict, BankDeposits, BooksSample, ClassHoldings, Currency, HoldingBucket, SupplySample, SupplyTerms,
};
pub use policy::{NotOrdered, PolicyReport, PolicyVersionReport, PresetFacts};
pub use search::{Limit, LoadPoint, Maximum};
pub use speed::{CpuPerPayment, LoadGenerator, SloVerdict};

/// Version of the object's layout.
pub const SCHEMA_VERSION: u32 = 1;

/// One run, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RunResult {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The scenario.
    pub scenario: ScenarioFacts,
    /// Version of the program.
    pub version: String,
    /// The command that repeats the run.
    pub command: String,
    /// The start of the load, in ms since 1970 (UTC).
    pub started_unix_ms: u64,
    /// The network and the load in short.
    pub shape: Shape,
    /// Payments due in the measured time.
    pub offered: u64,
    /// Those settled: final and durable.
    pub settled: u64,
    /// Those refused under a rule.
    pub refused: u64,
    /// Refusals by reason, in the words of the API.
    pub refusals: BTreeMap<String, u64>,
    /// Those without an outcome.
    pub failed: u64,
    /// Length of the measured time.
    pub duration_s: f64,
    /// `settled` over `duration_s`; if settling took longer than falling due, lower in that proportion
    /// (`measure::throughput`).
    pub settled_per_s: f64,
    /// Settlements within the measured time, whenever they were due, over `duration_s`. Above `settled_per_s` if the
    /// warm-up left a backlog.
    #[serde(default)]
    pub settled_in_window_per_s: f64,
    /// Latency of settled payments from due to answered.
    pub latency_ms: LatencyMs,
    /// The bound that the scenario sets, and whether it held.
    pub slo: SloVerdict,
    /// CPU time for each settled payment.
    pub cpu_us_per_payment: CpuPerPayment,
    /// The currency of `_minor` figures.
    pub currency: Currency,
    /// The supply report at the end.
    pub supply: SupplyTerms,
    /// The supply report when the load began.
    #[serde(default)]
    pub supply_before: SupplyTerms,
    /// The policy's preset, if any, and the payments under each of its versions.
    #[serde(default)]
    pub policy: PolicyReport,
    /// Holdings at the end, by class.
    #[serde(default)]
    pub holdings: Vec<ClassHoldings>,
    /// Each bank's deposits (`bank-1` and so on) compared with the chain's flows: I3.
    #[serde(default)]
    pub deposits: BTreeMap<String, BankDeposits>,
    /// The auditor's verdict over the whole chain.
    pub audit: AuditVerdict,
    /// The machine.
    pub machine: MachineFacts,
    /// The checks that were on.
    pub checks: Checks,
    /// The generator's adherence to its plan.
    pub load_generator: LoadGenerator,
    /// Each second of the load, from its start, warm-up included.
    pub timeline: Vec<Second>,
    /// The scenario's events.
    pub events: Vec<EventRecord>,
    /// The central bank's nodes that led, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaders: Vec<LeaderChange>,
    /// Points `[ms, share of payments at or below]`.
    pub latency_distribution: Vec<[f64; 2]>,
    /// Offered payments by amount.
    pub amounts: Vec<AmountBucket>,
    /// The central bank's books over time, if they were sampled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub books: Vec<BooksSample>,
    /// The supply's terms over time, if they were sampled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supply_over_time: Vec<SupplySample>,
    /// Latency against load, if a maximum was searched for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_curve: Vec<LoadPoint>,
    /// The highest rate within a bound, if it was searched for; the other figures are then those of its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Maximum>,
}

/// An event of the scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct EventRecord {
    /// The planned time, in seconds from the start of the load.
    pub at_s: f64,
    /// The time at which it began.
    #[serde(default)]
    pub began_at_s: Option<f64>,
    /// The time at which it was done: the node was down or back, the policy enacted. Absent if it never was.
    pub done_at_s: Option<f64>,
    /// The event in a few words.
    pub what: String,
    /// Remarks: the height at which a policy took force, the reason of a failure.
    pub note: Option<String>,
    /// The gap in settling that it made, if it disturbed nodes or links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settling: Option<SettlingGap>,
}

/// A node of the central bank that came to lead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct LeaderChange {
    /// The time at which it was first seen to lead, in seconds from the start of the load.
    pub at_s: f64,
    /// The node.
    pub leader: String,
    /// Its term.
    pub term: u64,
}

impl RunResult {
    /// The object in the form of `summary.json`.
    ///
    /// # Errors
    /// A figure is not a number (JSON has none such).
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// Reads `summary.json`.
    ///
    /// # Errors
    /// The text is not such an object.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// A result with the facts known before the run: scenario, shape, machine, version.
    pub fn begin(scenario: &Scenario, version: &str, command: &str, machine: &Machine, in_process: bool) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            scenario: ScenarioFacts::of(scenario),
            version: version.to_owned(),
            command: command.to_owned(),
            shape: Shape::of(scenario, in_process),
            duration_s: scenario.load.duration_s,
            slo: SloVerdict { p99_ms: scenario.slo.p99_ms, held: false },
            currency: Currency { code: scenario.currency().to_owned(), exponent: u32::from(CURRENCY_EXPONENT) },
            policy: PolicyReport {
                preset: scenario.policy.preset.as_ref().map(PresetFacts::of),
                ..PolicyReport::default()
            },
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

    /// The checks with their names and states; `None` is unknown.
    pub fn named_checks(&self) -> [(&'static str, Option<bool>); 4] {
        let Checks { signatures, fsync, tls, policy } = self.checks;
        [("signatures", signatures), ("fsync", fsync), ("TLS", Some(tls)), ("policy", Some(policy))]
    }
}

#[cfg(test)]
mod tests;
