//! Credit: banks' lending in a month.
//!
//! `demand-and-supply`: borrowers repay a share and demand new loans, so that their loans keep their real amount at
//! rest, the less the higher the rate; the bank supplies them as far as its capital ratio and its liquidity allow.

use super::{behaviour, parameters};

parameters! {
    "credit" {
        repaid = 0.01, 0.0 to 1.0, "share of loans repaid in a month";
        rate_elasticity = 3.0, 0.0 to 50.0,
            "fall in the amount of loans wanted, as a share, for a loan rate 100 points above that at rest";
        speed = 0.05, 0.0 to 1.0, "part of the way to the amount wanted that is covered in a month";
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
        "wanted = loans at rest · prices · (1 − η · (r − r at rest)); new = loans · max(0, repaid + lost + growth of \
         prices + speed · (wanted / loans − 1)) · clamp((ratio − floor) / (target − floor), 0, 1), halved below the \
         liquidity floor"
    }

    fn source(&self) -> &'static str {
        "this project's choice; that dearer or scarcer funding cuts lending is common, but studies differ on whether \
        CBDC does: with market power of banks lending may rise (Andolfatto 2021, Chiu and others 2023)"
    }

    /// The loans wanted over those there are, if these are `of_rest` of the loans at rest in real terms and their rate
    /// is this much above that at rest.
    pub fn wanted_ratio(&self, of_rest: f64, rate_above: f64) -> f64 {
        let wanted = (1.0 - self.parameters.rate_elasticity * rate_above).max(0.0);
        if of_rest > 0.0 { (wanted / of_rest).min(10.0) } else { 1.0 }
    }

    /// New loans in a month as a share of loans; `replaced` keeps the real amount: losses and the growth of prices.
    pub fn new_share(&self, replaced: f64, wanted_ratio: f64, capital_ratio: f64, is_liquid: bool) -> f64 {
        let parameters = &self.parameters;
        let wanted = parameters.repaid + replaced + parameters.speed * (wanted_ratio - 1.0);
        let range = (parameters.capital_target - parameters.capital_floor).max(1e-6);
        let supply = ((capital_ratio - parameters.capital_floor) / range).clamp(0.0, 1.0);
        wanted.max(0.0) * supply * if is_liquid { 1.0 } else { 0.5 }
    }
}
