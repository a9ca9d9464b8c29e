//! Payout: banks' running costs and dividends.
//!
//! `capital-target`: costs are a share of deposits and loans, paid to firms; equity above the capital target goes to
//! investors, a part of it each month.

use super::{behaviour, parameters};

parameters! {
    "payout" {
        cost = 0.007, 0.0 to 0.2, "running costs a year, as a share of deposits and loans";
        capital_target = 0.14, 0.0 to 1.0, "capital ratio above which dividends are paid";
        speed = 0.2, 0.0 to 1.0, "part of the equity above the target that is paid each month";
    }
}

behaviour! {
    /// The payout behaviour.
    Payout "payout" { CapitalTarget "capital-target", }
}

impl Payout {
    fn equation(&self) -> &'static str {
        "costs = c · (deposits + loans) / 12; dividend = speed · max(0, equity − target · risk-weighted assets)"
    }

    fn source(&self) -> &'static str {
        "this project's choice; costs of 0.7 % of deposits and loans are the order of euro-area banks' administrative \
        costs [K]"
    }
}
