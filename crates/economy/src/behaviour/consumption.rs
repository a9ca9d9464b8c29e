//! Consumption: a household's planned spending in a month.
//!
//! - `buffer-stock`: its normal spending, which its budget leaves at rest (`simulation::rest`), corrected by what
//!   income and liquid wealth are above or below their level at rest, and by the real rate. What all households have
//!   above is wealth, and spent slowly. What one has above or below the others is a month with fewer or larger
//!   purchases than planned, and is soon made up for.
//! - `hand-to-mouth`: all of the income and nothing else.

use super::{behaviour, parameters};

parameters! {
    "consumption" {
        out_of_income = 0.9, 0.0 to 2.0, "spent of each unit of income after tax above its level at rest";
        out_of_wealth = 0.02, 0.0 to 1.0, "spent a month of each unit of liquid wealth that all have above that at rest";
        made_up = 0.15, 0.0 to 1.0, "spent a month of each unit that one household has above the others";
        rate_elasticity = 0.5, 0.0 to 10.0,
            "fall in spending, as a share, for a real rate 100 points above that at rest";
        retail_share = 0.75, 0.0 to 1.0, "share paid day by day; the rest are monthly bills by transfer";
    }
}

behaviour! {
    /// The consumption behaviour.
    Consumption "consumption" { BufferStock "buffer-stock", HandToMouth "hand-to-mouth", }
}

/// What a household plans its spending by: a month's amounts, minor units.
#[derive(Clone, Copy, Debug)]
pub struct SpendingView {
    pub income_minor: f64,
    /// Income and spending at rest.
    pub income_at_rest_minor: f64,
    pub normal_minor: f64,
    /// The household's part of what all have above their liquid wealth at rest, and what it has above that part.
    pub wealth_above_minor: f64,
    pub own_above_minor: f64,
    /// Real rate less that at rest, as a share a year.
    pub real_rate_above: f64,
}

impl Consumption {
    fn equation(&self) -> &'static str {
        match self.model {
            Model::BufferStock => {
                "C = (normal + c1 · (income − income at rest) + c2 · A + m · (liquid wealth − wealth at rest − A)) · (1 − η \
                · (real rate − real rate at rest)) a month; A: its part of what all have above their wealth at rest"
            }
            Model::HandToMouth => "C = income",
        }
    }

    fn source(&self) -> &'static str {
        match self.model {
            Model::BufferStock => {
                "propensities in form of Barucci et al. (c1 income + c2 wealth) [S], around a target of wealth (Carroll \
                1997, Quarterly Journal of Economics 112(1) [K]); values are this project's choice"
            }
            Model::HandToMouth => "a limiting case",
        }
    }

    /// Planned spending in a month, minor units.
    pub fn minor_a_month(&self, view: &SpendingView) -> f64 {
        let parameters = &self.parameters;
        match self.model {
            Model::BufferStock => {
                let level = view.normal_minor
                    + parameters.out_of_income * (view.income_minor - view.income_at_rest_minor)
                    + parameters.out_of_wealth * view.wealth_above_minor
                    + parameters.made_up * view.own_above_minor;
                let response = 1.0 - parameters.rate_elasticity * view.real_rate_above;
                level.max(0.0) * response.clamp(0.5, 1.5)
            }
            Model::HandToMouth => view.income_minor,
        }
    }
}
