//! Day limit: what one holder may send in settled payments on one ledger day, over all wallets at all banks.
//!
//! Funding, defunding and transfers between wallets of the same holder do not count as payments.

use crate::state::holder::Holder;
use crate::types::amount::Amount;
use crate::types::outcome::{Outcome, Reason};
use crate::types::time::LedgerDay;

/// Refuses a payment with `DAY_LIMIT` if the payer's holder would pay more than `limit` on `today`.
pub fn check(limit: Option<Amount>, payer: &Holder, today: LedgerDay, amount: Amount) -> Result<(), Outcome> {
    let Some(limit) = limit else { return Ok(()) };
    let after = payer.paid_on(today).plus(amount).unwrap_or(Amount::MAX);
    if after > limit { Err(Outcome::refused(Reason::DayLimit, limit.minor(), after.minor())) } else { Ok(()) }
}
