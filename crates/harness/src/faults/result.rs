//! The result of a run, with stable keys (`cbdc bench faults --json`, `faults.json`).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::{Counts, Violation};

/// The result of a run.
#[derive(Debug, Clone, Serialize)]
pub struct FaultRun {
    /// The same seed gives the same faults.
    pub seed: u64,
    /// The time in which faults were made.
    pub duration_s: f64,
    /// The commands that clients were answered, and what became of them.
    pub operations: Counts,
    pub faults: Vec<FaultRecord>,
    /// Changes of the leader that were seen.
    pub leader_changes: u64,
    /// The gaps in settling that the faults made.
    pub gaps: Gaps,
    /// The same by kind of fault.
    pub gaps_by_kind: BTreeMap<String, Gaps>,
    /// Blocks of the chain that verified.
    pub blocks: u64,
    /// Answers that were compared with the majority while the banks were left with a minority.
    pub compared_with_the_majority: u64,
    /// Empty if every promise was kept.
    pub violations: Vec<Violation>,
    /// The folder with the network, its logs and the history.
    pub folder: String,
}

/// A fault that was made.
#[derive(Debug, Clone, Serialize)]
pub struct FaultRecord {
    pub kind: &'static str,
    pub what: String,
    /// The nodes that it struck.
    pub nodes: String,
    /// In seconds from the beginning.
    pub began_s: f64,
    pub ended_s: f64,
    /// The longest time without a settlement that it made; absent if nothing settled afterwards.
    pub gap_ms: Option<f64>,
}

/// Gaps in settling, from the last settlement before to the first after, as clients see them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Gaps {
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Gaps {
    /// The figures of these gaps.
    pub fn of(mut gaps_ms: Vec<f64>) -> Gaps {
        gaps_ms.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let rank = (gaps_ms.len() as f64 * share).ceil() as usize;
            gaps_ms.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        Gaps { count: gaps_ms.len() as u64, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

impl FaultRun {
    /// Fills in the figures over the faults' gaps.
    pub(super) fn sum_up(&mut self) {
        let mut by_kind: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for fault in &self.faults {
            by_kind.entry(fault.kind.to_owned()).or_default().extend(fault.gap_ms);
        }
        self.gaps = Gaps::of(by_kind.values().flatten().copied().collect());
        self.gaps_by_kind = by_kind.into_iter().map(|(kind, gaps)| (kind, Gaps::of(gaps))).collect();
    }

    /// The result for people.
    pub fn text(&self) -> String {
        let Counts {
            payments,
            settled,
            refused,
            refused_for_now,
            left,
            accepted,
            unknown,
            answers,
            unknown_answers,
            reads,
        } = self.operations;
        let Gaps { p50_ms, p99_ms, max_ms, .. } = self.gaps;
        let mut lines = vec![
            format!("seed          {}", self.seed),
            format!(
                "faults        {} in {:.0} s, {} changes of the leader",
                self.faults.len(),
                self.duration_s,
                self.leader_changes
            ),
            format!(
                "payments      {payments}: {settled} settled, {refused} refused, {refused_for_now} refused for now, {left} left to the bank, {accepted} accepted, {unknown} unknown"
            ),
            format!("answers       {answers}, of which {unknown_answers} left the outcome open; {reads} reads"),
            format!(
                "minority      {} answers compared with the majority while it was cut off",
                self.compared_with_the_majority
            ),
            format!("gaps          p50 {p50_ms:.0} ms, p99 {p99_ms:.0} ms, max {max_ms:.0} ms"),
        ];
        for (kind, Gaps { count, p50_ms, max_ms, .. }) in &self.gaps_by_kind {
            lines.push(format!("  {kind:<22} {count:>4}   p50 {p50_ms:>6.0} ms   max {max_ms:>6.0} ms"));
        }
        lines.push(format!("chain         {} blocks, verified from genesis", self.blocks));
        if self.violations.is_empty() {
            lines.push("verdict       every promise was kept".to_owned());
        } else {
            lines.push(format!("verdict       {} VIOLATIONS", self.violations.len()));
            lines.extend(self.violations.iter().map(|violation| format!("  {violation}")));
        }
        lines.push(format!("kept in       {}", self.folder));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_gaps_that_occurred() {
        assert_eq!(Gaps::of(vec![]), Gaps::default());
        let gaps = Gaps::of((1..=200).rev().map(f64::from).collect());
        assert_eq!((gaps.count, gaps.p50_ms, gaps.p99_ms, gaps.max_ms), (200, 100.0, 198.0, 200.0));
        assert_eq!(Gaps::of(vec![7.0]).p50_ms, 7.0);
    }
}
