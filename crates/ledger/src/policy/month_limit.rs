//! Month limit: what one holder may send in settled payments in one calendar month, over all wallets at all banks.
//!
//! Funding, defunding, fees and transfers between wallets of the same holder do not count as payments.

use crate::state::holder::Holder;
use crate::types::amount::Amount;
use crate::types::outcome::{Outcome, Reason};
use crate::types::time::LedgerDay;

/// Refuses a payment with `MONTH_LIMIT` if the payer's holder would pay more than `limit` in the month that begins with
/// `first_of_month`.
pub fn check(limit: Option<Amount>, payer: &Holder, first_of_month: LedgerDay, amount: Amount) -> Result<(), Outcome> {
    let Some(limit) = limit else { return Ok(()) };
    let after = payer.paid_since(first_of_month).plus(amount).unwrap_or(Amount::MAX);
    if after > limit { Err(Outcome::refused(Reason::MonthLimit, limit.minor(), after.minor())) } else { Ok(()) }
}
