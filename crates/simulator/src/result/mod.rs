//! What a run leaves behind: `summary.json`, and the one object that `cbdc bench --json` prints.
//!
//! Keys are a contract: a key, once published, keeps its name, its unit (last in the name) and its meaning; new keys
//! may be added; anything else raises [`SCHEMA_VERSION`]. A test pins the keys.
//!
//! `offered`, `settled`, `refused`, `failed`, `refusals` and `latency_ms` cover payments *due* in the measured time;
//! `offered = settled + refused + failed`. `timeline` covers the warm-up too. Shares lie between 0 and 1.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::measure::Machine;
use crate::measure::core_speed::{CoreSpeed, core_speed};
use crate::measure::stalls::{self, Stalls};
use crate::scenario::{CURRENCY_EXPONENT, Preset, Scenario};

/// Version of the object's layout.
pub const SCHEMA_VERSION: u32 = 1;

/// One run, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct RunResult {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What ran.
    pub scenario: ScenarioFacts,
    /// Version of the program.
    pub version: String,
    /// The command that repeats the run.
    pub command: String,
    /// When the load started, in ms since 1970 (UTC).
    pub started_unix_ms: u64,
    /// The network and the load in short.
    pub shape: Shape,
    /// Payments due in the measured time.
    pub offered: u64,
    /// Of those: settled, final and durable.
    pub settled: u64,
    /// Of those: refused under a rule.
    pub refused: u64,
    /// Refusals by reason, in the words of the API.
    pub refusals: BTreeMap<String, u64>,
    /// Of those: without an outcome.
    pub failed: u64,
    /// Length of the measured time.
    pub duration_s: f64,
    /// `settled` over `duration_s`, or over the time until the last answer if that is longer.
    pub settled_per_s: f64,
    /// Latency of settled payments from due to answered.
    pub latency_ms: LatencyMs,
    /// The bound that the scenario sets, and whether it held.
    pub slo: SloVerdict,
    /// CPU time for each settled payment.
    pub cpu_us_per_payment: CpuPerPayment,
    /// In what `_minor` figures are counted.
    pub currency: Currency,
    /// The supply report at the end.
    pub supply: SupplyTerms,
    /// The supply report when the load began.
    #[serde(default)]
    pub supply_before: SupplyTerms,
    /// Where the policy came from, and what settled under each of its versions.
    #[serde(default)]
    pub policy: PolicyReport,
    /// What people held at the end, by class.
    #[serde(default)]
    pub holdings: Vec<ClassHoldings>,
    /// What each bank has on deposit (`bank-1` and so on) against what the chain moved: I3.
    #[serde(default)]
    pub deposits: BTreeMap<String, BankDeposits>,
    /// The auditor's verdict over the whole chain.
    pub audit: AuditVerdict,
    /// The machine.
    pub machine: MachineFacts,
    /// Which checks were on.
    pub checks: Checks,
    /// Whether the generator kept up with its own plan.
    pub load_generator: LoadGenerator,
    /// Each second of the load, from its start, warm-up included.
    pub timeline: Vec<Second>,
    /// What the scenario made happen.
    pub events: Vec<EventRecord>,
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

/// Which scenario ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ScenarioFacts {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub description: String,
    /// BLAKE3 of its canonical form.
    pub hash: String,
    /// Its seed.
    pub seed: u64,
    /// The file, if it came from one.
    pub file: Option<String>,
    /// The canonical form: TOML with every default written out.
    pub resolved_toml: String,
    /// In what it is not run as its file says, as sentences.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The network and the load in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Shape {
    /// Commercial banks.
    pub banks: u32,
    /// Wallets over all banks.
    pub wallets: u32,
    /// `own` or `full`.
    pub replica: String,
    /// Banks check signatures too.
    pub verify_at_bank: bool,
    /// All nodes ran in one process.
    pub in_process: bool,
    /// `stream` or `unary`.
    pub mode: String,
    /// Most payments in one message.
    pub batch_size: u32,
    /// `constant`, `poisson`, `ramp` or `burst`.
    pub profile: String,
    /// Mean rate offered.
    pub rate_per_s: f64,
    /// Highest rate offered.
    pub peak_per_s: f64,
    /// Unmeasured time at the start.
    pub warm_up_s: f64,
    /// Share of payments across banks.
    pub cross_bank_share: f64,
    /// `space-2022`, `fixed` or `uniform`.
    pub amounts: String,
}

