//! Differences between designs that ran with the same seeds.
//!
//! The difference is taken seed by seed, so effects of a seed on both designs cancel. A sign counts as shown when the
//! mean difference exceeds twice its standard error; the page prints both, so that readers can apply a stricter rule.

use super::comparison::Outcome;

/// Twice the standard error: about 5 % two-sided for 30 seeds and more.
const DECIDED_AT: f64 = 2.0;

/// Mean of paired differences with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Mean of `later − earlier`.
    pub mean: f64,
    /// Standard error of that mean; infinite with fewer than two pairs.
    pub standard_error: f64,
}

/// The sign that a paper reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Later is larger.
    Up,
    /// Later is smaller.
    Down,
    /// No notable difference.
    Same,
}

impl Difference {
    /// `later − earlier`, pair by pair; both have the same length.
    pub fn between(earlier: &[f64], later: &[f64]) -> Self {
        let differences: Vec<f64> = earlier.iter().zip(later).map(|(earlier, later)| later - earlier).collect();
        let count = differences.len() as f64;
        let mean = differences.iter().sum::<f64>() / count;
        if differences.len() < 2 {
            return Self { mean, standard_error: f64::INFINITY };
        }
        let squares: f64 = differences.iter().map(|difference| (difference - mean) * (difference - mean)).sum();
        Self { mean, standard_error: libm::sqrt(squares / (count - 1.0) / count) }
    }

    /// The difference in standard errors.
    pub fn in_errors(&self) -> f64 {
        match (self.mean, self.standard_error) {
            (0.0, _) => 0.0,
            (mean, 0.0) => mean.signum() * f64::INFINITY,
            (mean, error) => mean / error,
        }
    }

    /// Compares the sign with the expected one. Differences up to `negligible` count as the same.
    pub fn judge(&self, expected: Sign, negligible: f64) -> Outcome {
        let size = self.in_errors();
        match expected {
            Sign::Same if self.mean.abs() <= negligible => Outcome::Holds,
            Sign::Same if size.abs() < DECIDED_AT => Outcome::Undecided,
            Sign::Same => Outcome::Fails,
            _ if size.abs() < DECIDED_AT => Outcome::Undecided,
            Sign::Up if size > 0.0 => Outcome::Holds,
            Sign::Down if size < 0.0 => Outcome::Holds,
            _ => Outcome::Fails,
        }
    }

    /// Mean and standard error in words, with `digits` after the point.
    pub fn words(&self, digits: usize, unit: &str) -> String {
        let sign = if self.mean < 0.0 { '\u{2212}' } else { '+' };
        let error = match self.standard_error.is_finite() {
            true => format!(" \u{b1} {:.digits$}", self.standard_error),
            false => String::new(),
        };
        format!("{sign}{:.digits$}{error}{}{unit}", self.mean.abs(), if unit.is_empty() { "" } else { " " })
    }
}

impl Sign {
    /// The sign in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Same => "no change",
        }
    }
}

/// Mean of some values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_seed_does_to_both_cancels() {
        let earlier = [1.0, 50.0, -3.0, 800.0];
        let later = earlier.map(|value| value + 0.5);
        let difference = Difference::between(&earlier, &later);
        assert!((difference.mean - 0.5).abs() < 1e-12 && difference.standard_error < 1e-12);
        assert_eq!(difference.judge(Sign::Up, 0.0), Outcome::Holds);
        assert_eq!(difference.judge(Sign::Down, 0.0), Outcome::Fails);
        assert_eq!(difference.judge(Sign::Same, 0.1), Outcome::Fails);
    }

    #[test]
    fn noise_decides_nothing() {
        let difference = Difference::between(&[0.0, 0.0, 0.0, 0.0], &[1.0, -1.0, 1.5, -1.0]);
        assert_eq!(difference.judge(Sign::Up, 0.0), Outcome::Undecided);
        assert_eq!(difference.judge(Sign::Down, 0.0), Outcome::Undecided);
        assert_eq!(Difference::between(&[1.0], &[2.0]).judge(Sign::Up, 0.0), Outcome::Undecided);
    }

    #[test]
    fn no_difference_at_all_is_the_same() {
        let difference = Difference::between(&[1.0, 2.0], &[1.0, 2.0]);
        assert_eq!(difference.judge(Sign::Same, 0.0), Outcome::Holds);
        assert_eq!(difference.judge(Sign::Up, 0.0), Outcome::Undecided);
    }
}
