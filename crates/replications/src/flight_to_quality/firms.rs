//! Firms: plans, jobs, production, prices and the end of a step.

use super::books::{Money, whole};
use super::economy::Economy;

impl Economy<'_> {
    /// Output and mark-up react to whether the last output was sold and whether it was cheap.
    ///
    /// Targets build on output, not on the last target, or firms that find no workers would borrow ever more in vain. A
    /// fraction of a worker is rounded up with that probability.
    pub fn plan_output(&mut self) {
        let alive = || self.firms.iter().filter(|firm| firm.gone_for == 0);
        let mean_price = alive().map(|firm| firm.price).sum::<f64>() / alive().count().max(1) as f64;
        let p = self.p;
        for firm in &mut self.firms {
            // Drawn for failed firms too, so that a failure does not shift the draws of others.
            let (change, rounding) = (self.rng.plans.unit(), self.rng.plans.unit());
            if firm.gone_for > 0 {
                continue;
            }
            let unsold = firm.stock >= p.unsold * firm.output;
            let cheap = firm.price <= p.cheap * mean_price;
            match (unsold, cheap) {
                (true, true) => firm.target = firm.output * (1.0 - p.output_change * change),
                (false, false) => firm.target = firm.output * (1.0 + p.output_change * change),
                (false, true) => firm.markup *= 1.0 + p.markup_change * change,
                (true, false) => firm.markup *= 1.0 - p.markup_change * change,
            }
            firm.markup = firm.markup.clamp(p.markup_low, p.markup_high);
            firm.workers_wanted = (firm.target / p.productivity + rounding).floor().max(1.0) as usize;
        }
    }

    /// Firms dismiss and hire within their budget, pay wages, produce and set the price.
    pub fn hire_and_produce(&mut self) {
        let mut wanted = vec![0; self.firms.len()];
        for (firm, wanted) in wanted.iter_mut().enumerate() {
            if self.firms[firm].gone_for > 0 {
                continue;
            }
            let affordable = (self.firms[firm].budget / self.wage.max(1)).max(0) as usize;
            *wanted = self.firms[firm].workers_wanted.min(affordable);
            while self.firms[firm].workers.len() > *wanted {
                let index = self.rng.jobs.below(self.firms[firm].workers.len());
                let worker = self.firms[firm].workers.swap_remove(index);
                self.employer[usize::from(worker)] = None;
            }
        }
        self.match_jobs(&wanted);
        for firm in 0..self.firms.len() {
            self.produce(firm);
        }
        self.set_wage();
    }

    /// Half of the job seekers look into firms with vacancies, in random order.
    fn match_jobs(&mut self, wanted: &[usize]) {
        let mut vacancies: Vec<u16> = Vec::new();
        for (firm, wanted) in wanted.iter().enumerate() {
            vacancies.extend((self.firms[firm].workers.len()..*wanted).map(|_| firm as u16));
        }
        self.rng.jobs.shuffle(&mut vacancies);
        let mut seekers: Vec<u16> = (0..self.employer.len())
            .filter(|household| self.employer[*household].is_none())
            .map(|h| h as u16)
            .collect();
        self.rng.jobs.shuffle(&mut seekers);
        for seeker in seekers {
            if !self.rng.jobs.happens(self.p.finds_work) {
                continue;
            }
            let Some(firm) = vacancies.pop() else {
                return;
            };
            self.employer[usize::from(seeker)] = Some(firm);
            self.firms[usize::from(firm)].workers.push(seeker);
        }
    }

    fn produce(&mut self, firm: usize) {
        let (wage, tax) = (self.wage, whole(self.p.tax * self.wage as f64));
        let workers = std::mem::take(&mut self.firms[firm].workers);
        let wages = wage * workers.len() as Money;
        self.firm_accounts.pay_out(firm, wages, &mut self.sheets);
        for worker in &workers {
            self.household_accounts.pay_in(usize::from(*worker), wage - tax, &mut self.sheets);
        }
        self.public.account += tax * workers.len() as Money;
        let state = &mut self.firms[firm];
        state.output = self.p.productivity * workers.len() as f64;
        state.stock = state.output;
        state.wages = wages;
        state.revenue = 0;
        if state.output > 0.0 {
            state.price = (1.0 + state.markup) * (wages + state.interest) as f64 / state.output;
        }
        self.sample.output += state.output;
        state.workers = workers;
    }

    fn set_wage(&mut self) {
        let idle = self.employer.iter().filter(|employer| employer.is_none()).count() as f64;
        self.sample.unemployment = idle / self.employer.len() as f64;
        let change = self.rng.wage.up_to(self.p.wage_change);
        let up = self.sample.unemployment < self.p.unemployment;
        self.wage = whole(self.wage as f64 * if up { 1.0 + change } else { 1.0 - change }).max(1);
    }

    /// Loans fall due: firms that can pay do, then pay tax and dividends; the others' money goes to their lenders.
    pub fn settle_firms(&mut self) {
        let mut paid_share = vec![1.0; self.firms.len()];
        for (firm, paid_share) in paid_share.iter_mut().enumerate() {
            if self.firms[firm].gone_for > 0 {
                continue;
            }
            self.sample.firm_steps += 1.0;
            let cash = self.firm_accounts.total(firm);
            let due = self.firms[firm].principal + self.firms[firm].interest;
            if cash < due {
                *paid_share = cash as f64 / due as f64;
            }
        }
        self.collect_loans(&paid_share);
        let mut dividends = 0;
        for (firm, paid_share) in paid_share.into_iter().enumerate() {
            if self.firms[firm].gone_for > 0 {
                continue;
            }
            if paid_share < 1.0 {
                self.close_firm(firm);
            } else {
                dividends += self.pay_firm_profit(firm);
            }
        }
        self.share_out(dividends);
    }

    /// Every lender receives its loan with interest, or its share of the firm's money.
    fn collect_loans(&mut self, paid_share: &[f64]) {
        for loan in std::mem::take(&mut self.loans) {
            let interest = whole(loan.rate * loan.principal as f64);
            let due = loan.principal + interest;
            let wanted = match paid_share[loan.firm] {
                1.0 => due,
                share => (share * due as f64).floor() as Money,
            };
            let received = self.firm_accounts.pay_out(loan.firm, wanted, &mut self.sheets);
            match loan.bank {
                Some(bank) => {
                    let sheet = &mut self.sheets[bank];
                    sheet.reserves += received;
                    sheet.loans -= loan.principal;
                    sheet.worth += received - loan.principal;
                    let lost = (loan.principal - received).max(0);
                    self.sample.losses_by_firms += lost as f64;
                    if let Some(loss) = self.banks[bank].losses.last_mut() {
                        *loss += lost as f64;
                    }
                }
                None => {
                    self.public.loans -= loan.principal;
                    self.public.account += received - loan.principal;
                }
            }
        }
    }

    fn close_firm(&mut self, firm: usize) {
        self.sample.firm_defaults += 1.0;
        for worker in std::mem::take(&mut self.firms[firm].workers) {
            self.employer[usize::from(worker)] = None;
        }
        // The remainder of rounding goes to the state.
        let rest = self.firm_accounts.total(firm);
        self.public.account += self.firm_accounts.pay_out(firm, rest, &mut self.sheets);
        let state = &mut self.firms[firm];
        state.gone_for = 1;
        (state.principal, state.interest, state.stock, state.output) = (0, 0, 0.0, 0.0);
    }

    /// Profit > 0: tax, then (1 − θ) · δF of it and dF of the worth before it go to the shareholders; returns the
    /// amount.
    fn pay_firm_profit(&mut self, firm: usize) -> Money {
        let state = &self.firms[firm];
        let profit = state.revenue - state.wages - state.interest;
        if profit <= 0 {
            return 0;
        }
        let worth = self.firm_accounts.total(firm) - profit;
        let tax = whole(self.p.tax * profit as f64);
        let dividend =
            whole(self.p.firm_profit_paid * (profit - tax) as f64 + self.p.firm_worth_paid * worth.max(0) as f64);
        self.public.account += self.firm_accounts.pay_out(firm, tax, &mut self.sheets);
        self.firm_accounts.pay_out(firm, dividend, &mut self.sheets)
    }

    /// Pays shareholders equally; the first receives the remainder.
    pub fn share_out(&mut self, amount: Money) {
        let owners = self.shareholders;
        let each = amount / owners as Money;
        let mut rest = amount - each * owners as Money;
        for owner in 0..owners {
            self.household_accounts.pay_in(owner, each + rest, &mut self.sheets);
            rest = 0;
        }
    }

    /// A firm that failed is replaced after some steps: with the mean worth and output of those alive and the mark-up
    /// of the start, if shareholders have as much.
    pub fn replace_firms(&mut self) {
        let alive: Vec<usize> = (0..self.firms.len()).filter(|firm| self.firms[*firm].gone_for == 0).collect();
        let count = alive.len().max(1);
        let worth = alive.iter().map(|firm| self.firm_accounts.total(*firm)).sum::<Money>() / count as Money;
        let of_alive = |read: fn(&super::economy::Firm) -> f64| {
            alive.iter().map(|firm| read(&self.firms[*firm])).sum::<f64>() / count as f64
        };
        let output = of_alive(|firm| firm.output);
        let mut due: Vec<usize> = Vec::new();
        for (firm, state) in self.firms.iter_mut().enumerate().filter(|(_, state)| state.gone_for > 0) {
            state.gone_for += 1;
            if state.gone_for > self.p.firm_entry_steps {
                due.push(firm);
            }
        }
        let Some(mut raised) = self.raise(worth * due.len() as Money) else {
            return;
        };
        for firm in due {
            let put_in = worth.min(raised);
            raised -= put_in;
            self.firm_accounts.pay_in(firm, put_in, &mut self.sheets);
            let state = &mut self.firms[firm];
            state.gone_for = 0;
            (state.target, state.output, state.stock) = (output, output, 0.0);
            state.markup = self.p.markup_start;
            state.price = (1.0 + state.markup) * self.wage as f64 / self.p.productivity;
        }
    }

    /// Takes `amount` from shareholders in proportion to their wealth, or nothing if it is too much for them.
    pub fn raise(&mut self, amount: Money) -> Option<Money> {
        let wealth: Vec<Money> = (0..self.shareholders).map(|owner| self.wealth(owner).max(0)).collect();
        let total: Money = wealth.iter().sum();
        if amount <= 0 || amount as f64 > self.p.shareholders_put_in * total as f64 {
            return None;
        }
        let share = amount as f64 / total as f64;
        let mut raised = 0;
        for (owner, wealth) in wealth.into_iter().enumerate() {
            let part = (share * wealth as f64).floor() as Money;
            self.take_from_household(owner, part);
            raised += part;
        }
        Some(raised)
    }
}
