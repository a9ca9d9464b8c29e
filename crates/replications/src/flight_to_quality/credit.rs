//! Credit to firms: demand, lenders and rates.

use super::books::{Money, whole};
use super::economy::{Economy, Loan};

/// Deviations above the mean that a normal loss stays below in 99 of 100 cases.
const NINETY_NINE: f64 = 2.326_347_874_040_841;

/// Steps of losses that value at risk looks back on.
const LOSS_MEMORY: usize = 20;

impl Economy<'_> {
    /// Firms borrow for the wages that their own funds do not cover, the safest first.
    pub fn borrow(&mut self) {
        self.refresh_banks();
        let mut queue: Vec<(f64, usize, Money)> = Vec::with_capacity(self.firms.len());
        for firm in 0..self.firms.len() {
            (self.firms[firm].principal, self.firms[firm].interest) = (0, 0);
            if self.firms[firm].gone_for > 0 {
                continue;
            }
            let worth = self.firm_accounts.total(firm);
            let own = whole(self.p.own_funds * worth as f64);
            let wanted = (self.wage * self.firms[firm].workers_wanted as Money - own).max(0);
            self.firms[firm].budget = own;
            if wanted > 0 {
                queue.push((wanted as f64 / worth.max(1) as f64, firm, wanted));
            }
        }
        queue.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let fitness: Vec<f64> = self.banks.iter().map(|bank| bank.fitness).collect();
        for (leverage, firm, wanted) in queue {
            let risk = self.p.risk(leverage, self.p.firm_leverage);
            self.seek_loan(firm, risk, wanted, &fitness);
        }
    }

    /// A firm asks its bank, or a cheaper one, then others, until it has enough or the attempts are used up.
    fn seek_loan(&mut self, firm: usize, risk: f64, wanted: Money, fitness: &[f64]) {
        let mut left = wanted;
        let mut bank = self.first_choice(firm, risk, fitness);
        for _ in 0..self.p.loan_attempts {
            let granted = left.min(self.loan_capacity(bank, risk));
            // No price could bear more interest than the highest mark-up.
            if granted > 0 && self.loan_rate(bank, risk) <= self.p.markup_high {
                self.grant(firm, bank, risk, granted);
                left -= granted;
            }
            if left == 0 {
                return;
            }
            bank = self.rng.credit.weighted(fitness);
        }
    }

    /// The firm's bank, unless a random other's lower rate makes it switch.
    fn first_choice(&mut self, firm: usize, risk: f64, fitness: &[f64]) -> usize {
        let (now, other) = (self.firms[firm].bank, self.rng.credit.weighted(fitness));
        let (rate, offered) = (self.loan_rate(now, risk), self.loan_rate(other, risk));
        let advantage = (rate - offered) / rate;
        let follows = 1.0 / (1.0 + libm::exp(-self.p.switching * advantage));
        if self.rng.credit.happens(follows) {
            self.firms[firm].bank = other;
        }
        self.firms[firm].bank
    }

    /// (1 + cost of funds) / (1 − ρ) − 1.
    fn loan_rate(&self, bank: usize, risk: f64) -> f64 {
        (1.0 + self.banks[bank].cost_of_funds) / (1.0 - risk) - 1.0
    }

    /// The loan that the bank's worth still allows, overall and to one firm.
    fn loan_capacity(&self, bank: usize, risk: f64) -> Money {
        let sheet = &self.sheets[bank];
        if self.banks[bank].idle_for > 0 || sheet.worth <= 0 {
            return 0;
        }
        let worth = sheet.worth as f64;
        let by_leverage =
            (self.p.leverage_cap * worth - self.p.interbank_weight * sheet.lent as f64) / self.p.loan_weight;
        let by_risk = worth / self.banks[bank].value_at_risk - sheet.lent as f64;
        let single = self.p.single_exposure * worth / risk;
        (by_leverage.min(by_risk) - sheet.loans as f64).min(single).clamp(0.0, 9e15) as Money
    }

    fn grant(&mut self, firm: usize, bank: usize, risk: f64, principal: Money) {
        let rate = self.loan_rate(bank, risk);
        // The lender pays the money out to wherever the firm has its accounts.
        self.sheets[bank].loans += principal;
        self.sheets[bank].reserves -= principal;
        self.firm_accounts.pay_in(firm, principal, &mut self.sheets);
        let state = &mut self.firms[firm];
        state.principal += principal;
        state.interest += whole(rate * principal as f64);
        state.budget += principal;
        let memory = &mut self.banks[bank];
        memory.expected_inflow += principal as f64 * (1.0 + rate - risk);
        memory.pledgeable += principal as f64 * (1.0 - risk);
        self.sample.loans += principal as f64;
        self.sample.loan_interest += principal as f64 * rate;
        self.loans.push(Loan { firm, bank: Some(bank), principal, rate, risk });
    }

    /// Carries a bank's memory from the last step into this one.
    fn refresh_banks(&mut self) {
        for bank in &mut self.banks {
            (bank.expected_inflow, bank.pledgeable) = (0.0, 0.0);
            bank.value_at_risk = value_at_risk(&bank.losses);
            bank.losses.push(0.0);
            if bank.losses.len() > LOSS_MEMORY + 1 {
                bank.losses.remove(0);
            }
        }
    }

    /// Turns the losses of this step into shares of the loans; called before loans are collected.
    pub fn remember_lending(&mut self) {
        for (bank, sheet) in self.banks.iter_mut().zip(&self.sheets) {
            bank.expected_lending = 0.8 * sheet.loans as f64 + 0.2 * bank.expected_lending;
        }
    }
}

/// 99 % value at risk of a loan, normal on the losses of the last steps; never 0.
fn value_at_risk(losses: &[f64]) -> f64 {
    if losses.len() < 2 {
        return 1e-9;
    }
    let past = &losses[losses.len().saturating_sub(LOSS_MEMORY)..];
    let mean = past.iter().sum::<f64>() / past.len() as f64;
    let squares: f64 = past.iter().map(|loss| (loss - mean) * (loss - mean)).sum();
    (mean + NINETY_NINE * (squares / past.len() as f64).sqrt()).max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_at_risk_is_mean_and_deviation_of_the_last_losses() {
        assert_eq!(value_at_risk(&[]), 1e-9);
        let mut losses = vec![0.5; 7];
        losses.extend([0.0, 0.02].repeat(LOSS_MEMORY / 2));
        assert!((value_at_risk(&losses) - (0.01 + NINETY_NINE * 0.01)).abs() < 1e-12);
    }
}
