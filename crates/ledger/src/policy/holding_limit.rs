//! Holding limit: what one holder may have over all wallets at all banks, by class.
//!
//! It is tested on credits only, against the holder's posted sum of available, held and locked money; earmarked money,
//! interest and what an order pays are exempt. A holder above a limit that was lowered may always spend. A payment
//! between two wallets of the same holder is tested by what it adds to their sum: nothing, or what a bank tops it up
//! with.
//!
//! A refusal tells the limit and what was to be credited, never what the payee holds: the payer reads it.

use crate::types::amount::Amount;

/// By how much `held` is above the limit.
pub fn excess(limit: Amount, held: Amount) -> Amount {
    held.minus_or_zero(limit)
}
