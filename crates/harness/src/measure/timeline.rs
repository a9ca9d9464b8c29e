//! Outcomes by the second, from the start of the load, warm-up included.
//!
//! A payment is offered in the second it was due, and settled, refused or failed in the second its answer came. Its
//! latency belongs to the second it was due, so a stall shows where it occurred. Answers after the end of the load
//! extend the timeline, by at most [`DRAIN_S_MAX`] seconds; later ones count in the last.

use std::collections::BTreeMap;

use cbdc_ledger::Reason;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The most seconds by which the timeline extends beyond the load.
pub const DRAIN_S_MAX: usize = 120;
const SECOND_NS: u64 = 1_000_000_000;
const LONGEST_US: u64 = 3_600_000_000;
/// Two significant digits keep a second's histogram below 20 KiB.
const DIGITS: u8 = 2;

/// One second of the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Second {
    /// Its start, in seconds from the start of the load.
    pub at_s: u64,
    /// Payments due in it.
    pub offered: u64,
    /// Payments settled in it.
    pub settled: u64,
    /// Payments refused in it.
    pub refused: u64,
    /// Refusals by reason, in the words of the API.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refusals: BTreeMap<String, u64>,
    /// Payments given up in it.
    pub failed: u64,
    /// Latency of the settled payments due in it; absent if there are none.
    pub p50_ms: Option<f64>,
    /// The same, 99 %.
    pub p99_ms: Option<f64>,
    /// The supply last seen in it.
    pub supply_minor: Option<i64>,
}

/// The outcome of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Settled: final and durable.
    Settled,
    /// Refused under a rule.
    Refused(Reason),
    /// No outcome: connection lost, overloaded, or never answered.
    Failed,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    offered: u64,
    settled: u64,
    refused: u64,
    refusals: BTreeMap<Reason, u64>,
    failed: u64,
    supply_minor: Option<i64>,
    latency_us: Option<Histogram<u32>>,
}

/// Counts for each second of a run.
#[derive(Debug, Clone)]
pub struct Timeline {
    seconds: Vec<Counts>,
    seconds_max: usize,
}

impl Timeline {
    /// A timeline of a load that lasts `total_s` seconds, warm-up included.
    pub fn new(total_s: f64) -> Self {
        let seconds = total_s.ceil().max(1.0) as usize;
        Self { seconds: vec![Counts::default(); seconds], seconds_max: seconds + DRAIN_S_MAX }
    }

    /// Counts a payment in the second it is due.
    pub fn offered(&mut self, due_ns: u64) {
        self.second(due_ns).offered += 1;
    }

    /// Counts an answer in the second it came, and a settled payment's latency in the second it was due.
    pub fn answered(&mut self, due_ns: u64, answered_ns: u64, answer: Answer) {
        let counts = self.second(answered_ns);
        match answer {
            Answer::Settled => counts.settled += 1,
            Answer::Refused(reason) => {
                counts.refused += 1;
                *counts.refusals.entry(reason).or_default() += 1;
            }
            Answer::Failed => counts.failed += 1,
        }
        if answer == Answer::Settled {
            let latency_us = (answered_ns.saturating_sub(due_ns) / 1_000).max(1);
            self.second(due_ns).latency_us.get_or_insert_with(empty_histogram).saturating_record(latency_us);
        }
    }

    /// Records the supply seen at `at_ns`; the last record in a second counts.
    pub fn supply(&mut self, at_ns: u64, supply_minor: i64) {
        self.second(at_ns).supply_minor = Some(supply_minor);
    }

    /// The rows of the timeline.
    pub fn seconds(&self) -> Vec<Second> {
        let row = |(at_s, counts): (usize, &Counts)| {
            let at_share = |share: f64| {
                counts.latency_us.as_ref().map(|latency| latency.value_at_quantile(share) as f64 / 1_000.0)
            };
            Second {
                at_s: at_s as u64,
                offered: counts.offered,
                settled: counts.settled,
                refused: counts.refused,
                refusals: counts.refusals.iter().map(|(reason, count)| (reason.name().to_owned(), *count)).collect(),
                failed: counts.failed,
                p50_ms: at_share(0.5),
                p99_ms: at_share(0.99),
                supply_minor: counts.supply_minor,
            }
        };
        self.seconds.iter().enumerate().map(row).collect()
    }

    fn second(&mut self, at_ns: u64) -> &mut Counts {
        let index = ((at_ns / SECOND_NS) as usize).min(self.seconds_max - 1);
        if index >= self.seconds.len() {
            self.seconds.resize(index + 1, Counts::default());
        }
        &mut self.seconds[index]
    }
}

fn empty_histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("the bounds are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_shows_in_the_seconds_in_which_payments_were_due() {
        let mut timeline = Timeline::new(3.0);
        for second in 0..3 {
            timeline.offered(second * SECOND_NS);
            timeline.answered(second * SECOND_NS, 2 * SECOND_NS + 500_000_000, Answer::Settled);
        }
        let seconds = timeline.seconds();
        assert_eq!(seconds.iter().map(|row| row.offered).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(seconds.iter().map(|row| row.settled).collect::<Vec<_>>(), [0, 0, 3]);
        let p99: Vec<f64> = seconds.iter().filter_map(|row| row.p99_ms).collect();
        assert!(p99[0] > p99[1] && p99[1] > p99[2], "{p99:?}");
    }

    #[test]
    fn late_answers_extend_the_timeline_within_bounds() {
        let mut timeline = Timeline::new(1.0);
        timeline.answered(0, 3 * SECOND_NS, Answer::Refused(Reason::HoldingLimit));
        assert_eq!(timeline.seconds().len(), 4);
        timeline.answered(0, u64::MAX, Answer::Failed);
        let seconds = timeline.seconds();
        assert_eq!(seconds.len(), 1 + DRAIN_S_MAX);
        assert_eq!(seconds.last().map(|row| row.failed), Some(1));
    }

    #[test]
    fn a_second_shows_its_refusals_by_reason_and_its_supply() {
        let mut timeline = Timeline::new(2.0);
        timeline.answered(0, 1, Answer::Settled);
        timeline.answered(0, SECOND_NS, Answer::Failed);
        timeline.supply(SECOND_NS, 77);
        (0..2).for_each(|_| timeline.answered(0, 1, Answer::Refused(Reason::HoldingLimit)));
        let seconds = timeline.seconds();
        assert_eq!((seconds[0].settled, seconds[1].failed, seconds[1].supply_minor), (1, 1, Some(77)));
        assert_eq!((seconds[0].refused, seconds[0].refusals.get("HOLDING_LIMIT")), (2, Some(&2)));
    }
}
