//! Mean and quantiles of a figure over seeds: median, quartiles, and the 5th and 95th percentile.
//!
//! A percentile between two values is interpolated linearly (type 7 of Hyndman and Fan, 1996, which is also the default
//! of NumPy and pandas), so that a reader of the tables finds the same numbers.

use serde::Serialize;

/// Percentiles and mean of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize)]
pub struct Quantiles {
    pub mean: f64,
    pub p05: f64,
    pub p25: f64,
    pub median: f64,
    pub p75: f64,
    pub p95: f64,
}

impl Quantiles {
    /// The quantiles of a sample; all zero for an empty one.
    pub fn of(values: &[f64]) -> Quantiles {
        if values.is_empty() {
            return Quantiles::default();
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let percentile = |share: f64| {
            let at = share * (sorted.len() - 1) as f64;
            let below = at.floor() as usize;
            let above = (below + 1).min(sorted.len() - 1);
            sorted[below] + (at - below as f64) * (sorted[above] - sorted[below])
        };
        Quantiles {
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            p05: percentile(0.05),
            p25: percentile(0.25),
            median: percentile(0.5),
            p75: percentile(0.75),
            p95: percentile(0.95),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([1, 2, 4, 8], [5, 25, 50, 75, 95])
        let quantiles = Quantiles::of(&[8.0, 1.0, 4.0, 2.0]);
        let found = [quantiles.p05, quantiles.p25, quantiles.median, quantiles.p75, quantiles.p95, quantiles.mean];
        for (found, expected) in found.into_iter().zip([1.15, 1.75, 3.0, 5.0, 7.4, 3.75]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(Quantiles::of(&[5.0]).p95, 5.0);
    }
}
