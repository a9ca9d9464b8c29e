//! Latency from the moment a payment was due to the moment its outcome was known.
//!
//! Because it is measured from *due* and not from *sent*, a stall of the network or of the generator counts against
//! every payment that should have been made during it (no coordinated omission). Payments due during the warm-up are
//! left out, whenever they were answered.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency the histogram can hold; longer ones count as this.
const LONGEST_US: u64 = 3_600_000_000;
/// The histogram keeps three significant digits: at most 0.1 % off.
const DIGITS: u8 = 3;

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

/// Latencies of payments due after the warm-up.
#[derive(Debug, Clone)]
pub struct LatencyRecorder {
    warm_up_ns: u64,
    histogram: Histogram<u64>,
}

impl LatencyRecorder {
    /// A recorder that leaves out payments due before `warm_up_ns`.
    pub fn new(warm_up_ns: u64) -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("the bounds are valid");
        Self { warm_up_ns, histogram }
    }

    /// Counts a payment due at `due_ns` and answered at `answered_ns`.
    pub fn record(&mut self, due_ns: u64, answered_ns: u64) {
        if due_ns >= self.warm_up_ns {
            self.histogram.saturating_record((answered_ns.saturating_sub(due_ns) / 1_000).max(1));
        }
    }

    /// The number of latencies counted.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency in ms below which `share` (0 to 1) of the payments are; 0 if there are none.
    pub fn at_share_ms(&self, share: f64) -> f64 {
        milliseconds(self.histogram.value_at_quantile(share))
    }

    /// The figures of `latency_ms`; all 0 if nothing was counted.
    pub fn summary(&self) -> LatencyMs {
        LatencyMs {
            p50: self.at_share_ms(0.5),
            p90: self.at_share_ms(0.9),
            p99: self.at_share_ms(0.99),
            p99_9: self.at_share_ms(0.999),
            max: milliseconds(self.histogram.max()),
            mean: self.histogram.mean().round() / 1_000.0,
        }
    }

    /// Points `[ms, share of payments at or below]`, rising in both, from the fastest payment to share 1, denser
    /// towards the slow end.
    pub fn distribution(&self) -> Vec<[f64; 2]> {
        if self.histogram.is_empty() {
            return Vec::new();
        }
        let mut points = vec![[milliseconds(self.histogram.min()), 0.0]];
        for value in self.histogram.iter_quantiles(10) {
            let point = [
                milliseconds(value.value_iterated_to().min(self.histogram.max())),
                (value.quantile() * 1e7).round() / 1e7,
            ];
            points.push(point);
        }
        points
    }
}

fn milliseconds(us: u64) -> f64 {
    us as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_stall_counts_against_every_payment_that_was_due_in_it() {
        let mut recorder = LatencyRecorder::new(0);
        for payment in 0..100 {
            recorder.record(payment * 10 * MS, 1_000 * MS);
        }
        assert!((recorder.summary().p50 - 500.0).abs() < 15.0, "{:?}", recorder.summary());
        assert!((recorder.summary().max - 1_000.0).abs() < 2.0);
    }

    #[test]
    fn what_was_due_in_the_warm_up_is_left_out() {
        let mut recorder = LatencyRecorder::new(5 * MS);
        recorder.record(4 * MS, 900 * MS);
        assert_eq!(recorder.count(), 0);
        recorder.record(5 * MS, 6 * MS);
        assert_eq!(recorder.count(), 1);
        assert_eq!(recorder.summary().max, 1.0);
    }

    #[test]
    fn a_distribution_rises_to_the_slowest_payment() {
        let mut recorder = LatencyRecorder::new(0);
        (1..10_000).for_each(|at| recorder.record(0, at * at * 1_000));
        let points = recorder.distribution();
        assert!(points.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]));
        assert_eq!(points.last().expect("points"), &[recorder.summary().max, 1.0]);
        assert!((50..400).contains(&points.len()), "{} points", points.len());
    }

    #[test]
    fn nothing_recorded_is_all_zeros() {
        let recorder = LatencyRecorder::new(0);
        assert_eq!(recorder.summary(), LatencyMs::default());
        assert!(recorder.distribution().is_empty());
    }
}
