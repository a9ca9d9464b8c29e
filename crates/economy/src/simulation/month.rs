//! The month: interest and credit, prices and rates on the first; bills on the third; wages and pensions on payday.
//!
//! On the first, for the days of the month that ended:
//! 1. Borrowers pay interest, or add it to the loan if they cannot; some default, some repay, some borrow more.
//! 2. Deposits, wholesale funding and bonds earn. Coupons on the central bank's bonds are its profit, which goes back
//!    to the government: neither is booked.
//! 3. Banks pay their running costs. Firms settle with each other: those with a surplus pay their suppliers among those
//!    with a deficit. They pay out deposits above their normal level as dividends; so do banks with equity above their
//!    capital target.
//! 4. Investors pass their income on to households, by income. The government spends the remaining taxes on goods.
//! 5. Prices, rates and households' planned spending are set for the month that begins.

use cbdc_ledger::amount::Amount;

use super::{BILL, Economy};
use crate::accounts::{Flow, Sector, interest, portion, ppm, split, split_within};
use crate::agent::{Firms, NO_EMPLOYER};
use crate::authority::{account, minor};
use crate::error::EconomyError;
use crate::rng::{Purpose, Stream};

/// Day of the month on which bills fall due.
const BILLS_DAY: u32 = 3;

/// Months that establish the normal level of spending; until then the output gap is zero.
const LEARNING_MONTHS: u32 = 3;

/// The terms of a bank's loans for a month.
struct Terms {
    rate_ppm: i64,
    days: u32,
    repaid_ppm: i64,
    new_ppm: i64,
    default_probability: f64,
    loss_ppm: i64,
}

