//! Fees of CBDC payments, by the schedules of the ledger's policy.

use cbdc_ledger::identity::Class;
use cbdc_ledger::policy::FeeSchedule;

use super::Economy;
use crate::authority::minor;

impl Economy<'_> {
    /// The schedule that households pay as payers.
    pub(super) fn payer_fees(&self) -> FeeSchedule {
        self.authority.ledger().parameters().class(Class::HOUSEHOLD).payer_fee
    }

    /// The schedule of fees withheld from firms as payees.
    pub(super) fn merchant_fees(&self) -> FeeSchedule {
        self.authority.ledger().parameters().class(Class::BUSINESS).payee_fee
    }
}

/// The fee of an amount by the ledger's own schedule, minor units.
pub(super) fn fee_of(schedule: &FeeSchedule, amount_minor: i64) -> i64 {
    i64::try_from(schedule.fee(minor(amount_minor)).minor()).unwrap_or(i64::MAX)
}
