//! Consumption: a household's planned spending in a month.
//!
//! - `buffer-stock`: a propensity out of income and one out of liquid wealth, lowered by a high real rate.
//! - `hand-to-mouth`: all of the income and nothing else.

use super::{behaviour, parameters};

parameters! {
    "consumption" {
        out_of_income = 0.9, 0.0 to 2.0, "spent of each unit of income after tax";
        out_of_wealth = 0.02, 0.0 to 1.0, "spent a month of each unit of liquid wealth";
        rate_elasticity = 0.5, 0.0 to 10.0,
            "fall in spending, as a share, for a real rate 100 points above the neutral one";
        neutral_rate = 0.005, -0.1 to 0.2, "real rate at which spending is neither raised nor lowered";
        retail_share = 0.75, 0.0 to 1.0, "share paid day by day; the rest are monthly bills by transfer";
    }
}

behaviour! {
    /// The consumption behaviour.
    Consumption "consumption" { BufferStock "buffer-stock", HandToMouth "hand-to-mouth", }
}

impl Consumption {
    fn equation(&self) -> &'static str {
        match self.model {
            Model::BufferStock => {
                "C = (c1 · income + c2 · liquid wealth) · (1 − η · (real rate − neutral rate)) a month"
            }
            Model::HandToMouth => "C = income",
        }
    }

    fn source(&self) -> &'static str {
        match self.model {
            Model::BufferStock => {
                "form of Barucci et al. (c1 income + c2 wealth) [S]; values are this project's choice: wealth is \
                steady at about half a year's income"
            }
            Model::HandToMouth => "a limiting case",
        }
    }

    /// Spending in a month, minor units.
    pub fn minor_a_month(&self, income_minor: f64, liquid_minor: f64, real_rate: f64) -> f64 {
        let parameters = &self.parameters;
        match self.model {
            Model::BufferStock => {
                let level = parameters.out_of_income * income_minor + parameters.out_of_wealth * liquid_minor;
                let response = 1.0 - parameters.rate_elasticity * (real_rate - parameters.neutral_rate);
                level * response.clamp(0.5, 1.5)
            }
            Model::HandToMouth => income_minor,
        }
    }
}