impl Economy<'_> {
    pub(super) fn month(&mut self) -> Result<(), EconomyError> {
        if self.day.is_first_of_month() && self.day.number > 0 {
            self.begin_month()?;
        }
        if self.day.is_day_of_month(BILLS_DAY) {
            self.pay_bills()?;
        }
        if self.day.is_day_of_month(self.values.time.payday) {
            self.pay_wages();
            self.macro_state.last_payday = Some(self.day.number);
        }
        Ok(())
    }

    fn begin_month(&mut self) -> Result<(), EconomyError> {
        // Days of the month that ended, or those since the start.
        let yesterday = crate::calendar::Day::new(self.values.time.first_day(), self.day.number - 1);
        let days = yesterday.month_days.min(self.day.number);
        self.draw_for_loans(days)?;
        self.service_loans(days);
        self.pay_deposit_interest(days);
        self.pay_investors(days);
        self.pay_costs();
        self.settle_suppliers();
        self.pay_dividends();
        self.pass_on_income();
        self.buy_goods();
        self.empty_firms_wallets()?;
        self.state_deposits()?;
        self.set_prices(days);
        self.set_rates();
        self.plan_spending();
        Ok(())
    }

    fn terms(&self, bank: usize, days: u32) -> Terms {
        let behaviours = self.behaviours();
        let sheet = &self.banks[bank];
        let ratio = sheet.capital_ratio(self.values.banks.risk_weight);
        let is_liquid = self.liquidity_ratio(bank) >= behaviours.funding.parameters.liquidity_floor;
        let new = if sheet.is_active() { behaviours.credit.new_share(sheet.loan_rate, ratio, is_liquid) } else { 0.0 };
        Terms {
            rate_ppm: ppm(sheet.loan_rate),
            days,
            repaid_ppm: ppm(behaviours.credit.parameters.repaid),
            new_ppm: ppm(new),
            default_probability: behaviours.default.probability(sheet.loan_rate, self.macro_state.output_gap),
            loss_ppm: ppm(behaviours.default.parameters.loss),
        }
    }

    /// Liquid assets over deposits and wholesale funding.
    pub(super) fn liquidity_ratio(&self, bank: usize) -> f64 {
        let [reserves, facility, loans] = self.central_bank_accounts(bank);
        let sheet = &self.banks[bank];
        let liquid = reserves + facility - loans + sheet.vault_minor + sheet.bonds_minor;
        let owed = sheet.deposits_minor + sheet.wholesale_minor;
        if owed > 0 { liquid as f64 / owed as f64 } else { 1.0 }
    }

    /// Draws from wallets what households' deposits lack for interest and repayment.
    fn draw_for_loans(&mut self, days: u32) -> Result<(), EconomyError> {
        let rates: Vec<i64> = self.banks.iter().map(|bank| ppm(bank.loan_rate)).collect();
        let repaid = ppm(self.behaviours().credit.parameters.repaid);
        let due_of =
            |loan: i64, bank: u16| interest(loan, rates[usize::from(bank)], days) + portion(loan, repaid, 1_000_000);
        let due: Vec<(usize, i64)> = (0..self.households.len())
            .filter(|index| self.households.cbdc_minor[*index] > 0 && self.households.loan_minor[*index] > 0)
            .map(|index| (index, due_of(self.households.loan_minor[index], self.households.bank[index])))
            .collect();
        self.draw_from_wallets(due.into_iter())
    }

    fn service_loans(&mut self, days: u32) {
        let terms: Vec<Terms> = (0..self.banks.len()).map(|bank| self.terms(bank, days)).collect();
        let (households, firms) = (&mut self.households, &mut self.firms);
        let borrowers = [
            (Sector::Households, &households.bank, &mut households.loan_minor, &mut households.deposit_minor, None),
            (
                Sector::Firms,
                &firms.bank,
                &mut firms.loan_minor,
                &mut firms.deposit_minor,
                Some(&mut firms.surplus_minor),
            ),
        ];
        for (sector, banks, loans, deposits, mut surplus) in borrowers {
            let (mut paid, mut lost) = (0, 0);
            for (index, loan) in loans.iter_mut().enumerate().filter(|(_, loan)| **loan > 0) {
                let bank_index = usize::from(banks[index]);
                let (terms, bank, deposit) = (&terms[bank_index], &mut self.banks[bank_index], &mut deposits[index]);
                // Each sector has its own streams.
                let agent = index as u32 | u32::from(sector == Sector::Firms) << 31;
                let mut stream = Stream::of(self.seed, Purpose::Default, self.day.number, agent);
                if stream.happens(terms.default_probability) {
                    let loss = portion(*loan, terms.loss_ppm, 1_000_000);
                    *loan -= loss;
                    bank.loans_minor -= loss;
                    bank.gain(-loss);
                    lost += loss;
                }
                let due = interest(*loan, terms.rate_ppm, terms.days);
                let from_deposit = due.min(*deposit);
                *deposit -= from_deposit;
                bank.deposits_minor -= from_deposit;
                *loan += due - from_deposit;
                bank.loans_minor += due - from_deposit;
                bank.earn(due);
                paid += due;
                if let Some(surplus) = surplus.as_mut() {
                    surplus[index] -= due;
                }
                let repaid = portion(*loan, terms.repaid_ppm, 1_000_000).min(*deposit);
                let change = portion(*loan, terms.new_ppm, 1_000_000) - repaid;
                *loan += change;
                *deposit += change;
                bank.loans_minor += change;
                bank.deposits_minor += change;
            }
            self.flows_today.record(Flow::LoanInterest, sector, Sector::Banks, paid);
            self.flows_today.record(Flow::WriteOffs, Sector::Banks, sector, lost);
        }
    }

    fn pay_deposit_interest(&mut self, days: u32) {
        let rates: Vec<i64> = self.banks.iter().map(|bank| ppm(bank.deposit_rate)).collect();
        let holders = [
            (Sector::Households, &self.households.bank, &mut self.households.deposit_minor),
            (Sector::Firms, &self.firms.bank, &mut self.firms.deposit_minor),
        ];
        for (sector, banks, deposits) in holders {
            let mut paid = 0;
            for (bank, deposit) in banks.iter().zip(deposits) {
                let earned = interest(*deposit, rates[usize::from(*bank)], days);
                *deposit += earned;
                let bank = &mut self.banks[usize::from(*bank)];
                bank.deposits_minor += earned;
                bank.earn(-earned);
                paid += earned;
            }
            self.flows_today.record(Flow::DepositInterest, Sector::Banks, sector, paid);
        }
    }

    /// Interest on investors' deposits, wholesale funding and bonds; coupons on banks' bonds.
    fn pay_investors(&mut self, days: u32) {
        let policy_rate = self.policy_rate();
        let coupon_ppm = ppm(policy_rate.max(0.0));
        let mut coupons = interest(self.investors.bonds_minor, coupon_ppm, days);
        for index in 0..self.banks.len() {
            let funding = &self.values.behaviours.funding;
            let bank = &mut self.banks[index];
            let wholesale_rate = ppm(funding.wholesale_rate(policy_rate, bank.trust));
            let on_deposit = interest(self.investors.deposit_minor[index], ppm(bank.deposit_rate), days);
            let on_funding = interest(self.investors.wholesale_minor[index], wholesale_rate, days);
            // At a negative rate investors pay, but no more than they have.
            let on_funding = on_funding.max(-(self.investors.deposit_minor[index] + on_deposit));
            self.investors.deposit_minor[index] += on_deposit + on_funding;
            self.investors.income_minor += on_deposit + on_funding;
            bank.deposits_minor += on_deposit + on_funding;
            bank.earn(-on_deposit - on_funding);
            self.flows_today.record(Flow::DepositInterest, Sector::Banks, Sector::Investors, on_deposit);
            self.flows_today.record(Flow::WholesaleInterest, Sector::Banks, Sector::Investors, on_funding);
            let coupon = interest(bank.bonds_minor, coupon_ppm, days);
            bank.earn(coupon);
            bank.fiscal_minor -= coupon;
            self.flows_today.record(Flow::Coupons, Sector::Government, Sector::Banks, coupon);
            self.macro_state.month_obligations_minor += coupon;
            // Investors' coupons are paid into their deposits at the first bank in business.
            if bank.is_active() && coupons != 0 {
                let paid = std::mem::take(&mut coupons);
                bank.fiscal_minor -= paid;
                bank.deposits_minor += paid;
                self.investors.deposit_minor[index] += paid;
                self.investors.income_minor += paid;
                self.macro_state.month_obligations_minor += paid;
                self.flows_today.record(Flow::Coupons, Sector::Government, Sector::Investors, paid);
            }
        }
    }

    /// Lets firms with a surplus pay those with a deficit, up to the smaller of both sums.
    fn settle_suppliers(&mut self) {
        let payable: Vec<i64> = (0..self.firms.len())
            .map(|firm| self.firms.surplus_minor[firm].min(self.firms.deposit_minor[firm]).max(0))
            .collect();
        let lacking: Vec<i64> = self.firms.surplus_minor.iter().map(|surplus| (-surplus).max(0)).collect();
        let moved = payable.iter().sum::<i64>().min(lacking.iter().sum());
        let (paid, received) = (split_within(moved, &payable), split_within(moved, &lacking));
        for firm in 0..self.firms.len() {
            let change = received[firm] - paid[firm];
            self.firms.deposit_minor[firm] += change;
            // Banks clear their customers' payments.
            let bank = &mut self.banks[usize::from(self.firms.bank[firm])];
            bank.deposits_minor += change;
            bank.clearing_minor -= change;
            self.firms.surplus_minor[firm] = 0;
        }
    }

    fn pay_dividends(&mut self) {
        let months = self.values.firms.deposit_months;
        let mut by_firms = 0;
        for firm in 0..self.firms.len() {
            let kept = (self.firms.wages_minor[firm] as f64 * self.macro_state.wage_level * months) as i64;
            let above = (self.firms.deposit_minor[firm] - kept).max(0);
            // Debt to the bank comes before the owners.
            let repaid = (above / 4).min(self.firms.loan_minor[firm] / 20).max(0);
            let paid = (above - repaid) / 4;
            let bank_index = usize::from(self.firms.bank[firm]);
            self.firms.deposit_minor[firm] -= repaid + paid;
            self.firms.loan_minor[firm] -= repaid;
            self.investors.deposit_minor[bank_index] += paid;
            let bank = &mut self.banks[bank_index];
            bank.deposits_minor -= repaid;
            bank.loans_minor -= repaid;
            by_firms += paid;
        }
        self.flows_today.record(Flow::Dividends, Sector::Firms, Sector::Investors, by_firms);
        let payout = self.behaviours().payout.parameters;
        let risk_weight = self.values.banks.risk_weight;
        let mut by_banks = 0;
        for index in 0..self.banks.len() {
            let bank = &mut self.banks[index];
            let wanted = (bank.loans_minor as f64 * risk_weight * payout.capital_target) as i64;
            let above = if bank.is_active() { (bank.equity_minor - wanted).max(0) } else { 0 };
            let paid = portion(above, ppm(payout.speed), 1_000_000);
            bank.gain(-paid);
            bank.deposits_minor += paid;
            self.investors.deposit_minor[index] += paid;
            by_banks += paid;
        }
        self.flows_today.record(Flow::Dividends, Sector::Banks, Sector::Investors, by_banks);
        self.investors.income_minor += by_firms + by_banks;
    }

    /// Pays banks' running costs to firms, by size.
    fn pay_costs(&mut self) {
        let cost_a_month = ppm(self.behaviours().payout.parameters.cost / 12.0);
        let mut whole = 0;
        for index in 0..self.banks.len() {
            let bank = &self.banks[index];
            let cost = portion((bank.deposits_minor + bank.loans_minor).max(0), cost_a_month, 1_000_000);
            let parts = split(cost, &self.firms.wages_minor);
            for (firm, part) in parts.into_iter().enumerate().filter(|(_, part)| *part > 0) {
                self.firms.deposit_minor[firm] += part;
                self.firms.surplus_minor[firm] += part;
                // The bank pays with its own money: the payee's bank gets a deposit and a claim on it.
                let payee = &mut self.banks[usize::from(self.firms.bank[firm])];
                payee.deposits_minor += part;
                payee.clearing_minor -= part;
                let bank = &mut self.banks[index];
                bank.clearing_minor += part;
                bank.gain(-part);
                whole += part;
            }
        }
        self.flows_today.record(Flow::Costs, Sector::Banks, Sector::Firms, whole);
    }

    /// Pays investors' income to households in proportion to theirs, from the investors' deposit at the household's own
    /// bank if that is enough, else from the others in order.
    fn pass_on_income(&mut self) {
        let whole: i64 = self.households.income_minor.iter().sum();
        let income = self.investors.income_minor.min(self.investors.deposits_minor()).max(0);
        let mut to_banks = vec![0_i64; self.banks.len()];
        let mut passed_on = 0;
        for household in 0..self.households.len() {
            let part = portion(income, self.households.income_minor[household], whole);
            self.households.deposit_minor[household] += part;
            to_banks[usize::from(self.households.bank[household])] += part;
            passed_on += part;
        }
        for (to, mut due) in to_banks.into_iter().enumerate() {
            let order = std::iter::once(to).chain(0..self.banks.len());
            for from in order {
                let paid = self.investors.deposit_minor[from].min(due);
                self.investors.deposit_minor[from] -= paid;
                self.clear(from, to, paid);
                due -= paid;
            }
            debug_assert_eq!(due, 0, "investors pass on no more than they have");
        }
        self.investors.income_minor -= passed_on;
        self.period_income_minor += passed_on;
        self.flows_today.record(Flow::Dividends, Sector::Investors, Sector::Households, passed_on);
    }

    fn buy_goods(&mut self) {
        let macro_state = &mut self.macro_state;
        let (taxes, spent) = (
            std::mem::take(&mut macro_state.month_taxes_minor),
            std::mem::take(&mut macro_state.month_obligations_minor),
        );
        let left = (taxes - spent).max(0);
        let bought = portion(left, ppm(self.behaviours().fiscal.parameters.spent), 1_000_000);
        let parts = split(bought, &self.firms.wages_minor);
        let bought: i64 = parts.iter().sum();
        for (firm, part) in parts.into_iter().enumerate() {
            let bank = &mut self.banks[usize::from(self.firms.bank[firm])];
            self.firms.deposit_minor[firm] += part;
            self.firms.surplus_minor[firm] += part;
            bank.deposits_minor += part;
            bank.fiscal_minor -= part;
        }
        self.flows_today.record(Flow::Purchases, Sector::Government, Sector::Firms, bought);
    }

    /// Moves CBDC of firms that may hold it to their banks once a month.
    fn empty_firms_wallets(&mut self) -> Result<(), EconomyError> {
        let full: Vec<usize> = (0..self.firms.len()).filter(|firm| self.firms.cbdc_minor[*firm] > 0).collect();
        for firm in &full {
            let Some(wallet) = account(self.firms.wallet[*firm]) else { continue };
            self.firms.sequence[*firm] += 1;
            let sequence = u64::from(self.firms.sequence[*firm]);
            self.authority.defund(wallet, minor(self.firms.cbdc_minor[*firm]), sequence);
        }
        let outcomes = self.settle()?;
        let emptied = full.into_iter().zip(outcomes).filter(|(_, outcome)| outcome.is_settled());
        for (firm, _) in emptied {
            let amount = std::mem::take(&mut self.firms.cbdc_minor[firm]);
            self.firms.deposit_minor[firm] += amount;
            self.banks[usize::from(self.firms.bank[firm])].deposits_minor += amount;
        }
        Ok(())
    }

    fn state_deposits(&mut self) -> Result<(), EconomyError> {
        for bank in self.banks.iter().filter(|bank| bank.is_active()) {
            self.authority.state_deposits(bank.id, Amount::from_minor(bank.deposits_minor.max(0) as u64));
        }
        self.settle_all().map(|_| ())
    }

    fn set_prices(&mut self, days: u32) {
        let prices = self.behaviours().prices;
        let macro_state = &mut self.macro_state;
        let seasonality = std::mem::take(&mut macro_state.month_seasonality);
        let spent = std::mem::take(&mut macro_state.month_spending_minor) as f64;
        // A month of a few days says little about normal spending.
        if seasonality > 0.0 && days >= 15 {
            let real_a_day = spent / seasonality / macro_state.price_level;
            macro_state.months += 1;
            if macro_state.months <= LEARNING_MONTHS {
                macro_state.normal_spending = real_a_day;
            }
            let gap = real_a_day / macro_state.normal_spending.max(1.0) - 1.0;
            macro_state.output_gap += 0.5 * (gap - macro_state.output_gap);
            // Lasting changes become the normal level.
            macro_state.normal_spending += 0.03 * (real_a_day - macro_state.normal_spending);
        }
        macro_state.inflation = prices.next_inflation(macro_state.inflation, macro_state.output_gap);
        let growth = libm::pow(1.0 + macro_state.inflation, 1.0 / 12.0);
        macro_state.price_level *= growth;
        macro_state.wage_level *= growth;
    }

    fn set_rates(&mut self) {
        let (policy_rate, cbdc_rate) = (self.policy_rate(), self.cbdc_rate());
        for index in 0..self.banks.len() {
            let behaviours = self.behaviours();
            let (bank, loans) = (&self.banks[index], self.central_bank_accounts(index)[2]);
            let wholesale_rate = behaviours.funding.wholesale_rate(policy_rate, bank.trust);
            let parts = [
                (bank.deposits_minor, bank.deposit_rate),
                (bank.wholesale_minor, wholesale_rate),
                (loans, policy_rate),
            ];
            let whole: f64 = parts.iter().map(|(amount, _)| *amount as f64).sum();
            let cost: f64 = parts.iter().map(|(amount, rate)| *amount as f64 * rate).sum();
            let cost = if whole > 0.0 { cost / whole } else { policy_rate };
            let missing =
                behaviours.credit.parameters.capital_target - bank.capital_ratio(self.values.banks.risk_weight);
            let loan_rate = behaviours.loan_pricing.next_rate(bank.loan_rate, cost, policy_rate, missing);
            let deposit_rate = behaviours.deposit_pricing.next_rate(bank.deposit_rate, policy_rate, cbdc_rate);
            let bank = &mut self.banks[index];
            (bank.loan_rate, bank.deposit_rate) = (loan_rate, deposit_rate);
        }
    }

    /// Sets each household's planned spending for the month: payments a day, and bills.
    pub(super) fn plan_spending(&mut self) {
        let behaviours = &self.values.behaviours;
        let macro_state = &self.macro_state;
        let wages = macro_state.wage_level * (1.0 - self.income_loss());
        let retail_share = behaviours.consumption.parameters.retail_share;
        let average = self.amounts.mean_minor * macro_state.price_level;
        let real_rate = self.policy_rate() - macro_state.inflation;
        let month_days = 365.0 / 12.0;
        for household in 0..self.households.len() {
            let income = self.households.income_minor[household] as f64 * wages;
            let liquid = self.households.liquid_minor(household) as f64;
            let spent = behaviours.consumption.minor_a_month(income, liquid, real_rate);
            self.households.bill_minor[household] = (spent * (1.0 - retail_share)) as i64;
            self.households.payments_a_day[household] = (spent * retail_share / month_days / average).min(30.0) as f32;
        }
    }

    /// Share of wages lost to a shock at present.
    fn income_loss(&self) -> f64 {
        if self.day.number < self.macro_state.income_loss_until { self.macro_state.income_loss } else { 0.0 }
    }

    fn pay_bills(&mut self) -> Result<(), EconomyError> {
        let bills = std::mem::take(&mut self.households.bill_minor);
        self.draw_from_wallets(bills.iter().copied().enumerate())?;
        self.households.bill_minor = bills;
        let (mut count, mut value) = (0, 0);
        for household in 0..self.households.len() {
            let bill = self.households.bill_minor[household].min(self.households.deposit_minor[household]);
            if bill <= 0 {
                continue;
            }
            let firm = self.households.biller[household] as usize;
            self.households.deposit_minor[household] -= bill;
            self.firms.deposit_minor[firm] += bill;
            self.firms.surplus_minor[firm] += bill;
            self.clear(usize::from(self.households.bank[household]), usize::from(self.firms.bank[firm]), bill);
            (count, value) = (count + 1, value + bill);
        }
        self.used[BILL].count += count;
        self.used[BILL].value_minor += value;
        self.macro_state.month_spending_minor += value;
        self.flows_today.record(Flow::Consumption, Sector::Households, Sector::Firms, value);
        Ok(())
    }

    /// Pays wages, less tax and by overdraft where necessary, and pensions.
    fn pay_wages(&mut self) {
        let level = self.macro_state.wage_level * (1.0 - self.income_loss());
        let pension_level = self.macro_state.wage_level;
        let tax = self.behaviours().fiscal.parameters.tax;
        let (mut wages, mut taxes, mut pensions) = (0, 0, 0);
        for household in 0..self.households.len() {
            let to = usize::from(self.households.bank[household]);
            let income = self.households.income_minor[household] as f64;
            if self.households.employer[household] == NO_EMPLOYER {
                let pension = (income * pension_level) as i64;
                self.households.deposit_minor[household] += pension;
                let bank = &mut self.banks[to];
                bank.deposits_minor += pension;
                bank.fiscal_minor -= pension;
                pensions += pension;
                continue;
            }
            let net = (income * level) as i64;
            let withheld = (income * level / (1.0 - tax) * tax) as i64;
            let firm = self.households.employer[household] as usize;
            let from = usize::from(self.firms.bank[firm]);
            self.overdraw(firm, net + withheld);
            self.firms.deposit_minor[firm] -= net + withheld;
            self.firms.surplus_minor[firm] -= net + withheld;
            self.households.deposit_minor[household] += net;
            self.clear(from, to, net);
            let bank = &mut self.banks[from];
            bank.deposits_minor -= withheld;
            bank.fiscal_minor += withheld;
            (wages, taxes) = (wages + net, taxes + withheld);
        }
        self.flows_today.record(Flow::Wages, Sector::Firms, Sector::Households, wages);
        self.flows_today.record(Flow::Taxes, Sector::Firms, Sector::Government, taxes);
        self.flows_today.record(Flow::Pensions, Sector::Government, Sector::Households, pensions);
        self.macro_state.month_taxes_minor += taxes;
        self.macro_state.month_obligations_minor += pensions;
        self.period_income_minor += wages + pensions;
    }

    /// Lends a firm its shortfall.
    fn overdraw(&mut self, firm: usize, due: i64) {
        let Firms { deposit_minor, loan_minor, bank, .. } = &mut self.firms;
        let lacking = due - deposit_minor[firm];
        if lacking > 0 {
            let bank = &mut self.banks[usize::from(bank[firm])];
            deposit_minor[firm] += lacking;
            loan_minor[firm] += lacking;
            bank.deposits_minor += lacking;
            bank.loans_minor += lacking;
        }
    }
}
