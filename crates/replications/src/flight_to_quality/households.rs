//! Households: their CBDC holdings and their purchases.

use super::books::{Money, whole};
use super::design::Design;
use super::economy::Economy;

impl Economy<'_> {
    /// Splits each household's wealth equally over its banks, and each part into CBDC and a deposit by the rule.
    ///
    /// Clients of an idle bank hold no CBDC for it: its risk is not defined.
    pub fn convert(&mut self) {
        let Design::Cbdc(rule) = self.design else {
            return;
        };
        for household in 0..self.cbdc.len() {
            let wealth = self.wealth(household);
            let accounts = self.household_accounts.of(household);
            let each = wealth / accounts.len() as Money;
            let mut rest = wealth - each * accounts.len() as Money;
            let before = self.cbdc[household];
            let mut held = 0;
            for account in accounts {
                let here = each + rest;
                rest = 0;
                let bank = &self.banks[self.household_accounts.bank(account)];
                let share = match bank.idle_for {
                    0 => self.p.conversion.share(rule, bank.risk, here as f64 / super::books::UNIT),
                    _ => 0.0,
                };
                self.converted[account] = share as f32;
                let converted = whole(share * here as f64).clamp(0, here.max(0));
                held += converted;
                let change = here - converted - self.household_accounts.deposit(account);
                self.household_accounts.move_in(account, change, &mut self.sheets);
            }
            self.cbdc[household] = held;
            self.public.cbdc += held - before;
        }
    }

    /// Each household, in random order, sees some firms and buys from the cheapest of them that have goods left.
    pub fn trade_goods(&mut self) {
        let mut open: Vec<u16> =
            (0..self.firms.len()).filter(|firm| self.firms[*firm].stock > 0.0).map(|firm| firm as u16).collect();
        open.sort_by(|a, b| {
            let (a, b) = (&self.firms[usize::from(*a)], &self.firms[usize::from(*b)]);
            a.price.total_cmp(&b.price)
        });
        let mut order: Vec<u16> = (0..self.cbdc.len() as u16).collect();
        self.rng.goods.shuffle(&mut order);
        let seen = (self.p.seen * (1_u64 << 32) as f64) as u64;
        for household in order.into_iter().map(usize::from) {
            let budget = self.wanted_consumption(household);
            let spent = self.shop(budget, &mut open, seen);
            if spent > 0 {
                self.take_from_household(household, spent);
            }
        }
        for firm in 0..self.firms.len() {
            let revenue = self.firms[firm].revenue;
            if revenue > 0 {
                self.firm_accounts.pay_in(firm, revenue, &mut self.sheets);
            }
        }
    }

    /// c1 · income + c2 · wealth before this step's wage, at most the wealth.
    fn wanted_consumption(&self, household: usize) -> Money {
        let wage = if self.employer[household].is_some() { (1.0 - self.p.tax) * self.wage as f64 } else { 0.0 };
        let wealth = self.wealth(household);
        let income = wage + self.transfer as f64;
        let wanted = self.p.out_of_income * income + self.p.out_of_wealth * (wealth as f64 - wage).max(0.0);
        whole(wanted).clamp(0, wealth.max(0))
    }

    /// Visits the cheapest firms among those seen, until the budget is spent or the visits are used up.
    fn shop(&mut self, budget: Money, open: &mut Vec<u16>, seen: u64) -> Money {
        let mut left = budget;
        let mut visits = 0;
        let mut index = 0;
        while index < open.len() && visits < self.p.visits && left > 0 {
            if self.rng.goods.bits() >> 32 >= seen {
                index += 1;
                continue;
            }
            visits += 1;
            let firm = &mut self.firms[usize::from(open[index])];
            let all = whole(firm.stock * firm.price);
            if left < all {
                firm.stock -= left as f64 / firm.price;
                firm.revenue += left;
                self.sample.sold += left as f64 / firm.price;
                left = 0;
            } else {
                self.sample.sold += firm.stock;
                firm.stock = 0.0;
                firm.revenue += all;
                left -= all;
                open.remove(index);
            }
        }
        budget - left
    }
}
