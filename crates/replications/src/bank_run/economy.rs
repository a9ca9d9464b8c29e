//! A small closed economy whose every flow has a source and a use, to the unit.
//!
//! Each step: households consume out of last step's income and their wealth; the state spends its account; firms sell
//! to both, pay interest and pay out the remainder as wages; the state taxes wages; banks pay and receive interest and
//! pay profits to their owners; the central bank's profit goes to the state, once its own past losses are covered.
//!
//! Identities checked at every step: each bank's loans + reserves = deposits + central-bank loans + worth; the central
//! bank's bonds + loans = reserves + CBDC + the state's account + its own worth; all CBDC and deposits are households'.

use super::parameters::Parameters;
use super::regime::{Rates, Regime};
use crate::rng::Rng;

/// Minor units.
type Money = i64;

/// Output at the start of one household, in minor units.
const OUTPUT_EACH: f64 = 1_000_000.0;

/// An identity that does not hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("step {step}: {what}: expected {expected}, found {found} minor units")]
pub struct Imbalance {
    step: usize,
    what: &'static str,
    expected: Money,
    found: Money,
}

#[derive(Debug, Clone, Default)]
struct Bank {
    reserves: Money,
    loans: Money,
    deposits: Money,
    central_bank_loans: Money,
    worth: Money,
    deposit_rate: f64,
}

/// The measured series, step by step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Course {
    /// Output.
    pub output: Vec<f64>,
    /// Banks' cost of funds a step, as a share.
    pub funding_cost: Vec<f64>,
    /// Banks' profit.
    pub bank_profit: Vec<f64>,
    /// Interest that households receive on deposits and CBDC.
    pub household_interest: Vec<f64>,
    /// The state's spending.
    pub state_spending: Vec<f64>,
    /// Gini coefficient of households' money, each tenth step.
    pub inequality: Vec<f64>,
}

struct Economy<'a> {
    p: &'a Parameters,
    rates: Rates,
    banks: Vec<Bank>,
    bank_of: Vec<usize>,
    deposit: Vec<Money>,
    cbdc: Vec<Money>,
    earnings_share: Vec<f64>,
    income: Vec<Money>,
    owners: usize,
    central_bank_bonds: Money,
    central_bank_worth: Money,
    state: Money,
    rng: Rng,
    step: usize,
    course: Course,
}

/// Runs a regime with or without CBDC, and with or without the failure that some regimes have.
///
/// # Errors
/// An identity does not hold.
pub fn run(p: &Parameters, regime: Regime, has_cbdc: bool, fails: bool, seed: u64) -> Result<Course, Imbalance> {
    let mut economy = Economy::new(p, regime.rates(p), seed);
    let last = if regime.has_failure() { p.last_step } else { p.failure_step };
    for step in 1..=last {
        economy.step = step;
        if has_cbdc && step >= p.run_step {
            economy.flee_to_cbdc();
        }
        if fails && step == p.failure_step {
            economy.fail_a_bank(regime);
        }
        economy.advance();
        economy.check()?;
    }
    Ok(economy.course)
}

impl<'a> Economy<'a> {
    fn new(p: &'a Parameters, rates: Rates, seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0);
        let mut share = || {
            let draws: Vec<f64> = (0..p.households).map(|_| libm::exp(p.spread * rng.normal())).collect();
            let sum: f64 = draws.iter().sum();
            draws.into_iter().map(|draw| draw / sum).collect::<Vec<_>>()
        };
        let (earnings_share, wealth_share) = (share(), share());
        let output = OUTPUT_EACH * p.households as f64;
        let loans = p.loans * output;
        let deposits = loans * (1.0 - p.capital) / (1.0 - p.liquidity);
        let bank_of: Vec<usize> = (0..p.households).map(|_| rng.below(p.banks)).collect();
        let deposit: Vec<Money> = wealth_share.iter().map(|share| (share * deposits).round() as Money).collect();
        let mut banks = vec![Bank::default(); p.banks];
        for (household, bank) in bank_of.iter().enumerate() {
            banks[*bank].deposits += deposit[household];
        }
        for bank in &mut banks {
            bank.reserves = (p.liquidity * bank.deposits as f64).round() as Money;
            bank.loans = ((bank.deposits - bank.reserves) as f64 / (1.0 - p.capital)).round() as Money;
            bank.worth = bank.loans + bank.reserves - bank.deposits;
        }
        let income = earnings_share.iter().map(|share| (share * output * (1.0 - p.tax)).round() as Money).collect();
        Self {
            p,
            rates,
            central_bank_bonds: banks.iter().map(|bank| bank.reserves).sum(),
            banks,
            bank_of,
            deposit,
            cbdc: vec![0; p.households],
            earnings_share,
            income,
            owners: ((p.owners * p.households as f64).round() as usize).max(1),
            central_bank_worth: 0,
            state: 0,
            rng,
            step: 0,
            course: Course::default(),
        }
    }

