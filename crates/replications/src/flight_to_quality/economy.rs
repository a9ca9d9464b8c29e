//! The economy: its agents, their memory, and the order of a step.

use super::books::{Accounts, BalanceSheet, Imbalance, Money, Public, UNIT, check, whole};
use super::design::{Design, Risk};
use super::measures::{Measures, Sample};
use super::parameters::Parameters;
use crate::rng::Rng;

/// A firm's memory.
#[derive(Debug, Clone)]
pub struct Firm {
    /// Output wanted.
    pub target: f64,
    /// Workers needed for it.
    pub workers_wanted: usize,
    /// Mark-up on unit cost.
    pub markup: f64,
    /// Price of the last output.
    pub price: f64,
    /// Output of this step.
    pub output: f64,
    /// Unsold output.
    pub stock: f64,
    /// Workers.
    pub workers: Vec<u16>,
    /// Wages that it can pay this step.
    pub budget: Money,
    /// Revenue of this step.
    pub revenue: Money,
    /// Wages paid this step.
    pub wages: Money,
    /// Owed at the end of the step: principal, interest.
    pub principal: Money,
    /// See `principal`.
    pub interest: Money,
    /// The bank that it asks first.
    pub bank: usize,
    /// Steps since it failed; 0 while it lives.
    pub gone_for: u32,
}

/// A bank's memory, apart from its balance sheet.
#[derive(Debug, Clone)]
pub struct Bank {
    /// Fitness: its weight among banks that are asked for credit.
    pub fitness: f64,
    /// Initial worth: the excess is paid out, and a failed bank is recapitalised up to it.
    pub usual_worth: Money,
    /// Distance of its bid from the middle of the corridor.
    pub bid: f64,
    /// Interest paid on its funds.
    pub cost_of_funds: f64,
    /// Smoothed loans, for expected outflows.
    pub expected_lending: f64,
    /// Loan losses over loans, of the last steps.
    pub losses: Vec<f64>,
    /// 99 % value at risk of its loans, as a share of them.
    pub value_at_risk: f64,
    /// Σ principal · (interest + 1 − ρ) of its loans.
    pub expected_inflow: f64,
    /// Σ principal · (1 − ρ) of its loans.
    pub pledgeable: f64,
    /// Interest that it will owe other banks.
    pub interbank_interest: f64,
    /// Steps that it has been idle; 0 while it works.
    pub idle_for: u32,
    /// Bank risk that households see.
    pub risk: f64,
    /// Worth when the step began.
    pub worth_before: Money,
}

/// A loan of one step.
#[derive(Debug, Clone)]
pub struct Loan {
    /// Borrower.
    pub firm: usize,
    /// Lender; `None` after the agency has taken it over.
    pub bank: Option<usize>,
    /// Minor units.
    pub principal: Money,
    /// Interest a step.
    pub rate: f64,
    /// Risk as the lender assessed it.
    pub risk: f64,
}

/// A claim of one bank on another.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Lender.
    pub lender: usize,
    /// Borrower.
    pub borrower: usize,
    /// Minor units.
    pub amount: Money,
    /// Interest a step.
    pub rate: f64,
}

/// Streams of random numbers, one for each purpose.
#[derive(Debug, Clone)]
pub struct Streams {
    /// Firms' changes of output and mark-up.
    pub plans: Rng,
    /// Choice of lender by firms.
    pub credit: Rng,
    /// Matching between banks.
    pub interbank: Rng,
    /// Jobs.
    pub jobs: Rng,
    /// Choice of firms by households.
    pub goods: Rng,
    /// The wage.
    pub wage: Rng,
}

/// The state of the economy.
pub struct Economy<'a> {
    /// Parameters.
    pub p: &'a Parameters,
    /// The design that runs.
    pub design: Design,
    /// The reading of risk.
    pub risk: Risk,
    /// Streams of random numbers.
    pub rng: Streams,
    /// The step that runs, from 1.
    pub step: usize,
    /// Banks' balance sheets.
    pub sheets: Vec<BalanceSheet>,
    /// Banks.
    pub banks: Vec<Bank>,
    /// Firms.
    pub firms: Vec<Firm>,
    /// Households' accounts.
    pub household_accounts: Accounts,
    /// Households' CBDC.
    pub cbdc: Vec<Money>,
    /// Share converted in an account when last set, for compensation.
    pub converted: Vec<f32>,
    /// Employer of each household.
    pub employer: Vec<Option<u16>>,
    /// Number of households, the first ones, that own all firms and banks together.
    pub shareholders: usize,
    /// Firms' accounts.
    pub firm_accounts: Accounts,
    /// Central bank and state.
    pub public: Public,
    /// Loans of this step.
    pub loans: Vec<Loan>,
    /// Claims between banks.
    pub claims: Vec<Claim>,
    /// The wage, minor units.
    pub wage: Money,
    /// Transfers to each household this step.
    pub transfer: Money,
    /// This step's contribution to the measures.
    pub sample: Sample,
}

