//! Due times: open loop, independent of the network's answers.
//!
//! A profile is a rate over time. Its cumulative count is a rising curve, and a payment is due where the curve reaches
//! the payment's number: evenly spaced numbers (0, 1, 2, …) for a constant profile, numbers with exponential gaps for
//! all others, which makes them independent arrivals (a Poisson process run on the curve's own clock).

use std::f64::consts::LN_2;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::scenario::{Load, Profile};

/// Due times in nanoseconds from the start of the load, rising, up to the end of the load.
#[derive(Debug)]
pub struct Arrivals {
    profile: Profile,
    warm_up_s: f64,
    duration_s: f64,
    number: f64,
    last_ns: u64,
    random: StdRng,
}

impl Arrivals {
    /// The due times of a load, warm-up included.
    pub fn new(load: &Load, mut random: StdRng) -> Self {
        let regular = matches!(load.profile, Profile::Constant { .. });
        let number = if regular { 0.0 } else { exponential(&mut random) };
        Self {
            profile: load.profile,
            warm_up_s: load.warm_up_s,
            duration_s: load.duration_s,
            number,
            last_ns: 0,
            random,
        }
    }

    /// The expected number of payments due in the whole load.
    pub fn expected(&self) -> f64 {
        count_until(&self.profile, self.warm_up_s, self.duration_s, self.warm_up_s + self.duration_s)
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let due_s = time_of(&self.profile, self.warm_up_s, self.duration_s, self.number);
        if due_s >= self.warm_up_s + self.duration_s {
            return None;
        }
        self.number += match self.profile {
            Profile::Constant { .. } => 1.0,
            _ => exponential(&mut self.random),
        };
        // Rounding must not let time run backwards.
        self.last_ns = self.last_ns.max((due_s * 1e9) as u64);
        Some(self.last_ns)
    }
}

/// The cumulative count of a profile at time `at_s`.
fn count_until(profile: &Profile, warm_up_s: f64, duration_s: f64, at_s: f64) -> f64 {
    match *profile {
        Profile::Constant { rate_per_s } | Profile::Poisson { rate_per_s } => rate_per_s * at_s,
        Profile::Ramp { from_per_s, to_per_s } => {
            let risen_s = (at_s - warm_up_s).max(0.0);
            from_per_s * at_s + (to_per_s - from_per_s) * risen_s * risen_s / (2.0 * duration_s)
        }
        Profile::Burst { rate_per_s, burst_factor, burst_period_s, burst_on_s } => {
            let periods = (at_s / burst_period_s).floor();
            let into_s = at_s - periods * burst_period_s;
            let on_s = periods * burst_on_s + into_s.min(burst_on_s);
            rate_per_s * (at_s + (burst_factor - 1.0) * on_s)
        }
    }
}

/// The time at which the cumulative count reaches `number`: the inverse of [`count_until`].
fn time_of(profile: &Profile, warm_up_s: f64, duration_s: f64, number: f64) -> f64 {
    match *profile {
        Profile::Constant { rate_per_s } | Profile::Poisson { rate_per_s } => number / rate_per_s,
        Profile::Ramp { from_per_s, to_per_s } => {
            let beyond = number - from_per_s * warm_up_s;
            if beyond <= 0.0 {
                return number / from_per_s;
            }
            let slope = (to_per_s - from_per_s) / duration_s;
            let root = from_per_s * from_per_s + 2.0 * slope * beyond;
            if root < 0.0 {
                return f64::INFINITY;
            }
            warm_up_s + 2.0 * beyond / (from_per_s + root.sqrt())
        }
        Profile::Burst { rate_per_s, burst_factor, burst_period_s, burst_on_s } => {
            let in_burst = rate_per_s * burst_factor * burst_on_s;
            let in_period = in_burst + rate_per_s * (burst_period_s - burst_on_s);
            if in_period <= 0.0 {
                return f64::INFINITY;
            }
            let periods = (number / in_period).floor();
            let rest = number - periods * in_period;
            let into_s = if rest < in_burst {
                rest / (rate_per_s * burst_factor)
            } else {
                burst_on_s + (rest - in_burst) / rate_per_s
            };
            periods * burst_period_s + into_s
        }
    }
}

