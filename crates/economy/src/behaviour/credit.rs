//! Credit: banks' lending in a month.
//!
//! `demand-and-supply`: borrowers repay a share and demand new loans, the less the higher the rate; the bank supplies
//! them as far as its capital ratio and its liquidity allow.

use super::{behaviour, parameters};

parameters! {
    "credit" {
        repaid = 0.01, 0.0 to 1.0, "share of loans repaid in a month";
        growth = 0.0015, -0.5 to 0.5, "growth of loans wanted in a month at the normal rate";
        rate_elasticity = 0.5, 0.0 to 50.0,
            "fall in wanted loans a month, as a share of loans, for a loan rate 100 points above normal";
        normal_rate = 0.04, 0.0 to 1.0, "loan rate at which the normal growth is wanted";
        capital_floor = 0.08, 0.0 to 1.0, "capital ratio at which lending stops";
        capital_target = 0.13, 0.0 to 1.0, "capital ratio from which lending is free";
    }
}

behaviour! {
    /// The credit behaviour.
    Credit "credit" { DemandAndSupply "demand-and-supply", }
}

impl Credit {
    fn equation(&self) -> &'static str {
        "new = loans · max(0, repaid + growth − η · (r − normal)) · clamp((ratio − floor) / (target − floor), 0, 1), \
         halved below the liquidity floor"
    }

    fn source(&self) -> &'static str {
        "this project's choice; the signs are those of every study of CBDC and lending"
    }

    /// New loans in a month as a share of loans.
    pub fn new_share(&self, loan_rate: f64, capital_ratio: f64, is_liquid: bool) -> f64 {
        let parameters = &self.parameters;
        let wanted =
            parameters.repaid + parameters.growth - parameters.rate_elasticity * (loan_rate - parameters.normal_rate);
        let range = (parameters.capital_target - parameters.capital_floor).max(1e-6);
        let supply = ((capital_ratio - parameters.capital_floor) / range).clamp(0.0, 1.0);
        wanted.max(0.0) * supply * if is_liquid { 1.0 } else { 0.5 }
    }
}
