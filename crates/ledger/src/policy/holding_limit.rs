//! Holding limit: what one person may hold over all wallets at all banks, by class.
//!
//! It is tested on credits only. A person above a limit that was lowered may always spend, and a payment between two
//! wallets of the same person, which changes no total, is never refused.

use crate::amount::Amount;
use crate::holder::Holder;
use crate::outcome::{Outcome, Reason};
use crate::policy::Parameters;

pub fn check(parameters: &Parameters, holder: &Holder, credit: Amount) -> Result<(), Outcome> {
    let Some(limit) = parameters.class(holder.class).holding_limit else { return Ok(()) };
    let after = holder.posted.plus(credit).unwrap_or(Amount::MAX);
    if after > limit { Err(Outcome::refused(Reason::HoldingLimit, limit.minor(), after.minor())) } else { Ok(()) }
}
