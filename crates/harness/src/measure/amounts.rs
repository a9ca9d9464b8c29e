//! Payments by amount.

use serde::{Deserialize, Serialize};

/// Payments within a range of amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct AmountBucket {
    /// Amounts below this; absent for the open bucket at the top.
    pub below_minor: Option<u64>,
    /// The number of payments.
    pub count: u64,
    /// Their sum.
    pub total_minor: u64,
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
