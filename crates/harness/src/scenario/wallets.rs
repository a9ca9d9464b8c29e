//! `[wallets]`: number, classes and opening balances of the wallets.
//!
//! Wallet `i` belongs to bank `i % banks` and is that bank's wallet number `i / banks`. Its class, its opening balance
//! and whether it is linked are derived from that number alone, so the mix is the same at every bank and with any
//! number of wallets.

use std::collections::BTreeMap;

use cbdc_devnet::policy::MINOR_MAX;
use cbdc_devnet::policy::per_class::{PerClass, word};
use cbdc_ledger::Class;
use serde::{Serialize, Serializer};

use super::error::ScenarioError;
use super::section::Section;

/// The most wallets that a scenario may have.
pub const WALLETS_MAX: u64 = 50_000_000;

/// The wallets of a scenario.
///
/// | key | default | range |
/// |---|---|---|
/// | `count` | 3,000 | 4 to 50 million; at least 2 a bank |
/// | `per_bank` | – | instead of `count`; 2 to 50 million over all banks |
/// | `opening_balance_minor` | 500,000 | one figure, or a table by class; with a preset at most its holding limit |
/// | `opening_spread` | 0 | 0 to 1: a wallet opens with its class's figure give or take this share of it |
/// | `class_mix` | household 0.9, merchant 0.08, business 0.02 | shares that add up to 1; a class left out has none |
/// | `linked` | false, or the preset's | `true`, `false`, or the share of wallets linked; or a table by class |
/// | `opening_deposit_minor` | 0 | the opening deposit of each linked wallet's holder, for top-ups |
///
/// A linked wallet's holder consents that credits above the holding limit go to their deposit at the same bank (the
/// waterfall).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wallets {
    /// Wallets over all banks.
    pub count: u32,
    /// The opening balance by class, funded from the bank's deposit book before the clock starts.
    pub opening_balance_minor: PerClass<u64>,
    /// The share of its class's figure by which a wallet's opening balance may differ from it.
    pub opening_spread: f64,
    /// Share of wallets in each class.
    #[serde(serialize_with = "shares_above_0")]
    pub class_mix: PerClass<f64>,
    /// Share of wallets in each class that are linked to a deposit at their own bank.
    pub linked: PerClass<f64>,
    /// The opening deposit of each linked wallet's holder.
    pub opening_deposit_minor: u64,
}

/// The irrational steps of Weyl sequences, one for each property of a bank's wallets, so that the properties are
/// independent.
#[derive(Clone, Copy)]
#[repr(u64)]
enum WeylStep {
    Class = 0x9E37_79B9_7F4A_7C15,
    Opening = 0x6A09_E667_F3BC_C909,
    Linked = 0xBB67_AE85_84CA_A73B,
}

/// A point from 0 to 1 of a Weyl sequence: any run of consecutive wallets is spread evenly over the interval.
fn point(serial: u32, step: WeylStep) -> f64 {
    (u64::from(serial).wrapping_add(1).wrapping_mul(step as u64) >> 11) as f64 / (1_u64 << 53) as f64
}

impl Wallets {
    pub(super) fn read(mut section: Section<'_>, banks: u32, linked: PerClass<f64>) -> Result<Self, ScenarioError> {
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
            opening_spread: section.number("opening_spread", 0.0..=1.0, 0.0)?,
            class_mix: read_mix(&mut section)?,
            linked: PerClass::read_shares(&mut section, "linked", linked)?,
            opening_deposit_minor: section.integer("opening_deposit_minor", 0..=MINOR_MAX, 0)?,
        };
        section.end()?;
        Ok(wallets)
    }

    /// The class of a bank's wallet number `serial`.
    ///
    /// Golden-ratio steps spread the classes evenly: among any run of wallets the shares are those of the mix, to
    /// within a few wallets.
    pub fn class_of(&self, serial: u32) -> Class {
        let point = point(serial, WeylStep::Class);
        let mut edge = 0.0;
        for class in Class::all() {
            edge += self.class_mix.get(class);
            if point < edge {
                return class;
            }
        }
        // The shares add up to 1 only up to rounding: the last class in use takes the rest.
        let used = Class::all().filter(|class| *self.class_mix.get(*class) > 0.0).last();
        used.unwrap_or(Class::HOUSEHOLD)
    }

    /// The opening balance of a bank's wallet number `serial`.
    pub fn opening_of(&self, serial: u32) -> u64 {
        let figure = *self.opening_balance_minor.get(self.class_of(serial));
        let away = self.opening_spread * (2.0 * point(serial, WeylStep::Opening) - 1.0);
        figure.saturating_add_signed((figure as f64 * away) as i64)
    }

    /// The largest opening balance of a class.
    pub fn opening_max(&self, class: Class) -> u64 {
        let figure = *self.opening_balance_minor.get(class);
        figure.saturating_add((figure as f64 * self.opening_spread) as u64)
    }

    /// The opening deposit of the holder of a bank's wallet number `serial`.
    pub fn deposit_of(&self, serial: u32) -> u64 {
        if self.is_linked(serial) { self.opening_deposit_minor } else { 0 }
    }

    /// Whether a bank's wallet number `serial` is linked to a deposit.
    pub fn is_linked(&self, serial: u32) -> bool {
        point(serial, WeylStep::Linked) < *self.linked.get(self.class_of(serial))
    }
}

