//! Fiscal policy: taxes, pensions and government purchases.
//!
//! `balanced`: a tax on wages pays pensions and coupons; the remainder, and what the sale of bonds brings in that keeps
//! the debt's real amount, buys goods from firms each month.

use super::{behaviour, parameters};

parameters! {
    "fiscal" {
        tax = 0.3, 0.0 to 0.9, "share of gross wages taken as tax";
        pension_age = 67.0, 0.0 to 130.0, "age from which a household lives on a pension";
        pension_share = 0.7, 0.0 to 2.0, "pension as a share of the income drawn for the household";
        spent = 1.0, 0.0 to 2.0, "share of the month's taxes and remittances less pensions and coupons that buys goods";
        debt_speed = 0.04, 0.0 to 1.0, "part of the way back to its real amount that the debt covers in a month";
    }
}

behaviour! {
    /// The fiscal behaviour.
    Fiscal "fiscal" { Balanced "balanced", }
}

impl Fiscal {
    fn equation(&self) -> &'static str {
        "tax = τ · gross wages; purchases = max(0, spent · (taxes − pensions − coupons + remittance) + growth of prices \
        · debt + speed · (debt at rest · prices − debt)) a month; bonds are sold when the account would run dry"
    }

    fn source(&self) -> &'static str {
        "this project's choice: a balanced budget keeps the government out of the way of what is studied"
    }
}
