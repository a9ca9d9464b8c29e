//! The agents and their balances at the start.
//!
//! Figures are drawn for each agent from these distributions; amounts are rounded to minor units and from then on
//! exact. A bank's bonds are the residual of its balance sheet, so that every balance sheet balances.

use cbdc_ledger::time::LedgerDay;
use cbdc_scenario_file::{ScenarioError, Section};
use serde::Serialize;

use super::policy::{Provision, provisions};
use super::whole;

type Result<T> = std::result::Result<T, ScenarioError>;

/// The largest amount a key may give, minor units.
const MINOR_MAX: u64 = 1_000_000_000_000;

/// The most that all households together may be given of anything, minor units: their sums stay far inside 64 bits.
const SUM_MINOR_MAX: f64 = 1e16;

/// `[time]`: start and length of the simulation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Time {
    /// The first day, such as `2027-01-01`.
    pub start: String,
    /// Number of days simulated.
    pub days: u32,
    /// Days between two rows of the tables.
    pub period_days: u32,
    /// Day of the month on which wages and pensions are paid.
    pub payday: u32,
}

impl Time {
    pub(super) fn read(root: &mut Section<'_>) -> Result<Time> {
        let mut section = root.section("time")?;
        let start = section.text("start")?.unwrap_or_else(|| "2027-01-01".to_owned());
        if start.parse::<LedgerDay>().is_err() {
            let expected = "a date in quotes such as \"2027-01-01\", from 1970 on";
            return Err(section.mistake("start", expected, format!("\"{start}\"")));
        }
        let time = Time {
            start,
            days: section.integer("days", 1..=36_525, 365)? as u32,
            period_days: section.integer("period_days", 1..=366, 7)? as u32,
            payday: section.integer("payday", 1..=31, 25)? as u32,
        };
        section.end()?;
        Ok(time)
    }

    /// The first ledger day.
    pub fn first_day(&self) -> LedgerDay {
        self.start.parse().expect("the date was checked when it was read")
    }

    /// Every key with its value and meaning.
    pub fn listed(&self) -> Vec<Provision> {
        provisions("time", self, &Self::MEANINGS)
    }

    /// The keys and their meaning, in the order of output.
    const MEANINGS: [(&'static str, &'static str); 4] = [
        ("start", "the first day"),
        ("days", "days simulated"),
        ("period_days", "days between two rows of the tables"),
        ("payday", "day of the month of wages and pensions"),
    ];
}

/// `[households]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Households {
    pub count: u32,
    /// Mean income after tax a month, minor units, and its spread.
    pub income_minor_mean: f64,
    pub income_sigma: f64,
    /// Mean sight deposit, minor units, and its spread.
    pub deposit_minor_mean: f64,
    pub deposit_sigma: f64,
    /// Elasticity of deposits with respect to income, 0 to 1.
    pub deposit_on_income: f64,
    /// Mean of the banknotes held for payments, and banknotes stored as a share of the deposit.
    pub cash_minor_mean: f64,
    pub cash_stored_share: f64,
    /// Share of households with a loan, and its mean.
    pub borrower_share: f64,
    pub loan_minor_mean: f64,
    pub loan_sigma: f64,
    pub age_min: u32,
    pub age_max: u32,
    /// Standard deviation of the taste for CBDC, in logit points.
    pub taste_sigma: f64,
}

