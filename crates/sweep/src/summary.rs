//! Summaries of merged sweeps: every design's figures over its seeds, as in `summary.json`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::quantiles::Quantiles;

/// The summary of a merged sweep: `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merged {
    pub name: String,
    pub description: String,
    pub plan: String,
    pub scenario: String,
    pub version: String,
    /// BLAKE3 over all runs.
    pub digest: String,
    /// Runs of the plan.
    pub runs: usize,
    /// Runs of the plan that are not among the results.
    pub missing: Vec<u32>,
    pub seeds: Vec<u64>,
    pub keys: Vec<String>,
    pub designs: Vec<DesignSummary>,
    /// Rows of each table.
    pub rows: BTreeMap<String, usize>,
}

/// A design's figures over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DesignSummary {
    pub design: u32,
    pub name: String,
    pub set: BTreeMap<String, String>,
    pub scenario_hash: String,
    pub households: u64,
    pub days: u32,
    pub runs: usize,
    pub figures: BTreeMap<String, Quantiles>,
    /// Each figure less that of design 0 with the same seed; empty for design 0 itself.
    pub against_first: BTreeMap<String, Quantiles>,
}
