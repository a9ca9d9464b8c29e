//! Fiscal policy: taxes, pensions and government purchases.
//!
//! `balanced`: a tax on wages pays pensions; the remainder buys goods from firms each month.

use super::{behaviour, parameters};

parameters! {
    "fiscal" {
        tax = 0.25, 0.0 to 0.9, "share of gross wages taken as tax";
        pension_age = 67.0, 0.0 to 130.0, "age from which a household lives on a pension";
        pension_share = 0.7, 0.0 to 2.0, "pension as a share of the income drawn for the household";
        spent = 1.0, 0.0 to 2.0, "share of the month's taxes less pensions that buys goods";
    }
}

behaviour! {
    /// The fiscal behaviour.
    Fiscal "fiscal" { Balanced "balanced", }
}

impl Fiscal {
    fn equation(&self) -> &'static str {
        "tax = τ · gross wages; purchases = spent · max(0, taxes − pensions − coupons) a month; bonds are sold when \
        the account would run dry"
    }

    fn source(&self) -> &'static str {
        "this project's choice: a balanced budget keeps the government out of the way of what is studied"
    }
}
