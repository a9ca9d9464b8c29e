//! Workload: number and amounts of a household's payments.
//!
//! `space-2022`: the euro area's payments of 2022 (SPACE 2022: all instruments, cash included). A channel is drawn by
//! its share, then a bucket of the channel's row, then an amount in it: log-uniform inside a bucket, a Pareto tail cut
//! off at EUR 10,000 above EUR 100. The tail's exponent is the one at which the mean of all payments is EUR 56.4, the
//! mean of the BRAIN workload (computed). Prices move all amounts alike. The number of payments follows from the
//! household's planned spending: the mean count is spending over the mean amount.
//!
//! Amounts are drawn from a table of quantiles, so that a payment costs one look-up and no logarithm.

use super::{behaviour, parameters};
use crate::rng::Stream;

parameters! {
    "workload" {
        tail_exponent = 0.86182575, 0.1 to 5.0, "Pareto exponent of amounts above EUR 100";
        tail_end_minor = 1000000.0, 10001.0 to 1000000000.0, "largest amount, minor units";
    }
}

behaviour! {
    /// The workload behaviour.
    Workload "workload" { Space2022 "space-2022", }
}

/// The channels of payments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Channel {
    PointOfSale = 0,
    Online = 1,
    PersonToPerson = 2,
}

/// Shares of channels, and of amounts within each, in percent.
const SHARES: [f64; 3] = [80.0, 17.0, 3.0];
const BUCKETS: [[f64; 7]; 3] = [
    [21.0, 17.0, 21.0, 13.0, 13.0, 10.0, 5.0],
    [10.0, 11.0, 20.0, 15.0, 17.0, 16.0, 11.0],
    [14.0, 11.0, 22.0, 16.0, 14.0, 11.0, 12.0],
];
/// Lower edges in cents; the last is the tail's.
const EDGES_MINOR: [f64; 7] = [50.0, 500.0, 1_000.0, 2_000.0, 3_000.0, 5_000.0, 10_000.0];

/// Caps on payments at which their mean is tabulated: from one euro on, four an octave, to far beyond the tail.
const CAP_LEAST_MINOR: f64 = 100.0;
const CAPS_AN_OCTAVE: f64 = 4.0;
const CAPS: usize = 96;

/// The cap at a step.
fn most_at(step: f64) -> f64 {
    CAP_LEAST_MINOR * libm::exp2(step / CAPS_AN_OCTAVE)
}

/// Quantiles per channel.
const QUANTILES: usize = 4096;

impl Workload {
    fn equation(&self) -> &'static str {
        "payments a day ~ Poisson(retail spending a day / mean amount · seasonality); amount = quantile(channel, u) · \
        price level"
    }

    fn source(&self) -> &'static str {
        "ECB, SPACE 2022 [S]; tail calibrated to the BRAIN workload's mean of EUR 56.4 [C]"
    }

    /// The quantiles of each channel at price level 1.
    pub fn table(&self) -> AmountTable {
        let quantiles: Vec<Vec<u32>> = BUCKETS
            .iter()
            .map(|buckets| {
                let total: f64 = buckets.iter().sum();
                let quantile = |index: usize| self.quantile(buckets, (index as f64 + 0.5) / QUANTILES as f64 * total);
                (0..QUANTILES).map(|index| quantile(index) as u32).collect()
            })
            .collect();
        let mean_of =
            |amounts: &Vec<u32>| amounts.iter().map(|minor| f64::from(*minor)).sum::<f64>() / QUANTILES as f64;
        let mean_minor = quantiles.iter().zip(SHARES).map(|(amounts, share)| mean_of(amounts) * share / 100.0).sum();
        let persons = Channel::PersonToPerson as usize;
        let to_persons_share = mean_of(&quantiles[persons]) * SHARES[persons] / 100.0 / mean_minor;
        let capped = |most: f64| {
            let mean = |amounts: &Vec<u32>| amounts.iter().map(|minor| f64::from(*minor).min(most)).sum::<f64>();
            let all = quantiles.iter().zip(SHARES).map(|(amounts, share)| mean(amounts) * share);
            all.sum::<f64>() / QUANTILES as f64 / 100.0
        };
        let means_up_to = (0..=CAPS).map(|step| capped(most_at(step as f64))).collect();
        AmountTable { quantiles: quantiles.concat(), mean_minor, means_up_to, to_persons_share }
    }

    fn quantile(&self, buckets: &[f64; 7], mut point: f64) -> f64 {
        for (bucket, edges) in buckets.iter().zip(EDGES_MINOR.windows(2)) {
            if point < *bucket {
                return edges[0] * libm::pow(edges[1] / edges[0], point / bucket);
            }
            point -= bucket;
        }
        let (start, exponent) = (EDGES_MINOR[6], self.parameters.tail_exponent);
        let beyond_end = libm::pow(start / self.parameters.tail_end_minor, exponent);
        start * libm::pow(1.0 - point / buckets[6] * (1.0 - beyond_end), -1.0 / exponent)
    }
}

