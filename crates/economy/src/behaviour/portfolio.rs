//! Portfolio: how much CBDC a household with a wallet wants to hold, out of its liquid wealth.
//!
//! - `logit`: money is a bundle of attributes (Li 2023; ECB WP 2980 reads tastes off the cash/deposit split). The share
//!   of liquid wealth held as CBDC is a logistic function of the rate spread, of distrust in banks and of taste; at
//!   least some days of spending are held where CBDC is used to pay.
//! - `transactions`: only some days of spending by CBDC; the waterfalls do the rest.
//! - `full-to-limit`: as much as the limit and the deposit allow. The stress case of the ECB's technical note (2025).
//! - `risk`: a share that grows linearly with the risk of the household's bank, RM = debt / equity − 1 in form, after
//!   the smooth design CBDC2 of Barucci, Gurgone, Iori, Azzone (arXiv 2510.21071).

use super::{behaviour, logistic, parameters};

parameters! {
    "portfolio" {
        attractiveness = -3.5, -20.0 to 20.0, "logit of the share held at equal rates and full trust";
        rate_sensitivity = 60.0, 0.0 to 1000.0, "logit points for a rate spread of 100 % a year";
        distrust_sensitivity = 6.0, 0.0 to 100.0, "logit points where trust in banks is gone";
        transaction_days = 7.0, 0.0 to 365.0, "days of spending held for payments";
        share_low = 0.1, 0.0 to 1.0, "risk: share held while the bank's risk is at most risk_low";
        share_high = 0.3, 0.0 to 1.0, "risk: share held where it is at least risk_high";
        risk_low = 6.0, 0.0 to 1000.0, "risk: debt over equity where conversion begins";
        risk_high = 13.6, 0.0 to 1000.0, "risk: debt over equity where it ends";
        rebalance_days = 7.0, 1.0 to 365.0, "days between two looks at the holdings";
        tolerance = 0.2, 0.0 to 1.0, "deviation from the wanted holdings that is left alone, as a share of them";
    }
}

behaviour! {
    /// The portfolio behaviour.
    Portfolio "portfolio" { Logit "logit", Transactions "transactions", FullToLimit "full-to-limit", Risk "risk", }
}

/// The state on which a household bases its choice.
#[derive(Clone, Copy, Debug)]
pub struct PortfolioView {
    /// Deposit, CBDC and cash, minor units.
    pub liquid_minor: f64,
    /// Spending a day by CBDC, minor units.
    pub spending_minor_a_day: f64,
    /// CBDC rate less deposit rate, as a share a year.
    pub rate_spread: f64,
    pub trust_bank: f64,
    pub trust_cbdc: f64,
    /// The household's own taste, in logit points around zero.
    pub taste: f64,
    /// Debt over equity of its bank.
    pub bank_risk: f64,
}

impl Portfolio {
    fn equation(&self) -> &'static str {
        match self.model {
            Model::Logit => {
                "wanted = max(liquid · trust_cbdc / (1 + e^−(a + b_r·(r_cbdc − r_deposit) + b_t·(1 − trust_bank) + \
                taste)), days · spending); at most the limit"
            }
            Model::Transactions => "wanted = days · spending; at most the limit",
            Model::FullToLimit => "wanted = the limit",
            Model::Risk => "wanted = liquid · (a1 + (a2 − a1) · clamp((RM − RM*) / RMlim, 0, 1)); at most the limit",
        }
    }

    fn source(&self) -> &'static str {
        match self.model {
            Model::Logit => "form after Li (2023) and ECB WP 2980 [A]; values are this project's choice",
            Model::Transactions => {
                "inventory of means of payment (Baumol 1952, Tobin 1956 [K]); days are this project's choice"
            }
            Model::FullToLimit => "ECB technical note, October 2025 [S]: every eligible wallet full",
            Model::Risk => {
                "Barucci, Gurgone, Iori, Azzone (arXiv 2510.21071) [S], design CBDC2: a1 0.1, a2 0.3, RM* 6, RM* + \
                RMlim 13.6; paid out of liquid wealth here"
            }
        }
    }

    /// The desired holdings, minor units, before any limit.
    pub fn wanted_minor(&self, view: &PortfolioView) -> f64 {
        let parameters = &self.parameters;
        match self.model {
            Model::Logit => {
                let logit = parameters.attractiveness
                    + parameters.rate_sensitivity * view.rate_spread
                    + parameters.distrust_sensitivity * (1.0 - view.trust_bank)
                    + view.taste;
                let store = view.liquid_minor * view.trust_cbdc * logistic(logit);
                store.max(parameters.transaction_days * view.spending_minor_a_day)
            }
            Model::Transactions => parameters.transaction_days * view.spending_minor_a_day,
            Model::FullToLimit => f64::INFINITY,
            Model::Risk => {
                let width = (parameters.risk_high - parameters.risk_low).max(1e-9);
                let position = ((view.bank_risk - parameters.risk_low) / width).clamp(0.0, 1.0);
                let share = parameters.share_low + (parameters.share_high - parameters.share_low) * position;
                view.liquid_minor * share
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: PortfolioView = PortfolioView {
        liquid_minor: 1e6,
        spending_minor_a_day: 0.0,
        rate_spread: 0.0,
        trust_bank: 1.0,
        trust_cbdc: 1.0,
        taste: 0.0,
        bank_risk: 9.8,
    };

    #[test]
    fn more_is_held_at_a_better_rate_and_under_distrust() {
        let logit = Portfolio { model: Model::Logit, parameters: Parameters::default() };
        let base = logit.wanted_minor(&VIEW);
        assert!(logit.wanted_minor(&PortfolioView { rate_spread: 0.01, ..VIEW }) > base);
        assert!(logit.wanted_minor(&PortfolioView { trust_bank: 0.5, ..VIEW }) > 3.0 * base);
    }

    #[test]
    fn the_share_at_risk_runs_from_a1_to_a2() {
        let risk = Portfolio { model: Model::Risk, parameters: Parameters::default() };
        for (bank_risk, share) in [(2.0, 0.1), (6.0, 0.1), (9.8, 0.2), (13.6, 0.3), (50.0, 0.3)] {
            let wanted = risk.wanted_minor(&PortfolioView { bank_risk, ..VIEW });
            assert!((wanted - share * 1e6).abs() < 1e-3, "{bank_risk}: {wanted}");
        }
    }
}
