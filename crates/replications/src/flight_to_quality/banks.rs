//! Banks at the end of a step: failures and their bearers, profits, and new capital.

use super::books::{Money, whole};
use super::design::{Design, Risk};
use super::economy::Economy;
use crate::conversion::Conversion;

impl Economy<'_> {
    /// Measures each bank's risk as households see it, and the sums of this step, while loans and claims are out.
    pub fn measure_banks(&mut self) {
        self.remember_lending();
        for bank in 0..self.banks.len() {
            let sheet = &self.sheets[bank];
            let weighted = self.p.loan_weight * sheet.loans as f64 + self.p.interbank_weight * sheet.lent as f64;
            let worth = sheet.worth as f64;
            let debt = (sheet.deposits + sheet.borrowed) as f64;
            let over = |amount: f64| if worth > 0.0 { amount / worth } else { f64::INFINITY };
            self.banks[bank].risk = match self.risk {
                Risk::Printed => over(debt),
                Risk::RiskWeighted => over(weighted),
            };
            let interest = self.p.floor * sheet.deposits as f64 + self.banks[bank].interbank_interest;
            self.banks[bank].cost_of_funds = if debt > 0.0 { interest / debt } else { self.p.floor };
            if self.banks[bank].idle_for == 0 {
                self.sample.worth += worth;
                self.sample.risk_weighted += weighted;
                self.sample.risk += if worth > 0.0 { self.banks[bank].risk.min(1e3) } else { 1e3 };
                self.sample.active_banks += 1.0;
            }
            self.sample.interbank += sheet.borrowed as f64;
            self.sample.bank_steps += 1.0;
        }
    }

    /// Spreads failures until no further bank fails: other banks lose first, then firms, households last.
    pub fn resolve_banks(&mut self) {
        for bank in 0..self.banks.len() {
            let loans = self.banks[bank].expected_lending.max(1.0);
            if let Some(loss) = self.banks[bank].losses.last_mut() {
                *loss /= loans;
            }
        }
        while let Some(bank) = self.next_failure() {
            self.sample.bank_defaults += 1.0;
            self.banks[bank].idle_for = 1;
            self.spread_to_banks(bank);
            self.spread_to_depositors(bank);
        }
        for bank in 0..self.banks.len() {
            // An idle bank stays at zero; it does not fail twice.
            if self.sheets[bank].worth < 0 {
                self.spread_to_depositors(bank);
            }
        }
    }

    fn next_failure(&self) -> Option<usize> {
        (0..self.banks.len()).find(|bank| self.banks[*bank].idle_for == 0 && self.sheets[*bank].worth < 0)
    }

    fn spread_to_banks(&mut self, failed: usize) {
        let lost = (-self.sheets[failed].worth).min(self.sheets[failed].borrowed);
        if lost <= 0 {
            return;
        }
        let share = lost as f64 / self.sheets[failed].borrowed as f64;
        for claim in self.claims.iter_mut().filter(|claim| claim.borrower == failed) {
            let written = whole(share * claim.amount as f64).min(claim.amount);
            claim.amount -= written;
            self.sheets[failed].borrowed -= written;
            self.sheets[failed].worth += written;
            self.sheets[claim.lender].lent -= written;
            self.sheets[claim.lender].worth -= written;
            self.sample.losses_by_banks += written as f64;
        }
    }

    fn spread_to_depositors(&mut self, failed: usize) {
        let of_firms = self.firm_accounts.by_bank(self.banks.len())[failed];
        let of_households = self.household_accounts.by_bank(self.banks.len())[failed];
        let short = -self.sheets[failed].worth;
        let from_firms = share(short, of_firms);
        for account in 0..self.firm_accounts.count() {
            if self.firm_accounts.bank(account) == failed {
                let lost = whole(from_firms * self.firm_accounts.deposit(account) as f64);
                self.firm_accounts.write(account, -lost, &mut self.sheets);
            }
        }
        let from_households = share(-self.sheets[failed].worth, of_households);
        if from_households <= 0.0 {
            return;
        }
        for account in 0..self.household_accounts.count() {
            if self.household_accounts.bank(account) == failed {
                self.bear_loss(account, from_households);
            }
        }
    }

    /// A household loses its share; under C4 the state replaces the insured part.
    fn bear_loss(&mut self, account: usize, share: f64) {
        let deposit = self.household_accounts.deposit(account);
        let lost = whole(share * deposit as f64);
        self.household_accounts.write(account, -lost, &mut self.sheets);
        self.sample.losses_by_banks += lost as f64;
        if self.design != Design::Cbdc(Conversion::C4) {
            return;
        }
        let converted = f64::from(self.converted[account]);
        let wealth = deposit as f64 / (1.0 - converted).max(1e-9);
        let insured = wealth.min(self.p.conversion.insured * super::books::UNIT) * (1.0 - converted) * share;
        let paid = whole(insured).min(lost);
        self.household_accounts.move_in(account, paid, &mut self.sheets);
        self.public.account -= paid;
    }

    /// Tax on profits, then dividends: δB of the profit, or all worth above its initial level.
    ///
    /// Without the second part a bank that lends little would grow for ever, as its worth earns the floor risklessly.
    pub fn pay_bank_profits(&mut self) {
        let mut dividends = 0;
        for bank in 0..self.banks.len() {
            let profit = self.sheets[bank].worth - self.banks[bank].worth_before;
            if profit <= 0 || self.banks[bank].idle_for > 0 {
                continue;
            }
            let tax = whole(self.p.tax * profit as f64);
            let dividend = whole(self.p.bank_profit_paid * (profit - tax) as f64)
                .max(self.sheets[bank].worth - tax - self.banks[bank].usual_worth);
            self.sheets[bank].reserves -= tax + dividend;
            self.sheets[bank].worth -= tax + dividend;
            self.public.account += tax;
            dividends += dividend;
        }
        self.share_out(dividends);
    }

    /// A failed bank is idle, then shareholders give it its initial worth, if they can.
    pub fn recapitalise(&mut self) {
        for bank in 0..self.banks.len() {
            if self.banks[bank].idle_for == 0 {
                continue;
            }
            self.banks[bank].idle_for += 1;
            if self.banks[bank].idle_for <= self.p.idle_steps {
                continue;
            }
            let wanted = self.banks[bank].usual_worth - self.sheets[bank].worth;
            if let Some(raised) = self.raise(wanted) {
                self.sheets[bank].reserves += raised;
                self.sheets[bank].worth += raised;
                self.banks[bank].idle_for = 0;
                self.banks[bank].risk = self.sheets[bank].deposits as f64 / self.sheets[bank].worth.max(1) as f64;
                if self.risk == Risk::RiskWeighted {
                    self.banks[bank].risk = 0.0;
                }
            }
        }
    }

    /// Completes this step's sums.
    pub fn measure(&mut self) {
        let of_households: Money = self.household_accounts.by_bank(self.banks.len()).iter().sum();
        let of_firms: Money = self.firm_accounts.by_bank(self.banks.len()).iter().sum();
        let of_banks: Money = self.sheets.iter().map(|sheet| sheet.worth).sum();
        self.sample.cbdc = self.public.cbdc as f64;
        self.sample.household_wealth = (of_households + self.public.cbdc) as f64;
        self.sample.firm_wealth = of_firms as f64;
        self.sample.bank_wealth = of_banks as f64;
        self.sample.sales = self.firms.iter().map(|firm| firm.revenue as f64).sum();
    }
}

fn share(lost: Money, of: Money) -> f64 {
    if lost <= 0 || of <= 0 { 0.0 } else { (lost as f64 / of as f64).min(1.0) }
}
