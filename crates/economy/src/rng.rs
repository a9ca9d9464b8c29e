//! Random numbers that are the same on any machine and for any number of threads.
//!
//! A stream belongs to a purpose, a day and an agent: its state is a mix of the run's seed with those three
//! ([`Stream::of`]). No draw depends on how many draws another agent made, so agents can be processed in any order.
//! Within a stream the numbers are SplitMix64's (Steele, Lea, Flood 2014): one addition and a mix each.
//!
//! Functions beyond + − × ÷ and the square root come from `libm`, which computes the same bits everywhere.

/// The purposes of streams. Their numbers are part of a seed's meaning and are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Purpose {
    /// The properties of the agents.
    Population = 1,
    /// A household's decisions on a day.
    Day = 2,
    /// The loans that default in a month.
    Default = 3,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Stream {
    /// The stream of a purpose on a day for an agent.
    pub fn of(seed: u64, purpose: Purpose, day: u32, agent: u32) -> Stream {
        let counter = u64::from(day) << 32 | u64::from(agent);
        Stream(mix(mix(seed.wrapping_add(GOLDEN)) ^ mix(counter.wrapping_add((purpose as u64).wrapping_mul(GOLDEN)))))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform over 0 ≤ x < 1, in steps of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform over the whole numbers below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A standard normal number, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// A log-normal number of this mean; `sigma` is the standard deviation of its logarithm.
    pub fn log_normal(&mut self, mean: f64, sigma: f64) -> f64 {
        mean * libm::exp(sigma * self.normal() - 0.5 * sigma * sigma)
    }

    /// A Poisson count by inversion. `at_zero` is e^-mean, which the caller computes once.
    pub fn poisson(&mut self, mean: f64, at_zero: f64) -> u32 {
        let point = self.unit();
        let (mut term, mut sum, mut count) = (at_zero, at_zero, 0);
        while point >= sum && count < 64 {
            count += 1;
            term *= mean / f64::from(count);
            sum += term;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_are_pinned() {
        let mut stream = Stream::of(1, Purpose::Day, 2, 3);
        assert_eq!([stream.bits(), stream.bits()], [16_709_661_240_321_518_796, 4_566_641_430_208_427_171]);
    }

    #[test]
    fn counts_and_normals_have_their_means() {
        let mut stream = Stream::of(7, Purpose::Population, 0, 0);
        let draws = 200_000;
        let counts: u32 = (0..draws).map(|_| stream.poisson(1.5, libm::exp(-1.5))).sum();
        assert!((f64::from(counts) / f64::from(draws) - 1.5).abs() < 0.01);
        let sum: f64 = (0..draws).map(|_| stream.normal()).sum();
        assert!((sum / f64::from(draws)).abs() < 0.01);
        let mean = (0..draws).map(|_| stream.log_normal(100.0, 0.5)).sum::<f64>() / f64::from(draws);
        assert!((mean - 100.0).abs() < 1.0, "{mean}");
    }

    #[test]
    fn streams_of_neighbours_differ() {
        let first = |day, agent| Stream::of(1, Purpose::Day, day, agent).bits();
        assert_ne!(first(0, 1), first(1, 0));
        assert_ne!(first(0, 1), first(0, 2));
    }
}