/// Amounts by channel and quantile.
#[derive(Clone, Debug)]
pub struct AmountTable {
    quantiles: Vec<u32>,
    /// The mean payment at price level 1, minor units.
    pub mean_minor: f64,
    /// The mean of payments none of which is larger than a cap, at caps in geometric steps.
    means_up_to: Vec<f64>,
    /// The share of the value that goes to other households.
    pub to_persons_share: f64,
}

impl AmountTable {
    /// The mean payment at price level 1, minor units, if none is larger than this.
    pub fn mean_up_to(&self, most_minor: f64) -> f64 {
        let step = (libm::log2(most_minor.max(CAP_LEAST_MINOR) / CAP_LEAST_MINOR) * CAPS_AN_OCTAVE).min(CAPS as f64);
        let (below, part) = (step as usize, step - step.floor());
        let above = (below + 1).min(CAPS);
        self.means_up_to[below] * (1.0 - part) + self.means_up_to[above] * part
    }

    /// The next payment's channel and amount at price level 1, minor units.
    pub fn draw(&self, stream: &mut Stream) -> (Channel, u32) {
        let bits = stream.bits();
        // 16 bits choose the channel, 12 others the quantile.
        let channel = match ((bits & 0xffff) * 100) >> 16 {
            0..80 => Channel::PointOfSale,
            80..97 => Channel::Online,
            _ => Channel::PersonToPerson,
        };
        let quantile = (bits >> 20) as usize & (QUANTILES - 1);
        (channel, self.quantiles[channel as usize * QUANTILES + quantile])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[test]
    fn the_mean_payment_is_that_of_the_reference() {
        let table = Workload { model: Model::Space2022, parameters: Parameters::default() }.table();
        assert!((table.mean_minor / 5_640.0 - 1.0).abs() < 0.01, "{}", table.mean_minor);
    }

    #[test]
    fn a_cap_lowers_the_mean_and_a_high_one_does_not() {
        let table = Workload { model: Model::Space2022, parameters: Parameters::default() }.table();
        assert!((table.mean_up_to(1e9) / table.mean_minor - 1.0).abs() < 1e-9);
        let (low, middle) = (table.mean_up_to(1_000.0), table.mean_up_to(30_000.0));
        assert!(low < 1_000.0 && low < middle && middle < table.mean_minor, "{low} {middle}");
    }

    #[test]
    fn shares_of_channels_and_small_amounts_are_those_of_the_reference() {
        let table = Workload { model: Model::Space2022, parameters: Parameters::default() }.table();
        let mut stream = Stream::of(1, Purpose::Day, 0, 0);
        let draws: Vec<(Channel, u32)> = (0..200_000).map(|_| table.draw(&mut stream)).collect();
        let share = |wanted: &dyn Fn(&(Channel, u32)) -> bool| {
            draws.iter().filter(|draw| wanted(draw)).count() as f64 / draws.len() as f64
        };
        assert!((share(&|draw| draw.0 == Channel::PointOfSale) - 0.80).abs() < 0.01);
        assert!((share(&|draw| draw.0 == Channel::PersonToPerson) - 0.03).abs() < 0.005);
        let expected = 0.80 * 0.21 + 0.17 * 0.10 + 0.03 * 0.14;
        assert!((share(&|draw| draw.1 < 500) - expected).abs() < 0.01);
    }
}