    /// Moves money to or from a household: in CBDC once it has fled, before that in a deposit, with reserves.
    fn pay(&mut self, household: usize, amount: Money) {
        if self.step >= self.p.run_step && self.deposit[household] == 0 && self.cbdc[household] > 0 {
            self.cbdc[household] += amount;
        } else {
            let bank = &mut self.banks[self.bank_of[household]];
            self.deposit[household] += amount;
            bank.deposits += amount;
            bank.reserves += amount;
        }
    }

    /// Desired deposits fall to zero, and all money shall be CBDC.
    fn flee_to_cbdc(&mut self) {
        for household in 0..self.deposit.len() {
            let amount = std::mem::take(&mut self.deposit[household]);
            let bank = &mut self.banks[self.bank_of[household]];
            bank.deposits -= amount;
            bank.reserves -= amount;
            self.cbdc[household] += amount;
        }
        self.fund_banks();
    }

    /// Banks borrow up to their desired liquidity, and repay with any excess.
    fn fund_banks(&mut self) {
        for bank in &mut self.banks {
            let wanted = (self.p.liquidity * bank.deposits as f64).round() as Money;
            let change = (wanted - bank.reserves).max(-bank.central_bank_loans);
            bank.reserves += change;
            bank.central_bank_loans += change;
        }
    }

    fn advance(&mut self) {
        self.fund_banks();
        let consumption = self.consume();
        // A state in debt saves until it is repaid.
        let spending = self.state.max(0);
        self.state -= spending;
        let output = consumption + spending;
        let interest = self.collect_loan_interest(output);
        self.pay_wages(output - interest);
        let household_interest = self.pay_household_interest();
        let profit = self.settle_banks();
        self.settle_central_bank();
        self.raise_deposit_rates();
        self.course.output.push(output as f64);
        self.course.state_spending.push(spending as f64);
        self.course.household_interest.push(household_interest as f64);
        self.course.bank_profit.push(profit as f64);
        let inequality = match (self.step % 10, self.course.inequality.last()) {
            (1..=9, Some(before)) => *before,
            _ => self.gini(),
        };
        self.course.inequality.push(inequality);
    }

    fn consume(&mut self) -> Money {
        let mut total = 0;
        for household in 0..self.deposit.len() {
            let wealth = self.deposit[household] + self.cbdc[household];
            let wanted = self.p.out_of_income * self.income[household] as f64 + self.p.out_of_wealth * wealth as f64;
            let spent = (wanted.round() as Money).clamp(0, wealth.max(0));
            self.pay(household, -spent);
            total += spent;
            self.income[household] = 0;
        }
        total
    }

    /// Firms pay (cost of funds + margin) on their loans out of their sales.
    fn collect_loan_interest(&mut self, output: Money) -> Money {
        let mut paid = 0;
        let mut cost = 0.0;
        let mut funds = 0.0;
        for bank in &mut self.banks {
            let owed = (bank.deposits + bank.central_bank_loans) as f64;
            let interest =
                bank.deposit_rate * bank.deposits as f64 + self.rates.lending * bank.central_bank_loans as f64;
            let cost_of_funds = if owed > 0.0 { interest / owed } else { 0.0 };
            let due = ((cost_of_funds + self.p.margin) * bank.loans as f64).round() as Money;
            bank.reserves += due;
            bank.worth += due;
            paid += due;
            cost += interest;
            funds += owed;
        }
        self.course.funding_cost.push(if funds > 0.0 { cost / funds } else { 0.0 });
        paid.min(output)
    }

