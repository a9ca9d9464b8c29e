//! Supply cap: the most CBDC that may be in circulation, treasuries included, for further issuance.
//!
//! Only new CBDC is tested: issue, reverse waterfall and programmes. Lowering the cap below the supply stops new
//! issuance and takes nothing back.

use crate::types::amount::Amount;
use crate::types::outcome::{Outcome, Reason};

/// Refuses an issuance with `SUPPLY_CAP` if the CBDC in circulation would exceed `cap`.
pub fn check(cap: Option<Amount>, supply: Amount, issued: Amount) -> Result<(), Outcome> {
    let Some(cap) = cap else { return Ok(()) };
    let after = supply.plus(issued).unwrap_or(Amount::MAX);
    if after > cap { Err(Outcome::refused(Reason::SupplyCap, cap.minor(), after.minor())) } else { Ok(()) }
}
