//! Trust: how much households trust each bank, and CBDC. 1 is full trust.
//!
//! Shocks and failures lower it at once; it comes back with a half-life. A failure touches the trust in every other
//! bank by contagion.

use super::{behaviour, parameters};

parameters! {
    "trust" {
        half_life_days = 120.0, 1.0 to 10000.0, "days until half of a loss of trust is made good";
        contagion = 0.15, 0.0 to 1.0, "trust in every other bank lost by a bank's failure";
        outage_loss = 0.02, 0.0 to 1.0, "trust in CBDC lost by each day of an outage";
    }
}

behaviour! {
    /// How trust comes back.
    Trust "trust" { HalfLife "half-life", }
}

impl Trust {
    fn equation(&self) -> &'static str {
        "trust ← 1 − (1 − trust) · 2^(−1/half-life) a day; a failure takes `contagion` from every other bank"
    }

    fn source(&self) -> &'static str {
        "this project's choice"
    }

    /// What is left of a loss of trust after a day.
    pub fn decay(&self) -> f64 {
        libm::exp2(-1.0 / self.parameters.half_life_days)
    }
}
