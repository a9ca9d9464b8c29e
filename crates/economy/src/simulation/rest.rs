//! Rest: what everybody does while nothing changes, so that an economy opens at rest and stays there.
//!
//! # The state of rest
//! Prices and wages grow at the anchor of expectations, g a month, and every balance sheet grows with them: the stock
//! of loans, the government's debt, base money, wholesale funding, and what households, firms, banks and investors own.
//! Real spending is constant, so the output gap is nil.
//!
//! A household's *normal spending* is what its budget leaves at rest:
//!
//! ```text
//! normal = income after tax + its part of dividends + interest on its deposit − interest on its loan
//!          + what its loan grows by and is relieved of − what its wealth grows by + what others pay to it
//! ```
//!
//! The dividends of all are firms' profits (`firms.profit_share` of gross wages), banks' interest margin less costs and
//! losses, and investors' own interest, less what keeps the owners' wealth in step with prices.
//!
//! # What keeps it
//! - Households spend their normal spending, corrected by income, wealth and real rate against rest
//!   ([`Consumption`](crate::behaviour::Consumption)).
//! - Borrowers want loans of a constant real amount ([`Credit`](crate::behaviour::Credit)).
//! - The government sells bonds, and investors retain income, in step with prices ([`month`](super::month)).
//! - Base money grows with the anchor by structural market operations, unless a rule sets it.
//!
//! Who is not at rest at the start (a bank short of capital, say) gets there in time; the rest of the economy hardly
//! moves.

use super::Economy;
use crate::accounts::ppm;

/// Days of a mean month.
pub(super) const MONTH_DAYS: f64 = 365.2425 / 12.0;

/// The state of rest, fixed at the opening.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    /// The growth of prices, a share a month.
    pub(super) growth: f64,
    /// The policy rate less the anchor of expectations.
    pub(super) real_rate: f64,
    /// Normal consumption a month, day by day and by bills, minor units at price level 1.
    pub(super) retail_minor: f64,
    pub(super) bills_minor: f64,
    /// Loans to households and to firms, minor units at price level 1.
    pub(super) loans_minor: [f64; 2],
    /// The loan rate of each bank.
    pub(super) loan_rates: Vec<f64>,
    /// Base money, minor units at price level 1.
    pub(super) base_money_minor: f64,
    /// The government's debt and the central bank's equity, minor units at price level 1.
    pub(super) debt_minor: f64,
    pub(super) central_bank_equity_minor: f64,
}

