//! Portfolio: how much CBDC a household with a wallet wants to hold, out of its liquid wealth.
//!
//! - `logit`: money is a bundle of attributes (Li 2023; ECB WP 2980 reads tastes off the cash/deposit split). The share
//!   of liquid wealth held as CBDC is a logistic function of the rate spread, of distrust in banks and of taste; at
//!   least some days of spending are held where CBDC is used to pay.
//! - `transactions`: only some days of spending by CBDC; the waterfalls do the rest.
//! - `full-to-limit`: as much as the limit and the deposit allow. The stress case of the ECB's technical note (2025).
//! - `risk`: a share that grows linearly with the risk of the household's bank, RM = debt / equity − 1 in form, after
//!   the smooth design CBDC2 of Barucci, Gurgone, Iori, Azzone (arXiv 2510.21071).
//!
//! In `logit` and `transactions` CBDC's rates by tier count at the margin: a household goes beyond a tier's bound only
//! if it would at the rate above it.

use super::{behaviour, logistic, parameters};

parameters! {
    "portfolio" {
        attractiveness = -3.5, -20.0 to 20.0, "logit of the share held at equal rates and full trust";
        rate_sensitivity = 60.0, 0.0 to 1000.0, "logit points for a rate spread of 100 % a year";
        distrust_sensitivity = 6.0, 0.0 to 100.0, "logit points where trust in banks is gone";
        insured_calm = 0.7, 0.0 to 1.0, "part of distrust that full insurance of the deposit takes away";
        transaction_days = 7.0, 0.0 to 365.0, "days of spending held for payments where that costs nothing";
        transaction_cost = 0.02, 0.0001 to 1.0,
            "deposit rate less CBDC rate at which the days held fall by the square root of 2";
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
    /// Whether all of the deposit is insured.
    pub is_insured: bool,
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
                "wanted = max(liquid · trust_cbdc / (1 + e^−(a + b_r·(r_cbdc − r_deposit) + b_t·(1 − trust_bank)·(1 − \
                calm where insured) + taste)), days · √(c / (c + max(0, r_deposit − r_cbdc))) · spending), at the rate \
                of the tier that it ends in; at most the limit"
            }
            Model::Transactions => {
                "wanted = days · √(c / (c + max(0, r_deposit − r_cbdc))) · spending, at the rate of the tier that it \
                ends in; at most the limit"
            }
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

    /// The desired holdings, minor units, before any limit, if CBDC up to a bound pays the view's rate and what is
    /// above it another spread over the deposit.
    pub fn wanted_by_tiers_minor(&self, view: &PortfolioView, tier: Option<(f64, f64)>) -> f64 {
        let within = self.wanted_minor(view);
        let Some((bound_minor, spread_above)) = tier.filter(|(bound_minor, _)| within > *bound_minor) else {
            return within;
        };
        self.wanted_minor(&PortfolioView { rate_spread: spread_above, ..*view }).max(bound_minor)
    }

    /// The desired holdings, minor units, before any limit, at one rate for all.
    pub fn wanted_minor(&self, view: &PortfolioView) -> f64 {
        let parameters = &self.parameters;
        let calm = if view.is_insured { parameters.insured_calm } else { 0.0 };
        match self.model {
            Model::Logit => {
                let logit = parameters.attractiveness
                    + parameters.rate_sensitivity * view.rate_spread
                    + parameters.distrust_sensitivity * (1.0 - view.trust_bank) * (1.0 - calm)
                    + view.taste;
                let store = view.liquid_minor * view.trust_cbdc * logistic(logit);
                store.max(self.for_payments_minor(view))
            }
            Model::Transactions => self.for_payments_minor(view),
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

impl Portfolio {
    /// Holdings for payments: the square-root rule of the inventory theory, in what holding CBDC costs.
    fn for_payments_minor(&self, view: &PortfolioView) -> f64 {
        let cost = self.parameters.transaction_cost;
        let economised = (cost / (cost + (-view.rate_spread).max(0.0))).sqrt();
        self.parameters.transaction_days * economised * view.spending_minor_a_day
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
        is_insured: false,
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
    fn the_rate_at_the_margin_counts() {
        let logit = Portfolio { model: Model::Logit, parameters: Parameters::default() };
        let one_rate = logit.wanted_minor(&VIEW);
        let punished = |bound: f64| logit.wanted_by_tiers_minor(&VIEW, Some((bound, -0.2)));
        assert_eq!(punished(10_000.0), 10_000.0, "nobody goes beyond the bound");
        assert_eq!(punished(one_rate * 2.0), one_rate, "a bound that is out of reach changes nothing");
        let rewarded = logit.wanted_by_tiers_minor(&VIEW, Some((10_000.0, 0.02)));
        assert!(rewarded > one_rate);
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
