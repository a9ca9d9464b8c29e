//! Loan pricing: the rate that banks charge on loans.
//!
//! `funding-cost`: the mean cost of the bank's own funding (deposits, wholesale, central bank) and the policy rate, by
//! weight, plus a mark-up, plus a premium while capital is short. So dearer funding reaches borrowers.

use super::{behaviour, parameters};

parameters! {
    "loan_pricing" {
        mark_up = 0.02, -0.1 to 0.5, "over the cost of funds, as a share a year";
        own_cost_weight = 0.6, 0.0 to 1.0, "weight of the bank's own funding cost; the rest is the policy rate's";
        capital_premium = 0.2, 0.0 to 10.0, "premium for each unit of missing capital ratio";
        adjustment = 0.2, 0.0 to 1.0, "part of the way to the new rate covered at each monthly review";
    }
}

behaviour! {
    /// The loan-pricing behaviour.
    LoanPricing "loan_pricing" { FundingCost "funding-cost", }
}

impl LoanPricing {
    fn equation(&self) -> &'static str {
        "target = w · own funding cost + (1 − w) · policy + mark-up + premium · max(0, target ratio − capital ratio); \
        r ← r + adjustment · (target − r) monthly"
    }

    fn source(&self) -> &'static str {
        "cost-plus pricing (Klein 1971, Monti 1972 [K]); values are this project's choice"
    }

    /// The next rate, as a share a year.
    pub fn next_rate(&self, rate: f64, funding_cost: f64, policy_rate: f64, missing_capital_ratio: f64) -> f64 {
        let parameters = &self.parameters;
        let weight = parameters.own_cost_weight;
        let target = weight * funding_cost
            + (1.0 - weight) * policy_rate
            + parameters.mark_up
            + parameters.capital_premium * missing_capital_ratio.max(0.0);
        rate + parameters.adjustment * (target.max(0.0) - rate)
    }
}