impl Economy<'_> {
    /// Works out the state of rest from the opening balance sheets, and each household's normal spending.
    pub(super) fn find_rest(&mut self) {
        let values = self.values;
        let behaviours = &values.behaviours;
        let anchor = behaviours.prices.first_inflation();
        let growth = libm::pow(1.0 + anchor, 1.0 / 12.0) - 1.0;
        let default = &behaviours.default;
        // The part of a loan that defaults in a month and is lost.
        let loss_of: Vec<f64> =
            self.banks.iter().map(|bank| default.probability(bank.loan_rate, 0.0) * default.parameters.loss).collect();
        let deposit_rates: Vec<f64> = self.banks.iter().map(|bank| bank.deposit_rate).collect();
        let loan_rates: Vec<f64> = self.banks.iter().map(|bank| bank.loan_rate).collect();

        let dividends = self.dividends_at_rest(growth, &loss_of);
        let households = &mut self.households;
        let incomes: f64 = households.income_minor.iter().map(|minor| *minor as f64).sum();
        let dividends_of_income = if incomes > 0.0 { dividends / incomes } else { 0.0 };
        let (mut sum, count) = (0.0, households.len());
        for index in 0..count {
            let bank = usize::from(households.bank[index]);
            let income = households.income_minor[index] as f64 * (1.0 + dividends_of_income);
            let (deposit, loan) = (households.deposit_minor[index] as f64, households.loan_minor[index] as f64);
            let liquid = households.liquid_minor(index) as f64;
            let earned = deposit_rates[bank] / 12.0 * deposit - growth * liquid;
            let owed = (loan_rates[bank] / 12.0 - growth - loss_of[bank]) * loan;
            let normal = (income + earned - owed).max(0.0);
            households.normal_minor[index] = normal as f32;
            households.wealth_minor[index] = liquid as f32;
            sum += normal;
        }
        // Payments to other households are spending that comes back to all alike.
        let retail_share = behaviours.consumption.parameters.retail_share;
        let to_persons = self.amounts.to_persons_share * retail_share;
        let others = if count > 1 { sum / count as f64 * to_persons / (1.0 - to_persons).max(0.01) } else { 0.0 };
        households.normal_minor.iter_mut().for_each(|normal| *normal += others as f32);
        let spending = sum + others * count as f64;
        let loans = |column: &[i64]| column.iter().sum::<i64>() as f64;
        self.rest = Rest {
            growth,
            real_rate: self.policy_rate() - anchor,
            retail_minor: spending * retail_share * (1.0 - self.amounts.to_persons_share),
            bills_minor: spending * (1.0 - retail_share),
            loans_minor: [loans(&self.households.loan_minor), loans(&self.firms.loan_minor)],
            loan_rates,
            base_money_minor: self.base_money_minor() as f64,
            debt_minor: self.bonds_minor as f64,
            central_bank_equity_minor: values.investors.central_bank_equity_minor as f64,
        };
    }

    /// What investors pass on in a month at rest, minor units: profits of firms and banks and interest, less what keeps
    /// the owners' wealth in step with prices.
    fn dividends_at_rest(&self, growth: f64, loss_of: &[f64]) -> f64 {
        let behaviours = self.behaviours();
        let (funding, payout) = (&behaviours.funding, &behaviours.payout.parameters);
        let policy_rate = self.policy_rate();
        let coupon = policy_rate.max(0.0) / 12.0;
        let wages: i64 = self.firms.wages_minor.iter().sum();
        let mut dividends = wages as f64 * self.values.firms.profit_share;
        dividends += self.investors.bonds_minor as f64 * (coupon - growth);
        for (index, bank) in self.banks.iter().enumerate() {
            let reserves = self.central_bank_accounts(index)[0] as f64;
            let kept = funding.parameters.reserves_target * bank.deposits_minor as f64;
            let wholesale_rate = funding.wholesale_rate(policy_rate, bank.trust) / 12.0;
            let deposit_rate = bank.deposit_rate / 12.0;
            let loans = bank.loans_minor as f64;
            let earned = loans * (bank.loan_rate / 12.0 - loss_of[index])
                + bank.bonds_minor as f64 * coupon
                + (reserves - kept).max(0.0) * self.deposit_facility_rate().max(self.reserves_rate()) / 12.0;
            let paid = bank.deposits_minor as f64 * deposit_rate
                + bank.wholesale_minor as f64 * wholesale_rate
                + (bank.deposits_minor as f64 + loans) * payout.cost / 12.0;
            dividends += (earned - paid - growth * bank.equity_minor as f64).max(0.0);
            dividends += self.investors.deposit_minor[index] as f64 * (deposit_rate - growth);
            dividends += self.investors.wholesale_minor[index] as f64 * (wholesale_rate - growth);
        }
        dividends.max(0.0)
    }

    /// Banknotes stored at rest, as a share of liquid wealth at rest.
    pub(super) fn stored_share(&self) -> f64 {
        let of_deposit = self.values.households.cash_stored_share;
        of_deposit / (1.0 + of_deposit)
    }

    /// Nominal spending over that at rest and price level 1.
    pub(super) fn nominal_spending(&self) -> f64 {
        self.macro_state.price_level * (1.0 + self.macro_state.output_gap).max(0.01)
    }

    /// The growth of prices this month in parts per million.
    pub(super) fn growth_ppm(&self) -> i64 {
        ppm(libm::pow(1.0 + self.macro_state.inflation, 1.0 / 12.0) - 1.0)
    }
}