/// Latency percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct LatencyMs {
    /// Half of the payments were faster.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p99_9: f64,
    /// The slowest.
    pub max: f64,
    /// The average.
    pub mean: f64,
}

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
    /// Of that, checking signatures.
    pub verify: f64,
    /// The central bank's process.
    pub central_bank: Option<f64>,
    /// All banks' processes.
    pub banks: Option<f64>,
    /// This process.
    pub load_generator: Option<f64>,
}

/// In what `_minor` figures are counted; fixed by genesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Currency {
    /// ISO 4217 code.
    pub code: String,
    /// How many decimal places a minor unit stands below the currency unit.
    pub exponent: u32,
}

impl Default for Currency {
    fn default() -> Self {
        Self { code: "EUR".to_owned(), exponent: 2 }
    }
}

/// The terms of I1 (`cbdc_ledger`): Σ wallets = issued − redeemed + reverse waterfall − waterfall + interest − demurrage
/// − fees to equity + unbacked + targeted − expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SupplyTerms {
    /// Issued to banks against reserves.
    pub issued_minor: i64,
    /// Taken back against reserves.
    pub redeemed_minor: i64,
    /// Swept from wallets to bank deposits.
    pub waterfall_minor: i64,
    /// Drawn from bank deposits into wallets.
    pub reverse_waterfall_minor: i64,
    /// Interest posted to wallets.
    pub interest_minor: i64,
    /// Negative remuneration taken from wallets.
    pub demurrage_minor: i64,
    /// Fees to the central bank's equity.
    pub fees_minor: i64,
    /// Issued against equity.
    pub unbacked_minor: i64,
    /// Issued for a purpose.
    pub targeted_minor: i64,
    /// Purpose money that expired.
    pub expired_minor: i64,
    /// Σ of all wallets, treasuries included.
    pub wallets_minor: i64,
}

impl SupplyTerms {
    /// Issued − redeemed + … − expired: what the wallets must hold. `None` if the sum leaves 64 bits.
    pub fn expected_minor(&self) -> Option<i64> {
        let sum: i128 = self.signed_terms().iter().map(|(_, minor)| i128::from(*minor)).sum();
        i64::try_from(sum).ok()
    }

    /// The terms with the sign they have in I1, in its order.
    pub fn signed_terms(&self) -> [(&'static str, i64); 10] {
        [
            ("Issued against reserves", self.issued_minor),
            ("Redeemed", -self.redeemed_minor),
            ("Reverse waterfall", self.reverse_waterfall_minor),
            ("Waterfall", -self.waterfall_minor),
            ("Interest", self.interest_minor),
            ("Demurrage", -self.demurrage_minor),
            ("Fees to equity", -self.fees_minor),
            ("Unbacked issuance", self.unbacked_minor),
            ("Targeted", self.targeted_minor),
            ("Expired", -self.expired_minor),
        ]
    }
}

/// The policy of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PolicyReport {
    /// The preset that gave the first figures, if one did.
    pub preset: Option<PresetFacts>,
    /// Every version there was, in order; the first is genesis'.
    pub versions: Vec<PolicyVersionReport>,
    /// Payments of the run (warm-up included) that stand in no block, and so under no version.
    #[serde(default)]
    pub not_ordered: NotOrdered,
}

/// Payments that were never ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct NotOrdered {
    /// Refused before ordering: they used no number.
    pub refused: u64,
    /// Those by reason, in the words of the API.
    pub refusals: BTreeMap<String, u64>,
    /// Without an answer, and not in the chain.
    pub unanswered: u64,
}

/// Where a preset's figures come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct PresetFacts {
    /// Its name.
    pub name: String,
    /// The system.
    pub title: String,
    /// The time that the figures are of.
    pub date: String,
    /// What the amounts stand for.
    pub currency_note: String,
    /// Where the figures were read.
    pub source: String,
    /// `S` read in the source or a report of it, `C` computed from that, `K` known and not checked.
    pub mark: String,
    /// What was not checked against a source, as sentences.
    pub provisional: Vec<String>,
    /// What the ledger has no parameter for, as sentences.
    pub not_expressed: Vec<String>,
    /// Choices of ours, as sentences.
    pub choices: Vec<String>,
}

