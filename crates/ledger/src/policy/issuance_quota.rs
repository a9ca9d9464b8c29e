//! Issuance quota: the most that may be issued to one bank on one ledger day, gross of redemptions.

use crate::types::amount::Amount;
use crate::types::outcome::{Outcome, Reason};

/// Refuses an issuance with `ISSUANCE_QUOTA` if the day's gross issuance to the bank would exceed `quota`.
pub fn check(quota: Option<Amount>, issued_today: Amount, amount: Amount) -> Result<(), Outcome> {
    let Some(quota) = quota else { return Ok(()) };
    let after = issued_today.plus(amount).unwrap_or(Amount::MAX);
    if after > quota { Err(Outcome::refused(Reason::IssuanceQuota, quota.minor(), after.minor())) } else { Ok(()) }
}
