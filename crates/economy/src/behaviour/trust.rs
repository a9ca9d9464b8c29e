//! Trust of households in each bank and in CBDC, from 0 to 1.
//!
//! Shocks and failures lower it at once; it recovers with a half-life. By contagion a failure lowers the trust in every
//! other bank.

use super::{behaviour, parameters};

parameters! {
    "trust" {
        half_life_days = 120.0, 1.0 to 10000.0, "days until half of a loss of trust is recovered";
        contagion = 0.15, 0.0 to 1.0, "trust in every other bank lost by a bank's failure";
        outage_loss = 0.02, 0.0 to 1.0, "trust in CBDC lost by each day of an outage";
    }
}

behaviour! {
    /// The recovery of trust.
    Trust "trust" { HalfLife "half-life", }
}

impl Trust {
    fn equation(&self) -> &'static str {
        "trust ← 1 − (1 − trust) · 2^(−1/half-life) a day; a failure takes `contagion` from every other bank"
    }

    fn source(&self) -> &'static str {
        "this project's choice"
    }

    /// The part of a loss of trust that remains after a day.
    pub fn decay(&self) -> f64 {
        libm::exp2(-1.0 / self.parameters.half_life_days)
    }
}