/// One version of the policy, and every payment of the run (warm-up included) that was applied under it, counted from
/// the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PolicyVersionReport {
    /// Its number; 1 is genesis'.
    pub version: u32,
    /// Since when it is in force, in seconds from the start of the load; genesis' is before 0.
    pub since_s: f64,
    /// What differs from the version before; for the first, from a policy that limits and pays nothing.
    pub changed: Vec<String>,
    /// Height of the first block under it that holds a payment of the run; absent if there is none.
    pub first_height: Option<u64>,
    /// Height of the last such block.
    pub last_height: Option<u64>,
    /// Payments that settled under it.
    pub settled: u64,
    /// What those moved.
    pub settled_minor: u64,
    /// Of that, what the waterfall took on to deposits.
    pub waterfall_minor: u64,
    /// Payments that a rule refused under it.
    pub refused: u64,
    /// Those by rule, in the words of the API.
    pub refusals: BTreeMap<String, u64>,
}

/// What the persons of a class held at the end, against the limit then in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ClassHoldings {
    /// The class.
    pub class: String,
    /// The holding limit; absent if there is none.
    pub limit_minor: Option<u64>,
    /// Persons who have a wallet.
    pub persons: u64,
    /// Of those, who hold more than the limit.
    pub above_limit: u64,
    /// What they hold together.
    pub total_minor: u64,
    /// What one ledger day accrues on it at the rates last enacted, rounded towards zero; negative is demurrage.
    pub accrual_a_day_minor: i64,
    /// Persons by what they hold.
    pub buckets: Vec<HoldingBucket>,
}

/// Persons within a range of holdings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct HoldingBucket {
    /// Holdings up to and including this; absent for the open bucket at the top.
    pub up_to_minor: Option<u64>,
    /// How many persons.
    pub persons: u64,
}

/// A bank's deposits over the whole run, set-up included. I3: `after = before + credited + defunded + waterfall − funded −
/// reverse waterfall`, each with what is in transit to wallets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct BankDeposits {
    /// On deposit and in transit before the set-up, as the bank told it.
    pub before_minor: i64,
    /// What the harness credited, as salaries would.
    pub credited_minor: i64,
    /// Moved to wallets by settled fundings; from the audited chain, as are the next three.
    pub funded_minor: i64,
    /// Moved from wallets by settled defunds.
    pub defunded_minor: i64,
    /// Swept from wallets.
    pub waterfall_minor: i64,
    /// Drawn into wallets.
    pub reverse_waterfall_minor: i64,
    /// Of the waterfall, since the load began.
    pub waterfall_in_load_minor: i64,
    /// Of the reverse waterfall, since the load began.
    pub reverse_waterfall_in_load_minor: i64,
    /// What all that comes to.
    pub expected_minor: i64,
    /// On deposit and in transit at the end, as the bank told it; absent if it could not be asked.
    pub after_minor: Option<i64>,
    /// Of that, in transit.
    pub in_transit_minor: Option<i64>,
    /// The bank was read at the chain's tip, and has what was expected.
    pub agrees: bool,
    /// Why it could not be compared.
    pub note: Option<String>,
}

/// The auditor's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct AuditVerdict {
    /// Chain, signatures, books and supply agree.
    pub ok: bool,
    /// Blocks examined.
    pub blocks: u64,
    /// What did not agree, as sentences.
    pub findings: Vec<String>,
}

/// The machine, with the rate at which one core checks signatures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct MachineFacts {
    /// Logical cores.
    pub cores: u32,
    /// Processor model.
    pub cpu: String,
    /// Main memory.
    pub memory_gib: f64,
    /// Kernel.
    pub kernel: String,
    /// Signatures one core verifies a second, in batches, measured in the same run.
    pub verify_per_core_s: f64,
    /// How long the machine held up a program that asked next to nothing of it, before the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleStalls>,
}

/// The machine's own stalls, measured before the load: no latency on it is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct IdleStalls {
    /// 99 % of the syncs of 32 KiB to the run's folder took at most this long.
    pub sync_ms_p99: f64,
    /// The longest of them.
    pub sync_ms_max: f64,
    /// How much later than it asked for a sleeping program was woken, at most.
    pub oversleep_ms_max: f64,
    /// What a core did in its slowest tenth of a second, as a share of what it did in the median one.
    pub core_slowest_share: f64,
}

impl MachineFacts {
    /// Measures this machine, with the disk below `folder`, for three seconds.
    ///
    /// # Errors
    /// The folder takes no file.
    pub(crate) fn measure(&mut self, folder: &Path) -> anyhow::Result<()> {
        let CoreSpeed { verify_per_s, slowest_share } = core_speed();
        let measured = stalls::measure(folder).with_context(|| format!("writing into {}", folder.display()))?;
        let Stalls { sync_ms_p99, sync_ms_max, oversleep_ms_max } = measured;
        self.verify_per_core_s = verify_per_s;
        self.idle = Some(IdleStalls { sync_ms_p99, sync_ms_max, oversleep_ms_max, core_slowest_share: slowest_share });
        Ok(())
    }
}

