//! Liquidity: a bank covers a shortfall by borrowing from other banks within the corridor, and sells assets for the
//! rest.
//!
//! There is no lending by the central bank in this paper.

use super::books::{Money, whole};
use super::economy::{Claim, Economy};

impl Economy<'_> {
    /// Short banks, in random order, bid; others lend; banks that stay short sell bonds, then loans.
    pub fn interbank_session(&mut self) {
        let count = self.banks.len();
        let mut order: Vec<usize> = (0..count).collect();
        self.rng.interbank.shuffle(&mut order);
        for borrower in &order {
            self.seek_liquidity(*borrower);
        }
        let (mut bond_price, mut loan_price) = (1.0, 1.0);
        for bank in order {
            self.sell_assets(bank, &mut bond_price, &mut loan_price);
        }
    }

    /// Reserves that a bank should hold: the required ones, and the expected net outflow.
    fn reserves_wanted(&self, bank: usize) -> f64 {
        let (sheet, memory) = (&self.sheets[bank], &self.banks[bank]);
        let deposits = sheet.deposits as f64;
        let lending = 0.8 * sheet.loans as f64 + 0.2 * memory.expected_lending;
        let out = self.p.floor * deposits + memory.interbank_interest + lending;
        let inflow = memory.expected_inflow + self.p.floor * (sheet.reserves.max(0) + sheet.bonds) as f64;
        // Without loans outstanding nothing is lent again before the next step's own session.
        let drain = if sheet.loans > 0 { (out - inflow).max(0.0) } else { 0.0 };
        self.p.required_reserves * deposits + drain
    }

    fn gap(&self, bank: usize) -> Money {
        whole(self.reserves_wanted(bank)) - self.sheets[bank].reserves
    }

    fn seek_liquidity(&mut self, borrower: usize) {
        let gap = self.gap(borrower);
        if gap <= 0 || self.banks[borrower].idle_for > 0 || self.sheets[borrower].worth <= 0 {
            return;
        }
        let bid = self.bid(borrower);
        let mut left = gap;
        for _ in 0..self.p.interbank_attempts {
            let lender = self.rng.interbank.below(self.banks.len());
            let amount = left.min(self.would_lend(lender, borrower, bid));
            if amount > 0 {
                self.lend(lender, borrower, amount, bid);
                left -= amount;
            }
            if left == 0 {
                break;
            }
        }
        let change = self.rng.interbank.up_to(self.p.bid_change);
        self.banks[borrower].bid += if left > 0 { change } else { -change };
        // A bid outside the corridor does not move further away from it.
        let width = (self.p.ceiling - self.p.floor) / (self.p.ceiling + self.p.floor);
        self.banks[borrower].bid = self.banks[borrower].bid.clamp(-width, width);
        self.sample.interbank_unmet += left as f64;
    }

    /// The middle of the corridor, moved by the bank's own experience, inside the corridor.
    fn bid(&self, bank: usize) -> f64 {
        let middle = 0.5 * (self.p.floor + self.p.ceiling);
        (middle * (1.0 + self.banks[bank].bid)).clamp(self.p.floor, self.p.ceiling)
    }

    /// The amount that the lender can spare, its worth allows, and the borrower's risk permits at that bid.
    fn would_lend(&self, lender: usize, borrower: usize, bid: f64) -> Money {
        let sheet = &self.sheets[lender];
        if lender == borrower || self.banks[lender].idle_for > 0 || sheet.worth <= 0 {
            return 0;
        }
        let worth = sheet.worth as f64;
        let used = self.p.loan_weight * sheet.loans as f64 + self.p.interbank_weight * sheet.lent as f64;
        let by_leverage = (self.p.leverage_cap * worth - used) / self.p.interbank_weight;
        let by_risk = worth / self.banks[lender].value_at_risk - (sheet.loans + sheet.lent) as f64;
        let spare = -self.gap(lender) as f64;
        let other = &self.sheets[borrower];
        let pledge = self.banks[borrower].pledgeable + (other.bonds - other.borrowed) as f64;
        let by_trust = self.leverage_trusted(bid) * other.worth as f64 - other.borrowed as f64;
        [by_leverage, by_risk, spare, pledge, by_trust].into_iter().fold(9e15, f64::min).max(0.0) as Money
    }

    /// The borrower's debt over worth at which the reservation rate (1 + rL) / (1 − ρ) − 1 equals the bid.
    fn leverage_trusted(&self, bid: f64) -> f64 {
        let risk = 1.0 - (1.0 + self.p.floor) / (1.0 + bid);
        if risk <= 0.0 {
            return 0.0;
        }
        self.p.bank_leverage * (1.0 + libm::log(risk / self.p.base_risk()) / self.p.risk_growth)
    }

    fn lend(&mut self, lender: usize, borrower: usize, amount: Money, rate: f64) {
        self.sheets[lender].reserves -= amount;
        self.sheets[lender].lent += amount;
        self.sheets[borrower].reserves += amount;
        self.sheets[borrower].borrowed += amount;
        self.banks[borrower].interbank_interest += amount as f64 * rate;
        self.claims.push(Claim { lender, borrower, amount, rate });
    }

    /// All claims fall due; failed debtors have been dealt with before.
    pub fn repay_interbank(&mut self) {
        for claim in std::mem::take(&mut self.claims) {
            let interest = whole(claim.rate * claim.amount as f64);
            let (lender, borrower) = (claim.lender, claim.borrower);
            self.sheets[borrower].reserves -= claim.amount + interest;
            self.sheets[borrower].borrowed -= claim.amount;
            self.sheets[borrower].worth -= interest;
            self.sheets[lender].reserves += claim.amount + interest;
            self.sheets[lender].lent -= claim.amount;
            self.sheets[lender].worth += interest;
        }
        self.banks.iter_mut().for_each(|bank| bank.interbank_interest = 0.0);
    }

    /// Bonds first, then loans, to the agency, at a price that falls with every sale of the session.
    fn sell_assets(&mut self, bank: usize, bond_price: &mut f64, loan_price: &mut f64) {
        // Nobody sells at a loss for possible outflows beyond required reserves.
        let needed = whole(self.p.required_reserves * self.sheets[bank].deposits as f64);
        let gap = needed - self.sheets[bank].reserves;
        if gap <= 0 || self.banks[bank].idle_for > 0 {
            return;
        }
        let outstanding: Money = self.sheets.iter().map(|sheet| sheet.bonds).sum();
        let sold = self.sheets[bank].bonds.min(whole(gap as f64 / *bond_price));
        if sold > 0 {
            *bond_price = fallen(*bond_price, sold, outstanding, self.p.bond_elasticity);
            let price = whole(*bond_price * sold as f64);
            let sheet = &mut self.sheets[bank];
            sheet.bonds -= sold;
            sheet.reserves += price;
            sheet.worth -= sold - price;
            self.public.bonds += sold;
            self.public.account += sold - price;
            self.sample.losses_by_sales += (sold - price) as f64;
        }
        self.sell_loans(bank, needed, loan_price);
    }

    fn sell_loans(&mut self, bank: usize, needed: Money, loan_price: &mut f64) {
        let outstanding: Money = self.sheets.iter().map(|sheet| sheet.loans).sum();
        for index in 0..self.loans.len() {
            if self.sheets[bank].reserves >= needed {
                return;
            }
            if self.loans[index].bank != Some(bank) {
                continue;
            }
            let loan = &mut self.loans[index];
            loan.bank = None;
            let (principal, rate, risk) = (loan.principal, loan.rate, loan.risk);
            *loan_price = fallen(*loan_price, principal, outstanding, self.p.loan_elasticity);
            let price = whole(*loan_price * principal as f64);
            let sheet = &mut self.sheets[bank];
            sheet.loans -= principal;
            sheet.reserves += price;
            sheet.worth -= principal - price;
            self.public.loans += principal;
            self.public.account += principal - price;
            self.banks[bank].expected_inflow -= principal as f64 * (1.0 + rate - risk);
            self.banks[bank].pledgeable -= principal as f64 * (1.0 - risk);
            self.sample.losses_by_sales += (principal - price) as f64;
        }
    }
}

/// p ← max(0.5, p · (1 − (q / Q) / |ε|)).
fn fallen(price: f64, sold: Money, outstanding: Money, elasticity: f64) -> f64 {
    (price * (1.0 - sold as f64 / outstanding.max(1) as f64 / elasticity)).max(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_falls_with_sales_and_stops_at_a_half() {
        assert!((fallen(1.0, 15, 100, 1.5) - 0.9).abs() < 1e-12);
        assert_eq!(fallen(0.6, 100, 100, 0.9), 0.5);
        assert_eq!(fallen(1.0, 0, 0, 0.9), 1.0);
    }
}
