//! Facts of a run: scenario, shape of the network and the load, machine, checks.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::measure::core_speed::{CoreSpeed, core_speed};
use crate::measure::stalls::{self, Stalls};
use crate::scenario::Scenario;

/// The scenario of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ScenarioFacts {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// BLAKE3 of its canonical form.
    pub hash: String,
    /// Its seed.
    pub seed: u64,
    /// The file, if it came from one.
    pub file: Option<String>,
    /// The canonical form: TOML with every default written out.
    pub resolved_toml: String,
    /// Differences from its file, as sentences.
    #[serde(default)]
    pub notes: Vec<String>,
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

/// The network and the load in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Shape {
    /// Commercial banks.
    pub banks: u32,
    /// The central bank's nodes; 0 in results of before there could be several.
    #[serde(default)]
    pub central_banks: u32,
    /// Those of them whose signatures a header needs.
    #[serde(default)]
    pub header_signatures: u32,
    /// Those of them that follow verify signatures too.
    #[serde(default)]
    pub verify_on_followers: bool,
    /// Wallets over all banks.
    pub wallets: u32,
    /// `partial` or `full`.
    pub replica: String,
    /// Banks check signatures too.
    pub precheck_signatures: bool,
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

impl Shape {
    /// The shape of a scenario.
    pub fn of(scenario: &Scenario, in_process: bool) -> Self {
        let load = &scenario.load;
        Self {
            banks: scenario.network.banks,
            central_banks: scenario.network.central_banks,
            header_signatures: scenario.network.header_signatures,
            verify_on_followers: scenario.network.verify_on_followers,
            wallets: scenario.wallets.count,
            replica: scenario.network.replica.word().to_owned(),
            precheck_signatures: scenario.network.precheck_signatures,
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
    /// The machine's own stalls before the load.
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
    /// The most by which a sleeping program was woken too late.
    pub oversleep_ms_max: f64,
    /// The work of a core in its slowest tenth of a second, as a share of the median one.
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

/// The checks that were on; `None` if a node that did not run to the end took the answer with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Checks {
    /// Every payer's signature was verified by the central bank.
    pub signatures: Option<bool>,
    /// Every block was on disk before its payments were answered.
    pub fsync: Option<bool>,
    /// Nodes spoke over mutual TLS.
    pub tls: bool,
    /// Every rule of policy was applied.
    pub policy: bool,
}