impl IdleStalls {
    pub fn longest_ms(&self) -> f64 {
        self.sync_ms_max.max(self.oversleep_ms_max)
    }
}

/// Which checks were on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Checks {
    /// Every payer's signature was verified by the central bank.
    pub signatures: bool,
    /// Every block was on disk before its payments were answered.
    pub fsync: bool,
    /// Nodes spoke over mutual TLS.
    pub tls: bool,
    /// Every rule of policy was applied.
    pub policy: bool,
}

/// How well the generator kept to its plan, and what was left of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct LoadGenerator {
    /// It was the generator that limited the run: payments left late though the network had room for them, and the machine a core.
    pub bottleneck: bool,
    /// Payments left late because the machine's cores were full, and not with the generator's work: the machine limited the run.
    #[serde(default)]
    pub starved: bool,
    /// 99 % of the payments were sent at most this long after they were due.
    pub late_ms_p99: f64,
    /// The same without the time that a message may take to fill and the time for which the network left no room.
    #[serde(default)]
    pub own_late_ms_p99: f64,
    /// The generator's share of the CPU time of all processes of the run; absent when all shared one process.
    #[serde(default)]
    pub cpu_share: Option<f64>,
    /// The share of the machine's cores that the run's processes kept busy while the load ran, generator included.
    #[serde(default)]
    pub machine_busy_share: f64,
    /// The share that anything else on the machine kept busy meanwhile.
    #[serde(default)]
    pub others_busy_share: f64,
}

/// One second of the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Second {
    /// Its start, in seconds from the start of the load.
    pub at_s: u64,
    /// Payments due in it.
    pub offered: u64,
    /// Answers that came in it: settled.
    pub settled: u64,
    /// Answers that came in it: refused.
    pub refused: u64,
    /// Those by reason, in the words of the API.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refusals: BTreeMap<String, u64>,
    /// Payments given up in it.
    pub failed: u64,
    /// Latency of the settled payments due in it; absent if there are none.
    pub p50_ms: Option<f64>,
    /// The same, 99 %.
    pub p99_ms: Option<f64>,
    /// Supply as last seen in it.
    pub supply_minor: Option<i64>,
}

/// Something the scenario made happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct EventRecord {
    /// When it was to happen, from the start of the load.
    pub at_s: f64,
    /// When it had happened: the node was down or back, the policy enacted. Absent if it never did.
    pub done_at_s: Option<f64>,
    /// What, in a few words.
    pub what: String,
    /// Anything worth knowing: the height at which a policy took force, why it failed.
    pub note: Option<String>,
}

/// Payments within a range of amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct AmountBucket {
    /// Amounts below this; absent for the open bucket at the top.
    pub below_minor: Option<u64>,
    /// How many payments.
    pub count: u64,
    /// What they add up to.
    pub total_minor: u64,
}

/// The central bank's balance sheet at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct BooksSample {
    /// Seconds from the start of the load.
    pub at_s: u64,
    /// Assets: securities at average cost.
    pub securities_minor: i64,
    /// Assets: loans to banks.
    pub loans_minor: i64,
    /// Liabilities: banknotes.
    pub banknotes_minor: i64,
    /// Liabilities: banks' reserves.
    pub reserves_minor: i64,
    /// Liabilities: deposit facility.
    pub deposit_facility_minor: i64,
    /// Liabilities: CBDC.
    pub cbdc_minor: i64,
    /// Liabilities: the government's account.
    pub government_minor: i64,
    /// Equity, signed.
    pub equity_minor: i64,
}

/// The supply report at one time; each term is the sum since genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SupplySample {
    /// Seconds from the start of the load.
    pub at_s: u64,
    /// The terms.
    #[serde(flatten)]
    pub terms: SupplyTerms,
}

