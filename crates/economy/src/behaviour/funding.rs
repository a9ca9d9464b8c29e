//! Funding: how a bank replaces reserves that flow out, and places those that flow in.
//!
//! Every bank keeps reserves of a share of its deposits. The excess goes to the deposit facility overnight. A shortfall
//! is raised
//! - `least-cost`: from investors or from the central bank's refinancing, whichever is cheaper for this bank, the other
//!   when the first is exhausted (the idea of Meller and Soons, DNB WP 771, who solve for a bank's whole balance sheet
//!   under the liquidity rules; this is an order of two sources);
//! - `central-bank`: from the central bank only;
//! - `wholesale`: from investors as long as they have deposits to lend, then from the central bank.
//!
//! Wholesale funding raised in this way matures gradually. It is repaid out of reserves above the target, and rolled
//! over otherwise. The funding that a bank began with is always rolled over.

use super::{behaviour, parameters};

parameters! {
    "funding" {
        reserves_target = 0.02, 0.0 to 1.0, "reserves kept, as a share of deposits";
        wholesale_spread = 0.003, -0.05 to 0.5, "of wholesale funding over the policy rate at full trust";
        distrust_spread = 0.05, 0.0 to 5.0, "added to it where trust in the bank is gone";
        wholesale_share_max = 0.25, 0.0 to 1.0, "most wholesale funding, as a share of assets";
        wholesale_days = 90.0, 1.0 to 10000.0, "mean days until wholesale funding that was raised matures";
        refinancing_days = 7.0, 1.0 to 1000.0, "maturity of the central bank's refinancing, days";
        eligible_loans = 0.4, 0.0 to 1.0, "share of loans that the central bank takes as collateral";
        liquidity_floor = 0.05, 0.0 to 1.0,
            "liquid assets over deposits and wholesale funding below which lending is rationed";
    }
}

behaviour! {
    /// The funding behaviour.
    Funding "funding" { LeastCost "least-cost", CentralBank "central-bank", Wholesale "wholesale", }
}

impl Funding {
    fn equation(&self) -> &'static str {
        "wholesale rate = policy + spread + distrust · (1 − trust); 1/days of what was raised matures a day; \
        refinancing at the policy rate against collateral after haircut; overnight at the lending rate"
    }

    fn source(&self) -> &'static str {
        "this project's choice, rules and values; that lost deposits are replaced at least cost, subject to collateral, \
        is the idea of Meller and Soons (DNB WP 771) [A], whose optimisation under liquidity rules this is not"
    }

    /// The rate of wholesale funding, as a share a year.
    pub fn wholesale_rate(&self, policy_rate: f64, trust: f64) -> f64 {
        policy_rate + self.parameters.wholesale_spread + self.parameters.distrust_spread * (1.0 - trust)
    }

    /// Whether investors are asked before the central bank.
    pub fn asks_investors_first(&self, wholesale_rate: f64, refinancing_rate: f64) -> bool {
        match self.model {
            Model::LeastCost => wholesale_rate < refinancing_rate,
            Model::CentralBank => false,
            Model::Wholesale => true,
        }
    }
}