fn shares_above_0<S: Serializer>(shares: &PerClass<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    let used: BTreeMap<&str, f64> =
        Class::all().map(|class| (word(class), *shares.get(class))).filter(|(_, share)| *share > 0.0).collect();
    used.serialize(serializer)
}

fn read_mix(section: &mut Section<'_>) -> Result<PerClass<f64>, ScenarioError> {
    let Some(node) = section.find("class_mix") else {
        let usual = [(Class::HOUSEHOLD, 0.9), (Class::MERCHANT, 0.08), (Class::BUSINESS, 0.02)];
        return Ok(PerClass::of(&usual, 0.0));
    };
    let mut shares = section.table("class_mix".to_owned(), node)?;
    let mut mix = PerClass::all(0.0);
    for class in Class::all() {
        *mix.get_mut(class) = shares.number(word(class), 0.0..=1.0, 0.0)?;
    }
    shares.end()?;
    let sum: f64 = Class::all().map(|class| *mix.get(class)).sum();
    if (sum - 1.0).abs() > 1e-9 {
        return Err(section.mistake("class_mix", "shares that add up to 1", format!("a sum of {sum}")));
    }
    Ok(mix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wallets(mix: &[(Class, f64)]) -> Wallets {
        Wallets {
            count: 10_000,
            opening_balance_minor: PerClass::all(60_000),
            opening_spread: 0.5,
            class_mix: PerClass::of(mix, 0.0),
            linked: PerClass::of(&[(Class::HOUSEHOLD, 0.25)], 0.0),
            opening_deposit_minor: 0,
        }
    }

    #[test]
    fn the_mix_is_kept_in_any_run_of_wallets() {
        let wallets = wallets(&[(Class::HOUSEHOLD, 0.9), (Class::MERCHANT, 0.08), (Class::BUSINESS, 0.02)]);
        for first in [0_u32, 777, 50_000] {
            let merchants =
                (first..first + 1_000).filter(|serial| wallets.class_of(*serial) == Class::MERCHANT).count();
            assert!((75..=85).contains(&merchants), "{merchants} merchants in 1,000 wallets from {first}");
        }
    }

    #[test]
    fn a_class_without_a_share_gets_no_wallet() {
        let wallets = wallets(&[(Class::HOUSEHOLD, 1.0)]);
        assert!((0..10_000).all(|serial| wallets.class_of(serial) == Class::HOUSEHOLD));
    }

    #[test]
    fn opening_balances_are_spread_evenly_around_their_figure() {
        let wallets = wallets(&[(Class::HOUSEHOLD, 1.0)]);
        let openings: Vec<u64> = (0..10_000).map(|serial| wallets.opening_of(serial)).collect();
        assert!(openings.iter().all(|opening| (30_000..=90_000).contains(opening)));
        assert!(openings.iter().all(|opening| *opening <= wallets.opening_max(Class::HOUSEHOLD)));
        let mean = openings.iter().sum::<u64>() / 10_000;
        assert!((59_900..=60_100).contains(&mean), "{mean}");
    }

    #[test]
    fn the_share_of_linked_wallets_is_kept_whatever_they_hold() {
        let wallets = wallets(&[(Class::HOUSEHOLD, 1.0)]);
        let linked = |above: bool| {
            let serials = (0..10_000).filter(|serial| (wallets.opening_of(*serial) > 60_000) == above);
            serials.filter(|serial| wallets.is_linked(*serial)).count()
        };
        for linked in [linked(true), linked(false)] {
            assert!((1_150..=1_350).contains(&linked), "{linked} of about 5,000");
        }
    }
}