    fn pay_wages(&mut self, wages: Money) {
        let mut left = wages;
        for household in 0..self.deposit.len() {
            let wage = ((self.earnings_share[household] * wages as f64).floor() as Money).min(left);
            left -= wage;
            let tax = (self.p.tax * wage as f64).round() as Money;
            self.state += tax;
            self.pay(household, wage - tax);
            self.income[household] += wage - tax;
        }
        // The remainder of the division goes to the state.
        self.state += left;
    }

    fn pay_household_interest(&mut self) -> Money {
        let mut total = 0;
        for household in 0..self.deposit.len() {
            let bank = &mut self.banks[self.bank_of[household]];
            let on_deposit = (bank.deposit_rate * self.deposit[household] as f64).round() as Money;
            self.deposit[household] += on_deposit;
            bank.deposits += on_deposit;
            bank.worth -= on_deposit;
            let on_cbdc = (self.rates.cbdc * self.cbdc[household] as f64).round() as Money;
            self.cbdc[household] += on_cbdc;
            self.central_bank_worth -= on_cbdc;
            self.income[household] += on_deposit + on_cbdc;
            total += on_deposit + on_cbdc;
        }
        total
    }

    /// Settles interest with the central bank, then pays worth above the desired capital to the owners. Returns the
    /// profit.
    fn settle_banks(&mut self) -> Money {
        let mut paid_out = 0;
        let mut profit = 0;
        for bank in &mut self.banks {
            let earned = (self.rates.reserves * bank.reserves as f64).round() as Money;
            let charged = (self.rates.lending * bank.central_bank_loans as f64).round() as Money;
            bank.reserves += earned - charged;
            bank.worth += earned - charged;
            self.central_bank_worth -= earned - charged;
            let wanted = (self.p.capital * bank.loans as f64).round() as Money;
            let dividend = (bank.worth - wanted).max(0);
            profit += bank.worth - wanted;
            bank.worth -= dividend;
            bank.reserves -= dividend;
            paid_out += dividend;
        }
        let each = paid_out / self.owners as Money;
        for owner in 0..self.owners {
            let part = if owner == 0 { paid_out - each * (self.owners as Money - 1) } else { each };
            self.pay(owner, part);
            self.income[owner] += part;
        }
        profit
    }

    /// The central bank keeps its profit until past losses are covered, then pays it to the state.
    fn settle_central_bank(&mut self) {
        let profit = self.central_bank_worth.max(0);
        self.central_bank_worth -= profit;
        self.state += profit;
    }

    /// With probability ½ a bank raises its deposit rate by a twentieth of the ceiling, up to that.
    fn raise_deposit_rates(&mut self) {
        for bank in &mut self.banks {
            let rises = self.rng.happens(0.5);
            if rises && bank.deposit_rate < self.rates.deposit_ceiling {
                bank.deposit_rate =
                    (bank.deposit_rate + self.rates.deposit_ceiling / 20.0).min(self.rates.deposit_ceiling);
            }
        }
    }

    /// Loans of a random bank keep part of their value; the regime determines who bears the loss. In all three the bank
    /// has its capital again afterwards, so that only the bearer differs.
    fn fail_a_bank(&mut self, regime: Regime) {
        let failing = self.rng.below(self.banks.len());
        let bank = &mut self.banks[failing];
        let kept = (self.p.loans_keep * bank.loans as f64).round() as Money;
        bank.worth -= bank.loans - kept;
        bank.loans = kept;
        let missing = (self.p.capital * bank.loans as f64).round() as Money - bank.worth;
        if missing <= 0 {
            return;
        }
        let owed = bank.deposits + bank.central_bank_loans;
        let of_central_bank = (missing as f64 * bank.central_bank_loans as f64 / owed.max(1) as f64).round() as Money;
        let of_depositors = missing - of_central_bank;
        if regime == Regime::BailOut {
            self.state_pays(failing, missing);
            return;
        }
        let bank = &mut self.banks[failing];
        bank.central_bank_loans -= of_central_bank;
        bank.worth += of_central_bank;
        self.central_bank_worth -= of_central_bank;
        match regime {
            Regime::DepositInsurance => self.state_pays(failing, of_depositors),
            _ => self.depositors_pay(failing, of_depositors),
        }
    }

