//! The month: interest and credit, prices and rates on the first; bills on the third; wages and pensions on payday.
//!
//! On the first, for the days of the month that ended:
//! 1. Borrowers pay interest, or add it to the loan if they cannot; some default, some repay, some borrow more.
//! 2. Deposits, wholesale funding and bonds earn. The central bank earns coupons and remits its profit to the
//!    government ([`profit`](super::profit)).
//! 3. Banks pay their running costs. Firms settle with each other: those with a surplus pay their suppliers among those
//!    with a deficit. They pay out deposits above their normal level as dividends; so do banks with equity above their
//!    capital target.
//! 4. Investors keep of their income what lets their wealth grow with prices, and pass the rest on to households, by
//!    income. The government spends on goods what taxes leave, and new debt that keeps its real amount.
//! 5. Prices, rates and households' planned spending are set for the month that begins.

use cbdc_ledger::amount::Amount;

use super::rest::MONTH_DAYS;
use super::{BILL, Economy};
use crate::accounts::{Flow, Sector, interest, portion, ppm, split, split_within};
use crate::agent::{Firms, Households, NO_EMPLOYER};
use crate::authority::{account, minor};
use crate::behaviour::SpendingView;
use crate::calendar::Day;
use crate::error::EconomyError;
use crate::rng::{Purpose, Stream};
use crate::scenario::Values;

/// Day of the month on which bills fall due.
pub(super) const BILLS_DAY: u32 = 3;

/// The largest purchase of a household: a share of what it can spare until payday, and for those who have nothing to
/// spare a share of a month's spending.
const LARGEST_OF_SPARE: f64 = 0.3;
const SMALLEST_LARGEST: f64 = 0.02;

/// The terms of a bank's loans for a month.
struct Terms {
    rate_ppm: i64,
    days: u32,
    repaid_ppm: i64,
    /// New loans to households and to firms, as shares of their loans.
    new_ppm: [i64; 2],
    default_probability: f64,
    loss_ppm: i64,
}

