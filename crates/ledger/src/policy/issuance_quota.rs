//! Issuance quota: how much may be issued to one bank on one ledger day, gross of what it redeems.

use super::parameters::Parameters;
use crate::types::amount::Amount;
use crate::types::identity::BankId;
use crate::types::outcome::{Outcome, Reason};

pub fn check(parameters: &Parameters, bank: BankId, issued_today: Amount, amount: Amount) -> Result<(), Outcome> {
    let own = parameters.issuance_quota_of_bank.get(&bank).copied();
    let Some(quota) = own.or(parameters.issuance_quota) else { return Ok(()) };
    let after = issued_today.plus(amount).unwrap_or(Amount::MAX);
    if after > quota { Err(Outcome::refused(Reason::IssuanceQuota, quota.minor(), after.minor())) } else { Ok(()) }
}
