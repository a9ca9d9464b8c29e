//! Resolution: when a bank fails, and who bears its loss.
//!
//! - `insured`: investors in wholesale funding bear the loss first, then deposits above the insured amount, then the
//!   government for the insurance.
//! - `bail-out`: the government bears all of it.
//! - `bail-in`: investors, then all deposits alike, insured or not.

use super::{behaviour, parameters};

parameters! {
    "resolution" {
        insured_minor = 10000000.0, 0.0 to 1000000000000.0, "insured deposit per household, minor units";
        trigger = 0.02, -1.0 to 1.0, "capital ratio below which a bank fails";
        fire_sale = 0.03, 0.0 to 1.0, "share of its loans' value that a failed bank's resolution loses";
    }
}

behaviour! {
    /// The resolution regime.
    Resolution "resolution" { Insured "insured", BailOut "bail-out", BailIn "bail-in", }
}

impl Resolution {
    fn equation(&self) -> &'static str {
        match self.model {
            Model::Insured => {
                "fails when equity / risk-weighted assets < trigger or nobody lends to it; loss: wholesale, deposits \
                above the insured amount pro rata, government"
            }
            Model::BailOut => "fails likewise; loss: government",
            Model::BailIn => "fails likewise; loss: wholesale, all deposits pro rata",
        }
    }

    fn source(&self) -> &'static str {
        "insured amount: EUR 100,000, Directive 2014/49/EU [K]; order of losses: Directive 2014/59/EU [K], simplified; \
        the rest is this project's choice"
    }

    /// Whether investors bear losses.
    pub fn bails_in(&self) -> bool {
        self.model != Model::BailOut
    }

    /// The part of a deposit that can bear losses.
    pub fn exposed_minor(&self, deposit_minor: i64) -> i64 {
        match self.model {
            Model::Insured => (deposit_minor - self.parameters.insured_minor as i64).max(0),
            Model::BailOut => 0,
            Model::BailIn => deposit_minor.max(0),
        }
    }
}