    fn state_pays(&mut self, bank: usize, amount: Money) {
        self.banks[bank].reserves += amount;
        self.banks[bank].worth += amount;
        self.state -= amount;
    }

    fn depositors_pay(&mut self, bank: usize, amount: Money) {
        let deposits = self.banks[bank].deposits;
        if amount <= 0 || deposits <= 0 {
            return;
        }
        let share = amount as f64 / deposits as f64;
        for household in 0..self.deposit.len() {
            if self.bank_of[household] == bank {
                let lost = (share * self.deposit[household] as f64).round() as Money;
                self.deposit[household] -= lost;
                self.banks[bank].deposits -= lost;
                self.banks[bank].worth += lost;
            }
        }
    }

    fn gini(&self) -> f64 {
        let mut wealth: Vec<Money> =
            self.deposit.iter().zip(&self.cbdc).map(|(deposit, cbdc)| deposit + cbdc).collect();
        wealth.sort_unstable();
        let count = wealth.len() as f64;
        let total: f64 = wealth.iter().map(|wealth| *wealth as f64).sum();
        let weighted: f64 = wealth.iter().enumerate().map(|(rank, wealth)| (rank as f64 + 1.0) * *wealth as f64).sum();
        2.0 * weighted / (count * total) - (count + 1.0) / count
    }

    fn check(&self) -> Result<(), Imbalance> {
        let equal = |what, expected, found| match expected == found {
            true => Ok(()),
            false => Err(Imbalance { step: self.step, what, expected, found }),
        };
        let mut held = vec![0; self.banks.len()];
        for (household, bank) in self.bank_of.iter().enumerate() {
            held[*bank] += self.deposit[household];
        }
        for (bank, held) in self.banks.iter().zip(held) {
            let liabilities = bank.deposits + bank.central_bank_loans + bank.worth;
            equal("a bank's assets and liabilities", bank.loans + bank.reserves, liabilities)?;
            equal("a bank's deposits and its accounts", bank.deposits, held)?;
        }
        let reserves: Money = self.banks.iter().map(|bank| bank.reserves).sum();
        let loans: Money = self.banks.iter().map(|bank| bank.central_bank_loans).sum();
        let issued = reserves + self.cbdc.iter().sum::<Money>() + self.state + self.central_bank_worth;
        equal("the central bank's assets and liabilities", self.central_bank_bonds + loans, issued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Parameters {
        let document = cbdc_scenario_file::Document::parse("test", "[run]\nhouseholds = 120\nbanks = 4").expect("TOML");
        let mut root = cbdc_scenario_file::Section::root(&document);
        Parameters::read(&mut root).expect("a scenario").0
    }

    #[test]
    fn books_balance_in_every_regime_with_and_without_cbdc() {
        let p = small();
        for regime in Regime::ALL {
            for has_cbdc in [false, true] {
                let course = run(&p, regime, has_cbdc, regime.has_failure(), 3).expect("books balance");
                assert!(course.output.iter().all(|output| *output > 0.0), "{regime:?}");
            }
        }
    }

    #[test]
    fn before_the_run_cbdc_changes_nothing() {
        let p = small();
        let [base, cbdc] = [false, true].map(|has| run(&p, Regime::Corridor, has, false, 5).expect("books balance"));
        assert_eq!(base.output[..p.run_step - 1], cbdc.output[..p.run_step - 1]);
        assert_ne!(base.output[p.run_step + 20..], cbdc.output[p.run_step + 20..]);
    }
}