/// Runs a design with a seed; `None` if the economy collapses, that is, once the state's overdraft reaches the initial
/// public debt: interest then compounds on itself.
///
/// # Errors
/// An identity of the books does not hold.
pub fn run(p: &Parameters, design: Design, risk: Risk, seed: u64) -> Result<Option<Measures>, Imbalance> {
    let mut economy = Economy::new(p, design, risk, seed);
    let mut measures = Measures::default();
    for step in 1..=p.steps {
        economy.step = step;
        economy.advance();
        economy.check()?;
        if economy.public.account < -economy.public.debt {
            return Ok(None);
        }
        if step > p.dropped {
            measures.add(&economy.sample);
        }
    }
    Ok(Some(measures))
}

impl Economy<'_> {
    /// One step, in the paper's order as far as it can be reconstructed.
    fn advance(&mut self) {
        self.sample = Sample::default();
        self.settle();
        self.plan_output();
        self.borrow();
        self.interbank_session();
        self.hire_and_produce();
        self.trade_goods();
        self.interbank_session();
        self.measure_banks();
        self.settle_firms();
        self.pay_interest();
        self.resolve_banks();
        self.repay_interbank();
        self.pay_bank_profits();
        self.interbank_session();
        self.recapitalise();
        self.replace_firms();
        self.measure();
    }

    /// The five identities.
    fn check(&self) -> Result<(), Imbalance> {
        check(
            self.step,
            &self.sheets,
            &self.household_accounts,
            &self.firm_accounts,
            self.cbdc.iter().sum(),
            &self.public,
        )
    }

    /// Last step's transfers, then conversion, then bonds.
    fn settle(&mut self) {
        self.repay_interbank();
        for (sheet, bank) in self.sheets.iter().zip(&mut self.banks) {
            bank.worth_before = sheet.worth;
        }
        self.transfer = (self.public.account / self.cbdc.len() as Money).max(0);
        self.public.account -= self.transfer * self.cbdc.len() as Money;
        for household in 0..self.cbdc.len() {
            self.household_accounts.pay_in(household, self.transfer, &mut self.sheets);
        }
        self.convert();
        for sheet in &mut self.sheets {
            let wanted = whole(self.p.bonds * sheet.deposits as f64) - sheet.bonds;
            let spare = sheet.reserves - whole(self.p.required_reserves * sheet.deposits as f64);
            let bought = wanted.min(spare.max(0)).max(-sheet.bonds).min(self.public.bonds);
            sheet.bonds += bought;
            sheet.reserves -= bought;
            self.public.bonds -= bought;
        }
    }

    /// Interest on deposits, CBDC, reserves and bonds.
    fn pay_interest(&mut self) {
        let floor = self.p.floor;
        let interest = |amount: Money| whole(floor * amount as f64);
        for account in 0..self.household_accounts.count() {
            let earned = interest(self.household_accounts.deposit(account));
            self.household_accounts.write(account, earned, &mut self.sheets);
        }
        for account in 0..self.firm_accounts.count() {
            let earned = interest(self.firm_accounts.deposit(account));
            self.firm_accounts.write(account, earned, &mut self.sheets);
        }
        for held in &mut self.cbdc {
            let earned = interest(*held);
            *held += earned;
            self.public.cbdc += earned;
            self.public.account -= earned;
        }
        for sheet in &mut self.sheets {
            let rate = if sheet.reserves < 0 { self.p.ceiling } else { floor };
            let earned = whole(rate * sheet.reserves as f64) + interest(sheet.bonds);
            sheet.reserves += earned;
            sheet.worth += earned;
            self.public.account -= earned;
        }
    }

    /// Wealth of a household.
    pub fn wealth(&self, household: usize) -> Money {
        self.household_accounts.total(household) + self.cbdc[household]
    }

    /// Pays from deposits first, then from CBDC; the household has at least `amount`.
    pub fn take_from_household(&mut self, household: usize, amount: Money) {
        let paid = self.household_accounts.pay_out(household, amount, &mut self.sheets);
        self.cbdc[household] -= amount - paid;
        self.public.cbdc -= amount - paid;
    }

    /// GDP at the start in minor units: (1 + μ0) · W0 · (1 − u*) · households.
    pub fn gdp_at_start(p: &Parameters) -> f64 {
        (1.0 + p.markup_start) * p.wage_start * UNIT * (1.0 - p.unemployment) * p.households as f64
    }
}
