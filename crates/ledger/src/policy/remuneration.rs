//! Remuneration of wallets: tiers of balance, each at its own yearly rate, and the exact interest.
//!
//! # The rule
//! On each ledger day a wallet accrues, for each tier, the part of its end-of-day balance in that tier × the tier's
//! rate, in minor units × ppm × days, unrounded ([`Tiers::accrual`]). At 00:00 of a capitalisation date the accrued sum
//! is divided by day count × 1,000,000 and rounded toward zero; that is posted, and the remainder stays accrued
//! ([`capitalise`]). A day uses the rates and the class in force at its end. A change of rates applies from the ledger
//! day after its enactment ([`super::rate_schedule`]), never retroactively.
//!
//! # Why a change of rates visits no wallet
//! A wallet's record says up to which day it has accrued. `Ledger::brought_to_today` brings it to today in steps that
//! end where the rates, the holder's class or the balance (by capitalisation) change, so the work depends on the number
//! of those changes and not on that of the wallets.

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::{Amount, RatePpm};
use crate::types::time::{DayCount, LedgerDay};

/// The largest number of bounded tiers.
pub const TIERS_MAX: usize = 3;

/// A tier: the part of a balance above the previous tier's bound, up to its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tier {
    /// The tier's bound.
    pub up_to: Amount,
    /// The yearly rate of the part in this tier.
    pub rate: RatePpm,
}

/// The tiers of a class: up to [`TIERS_MAX`] bounded ones with ascending bounds, and the rate above them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tiers {
    bounded: [Tier; TIERS_MAX],
    count: u8,
    above: RatePpm,
}

impl Tiers {
    /// Tiers; `None` if there are too many or the bounds do not ascend.
    pub fn new(bounded: &[Tier], above: RatePpm) -> Option<Tiers> {
        if bounded.len() > TIERS_MAX || !bounded.windows(2).all(|pair| pair[0].up_to < pair[1].up_to) {
            return None;
        }
        let mut tiers = Tiers { above, count: bounded.len() as u8, ..Tiers::default() };
        tiers.bounded[..bounded.len()].copy_from_slice(bounded);
        Some(tiers)
    }

    /// One rate for any balance.
    pub fn flat(rate: RatePpm) -> Tiers {
        Tiers { above: rate, ..Tiers::default() }
    }

    /// The bounded tiers, in ascending order.
    pub fn bounded(&self) -> &[Tier] {
        &self.bounded[..usize::from(self.count)]
    }

    /// The rate above every bound.
    pub fn above(&self) -> RatePpm {
        self.above
    }

    /// Whether no balance earns or pays interest.
    pub fn is_zero(&self) -> bool {
        self.above.0 == 0 && self.bounded().iter().all(|tier| tier.rate.0 == 0)
    }

    /// Whether some balance has a rate below zero.
    pub fn any_below_zero(&self) -> bool {
        self.above.0 < 0 || self.bounded().iter().any(|tier| tier.rate.0 < 0)
    }

    /// The interest that a balance accrues in one day, in minor units × ppm × days.
    ///
    /// A holder's tier allowance belongs to one wallet: any other wallet is above every bound.
    pub fn accrual(&self, balance: u128, has_allowance: bool) -> i128 {
        let mut below = 0;
        let mut sum = 0;
        if has_allowance {
            for tier in self.bounded() {
                let bound = u128::from(tier.up_to.minor()).min(balance);
                sum += (bound - below) as i128 * i128::from(tier.rate.0);
                below = bound;
            }
        }
        sum + (balance - below) as i128 * i128::from(self.above.0)
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u8(self.count);
        for tier in self.bounded() {
            out.u64(tier.up_to.minor()).u32(tier.rate.0 as u32);
        }
        out.u32(self.above.0 as u32);
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Tiers, DecodeError> {
        let count = input.u8()?;
        if usize::from(count) > TIERS_MAX {
            return Err(input.wrong("at most 3 bounded tiers", u64::from(count)));
        }
        let mut bounded = Vec::with_capacity(TIERS_MAX);
        for _ in 0..count {
            bounded.push(Tier { up_to: Amount::from_minor(input.u64()?), rate: RatePpm(input.u32()? as i32) });
        }
        let above = RatePpm(input.u32()? as i32);
        Tiers::new(&bounded, above).ok_or_else(|| input.wrong("tiers with ascending bounds", u64::from(count)))
    }
}

/// The dates on which accrued interest is posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Capitalisation {
    /// At 00:00 of every ledger day.
    Daily = 1,
    /// At 00:00 of the first day of every calendar month.
    #[default]
    Monthly = 2,
}

impl Capitalisation {
    /// The name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Capitalisation::Daily => "daily",
            Capitalisation::Monthly => "monthly",
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Capitalisation, DecodeError> {
        match input.u8()? {
            1 => Ok(Capitalisation::Daily),
            2 => Ok(Capitalisation::Monthly),
            other => Err(input.wrong("1 (daily) or 2 (monthly)", u64::from(other))),
        }
    }

    /// The first capitalisation date after `day`.
    pub fn next_after(self, day: LedgerDay) -> LedgerDay {
        match self {
            Capitalisation::Daily => day.next(),
            Capitalisation::Monthly => day.first_of_next_month(),
        }
    }

    /// The last capitalisation date at or before `day`.
    pub fn last_by(self, day: LedgerDay) -> LedgerDay {
        match self {
            Capitalisation::Daily => day,
            Capitalisation::Monthly => day.first_of_month(),
        }
    }
}

/// Splits an accrued sum into what is posted, in minor units rounded toward zero, and the remainder.
pub fn capitalise(accrued: i128, day_count: DayCount) -> (i128, i128) {
    let unit = i128::from(day_count.days()) * 1_000_000;
    (accrued / unit, accrued % unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn amount(minor: u64) -> Amount {
        Amount::from_minor(minor)
    }

    #[test]
    fn the_worked_example_posts_410_or_416() {
        let tiers = Tiers::new(&[Tier { up_to: amount(300_000), rate: RatePpm(20_000) }], RatePpm(-10_000)).unwrap();
        let accrued = tiers.accrual(400_000, true) * 30;
        assert_eq!(capitalise(accrued, DayCount::Actual365), (410, 350_000_000));
        assert_eq!(capitalise(accrued, DayCount::Actual360).0, 416);
        assert_eq!(capitalise(-accrued, DayCount::Actual365), (-410, -350_000_000));
    }

    #[test]
    fn a_wallet_without_the_allowance_lies_above_every_bound() {
        let tiers = Tiers::new(&[Tier { up_to: amount(100), rate: RatePpm(5) }], RatePpm(-3)).unwrap();
        assert_eq!(tiers.accrual(150, true), 100 * 5 - 50 * 3);
        assert_eq!(tiers.accrual(150, false), -150 * 3);
        assert_eq!((tiers.accrual(0, true), tiers.accrual(100, true)), (0, 500));
    }

    #[test]
    fn bounds_must_ascend() {
        let tier = |up_to| Tier { up_to: amount(up_to), rate: RatePpm(1) };
        assert!(Tiers::new(&[tier(5), tier(5)], RatePpm(0)).is_none());
        assert!(Tiers::new(&[tier(1), tier(2), tier(3), tier(4)], RatePpm(0)).is_none());
    }
}