/// Spending that is due from a day until the next payday, in months of spending.
pub(super) fn months_until_payday(values: &Values, from: u32) -> f64 {
    let retail_share = values.behaviours.consumption.parameters.retail_share;
    let days = (from..from + 62).map(|number| Day::new(values.time.first_day(), number));
    let mut due = 0.0;
    for day in days.take_while(|day| !day.is_day_of_month(values.time.payday)) {
        due += retail_share / MONTH_DAYS;
        if day.is_day_of_month(BILLS_DAY) {
            due += 1.0 - retail_share;
        }
    }
    due
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
            self.macro_state.months_ahead += 1.0;
        }
        Ok(())
    }

    fn begin_month(&mut self) -> Result<(), EconomyError> {
        // Days of the month that ended, or those since the start.
        let yesterday = Day::new(self.values.time.first_day(), self.day.number - 1);
        let days = yesterday.month_days.min(self.day.number);
        self.draw_for_loans(days)?;
        self.service_loans(days);
        self.pay_deposit_interest(days);
        self.pay_investors(days);
        self.book_central_bank_profit(days)?;
        self.pay_costs();
        self.settle_suppliers();
        self.pay_dividends();
        self.pass_on_income();
        self.buy_goods();
        self.operate_structurally()?;
        self.empty_firms_wallets()?;
        self.state_deposits()?;
        self.set_prices(days);
        let (spending, base) = (self.nominal_spending(), self.base_money_minor() as f64);
        self.macro_state.money.note(spending, base);
        self.set_rates();
        self.plan_spending();
        Ok(())
    }

    fn terms(&self, bank: usize, days: u32, of_rest: [f64; 2]) -> Terms {
        let behaviours = self.behaviours();
        let sheet = &self.banks[bank];
        let ratio = sheet.capital_ratio(self.values.banks.risk_weight);
        let is_liquid = self.liquidity_ratio(bank) >= behaviours.funding.parameters.liquidity_floor;
        let loss = behaviours.default.parameters.loss;
        // Losses at rest are replaced; those beyond are caught up with.
        let at_rest = self.rest.loan_rates[bank];
        let replaced = behaviours.default.probability(at_rest, 0.0) * loss + self.growth_ppm() as f64 / 1e6;
        let new_ppm = of_rest.map(|of_rest| {
            let wanted = behaviours.credit.wanted_ratio(of_rest, sheet.loan_rate - at_rest);
            let new = behaviours.credit.new_share(replaced, wanted, ratio, is_liquid);
            if sheet.is_active() { ppm(new) } else { 0 }
        });
        Terms {
            rate_ppm: ppm(sheet.loan_rate),
            days,
            repaid_ppm: ppm(behaviours.credit.parameters.repaid),
            new_ppm,
            default_probability: behaviours.default.probability(sheet.loan_rate, self.macro_state.output_gap),
            loss_ppm: ppm(loss),
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
        let of_rest = |column: &[i64], at_rest: f64| {
            let loans = column.iter().sum::<i64>() as f64 / self.macro_state.price_level;
            if at_rest > 0.0 { loans / at_rest } else { 0.0 }
        };
        let of_rest = [
            of_rest(&self.households.loan_minor, self.rest.loans_minor[0]),
            of_rest(&self.firms.loan_minor, self.rest.loans_minor[1]),
        ];
        let terms: Vec<Terms> = (0..self.banks.len()).map(|bank| self.terms(bank, days, of_rest)).collect();
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
                // A household has one loan; a firm stands for many borrowers, some of whom default each month.
                let lost_ppm = match sector {
                    Sector::Firms => ppm(terms.default_probability * terms.loss_ppm as f64 / 1e6),
                    _ if stream.happens(terms.default_probability) => terms.loss_ppm,
                    _ => 0,
                };
                if lost_ppm > 0 {
                    let loss = portion(*loan, lost_ppm, 1_000_000);
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
                let change = portion(*loan, terms.new_ppm[usize::from(sector == Sector::Firms)], 1_000_000) - repaid;
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
        // A quarter of what is above is paid out, so that at rest three months' profit stays above.
        let months = (self.values.firms.deposit_months - 3.0 * self.values.firms.profit_share).max(0.0);
        let loan_months = self.values.firms.loan_months;
        let mut by_firms = 0;
        for firm in 0..self.firms.len() {
            let wages = self.firms.wages_minor[firm] as f64 * self.macro_state.wage_level;
            let above = (self.firms.deposit_minor[firm] - (wages * months) as i64).max(0);
            // Debt above its normal amount comes before the owners.
            let excess = self.firms.loan_minor[firm] - (wages * loan_months) as i64;
            let repaid = (above / 4).min(excess / 4).max(0);
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
        self.retain_income();
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

    /// Keeps what lets investors' wealth grow with prices, and rolls wholesale funding over at its real amount.
    fn retain_income(&mut self) {
        let growth = self.growth_ppm();
        for index in 0..self.banks.len() {
            let bank = &mut self.banks[index];
            let more = portion(bank.wholesale_minor - bank.raised_minor, growth, 1_000_000);
            let more = more.min(self.investors.deposit_minor[index]).max(0);
            if bank.is_active() {
                self.investors.deposit_minor[index] -= more;
                self.investors.wholesale_minor[index] += more;
                bank.deposits_minor -= more;
                bank.wholesale_minor += more;
            }
        }
        let investors = &mut self.investors;
        let lent: i64 = investors.wholesale_minor.iter().sum();
        let worth = investors.deposits_minor() + lent + investors.bonds_minor;
        let kept = portion(worth.max(0), growth, 1_000_000);
        investors.income_minor -= kept.min(investors.income_minor).max(0);
    }

    fn buy_goods(&mut self) {
        let fiscal = self.behaviours().fiscal.parameters;
        let (growth, prices) = (self.growth_ppm() as f64 / 1e6, self.macro_state.price_level);
        let debt = self.bonds_minor as f64;
        let new_debt = growth * debt + fiscal.debt_speed * (self.rest.debt_minor * prices - debt);
        let macro_state = &mut self.macro_state;
        let (taxes, spent) = (
            std::mem::take(&mut macro_state.month_taxes_minor),
            std::mem::take(&mut macro_state.month_obligations_minor),
        );
        let bought = (((taxes - spent) as f64 * fiscal.spent) + new_debt).max(0.0) as i64;
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
        let bills = f64::from(std::mem::take(&mut macro_state.month_bills));
        let spent =
            std::mem::take(&mut macro_state.month_retail_minor) + std::mem::take(&mut macro_state.month_bills_minor);
        // What the season and the calendar of this month make of normal spending.
        let normal = self.rest.retail_minor * seasonality / MONTH_DAYS + self.rest.bills_minor * bills;
        // A month of a few days says little.
        if normal > 0.0 && days >= 15 {
            let gap = spent as f64 / macro_state.price_level / normal - 1.0;
            macro_state.output_gap += 0.5 * (gap - macro_state.output_gap);
        }
        macro_state.inflation = prices.next_inflation(macro_state.inflation, macro_state.output_gap);
        let growth = libm::pow(1.0 + macro_state.inflation, 1.0 / 12.0);
        macro_state.price_level *= growth;
        macro_state.wage_level *= growth;
    }

    fn set_rates(&mut self) {
        let (policy_rate, cbdc_rate) = (self.policy_rate(), self.cbdc_rate());
        for (index, exposed) in self.customers_with_wallet().into_iter().enumerate() {
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
            let deposit_rate = behaviours.deposit_pricing.next_rate(bank.deposit_rate, policy_rate, cbdc_rate, exposed);
            let bank = &mut self.banks[index];
            (bank.loan_rate, bank.deposit_rate) = (loan_rate, deposit_rate);
        }
    }

    /// The share of each bank's customers with a wallet.
    fn customers_with_wallet(&self) -> Vec<f64> {
        let mut counts = vec![(0_u32, 0_u32); self.banks.len()];
        for (bank, wallet) in self.households.bank.iter().zip(&self.households.wallet) {
            let (all, with) = &mut counts[usize::from(*bank)];
            (*all, *with) = (*all + 1, *with + u32::from(*wallet != 0));
        }
        counts.into_iter().map(|(all, with)| f64::from(with) / f64::from(all.max(1))).collect()
    }

    /// Sets each household's planned spending for the month: payments a day, the largest of them, and bills.
    pub(super) fn plan_spending(&mut self) {
        let consumption = self.values.behaviours.consumption;
        let (prices, wages) = (self.macro_state.price_level, self.macro_state.wage_level);
        let ahead = self.macro_state.months_ahead;
        let retail_share = consumption.parameters.retail_share;
        let real_rate_above = self.policy_rate() - self.macro_state.inflation - self.rest.real_rate;
        let (income_loss, needed) = (self.income_loss(), months_until_payday(self.values, self.day.number));
        let stored_share = self.stored_share();
        let households = &mut self.households;
        // What is left of wages at this point of the month belongs to the wealth at rest.
        let above = |households: &Households, index: usize| {
            let (normal, wealth) = (households.normal_minor[index], households.wealth_minor[index]);
            households.liquid_minor(index) as f64 - (f64::from(wealth) + f64::from(normal) * ahead) * prices
        };
        let above_in_all: f64 = (0..households.len()).map(|index| above(households, index)).sum();
        let normal_in_all: f64 = households.normal_minor.iter().map(|normal| f64::from(*normal)).sum();
        let above_of_normal = above_in_all / (normal_in_all * prices).max(1.0);
        for index in 0..households.len() {
            let income = households.income_minor[index] as f64 * wages;
            let loss = if households.employer[index] == NO_EMPLOYER { 0.0 } else { income_loss };
            let normal = f64::from(households.normal_minor[index]) * prices;
            let wealth_above = above_of_normal * normal;
            let spending = consumption.minor_a_month(&SpendingView {
                income_minor: income * (1.0 - loss),
                income_at_rest_minor: income,
                normal_minor: normal,
                wealth_above_minor: wealth_above,
                own_above_minor: above(households, index) - wealth_above,
                real_rate_above,
            });
            // Nobody buys at once what leaves nothing until payday; smaller purchases are the more.
            let stored = f64::from(households.wealth_minor[index]) * prices * stored_share;
            let spare = households.liquid_minor(index) as f64 - stored - spending * needed;
            let largest = (spare * LARGEST_OF_SPARE).max(spending * SMALLEST_LARGEST);
            let average = self.amounts.mean_up_to(largest / prices) * prices;
            households.largest_minor[index] = largest as f32;
            households.bill_minor[index] = (spending * (1.0 - retail_share)) as i64;
            households.payments_a_day[index] = (spending * retail_share / MONTH_DAYS / average).min(30.0) as f32;
        }
    }

    /// Counts a day of spending, with its season.
    pub(super) fn count_spending_day(&mut self) {
        let factor = self.seasonality_today();
        let retail_share = self.behaviours().consumption.parameters.retail_share;
        let macro_state = &mut self.macro_state;
        macro_state.month_seasonality += factor;
        macro_state.months_ahead -= retail_share * factor / MONTH_DAYS;
    }

    /// Share of wages lost to a shock at present.
    fn income_loss(&self) -> f64 {
        if self.day.number < self.macro_state.income_loss_until { self.macro_state.income_loss } else { 0.0 }
    }

    fn pay_bills(&mut self) -> Result<(), EconomyError> {
        let bills = std::mem::take(&mut self.households.bill_minor);
        self.draw_from_wallets(bills.iter().copied().enumerate())?;
        self.households.bill_minor = bills;
        let retail_share = self.behaviours().consumption.parameters.retail_share;
        self.macro_state.month_bills += 1;
        self.macro_state.months_ahead -= 1.0 - retail_share;
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
        self.macro_state.month_bills_minor += value;
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
