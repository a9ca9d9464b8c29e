//! Velocity: the most payments that one holder may settle within a rolling window, over all wallets at all banks.
//!
//! A payment at time t is refused if `payments` others of that holder settled in (t − window, t]. Payments count from
//! the time at which the class has a velocity rule. Funding, defunding and transfers to oneself do not count as
//! payments.

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::state::recent_payments::RecentPayments;
use crate::types::outcome::{Outcome, Reason};
use crate::types::time::Timestamp;

/// The largest number of payments that a rule may name.
pub use crate::state::recent_payments::PAYMENTS_MAX;

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
    /// Whether the rule is within the bounds.
    pub fn is_sound(&self) -> bool {
        (1..=PAYMENTS_MAX).contains(&self.payments) && (1..=WINDOW_MS_MAX).contains(&self.window_ms)
    }

    /// Appends the rule; zeros if there is none.
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

/// Refuses a payment with `VELOCITY` if the holder's recent payments reach the rule's number. `recent` is read only if
/// there is a rule.
pub fn check<'a>(
    rule: Option<VelocityRule>,
    recent: impl FnOnce() -> &'a RecentPayments,
    now: Timestamp,
) -> Result<(), Outcome> {
    let Some(rule) = rule else { return Ok(()) };
    let count = recent().since(now.0.checked_sub(rule.window_ms).map(Timestamp)) as u64 + 1;
    if count > u64::from(rule.payments) {
        return Err(Outcome::refused(Reason::Velocity, u64::from(rule.payments), count));
    }
    Ok(())
}
