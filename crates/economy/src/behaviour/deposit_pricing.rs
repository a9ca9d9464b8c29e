//! Deposit pricing: the rate that banks pay on sight deposits.
//!
//! - `pass-through`: a share of the policy rate less a margin, reached step by step; where CBDC pays more, banks close
//!   a part of the gap, the more of their customers hold it.
//! - `fixed`: minus the margin, whatever the policy rate.

use super::{behaviour, parameters};

parameters! {
    "deposit_pricing" {
        pass_through = 0.11, -1.0 to 2.0, "share of the policy rate that reaches sight deposits";
        margin = 0.0, -0.1 to 0.1, "taken off, as a share a year";
        floor = 0.0, -0.1 to 0.1, "lowest rate, as a share a year";
        adjustment = 0.25, 0.0 to 1.0, "part of the way to the new rate covered at each monthly review";
        competition = 0.5, 0.0 to 1.0,
            "part of CBDC's lead over the deposit rate that a bank closes if all its customers have a wallet";
    }
}

behaviour! {
    /// The deposit-pricing behaviour.
    DepositPricing "deposit_pricing" { PassThrough "pass-through", Fixed "fixed", }
}

impl DepositPricing {
    fn equation(&self) -> &'static str {
        "target = max(floor, pass · policy − margin); + competition · share of customers with a wallet · max(0, r_cbdc \
        − target); r ← r + adjustment · (target − r) monthly"
    }

    fn source(&self) -> &'static str {
        "50 of 450 basis points reached overnight deposits: ECB Economic Bulletin 8/2023 [A]; competition after Li, Usher, Zhu \
        (BoC 2024-4) in sign [S]; values are this project's choice"
    }

    /// The next rate, as a share a year; `exposed` is the share of the bank's customers with a wallet.
    pub fn next_rate(&self, rate: f64, policy_rate: f64, cbdc_rate: f64, exposed: f64) -> f64 {
        let parameters = &self.parameters;
        let own = match self.model {
            Model::PassThrough => parameters.pass_through * policy_rate - parameters.margin,
            Model::Fixed => -parameters.margin,
        };
        let own = own.max(parameters.floor);
        let target = own + parameters.competition * exposed * (cbdc_rate - own).max(0.0);
        rate + parameters.adjustment * (target - rate)
    }
}