/// An exponential gap with mean 1.
fn exponential(random: &mut StdRng) -> f64 {
    // 1 - u lies in (0, 1], so the logarithm is finite.
    -((1.0 - random.random::<f64>()).log2()) * LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::workload::random::rng;
    use proptest::prelude::*;

    fn load(profile: Profile, warm_up_s: f64, duration_s: f64) -> Load {
        let mut load = Scenario::parse("", "", "", &[]).expect("defaults are valid").load;
        (load.profile, load.warm_up_s, load.duration_s) = (profile, warm_up_s, duration_s);
        load
    }

    fn profiles() -> impl Strategy<Value = Profile> {
        let rate = 1.0..20_000.0_f64;
        prop_oneof![
            rate.clone().prop_map(|rate_per_s| Profile::Constant { rate_per_s }),
            rate.clone().prop_map(|rate_per_s| Profile::Poisson { rate_per_s }),
            (rate.clone(), rate.clone()).prop_map(|(from_per_s, to_per_s)| Profile::Ramp { from_per_s, to_per_s }),
            (rate, 0.0..20.0_f64, 0.1..5.0_f64, 0.01..1.0_f64).prop_map(
                |(rate_per_s, burst_factor, burst_period_s, share)| Profile::Burst {
                    rate_per_s,
                    burst_factor,
                    burst_period_s,
                    burst_on_s: burst_period_s * share,
                }
            ),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn due_times_rise_and_their_count_follows_the_rate(
            profile in profiles(), warm_up_s in 0.0..2.0_f64, duration_s in 0.1..4.0_f64, seed in any::<u64>(),
        ) {
            let arrivals = Arrivals::new(&load(profile, warm_up_s, duration_s), rng(seed, 1));
            let expected = arrivals.expected();
            let due: Vec<u64> = arrivals.collect();
            prop_assert!(due.is_sorted());
            prop_assert!(due.iter().all(|at| *at <= ((warm_up_s + duration_s) * 1e9) as u64));
            // Six standard deviations of a Poisson count, and one payment at the edge.
            let allowed = 6.0 * expected.sqrt() + 1.0;
            prop_assert!((due.len() as f64 - expected).abs() <= allowed, "{} due, {expected} expected", due.len());
        }

        #[test]
        fn the_time_of_a_count_is_the_inverse_of_the_count(
            profile in profiles(), warm_up_s in 0.0..2.0_f64, duration_s in 0.1..4.0_f64, share in 0.0..1.0_f64,
        ) {
            let at_s = share * (warm_up_s + duration_s);
            let number = count_until(&profile, warm_up_s, duration_s, at_s);
            let back = count_until(&profile, warm_up_s, duration_s, time_of(&profile, warm_up_s, duration_s, number));
            prop_assert!((back - number).abs() <= 1e-6 * number.max(1.0), "{number} came back as {back}");
        }
    }

    #[test]
    fn a_constant_load_is_evenly_spaced() {
        let due: Vec<u64> = Arrivals::new(&load(Profile::Constant { rate_per_s: 4.0 }, 0.0, 1.0), rng(1, 1)).collect();
        assert_eq!(due, [0, 250_000_000, 500_000_000, 750_000_000]);
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        let load = load(Profile::Poisson { rate_per_s: 1_000.0 }, 0.0, 1.0);
        let times = |seed| Arrivals::new(&load, rng(seed, 1)).collect::<Vec<_>>();
        assert_eq!(times(5), times(5));
        assert_ne!(times(5), times(6));
    }

    #[test]
    fn poisson_gaps_vary_as_much_as_their_mean() {
        let load = load(Profile::Poisson { rate_per_s: 1_000.0 }, 0.0, 60.0);
        let due: Vec<u64> = Arrivals::new(&load, rng(3, 1)).collect();
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "coefficient of variation {}", variance.sqrt() / mean);
    }

    #[test]
    fn a_burst_is_as_much_denser_as_its_factor() {
        let profile = Profile::Burst { rate_per_s: 1_000.0, burst_factor: 5.0, burst_period_s: 2.0, burst_on_s: 0.5 };
        let due = Arrivals::new(&load(profile, 0.0, 20.0), rng(3, 1));
        let in_burst = due.filter(|at| at % 2_000_000_000 < 500_000_000).count() as f64;
        assert!((in_burst / 25_000.0 - 1.0).abs() < 0.05, "{in_burst} payments in bursts");
    }
}
