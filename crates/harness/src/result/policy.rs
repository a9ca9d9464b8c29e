//! The policy of a run, and the payments under each of its versions.

use std::collections::BTreeMap;

use cbdc_devnet::policy::Preset;
use serde::{Deserialize, Serialize};

/// The policy of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PolicyReport {
    /// The preset that gave the first figures, if any.
    pub preset: Option<PresetFacts>,
    /// Every version in order; the first is that of genesis.
    pub versions: Vec<PolicyVersionReport>,
    /// Payments of the run (warm-up included) that are in no block, and so under no version.
    #[serde(default)]
    pub not_ordered: NotOrdered,
}

/// Payments that were never ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct NotOrdered {
    /// Refused before ordering: they used no sequence number.
    pub refused: u64,
    /// Refusals by reason, in the words of the API.
    pub refusals: BTreeMap<String, u64>,
    /// Without an answer, and not in the chain.
    pub unanswered: u64,
}

/// The origin of a preset's figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct PresetFacts {
    /// Its name.
    pub name: String,
    /// The system.
    pub title: String,
    /// The date of the figures.
    pub date: String,
    /// The meaning of the amounts.
    pub currency_note: String,
    /// The source of the figures.
    pub source: String,
    /// `S` read in the source or a report of it, `C` computed from that, `K` known and not checked.
    pub mark: String,
    /// Figures not checked against a source, as sentences.
    pub provisional: Vec<String>,
    /// Rules for which the ledger has no parameter, as sentences.
    pub not_expressed: Vec<String>,
    /// Our own choices, as sentences.
    pub choices: Vec<String>,
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

/// One version of the policy, and every payment of the run (warm-up included) that was applied under it, counted from
/// the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct PolicyVersionReport {
    /// Its number; 1 is that of genesis.
    pub version: u32,
    /// The time at which it came into force, in seconds from the start of the load; negative for that of genesis.
    pub since_s: f64,
    /// Differences from the version before; for the first, from a policy without limits, fees and rates.
    pub changed: Vec<String>,
    /// Height of the first block under it that holds a payment of the run; absent if there is none.
    pub first_height: Option<u64>,
    /// Height of the last such block.
    pub last_height: Option<u64>,
    /// Payments that settled under it.
    pub settled: u64,
    /// The sum of those.
    pub settled_minor: u64,
    /// The part of it that the waterfall moved on to deposits.
    pub waterfall_minor: u64,
    /// Payments that a rule refused under it.
    pub refused: u64,
    /// Refusals by rule, in the words of the API.
    pub refusals: BTreeMap<String, u64>,
}