impl Households {
    pub(super) fn read(root: &mut Section<'_>) -> Result<Households> {
        let mut section = root.section("households")?;
        let most = MINOR_MAX as f64;
        let households = Households {
            count: section.integer("count", 1..=20_000_000, 10_000)? as u32,
            income_minor_mean: section.number("income_minor_mean", 1.0..=most, 360_000.0)?,
            income_sigma: section.number("income_sigma", 0.0..=3.0, 0.5)?,
            deposit_minor_mean: section.number("deposit_minor_mean", 0.0..=most, 2_000_000.0)?,
            deposit_sigma: section.number("deposit_sigma", 0.0..=4.0, 2.045)?,
            deposit_on_income: section.number("deposit_on_income", 0.0..=1.0, 0.5)?,
            cash_minor_mean: section.number("cash_minor_mean", 0.0..=most, 15_000.0)?,
            cash_stored_share: section.number("cash_stored_share", 0.0..=1.0, 0.16)?,
            borrower_share: section.number("borrower_share", 0.0..=1.0, 0.4)?,
            loan_minor_mean: section.number("loan_minor_mean", 0.0..=most, 3_500_000.0)?,
            loan_sigma: section.number("loan_sigma", 0.0..=4.0, 0.8)?,
            age_min: section.integer("age_min", 0..=120, 18)? as u32,
            age_max: section.integer("age_max", 0..=120, 90)? as u32,
            taste_sigma: section.number("taste_sigma", 0.0..=10.0, 1.0)?,
        };
        if households.age_max < households.age_min {
            let expected = format!("at least age_min, {}", households.age_min);
            return Err(section.mistake("age_max", expected, households.age_max.to_string()));
        }
        let most_each = SUM_MINOR_MAX / f64::from(households.count);
        for (key, mean) in [
            ("income_minor_mean", households.income_minor_mean),
            ("deposit_minor_mean", households.deposit_minor_mean),
            ("cash_minor_mean", households.cash_minor_mean),
            ("loan_minor_mean", households.loan_minor_mean),
        ] {
            if mean > most_each {
                let expected = format!("at most {most_each:.0} for {} households", households.count);
                return Err(section.mistake(key, expected, mean.to_string()));
            }
        }
        section.end()?;
        Ok(households)
    }

    /// Every key with its value and meaning.
    pub fn listed(&self) -> Vec<Provision> {
        provisions("households", self, &Self::MEANINGS)
    }

    /// The keys and their meaning, in the order of output.
    const MEANINGS: [(&'static str, &'static str); 14] = [
        ("count", "households"),
        ("income_minor_mean", "mean income a month after tax, before pensions"),
        ("income_sigma", "spread of incomes: standard deviation of the logarithm"),
        ("deposit_minor_mean", "mean sight deposit"),
        ("deposit_sigma", "spread of savings, likewise"),
        ("deposit_on_income", "elasticity of savings with respect to income"),
        ("cash_minor_mean", "mean of banknotes held for payments"),
        ("cash_stored_share", "banknotes stored, as a share of the deposit"),
        ("borrower_share", "share with a loan"),
        ("loan_minor_mean", "mean loan of those"),
        ("loan_sigma", "its spread, likewise"),
        ("age_min", "youngest"),
        ("age_max", "oldest"),
        ("taste_sigma", "spread of the taste for CBDC, logit points"),
    ];
}

/// `[firms]`: employers and merchants in one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Firms {
    pub count: u32,
    /// Zipf exponent of firms' size: share of customers and of employees.
    pub size_exponent: f64,
    /// Deposits at the start, which are also their normal level, in months of wages.
    pub deposit_months: f64,
    /// Loans at the start, in months of wages.
    pub loan_months: f64,
    /// Profit at rest, as a share of gross wages.
    pub profit_share: f64,
    /// Share of firms that take CBDC.
    pub accepting_share: f64,
}

impl Firms {
    /// Checks the months of gross wages that firms begin with, which depend on households' income and the tax on it.
    pub(super) fn check_months(
        &self,
        root: &mut Section<'_>,
        households: &Households,
        tax: f64,
    ) -> std::result::Result<(), ScenarioError> {
        let wages = households.income_minor_mean * f64::from(households.count) / (1.0 - tax);
        let section = root.section("firms")?;
        for (key, months) in [("deposit_months", self.deposit_months), ("loan_months", self.loan_months)] {
            if wages * months > SUM_MINOR_MAX {
                let expected = format!("at most {:.3} months of all wages together", SUM_MINOR_MAX / wages);
                return Err(section.mistake(key, expected, months.to_string()));
            }
        }
        Ok(())
    }

    pub(super) fn read(root: &mut Section<'_>) -> Result<Firms> {
        let mut section = root.section("firms")?;
        let firms = Firms {
            count: section.integer("count", 1..=1_000_000, 500)? as u32,
            size_exponent: section.number("size_exponent", 0.0..=3.0, 0.8)?,
            deposit_months: section.number("deposit_months", 0.0..=120.0, 2.0)?,
            loan_months: section.number("loan_months", 0.0..=240.0, 2.0)?,
            profit_share: section.number("profit_share", 0.0..=2.0, 0.05)?,
            accepting_share: section.number("accepting_share", 0.0..=1.0, 1.0)?,
        };
        section.end()?;
        Ok(firms)
    }

