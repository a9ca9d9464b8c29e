//! The start: networks of accounts and shareholders, and balanced balance sheets.

use super::books::{Accounts, BalanceSheet, Money, Public, UNIT, whole};
use super::design::{Design, Risk};
use super::economy::{Bank, Economy, Firm, Streams};
use super::measures::Sample;
use super::parameters::Parameters;
use crate::rng::Rng;

/// Purpose of the stream that draws the networks.
const NETWORKS: u64 = 0;

impl<'a> Economy<'a> {
    /// An economy at step 0. Networks depend on the seed alone, so all designs share them.
    pub fn new(p: &'a Parameters, design: Design, risk: Risk, seed: u64) -> Self {
        let mut rng = Rng::new(seed, NETWORKS);
        let household_accounts = Accounts::new(&accounts(p.households, p.banks, &mut rng));
        let firm_accounts = Accounts::new(&accounts(p.firms, p.banks, &mut rng));
        let banks = banks(p, &mut rng);
        let firms = firms(p, &banks, &mut rng);
        let account_count = household_accounts.count();
        let mut economy = Self {
            p,
            design,
            risk,
            rng: Streams {
                plans: Rng::new(seed, 1),
                credit: Rng::new(seed, 2),
                interbank: Rng::new(seed, 3),
                jobs: Rng::new(seed, 4),
                goods: Rng::new(seed, 5),
                wage: Rng::new(seed, 6),
            },
            step: 0,
            sheets: vec![BalanceSheet::default(); p.banks],
            banks,
            firms,
            household_accounts,
            cbdc: vec![0; p.households],
            converted: vec![0.0; account_count],
            employer: vec![None; p.households],
            shareholders: p.households / 2,
            firm_accounts,
            public: Public::default(),
            loans: Vec::new(),
            claims: Vec::new(),
            wage: whole(p.wage_start * UNIT),
            transfer: 0,
            sample: Sample::default(),
        };
        economy.endow();
        economy.employ(&mut rng);
        economy
    }

    /// Sets deposits, then reserves and bonds against them and banks' worth; the central bank holds the other bonds.
    fn endow(&mut self) {
        let gdp = Self::gdp_at_start(self.p);
        let household = whole(self.p.household_deposits * gdp / self.p.households as f64);
        let firm = whole(self.p.firm_deposits * gdp / self.p.firms as f64);
        for customer in 0..self.p.households {
            self.household_accounts.pay_in(customer, household, &mut self.sheets);
        }
        for customer in 0..self.p.firms {
            self.firm_accounts.pay_in(customer, firm, &mut self.sheets);
        }
        let worth = self.p.bank_worth * self.sheets.iter().map(|sheet| sheet.deposits as f64).sum::<f64>();
        let fitness: f64 = self.banks.iter().map(|bank| bank.fitness).sum();
        for (sheet, bank) in self.sheets.iter_mut().zip(&mut self.banks) {
            sheet.worth = whole(worth * bank.fitness / fitness);
            bank.usual_worth = sheet.worth;
            sheet.bonds = whole(self.p.bonds * sheet.deposits as f64);
            sheet.reserves = sheet.deposits + sheet.worth - sheet.bonds;
            bank.worth_before = sheet.worth;
            bank.risk = sheet.deposits as f64 / sheet.worth.max(1) as f64;
        }
        let reserves: Money = self.sheets.iter().map(|sheet| sheet.reserves).sum();
        let bonds: Money = self.sheets.iter().map(|sheet| sheet.bonds).sum();
        self.public = Public { debt: reserves + bonds, bonds: reserves, ..Public::default() };
    }

    /// All households but u* work, spread evenly over the firms.
    fn employ(&mut self, rng: &mut Rng) {
        let mut seekers: Vec<u16> = (0..self.p.households as u16).collect();
        rng.shuffle(&mut seekers);
        let employed = (self.p.households as f64 * (1.0 - self.p.unemployment)) as usize;
        let firm_count = self.firms.len();
        for (index, household) in seekers.into_iter().take(employed).enumerate() {
            self.employer[usize::from(household)] = Some((index % firm_count) as u16);
            self.firms[index % firm_count].workers.push(household);
        }
    }
}

/// Poisson(2) different banks for each customer, at least one.
fn accounts(customers: usize, banks: usize, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut all: Vec<u8> = (0..banks as u8).collect();
    (0..customers)
        .map(|_| {
            let count = rng.poisson(2.0).clamp(1, banks);
            rng.shuffle(&mut all);
            all[..count].to_vec()
        })
        .collect()
}

fn banks(p: &Parameters, rng: &mut Rng) -> Vec<Bank> {
    (0..p.banks)
        .map(|_| Bank {
            fitness: fitness(rng),
            usual_worth: 0,
            bid: 0.0,
            cost_of_funds: p.floor,
            expected_lending: 0.0,
            losses: Vec::new(),
            value_at_risk: 1e-9,
            expected_inflow: 0.0,
            pledgeable: 0.0,
            interbank_interest: 0.0,
            idle_for: 0,
            risk: 0.0,
            worth_before: 0,
        })
        .collect()
}

/// Draws from the density x^−3 · e^(−0.01 x) above 1: a power law, thinned by the exponential.
fn fitness(rng: &mut Rng) -> f64 {
    loop {
        let x = 1.0 / (1.0 - rng.unit()).sqrt();
        if rng.happens(libm::exp(-0.01 * (x - 1.0))) {
            return x;
        }
    }
}

fn firms(p: &Parameters, banks: &[Bank], rng: &mut Rng) -> Vec<Firm> {
    let weights: Vec<f64> = banks.iter().map(|bank| bank.fitness).collect();
    let workers = p.households as f64 * (1.0 - p.unemployment) / p.firms as f64;
    (0..p.firms)
        .map(|_| Firm {
            target: workers * p.productivity,
            workers_wanted: workers as usize,
            markup: p.markup_start,
            price: (1.0 + p.markup_start) * p.wage_start * UNIT / p.productivity,
            output: workers * p.productivity,
            stock: 0.0,
            workers: Vec::new(),
            budget: 0,
            revenue: 0,
            wages: 0,
            principal: 0,
            interest: 0,
            bank: rng.weighted(&weights),
            gone_for: 0,
        })
        .collect()
}
