//! Holding limit: what one holder may have over all wallets at all banks, by class.
//!
//! It is tested on credits only, against the holder's posted sum of available, held and locked money; earmarked money,
//! interest and what an order pays are exempt. A holder above a limit that was lowered may always spend, and a payment
//! between two wallets of the same holder, which changes no total, is never refused.

use crate::types::amount::Amount;

/// By how much `held` is above the limit.
pub fn excess(limit: Amount, held: Amount) -> Amount {
    held.minus_or_zero(limit)
}
