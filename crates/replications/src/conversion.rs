//! The five conversion rules ψ(RM): the share of a deposit that households turn into CBDC as their bank's risk grows.
//!
//! RM measures a bank's risk. Between the threshold RM* and RM* + RMlim, which is [6, 13.6], a rule rises from a1 to
//! its cap; RMlim = 7.6 is the width of the interval and not its end: the slope divides by it, and the cap begins at
//! 13.6.
//!
//! | rule | ψ |
//! |---|---|
//! | C0 | a1 |
//! | C1 | a1 up to RM*, linear to a4 over the interval, then a4 |
//! | C2 | as C1, with a2 for a4 |
//! | C3 | a1 up to and at RM*, above it a2 |
//! | C4 | as C3, and above RM* also a3 · (x − IT) / x where an account's wealth x exceeds the insured IT; a2 + a3 = 1 |
//!
//! Source: Barucci, Gurgone, Iori and Azzone, arXiv 2510.21071, version 1, read in the source.

use cbdc_scenario_file::ScenarioError;
use serde::Serialize;

use super::parameters::{Origin, Reader};

/// A rule for the share converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Conversion {
    /// A share that ignores risk.
    C0,
    /// Linear in risk, to the high cap.
    C1,
    /// Linear in risk, to the low cap.
    C2,
    /// A step at the threshold.
    C3,
    /// A step at the threshold, plus a part of the uninsured wealth.
    C4,
}

/// RM, wealth in the account in model units, and ψ of C0 to C4, computed by hand from the rules.
pub const VECTORS: [(f64, f64, [f64; 5]); 11] = [
    (0.0, 1.0, [0.1, 0.1, 0.1, 0.1, 0.1]),
    (5.999_999, 100.0, [0.1, 0.1, 0.1, 0.1, 0.1]),
    (6.0, 100.0, [0.1, 0.1, 0.1, 0.1, 0.1]),
    (6.76, 5.4, [0.1, 0.17, 0.12, 0.3, 0.3]),
    (7.9, 5.4, [0.1, 0.275, 0.15, 0.3, 0.3]),
    (9.8, 5.4, [0.1, 0.45, 0.2, 0.3, 0.3]),
    (9.8, 10.8, [0.1, 0.45, 0.2, 0.3, 0.65]),
    (9.8, 21.6, [0.1, 0.45, 0.2, 0.3, 0.825]),
    (13.6, 1.0, [0.1, 0.8, 0.3, 0.3, 0.3]),
    (13.7, 1.0, [0.1, 0.8, 0.3, 0.3, 0.3]),
    (1_000.0, 54.0, [0.1, 0.8, 0.3, 0.3, 0.93]),
];

impl Conversion {
    /// All rules, as numbered in the paper.
    pub const ALL: [Self; 5] = [Self::C0, Self::C1, Self::C2, Self::C3, Self::C4];

    /// The paper's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::C0 => "C0",
            Self::C1 => "C1",
            Self::C2 => "C2",
            Self::C3 => "C3",
            Self::C4 => "C4",
        }
    }
}

/// The parameters that the rules share.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversionParameters {
    /// RM*: risk at which the rules begin to differ from a1.
    pub threshold: f64,
    /// RMlim: width of the interval over which C1 and C2 rise.
    pub width: f64,
    /// Share converted at low risk.
    pub a1: f64,
    /// Cap of C2; share of C3 and C4 above the threshold.
    pub a2: f64,
    /// Weight of the uninsured part in C4.
    pub a3: f64,
    /// Cap of C1.
    pub a4: f64,
    /// IT: insured wealth in an account, in model units.
    pub insured: f64,
}

impl Default for ConversionParameters {
    fn default() -> Self {
        Self { threshold: 6.0, width: 7.6, a1: 0.1, a2: 0.3, a3: 0.7, a4: 0.8, insured: 5.4 }
    }
}

