//! Latin hypercube designs: for each key, every one of `designs` equal slices of its range is visited exactly once
//! (McKay, Beckman and Conover, 1979).
//!
//! 1. Each key has its own stream of random numbers, from the seed and the key's index in the plan.
//! 2. The slices are shuffled (Fisher and Yates); design `d` gets slice `s(d)`, and in it a point drawn uniformly.
//! 3. The point, from 0 to 1, is mapped to the range, linearly or in the logarithm; whole ends give whole numbers.

use cbdc_economy::rng::{Purpose, Stream};

/// The values that a key may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// Whole numbers, both ends included.
    Whole { from: i64, to: i64 },
    /// Numbers.
    Number { from: f64, to: f64 },
    /// Positive numbers, evenly in the logarithm; rounded if they must be whole.
    Logarithm { from: f64, to: f64, is_whole: bool },
}

impl Range {
    /// The TOML value at a point from 0 to below 1.
    fn at(self, point: f64) -> String {
        match self {
            Range::Whole { from, to } => {
                let steps = (to - from + 1) as f64;
                (from + ((point * steps) as i64).min(to - from)).to_string()
            }
            Range::Number { from, to } => format!("{:?}", from + point * (to - from)),
            Range::Logarithm { from, to, is_whole } => {
                let (low, high) = (libm::log(from), libm::log(to));
                let value = libm::exp(low + point * (high - low)).clamp(from, to);
                if is_whole { format!("{value:.0}") } else { format!("{value:?}") }
            }
        }
    }
}

/// The values of each design, in the order of the ranges.
pub fn designs(count: u32, seed: u64, ranges: &[Range]) -> Vec<Vec<String>> {
    let mut designs = vec![Vec::with_capacity(ranges.len()); count as usize];
    for (index, range) in ranges.iter().enumerate() {
        let mut stream = Stream::of(seed, Purpose::Population, 0, index as u32);
        let mut slices: Vec<u32> = (0..count).collect();
        for last in (1..slices.len()).rev() {
            slices.swap(last, stream.below(last as u32 + 1) as usize);
        }
        for (design, slice) in designs.iter_mut().zip(slices) {
            design.push(range.at((f64::from(slice) + stream.unit()) / f64::from(count)));
        }
    }
    designs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slice_of_every_key_is_visited_once() {
        let ranges = [
            Range::Number { from: -1.0, to: 1.0 },
            Range::Whole { from: 0, to: 15 },
            Range::Logarithm { from: 1.0, to: 65_536.0, is_whole: false },
        ];
        let designs = designs(16, 7, &ranges);
        let slices = |column: usize, slice: fn(f64) -> usize| {
            let mut found: Vec<usize> = designs.iter().map(|design| slice(design[column].parse().unwrap())).collect();
            found.sort_unstable();
            found
        };
        let all: Vec<usize> = (0..16).collect();
        assert_eq!(slices(0, |value| ((value + 1.0) * 8.0) as usize), all);
        assert_eq!(slices(1, |value| value as usize), all);
        assert_eq!(slices(2, |value| libm::log2(value) as usize), all);
    }

    #[test]
    fn a_seed_means_the_same_designs_for_ever() {
        let ranges = [Range::Whole { from: 0, to: 999 }];
        let first: Vec<String> = designs(4, 1, &ranges).into_iter().flatten().collect();
        assert_eq!(first, designs(4, 1, &ranges).concat());
        assert_ne!(first, designs(4, 2, &ranges).concat());
    }
}
