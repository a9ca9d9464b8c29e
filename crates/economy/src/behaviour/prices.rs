//! Prices: how demand moves inflation.
//!
//! - `phillips`: inflation is expected inflation plus a slope times the output gap; expectations are partly anchored.
//! - `fixed`: no inflation.

use super::{behaviour, parameters};

parameters! {
    "prices" {
        slope = 0.15, 0.0 to 10.0, "yearly inflation for an output gap of 100 %";
        anchor = 0.02, -0.1 to 0.2, "inflation that expectations return to, a year";
        anchoring = 0.8, 0.0 to 1.0, "weight of the anchor in expectations; the rest is inflation now";
    }
}

behaviour! {
    /// The price behaviour.
    Prices "prices" { Phillips "phillips", Fixed "fixed", }
}

impl Prices {
    fn equation(&self) -> &'static str {
        match self.model {
            Model::Phillips => "π = anchoring · anchor + (1 − anchoring) · π + slope · gap; wages and prices grow by π",
            Model::Fixed => "π = 0",
        }
    }

    fn source(&self) -> &'static str {
        "New Keynesian Phillips curve in reduced form [K]; values are this project's choice"
    }

    /// Inflation at the start: the anchor of expectations.
    pub fn first_inflation(&self) -> f64 {
        match self.model {
            Model::Phillips => self.parameters.anchor,
            Model::Fixed => 0.0,
        }
    }

    /// Next month's yearly inflation, as a share.
    pub fn next_inflation(&self, inflation: f64, output_gap: f64) -> f64 {
        let parameters = &self.parameters;
        match self.model {
            Model::Phillips => {
                let expected = parameters.anchoring * parameters.anchor + (1.0 - parameters.anchoring) * inflation;
                (expected + parameters.slope * output_gap).clamp(-0.2, 0.5)
            }
            Model::Fixed => 0.0,
        }
    }
}
