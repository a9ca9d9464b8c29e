//! Velocity: how many payments one person may settle within a rolling window, over all wallets at all banks.
//!
//! A payment at time t is refused if `payments` others of that person settled in (t − window, t]. Payments count from
//! the time at which the class has a velocity rule. Funding, defunding and transfers to oneself are no payments.

use std::collections::VecDeque;

use crate::encoding::{DecodeError, Reader, Writer};
use crate::holder::Holder;
use crate::outcome::{Outcome, Reason};
use crate::policy::Parameters;
use crate::time::Timestamp;

/// The largest number of payments that a rule may name, and the number of times kept for each person.
pub const PAYMENTS_MAX: u16 = 64;
/// The longest window: 31 days.
pub const WINDOW_MS_MAX: u64 = 31 * 86_400_000;

/// At most `payments` within `window_ms`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VelocityRule {
    /// 1 to [`PAYMENTS_MAX`].
    pub payments: u16,
    /// 1 ms to [`WINDOW_MS_MAX`].
    pub window_ms: u64,
}

impl VelocityRule {
    pub fn is_sound(&self) -> bool {
        (1..=PAYMENTS_MAX).contains(&self.payments) && (1..=WINDOW_MS_MAX).contains(&self.window_ms)
    }

    /// No rule is zeros.
    pub(crate) fn encode(rule: &Option<VelocityRule>, out: &mut Writer) {
        let (payments, window_ms) = rule.map_or((0, 0), |rule| (rule.payments, rule.window_ms));
        out.u16(payments).u64(window_ms);
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Option<VelocityRule>, DecodeError> {
        match (input.u16()?, input.u64()?) {
            (0, 0) => Ok(None),
            (0, window_ms) => Err(input.wrong("a window of 0 where no payments are named", window_ms)),
            (payments, window_ms) => Ok(Some(VelocityRule { payments, window_ms })),
        }
    }
}

/// The times of a person's last payments, ascending; empty for persons without a rule.
// Eight bytes for each of the many holders without a rule, instead of an empty queue's 32.
#[allow(clippy::box_collection)]
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecentPayments(Option<Box<VecDeque<Timestamp>>>);

impl RecentPayments {
    /// How many payments were settled after `time`.
    pub fn since(&self, time: Option<Timestamp>) -> usize {
        let Some(times) = &self.0 else { return 0 };
        times.iter().rev().take_while(|settled| time.is_none_or(|time| **settled > time)).count()
    }

    /// The last payment of all.
    pub fn last(&self) -> Option<Timestamp> {
        self.0.as_ref()?.back().copied()
    }

    pub(crate) fn note(&mut self, time: Timestamp) {
        let times = self.0.get_or_insert_default();
        if times.len() == usize::from(PAYMENTS_MAX) {
            times.pop_front();
        }
        times.push_back(time);
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        let times = self.0.iter().flat_map(|times| times.iter());
        out.u8(times.clone().count() as u8);
        times.for_each(|time| {
            out.u64(time.0);
        });
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<RecentPayments, DecodeError> {
        let mut recent = RecentPayments::default();
        for _ in 0..input.u8()? {
            recent.note(Timestamp(input.u64()?));
        }
        Ok(recent)
    }
}

/// `recent` is asked only where the class has a rule.
pub fn check<'a>(
    parameters: &Parameters,
    payer: &Holder,
    recent: impl FnOnce() -> &'a RecentPayments,
    now: Timestamp,
) -> Result<(), Outcome> {
    let Some(rule) = parameters.class(payer.class).velocity else { return Ok(()) };
    let count = recent().since(now.0.checked_sub(rule.window_ms).map(Timestamp)) as u64 + 1;
    if count > u64::from(rule.payments) {
        return Err(Outcome::refused(Reason::Velocity, u64::from(rule.payments), count));
    }
    Ok(())
}