impl ConversionParameters {
    /// Reads the table `[conversion]`.
    ///
    /// # Errors
    /// A value outside its range.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, ScenarioError> {
        let standard = Self::default();
        let share = 0.0..=1.0;
        let paper = Origin::Paper;
        Ok(Self {
            threshold: reader.number("threshold", 0.0..=100.0, standard.threshold, paper, "RM*")?,
            width: reader.number(
                "width",
                0.1..=100.0,
                standard.width,
                paper,
                "RMlim: width of the interval above RM*",
            )?,
            a1: reader.number("a1", share.clone(), standard.a1, paper, "share converted at low risk")?,
            a2: reader.number("a2", share.clone(), standard.a2, paper, "cap of C2, and of C3 and C4 above RM*")?,
            a3: reader.number("a3", share.clone(), standard.a3, paper, "weight of the uninsured part in C4")?,
            a4: reader.number("a4", share, standard.a4, paper, "cap of C1")?,
            insured: reader.number("insured", 0.0..=1e6, standard.insured, paper, "IT: insured wealth, model units")?,
        })
    }

    /// ψ: the share of the wealth `x` at a bank of risk `rm` that is held as CBDC.
    pub fn share(&self, rule: Conversion, rm: f64, x: f64) -> f64 {
        match rule {
            Conversion::C0 => self.a1,
            Conversion::C1 => self.linear(rm, self.a4),
            Conversion::C2 => self.linear(rm, self.a2),
            Conversion::C3 => self.step(rm),
            Conversion::C4 => self.step(rm) + self.a3 * self.uninsured(rm, x),
        }
    }

    fn linear(&self, rm: f64, cap: f64) -> f64 {
        if rm <= self.threshold {
            self.a1
        } else if rm >= self.threshold + self.width {
            cap
        } else {
            self.a1 + (cap - self.a1) * (rm - self.threshold) / self.width
        }
    }

    fn step(&self, rm: f64) -> f64 {
        if rm <= self.threshold { self.a1 } else { self.a2 }
    }

    fn uninsured(&self, rm: f64, x: f64) -> f64 {
        if rm > self.threshold && x > self.insured { (x - self.insured) / x } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn psi(rule: Conversion, rm: f64, x: f64) -> f64 {
        ConversionParameters::default().share(rule, rm, x)
    }

    #[test]
    fn every_rule_gives_the_shares_worked_out_by_hand() {
        for (rm, x, expected) in VECTORS {
            for (rule, expected) in Conversion::ALL.into_iter().zip(expected) {
                let found = psi(rule, rm, x);
                assert!((found - expected).abs() < 1e-12, "{} at {rm}, {x}: {found}, not {expected}", rule.name());
            }
        }
    }

    #[test]
    fn linear_rules_are_continuous_and_steps_jump_only_above_the_threshold() {
        let just = 1e-9;
        for rule in [Conversion::C1, Conversion::C2] {
            for at in [6.0, 13.6] {
                assert!((psi(rule, at + just, 1.0) - psi(rule, at - just, 1.0)).abs() < 1e-8);
            }
        }
        assert_eq!(psi(Conversion::C3, 6.0, 1.0), 0.1);
        assert_eq!(psi(Conversion::C3, 6.0 + just, 1.0), 0.3);
        assert_eq!(psi(Conversion::C4, 6.0, 1e6), 0.1);
    }

    #[test]
    fn shares_rise_with_risk_and_stay_shares() {
        for rule in Conversion::ALL {
            for x in [0.5, 6.0, 1e9] {
                let shares: Vec<f64> = (0..400).map(|tenth| psi(rule, f64::from(tenth) / 10.0, x)).collect();
                assert!(shares.windows(2).all(|pair| pair[0] <= pair[1]));
                assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
            }
        }
    }

    #[test]
    fn an_insured_account_converts_as_in_c3() {
        for rm in [0.0, 6.0, 6.1, 20.0] {
            assert_eq!(psi(Conversion::C4, rm, 5.4), psi(Conversion::C3, rm, 5.4));
        }
    }
}
