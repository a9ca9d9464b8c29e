//! Holding limit: the most that one holder may have over all wallets at all banks, by class.
//!
//! It is tested on credits only, against the holder's posted sum of available, held and locked money; earmarked money,
//! interest and payments by court order are exempt. A holder above a lowered limit may always spend. A payment between
//! two wallets of the same holder is tested by what it adds to their sum: nothing, or a bank's top-up.
//!
//! A refusal names the limit and the amount to be credited, never what the payee holds: the payer reads it.

use crate::types::amount::Amount;

/// The amount by which `held` exceeds the limit.
pub fn excess(limit: Amount, held: Amount) -> Amount {
    held.minus_or_zero(limit)
}
