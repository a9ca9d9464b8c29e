//! The standing of a source: how much work it has wasted recently.
//!
//! A refused command wasted work: the check of a bad signature most of all, ordering a payment that is refused when
//! applied as much as one that settles, a look at a used or stale one little. Waste draws on an *allowance*; time
//! refills it ([`Allowance`]), and so do settled commands, each by a quarter of its own cost. So a source of which up
//! to a fifth of the commands are refused is never slowed, whatever its rate, nor is one with few refusals per second.
//!
//! A source that has used up its allowance is *slowed* until it is refilled: what it wastes is then no more than the
//! refill, and seconds after it stops it is back to normal.

use std::time::{Duration, Instant};

/// The unit of the allowance: millionths of the cost of verifying one good signature.
const UNIT: i64 = 1_000_000;
/// The waste that a source is allowed. What is left of it falls no further below zero than by one large, entirely
/// refused batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// The refill per second.
    pub waste_per_s: i64,
    /// The largest allowance.
    pub allowance_max: i64,
}

/// The allowance of a member. At its largest it covers what a bank resends after its stream broke, or one customer's
/// mischief.
pub const MEMBER: Allowance = Allowance { waste_per_s: 8_000, allowance_max: 32_768 };
/// The allowance of a source of customers' commands ([`crate::source_standing`]). It covers all that a bank may have in
/// flight, so that whoever sends again what a broken stream left unanswered is not slowed.
pub const CUSTOMER: Allowance = Allowance { waste_per_s: 1_000, allowance_max: 16_384 };
/// The lowest that the allowance may fall below zero, in units.
const DEBT_MAX: i64 = 8_192;
/// The time for which a source is verified alone after a bad signature.
const SUSPECT_FOR: Duration = Duration::from_secs(10);
/// The time for which a source is reported as slowed after it last was.
const REPORTED_FOR: Duration = Duration::from_secs(5);

/// Wasted work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waste {
    /// A bad signature.
    BadSignature,
    /// Refused before its signature was checked: the number is used or out of the window, or the record has expired.
    NotVerified,
    /// Ordered, and refused when it was applied.
    Refused,
}

impl Waste {
    fn cost(self) -> i64 {
        match self {
            Waste::BadSignature => 12 * UNIT,
            Waste::NotVerified => UNIT / 4,
            Waste::Refused => UNIT,
        }
    }
}

/// The standing of one source.
#[derive(Clone, Debug)]
pub struct Standing {
    allowed: Allowance,
    allowance: i64,
    refilled_at: Instant,
    suspect_until: Option<Instant>,
    reported_until: Option<Instant>,
}

impl Standing {
    /// The standing of a new source.
    pub fn new(allowed: Allowance, now: Instant) -> Standing {
        let allowance = allowed.allowance_max * UNIT;
        Standing { allowed, allowance, refilled_at: now, suspect_until: None, reported_until: None }
    }

    /// Records commands that settled.
    pub fn settled(&mut self, now: Instant, count: usize) {
        self.add(now, UNIT / 4, count);
    }

    /// Records wasted commands.
    pub fn wasted(&mut self, now: Instant, waste: Waste, count: usize) {
        if count == 0 {
            return;
        }
        self.add(now, -waste.cost(), count);
        if waste == Waste::BadSignature {
            self.suspect_until = Some(now + SUSPECT_FOR);
        }
        if self.is_slowed(now) {
            self.reported_until = Some(now + REPORTED_FOR);
        }
    }

    /// Whether its allowance is full.
    pub fn is_full(&self, now: Instant) -> bool {
        self.allowance_at(now) == self.allowance_max()
    }

    /// What is left of its allowance, in costs of verifying one good signature; below zero once it is used up.
    pub fn left(&self, now: Instant) -> i64 {
        self.allowance_at(now).div_euclid(UNIT)
    }

    /// Whether its allowance is used up.
    pub fn is_slowed(&self, now: Instant) -> bool {
        self.allowance_at(now) < 0
    }

    /// The time at which its allowance is refilled, if it is used up.
    pub fn refilled(&self, now: Instant) -> Option<Instant> {
        let lacking = self.allowance_at(now).checked_neg().filter(|lacking| *lacking > 0)?;
        Some(now + Duration::from_micros(u64::try_from(lacking / self.allowed.waste_per_s).unwrap_or(0) + 1))
    }

    /// Whether it recently sent a bad signature.
    pub fn is_suspect(&self, now: Instant) -> bool {
        self.suspect_until.is_some_and(|until| now < until)
    }

    /// Whether it was recently slowed, for reports: a slowed source is slowed again and again.
    pub fn is_reported_slowed(&self, now: Instant) -> bool {
        self.reported_until.is_some_and(|until| now < until)
    }

    fn add(&mut self, now: Instant, each: i64, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let added = self.allowance_at(now).saturating_add(each.saturating_mul(count));
        (self.allowance, self.refilled_at) = (added.clamp(-DEBT_MAX * UNIT, self.allowance_max()), now);
    }

    fn allowance_at(&self, now: Instant) -> i64 {
        let passed_us = now.saturating_duration_since(self.refilled_at).as_micros();
        let refill = i64::try_from(passed_us).unwrap_or(i64::MAX).saturating_mul(self.allowed.waste_per_s);
        self.allowance.saturating_add(refill).min(self.allowance_max())
    }

    fn allowance_max(&self) -> i64 {
        self.allowed.allowance_max * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The hundredths of twenty seconds during which a source with such traffic per second is slowed.
    fn slowed(settled: usize, waste: Waste, wasted: usize) -> usize {
        let mut now = Instant::now();
        let mut standing = Standing::new(MEMBER, now);
        let mut slowed = 0;
        for _ in 0..2_000 {
            now += SECOND / 100;
            standing.settled(now, settled / 100);
            standing.wasted(now, waste, wasted / 100);
            slowed += usize::from(standing.is_slowed(now));
        }
        slowed
    }

    #[test]
    fn a_source_with_the_usual_share_of_refusals_is_never_slowed() {
        for (settled, waste, wasted) in [
            (0, Waste::Refused, 8_000),
            (0, Waste::NotVerified, 32_000),
            (0, Waste::BadSignature, 600),
            (80_000, Waste::Refused, 20_000),
            (200_000, Waste::NotVerified, 200_000),
        ] {
            assert_eq!(slowed(settled, waste, wasted), 0, "{settled} {waste:?} {wasted}");
        }
        for (settled, waste, wasted) in
            [(0, Waste::Refused, 12_000), (0, Waste::NotVerified, 48_000), (10_000, Waste::BadSignature, 2_000)]
        {
            assert!(slowed(settled, waste, wasted) > 500, "{settled} {waste:?} {wasted}");
        }
    }

    #[test]
    fn a_slowed_source_is_as_before_within_a_second() {
        let now = Instant::now();
        let mut standing = Standing::new(MEMBER, now);
        standing.wasted(now, Waste::BadSignature, usize::MAX);
        assert!(standing.is_slowed(now) && standing.is_suspect(now) && standing.is_reported_slowed(now));
        let refilled = standing.refilled(now).unwrap();
        assert!(refilled <= now + SECOND * 11 / 10 && standing.is_slowed(refilled - SECOND / 1_000));
        assert!(!standing.is_slowed(refilled) && standing.refilled(refilled).is_none());
        let later = now + 20 * SECOND;
        assert!(!standing.is_suspect(later) && !standing.is_reported_slowed(later));
    }
}