/// One step of the search for the highest rate within a bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct LoadPoint {
    /// Offered.
    pub offered_per_s: f64,
    /// Settled.
    pub settled_per_s: f64,
    /// Half of the payments were faster.
    pub p50_ms: f64,
    /// 99 % of the payments were faster.
    pub p99_ms: f64,
    /// The rate held: latency within the bound, everything offered settled in time, no error.
    pub held: bool,
    /// What it failed by.
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
    /// Of that, checking signatures.
    #[serde(default)]
    pub verify_us_per_payment: f64,
    /// Of that, the load generator's; absent when all nodes shared one process.
    #[serde(default)]
    pub generator_us_per_payment: Option<f64>,
    /// How late payments left the generator by its own fault, 99 %.
    #[serde(default)]
    pub generator_late_ms_p99: f64,
    /// The share of the machine's cores that the run kept busy.
    #[serde(default)]
    pub machine_busy_share: f64,
    /// The share that others kept busy.
    #[serde(default)]
    pub others_busy_share: f64,
}

/// What a rate failed by.
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
    /// The audit found something.
    Audit,
    /// No higher rate can be offered with so few wallets.
    Wallets,
}

impl Limit {
    /// In a few words.
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
    /// What was settled at it.
    pub settled_per_s: f64,
    /// The lowest rate above it that did not hold; absent if none was found.
    pub failed_at_per_s: Option<f64>,
    /// What that one failed by.
    pub limit: Limit,
    /// How many rates were tried.
    pub steps: u32,
    /// How long that took.
    pub took_s: f64,
}

impl RunResult {
    /// The object as `summary.json` holds it.
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

    /// A result with everything that is known before the run: scenario, shape, machine, version.
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

    /// The checks with their names and states.
    pub fn named_checks(&self) -> [(&'static str, bool); 4] {
        let Checks { signatures, fsync, tls, policy } = self.checks;
        [("signatures", signatures), ("fsync", fsync), ("TLS", tls), ("policy", policy)]
    }
}

impl ScenarioFacts {
    /// The facts of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        Self {
            name: scenario.name.clone(),
            description: scenario.description.clone(),
            hash: scenario.scenario_hash(),
            seed: scenario.seed,
            file: scenario.file.as_ref().map(|file| file.display().to_string()),
            resolved_toml: scenario.canonical(),
            notes: scenario.notes.clone(),
        }
    }
}

impl PresetFacts {
    /// The facts of a preset.
    pub fn of(preset: &Preset) -> Self {
        Self {
            name: preset.name.clone(),
            title: preset.title.clone(),
            date: preset.date.clone(),
            currency_note: preset.currency_note.clone(),
            source: preset.source.clone(),
            mark: preset.mark.letter().to_owned(),
            provisional: preset.provisional.clone(),
            not_expressed: preset.not_expressed.clone(),
            choices: preset.choices.clone(),
        }
    }
}

impl Shape {
    /// The shape of a scenario.
    pub fn of(scenario: &Scenario, in_process: bool) -> Self {
        let load = &scenario.load;
        Self {
            banks: scenario.network.banks,
            wallets: scenario.wallets.count,
            replica: scenario.network.replica.word().to_owned(),
            verify_at_bank: scenario.network.verify_at_bank,
            in_process,
            mode: load.mode.word().to_owned(),
            batch_size: load.batch_size,
            profile: load.profile.word().to_owned(),
            rate_per_s: load.profile.mean_per_s(),
            peak_per_s: load.profile.peak_per_s(),
            warm_up_s: load.warm_up_s,
            cross_bank_share: load.cross_bank_share,
            amounts: load.amounts.word().to_owned(),
        }
    }
}

/// Counts amounts into the buckets of a report.
#[derive(Debug, Clone)]
pub struct AmountCounter {
    buckets: Vec<AmountBucket>,
}

impl AmountCounter {
    /// Buckets below each of these edges, rising, and one open bucket above.
    pub fn new(edges_minor: &[u64]) -> Self {
        let bucket = |below_minor| AmountBucket { below_minor, count: 0, total_minor: 0 };
        let edges = edges_minor.iter().map(|edge| bucket(Some(*edge)));
        Self { buckets: edges.chain([bucket(None)]).collect() }
    }

    /// Counts one payment.
    pub fn count(&mut self, amount_minor: u64) {
        let below = |bucket: &AmountBucket| bucket.below_minor.is_some_and(|edge| edge <= amount_minor);
        let index = self.buckets.partition_point(below);
        self.buckets[index].count += 1;
        self.buckets[index].total_minor = self.buckets[index].total_minor.saturating_add(amount_minor);
    }

    /// The buckets.
    pub fn buckets(self) -> Vec<AmountBucket> {
        self.buckets
    }
}

#[cfg(test)]
mod tests;
