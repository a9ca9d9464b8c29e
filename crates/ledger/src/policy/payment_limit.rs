//! Payment limit: the largest single transfer that a holder of a class may send.
//!
//! Funding, defunding and transfers between wallets of the same holder do not count as payments.

use crate::types::amount::Amount;
use crate::types::outcome::{Outcome, Reason};

/// Refuses a payment above `limit` with `PAYMENT_LIMIT`.
pub fn check(limit: Option<Amount>, amount: Amount) -> Result<(), Outcome> {
    let Some(limit) = limit else { return Ok(()) };
    if amount > limit { Err(Outcome::refused(Reason::PaymentLimit, limit.minor(), amount.minor())) } else { Ok(()) }
}
