//! Amounts of payments.
//!
//! The default is the euro area's payments of 2022 (ECB, SPACE 2022: read in the source or a
//! report of it): a channel is drawn by its share, then a bucket by the channel's row, then an amount in the bucket.
//!
//! - Inside a bucket amounts are log-uniform: each doubling is equally likely. The lowest bucket starts at EUR 0.50.
//! - The open bucket above EUR 100 is a Pareto tail cut off at EUR 10,000, with density proportional to x^-(1 +
//!   [`TAIL_EXPONENT`]). The survey gives no shape for it; the exponent is the one at which the mean of all payments is
//!   EUR 56.4, the mean of the BRAIN workload (9.75 million in 172,800 payments; computed). Without the tail the mean
//!   would be about EUR 34: 6 % of the payments carry nearly two thirds of the value.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::scenario::Amounts;

/// Exponent of the tail above EUR 100, calibrated to [`MEAN_MINOR`]; a test repeats the calibration.
pub const TAIL_EXPONENT: f64 = 0.861_825_75;

/// The mean payment of the default workload, in cents.
pub const MEAN_MINOR: f64 = 5_640.0;

/// Lower edges of the buckets in cents; the last is the tail's.
const EDGES_MINOR: [f64; 7] = [50.0, 500.0, 1_000.0, 2_000.0, 3_000.0, 5_000.0, 10_000.0];

/// The cut-off of the tail, in cents.
const TAIL_END_MINOR: f64 = 1_000_000.0;

/// Upper edges of a report's amount buckets, in cents; one more bucket is above the last.
pub const REPORT_EDGES_MINOR: [u64; 8] = [500, 1_000, 2_000, 3_000, 5_000, 10_000, 100_000, 1_000_000];

/// The channel of a payment; it decides the payee's class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// In a shop.
    PointOfSale,
    /// On the internet.
    Online,
    /// Between people.
    PersonToPerson,
}

/// A channel's share of payments and of its amounts by bucket, in percent.
struct Row {
    channel: Channel,
    share: f64,
    buckets: [f64; 7],
}

/// SPACE 2022, all instruments, cash included; person to person is its users' estimate.
const TABLE: [Row; 3] = [
    Row { channel: Channel::PointOfSale, share: 80.0, buckets: [21.0, 17.0, 21.0, 13.0, 13.0, 10.0, 5.0] },
    Row { channel: Channel::Online, share: 17.0, buckets: [10.0, 11.0, 20.0, 15.0, 17.0, 16.0, 11.0] },
    Row { channel: Channel::PersonToPerson, share: 3.0, buckets: [14.0, 11.0, 22.0, 16.0, 14.0, 11.0, 12.0] },
];

/// Draws channels and amounts.
#[derive(Debug)]
pub struct AmountSource {
    amounts: Amounts,
    random: StdRng,
}

impl AmountSource {
    /// A source of amounts of this kind from this generator.
    pub fn new(amounts: Amounts, random: StdRng) -> Self {
        Self { amounts, random }
    }

    /// The next payment's channel and amount in minor units, at least 1.
    pub fn draw(&mut self) -> (Channel, u64) {
        let row = draw_row(self.random.random::<f64>() * 100.0);
        let amount_minor = match self.amounts {
            Amounts::Space2022 => draw_space(row, &mut self.random),
            Amounts::Fixed { amount_minor } => amount_minor,
            Amounts::Uniform { amount_minor_min, amount_minor_max } => {
                self.random.random_range(amount_minor_min..=amount_minor_max)
            }
        };
        (row.channel, amount_minor)
    }
}

fn draw_row(mut point: f64) -> &'static Row {
    for row in &TABLE[..TABLE.len() - 1] {
        if point < row.share {
            return row;
        }
        point -= row.share;
    }
    &TABLE[TABLE.len() - 1]
}

fn draw_space(row: &Row, random: &mut StdRng) -> u64 {
    let mut point = random.random::<f64>() * 100.0;
    let within = random.random::<f64>();
    for (bucket, edges) in row.buckets.iter().zip(EDGES_MINOR.windows(2)) {
        if point < *bucket {
            return (edges[0] * (edges[1] / edges[0]).powf(within)) as u64;
        }
        point -= bucket;
    }
    tail(within) as u64
}