    /// Every key with its value and meaning.
    pub fn listed(&self) -> Vec<Provision> {
        provisions("firms", self, &Self::MEANINGS)
    }

    /// The keys and their meaning, in the order of output.
    const MEANINGS: [(&'static str, &'static str); 6] = [
        ("count", "firms"),
        ("size_exponent", "Zipf exponent of their size"),
        ("deposit_months", "deposits, months of gross wages"),
        ("loan_months", "loans, months of gross wages"),
        ("profit_share", "profit at rest, as a share of gross wages"),
        ("accepting_share", "share that takes CBDC"),
    ];
}

/// `[banks]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Banks {
    pub count: u16,
    /// Zipf exponent of banks' share of customers.
    pub size_exponent: f64,
    /// Equity over risk-weighted assets at the start, and the deviation of banks around it.
    pub capital_ratio: f64,
    pub capital_spread: f64,
    pub risk_weight: f64,
    /// Reserves at the start, as a share of deposits, and the deviation of banks around it.
    pub reserves_share: f64,
    pub reserves_spread: f64,
    pub wholesale_share: f64,
    pub vault_share: f64,
}

impl Banks {
    pub(super) fn read(root: &mut Section<'_>) -> Result<Banks> {
        let mut section = root.section("banks")?;
        let banks = Banks {
            count: section.integer("count", 1..=1_000, 8)? as u16,
            size_exponent: section.number("size_exponent", 0.0..=3.0, 0.7)?,
            capital_ratio: section.number("capital_ratio", 0.0..=1.0, 0.15)?,
            capital_spread: section.number("capital_spread", 0.0..=0.9, 0.15)?,
            risk_weight: section.number("risk_weight", 0.01..=1.5, 0.5)?,
            reserves_share: section.number("reserves_share", 0.0..=1.0, 0.12)?,
            reserves_spread: section.number("reserves_spread", 0.0..=0.9, 0.3)?,
            wholesale_share: section.number("wholesale_share", 0.0..=0.9, 0.1)?,
            vault_share: section.number("vault_share", 0.0..=0.1, 0.003)?,
        };
        section.end()?;
        Ok(banks)
    }

    /// Every key with its value and meaning.
    pub fn listed(&self) -> Vec<Provision> {
        provisions("banks", self, &Self::MEANINGS)
    }

    /// The keys and their meaning, in the order of output.
    const MEANINGS: [(&'static str, &'static str); 9] = [
        ("count", "banks"),
        ("size_exponent", "Zipf exponent of their size"),
        ("capital_ratio", "equity over risk-weighted assets"),
        ("capital_spread", "deviation of banks around it, as a share"),
        ("risk_weight", "risk weight of loans"),
        ("reserves_share", "reserves over deposits"),
        ("reserves_spread", "deviation of banks around it, as a share"),
        ("wholesale_share", "wholesale funding over deposits and equity"),
        ("vault_share", "banknotes in vaults over deposits"),
    ];
}

/// `[investors]`: they lend to banks, and own banks and firms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Investors {
    /// Sight deposits of investors as a share of households' and firms'.
    pub deposit_share: f64,
    /// Government bonds they hold, as a share of the same.
    pub bond_share: f64,
    /// The central bank's own equity, minor units.
    pub central_bank_equity_minor: i64,
}

impl Investors {
    pub(super) fn read(root: &mut Section<'_>) -> Result<Investors> {
        let mut section = root.section("investors")?;
        let investors = Investors {
            deposit_share: section.number("deposit_share", 0.0..=1.0, 0.1)?,
            bond_share: section.number("bond_share", 0.0..=2.0, 0.1)?,
            central_bank_equity_minor: whole(&mut section, "central_bank_equity_minor", 0, MINOR_MAX as i64)?
                .unwrap_or(100_000_000),
        };
        section.end()?;
        Ok(investors)
    }

    /// Every key with its value and meaning.
    pub fn listed(&self) -> Vec<Provision> {
        provisions("investors", self, &Self::MEANINGS)
    }

    /// The keys and their meaning, in the order of output.
    const MEANINGS: [(&'static str, &'static str); 3] = [
        ("deposit_share", "their sight deposits over those of households and firms"),
        ("bond_share", "their bonds over the same"),
        ("central_bank_equity_minor", "the central bank's own equity"),
    ];
}
