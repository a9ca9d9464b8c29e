//! `[wallets]`: how many wallets there are, of which classes, and what they hold when the clock starts.
//!
//! Wallet `i` belongs to bank `i % banks` and is that bank's wallet number `i / banks`. Its class follows from that
//! number alone, so the mix is the same at every bank and with any number of wallets.

use serde::Serialize;

use super::class::{Class, PerClass};
use super::error::ScenarioError;
use super::policy::MINOR_MAX;
use super::section::Section;

/// The most wallets a scenario may ask for.
pub const WALLETS_MAX: u64 = 50_000_000;

/// The wallets of a scenario.
///
/// | key | default | range |
/// |---|---|---|
/// | `count` | 3,000 | 4 to 50 million; at least 2 a bank |
/// | `per_bank` | – | instead of `count`; 2 to 50 million over all banks |
/// | `opening_balance_minor` | 500,000 | one figure, or a table by class |
/// | `class_mix` | household 0.9, merchant 0.08, business 0.02 | shares that add up to 1; a class left out has share 0 |
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wallets {
    /// Wallets over all banks.
    pub count: u32,
    /// What each wallet holds at the start, funded from its bank's deposit book before the clock starts.
    pub opening_balance_minor: PerClass<u64>,
    /// Share of wallets in each class.
    pub class_mix: PerClass<f64>,
}

impl Wallets {
    pub(super) fn read(mut section: Section<'_>, banks: u32) -> Result<Self, ScenarioError> {
        let per_bank = section.optional_integer("per_bank", 2..=WALLETS_MAX)?;
        let count = section.optional_integer("count", 4..=WALLETS_MAX)?;
        let count = match (count, per_bank) {
            (Some(_), Some(_)) => {
                return Err(section.mistake("per_bank", "either `count` or `per_bank`", "both"));
            }
            (Some(count), None) if count < u64::from(banks) * 2 => {
                let expected = format!("at least 2 wallets for each of {banks} banks");
                return Err(section.mistake("count", expected, count.to_string()));
            }
            (Some(count), None) => count,
            (None, Some(each)) if each * u64::from(banks) > WALLETS_MAX => {
                let expected = format!("at most {WALLETS_MAX} wallets over all {banks} banks");
                return Err(section.mistake("per_bank", expected, (each * u64::from(banks)).to_string()));
            }
            (None, Some(each)) => each * u64::from(banks),
            (None, None) => 3_000,
        };
        let wallets = Self {
            count: count as u32,
            opening_balance_minor: PerClass::read_minor(&mut section, "opening_balance_minor", MINOR_MAX, 500_000)?,
            class_mix: read_mix(&mut section)?,
        };
        section.end()?;
        Ok(wallets)
    }

    /// The class of a bank's wallet number `serial`.
    ///
    /// Golden-ratio steps spread the classes evenly: among any run of wallets the shares are those of the mix, to
    /// within a few wallets.
    pub fn class_of(&self, serial: u32) -> Class {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let point = (u64::from(serial).wrapping_add(1).wrapping_mul(GOLDEN) >> 11) as f64 / (1_u64 << 53) as f64;
        let mut edge = 0.0;
        for class in Class::ALL {
            edge += self.class_mix.get(class);
            if point < edge {
                return class;
            }
        }
        // The shares add up to 1 only to within rounding: the last class that is used takes the rest.
        let used = Class::ALL.into_iter().rev().find(|class| *self.class_mix.get(*class) > 0.0);
        used.unwrap_or(Class::Household)
    }
}

fn read_mix(section: &mut Section<'_>) -> Result<PerClass<f64>, ScenarioError> {
    let Some(node) = section.find("class_mix") else {
        return Ok(PerClass { household: 0.9, merchant: 0.08, business: 0.02 });
    };
    let mut shares = section.table("class_mix".to_owned(), node)?;
    let mix = PerClass {
        household: shares.number("household", 0.0..=1.0, 0.0)?,
        merchant: shares.number("merchant", 0.0..=1.0, 0.0)?,
        business: shares.number("business", 0.0..=1.0, 0.0)?,
    };
    shares.end()?;
    let sum: f64 = Class::ALL.into_iter().map(|class| *mix.get(class)).sum();
    if (sum - 1.0).abs() > 1e-9 {
        return Err(section.mistake("class_mix", "shares that add up to 1", format!("a sum of {sum}")));
    }
    Ok(mix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_kept_in_any_run_of_wallets() {
        let wallets = Wallets {
            count: 10_000,
            opening_balance_minor: PerClass::all(0),
            class_mix: PerClass { household: 0.9, merchant: 0.08, business: 0.02 },
        };
        for first in [0_u32, 777, 50_000] {
            let merchants =
                (first..first + 1_000).filter(|serial| wallets.class_of(*serial) == Class::Merchant).count();
            assert!((75..=85).contains(&merchants), "{merchants} merchants in 1,000 wallets from {first}");
        }
    }

    #[test]
    fn a_class_without_a_share_gets_no_wallet() {
        let wallets = Wallets {
            count: 10,
            opening_balance_minor: PerClass::all(0),
            class_mix: PerClass { household: 1.0, merchant: 0.0, business: 0.0 },
        };
        assert!((0..10_000).all(|serial| wallets.class_of(serial) == Class::Household));
    }
}