/// The tail's amount at a cumulative share from 0 to 1, by inverting its distribution.
fn tail(share: f64) -> f64 {
    let start = EDGES_MINOR[6];
    let beyond_end = (start / TAIL_END_MINOR).powf(TAIL_EXPONENT);
    start * (1.0 - share * (1.0 - beyond_end)).powf(-1.0 / TAIL_EXPONENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::random::rng;

    fn tail_mean(exponent: f64) -> f64 {
        let (start, end) = (EDGES_MINOR[6], TAIL_END_MINOR);
        let scale = exponent * start.powf(exponent) / (1.0 - (start / end).powf(exponent));
        scale * (end.powf(1.0 - exponent) - start.powf(1.0 - exponent)) / (1.0 - exponent)
    }

    fn mean(tail_mean: f64) -> f64 {
        TABLE
            .iter()
            .map(|row| {
                let body: f64 = row
                    .buckets
                    .iter()
                    .zip(EDGES_MINOR.windows(2))
                    .map(|(share, edges)| share / 100.0 * (edges[1] - edges[0]) / (edges[1] / edges[0]).ln())
                    .sum();
                row.share / 100.0 * (body + row.buckets[6] / 100.0 * tail_mean)
            })
            .sum()
    }

    #[test]
    fn the_table_adds_up() {
        assert_eq!(TABLE.iter().map(|row| row.share).sum::<f64>(), 100.0);
        for row in &TABLE {
            assert_eq!(row.buckets.iter().sum::<f64>(), 100.0, "{:?}", row.channel);
        }
    }

    #[test]
    fn the_tail_is_calibrated_to_the_published_mean() {
        assert!((mean(tail_mean(TAIL_EXPONENT)) - MEAN_MINOR).abs() < 0.01);
        assert!((mean(tail_mean(TAIL_EXPONENT + 0.01)) - MEAN_MINOR).abs() > 10.0, "the calibration is sharp");
    }

    #[test]
    fn a_top_bucket_capped_near_200_would_miss_most_of_the_value() {
        let log_uniform_to_200 = 10_000.0 / 2.0_f64.ln();
        assert!((mean(log_uniform_to_200) - 3_000.0).abs() < 200.0);
    }

    #[test]
    fn drawn_amounts_keep_the_shares_and_the_mean() {
        let mut source = AmountSource::new(Amounts::Space2022, rng(1, 9));
        let count = 400_000;
        let (mut sum, mut below_5, mut above_100, mut in_shops) = (0_u64, 0, 0, 0);
        for _ in 0..count {
            let (channel, amount_minor) = source.draw();
            assert!((50..=1_000_000).contains(&amount_minor));
            sum += amount_minor;
            below_5 += u64::from(amount_minor < 500);
            above_100 += u64::from(amount_minor >= 10_000);
            in_shops += u64::from(channel == Channel::PointOfSale);
        }
        let share = |part: u64| part as f64 / f64::from(count);
        assert!((share(below_5) - 0.1892).abs() < 0.004, "{}", share(below_5));
        assert!((share(above_100) - 0.0623).abs() < 0.002, "{}", share(above_100));
        assert!((share(in_shops) - 0.80).abs() < 0.004, "{}", share(in_shops));
        // The tail's standard deviation of about EUR 350 leaves an error of about EUR 0.55 in this mean.
        assert!((share(sum) - MEAN_MINOR).abs() < 250.0, "{}", share(sum));
    }

    #[test]
    fn fixed_and_uniform_amounts_stay_in_their_bounds() {
        let mut fixed = AmountSource::new(Amounts::Fixed { amount_minor: 7 }, rng(1, 9));
        let uniform = Amounts::Uniform { amount_minor_min: 3, amount_minor_max: 5 };
        let mut uniform = AmountSource::new(uniform, rng(1, 9));
        let mut seen = [false; 6];
        for _ in 0..1_000 {
            assert_eq!(fixed.draw().1, 7);
            seen[uniform.draw().1 as usize] = true;
        }
        assert_eq!(seen, [false, false, false, true, true, true]);
    }
}
