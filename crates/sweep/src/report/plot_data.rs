//! The data behind the page's plots, collected while the runs are read.
//!
//! Lines and fan charts are drawn for at most [`SHOWN_MAX`] designs, evenly spaced in the plan's order; the sums for
//! the balance sheets are kept for all.

use std::collections::BTreeMap;

use crate::plan::Plan;
use crate::table::Table;

/// The most designs that get lines and fan charts.
pub const SHOWN_MAX: usize = 6;

/// A quantity over time.
pub struct Quantity {
    pub title: &'static str,
    pub unit: &'static str,
    pub description: &'static str,
    /// Columns of the macro table that are added up.
    columns: &'static [&'static str],
    /// Values are divided by this.
    divisor: f64,
    is_per_household: bool,
    /// Whether the axis begins at 0.
    pub from_zero: bool,
}

const fn euro(title: &'static str, description: &'static str, columns: &'static [&'static str]) -> Quantity {
    Quantity { title, unit: "EUR", description, columns, divisor: 100.0, is_per_household: false, from_zero: false }
}

const fn rate(title: &'static str, description: &'static str, columns: &'static [&'static str]) -> Quantity {
    Quantity { title, unit: "% a year", description, columns, divisor: 1e4, is_per_household: false, from_zero: false }
}

/// The quantities drawn over time, in the order of the page.
pub const QUANTITIES: [Quantity; 9] = [
    Quantity {
        from_zero: true,
        ..euro("CBDC of households", "CBDC in households' wallets.", &["cbdc_households_minor"])
    },
    Quantity {
        title: "Adoption",
        unit: "%",
        description: "Share of households with a wallet.",
        columns: &["adopters"],
        divisor: 0.01,
        is_per_household: true,
        from_zero: true,
    },
    euro(
        "Deposits",
        "Sight deposits of households, firms and investors.",
        &["deposits_households_minor", "deposits_firms_minor", "deposits_investors_minor"],
    ),
    euro("Bank loans", "Loans of banks to households and firms.", &["loans_minor"]),
    euro("Banknotes", "Banknotes outside banks.", &["cash_minor"]),
    Quantity {
        from_zero: true,
        ..euro(
            "Reserves and deposit facility",
            "What banks hold at the central bank.",
            &["reserves_minor", "deposit_facility_minor"],
        )
    },
    Quantity {
        from_zero: true,
        ..euro("Loans of the central bank", "What banks owe to the central bank.", &["central_bank_loans_minor"])
    },
    rate("Deposit rate", "Mean rate of sight deposits, by volume.", &["deposit_rate_ppm"]),
    rate("Loan rate", "Mean rate of loans, by volume.", &["loan_rate_ppm"]),
];

/// A quantity's values by day, one for each run.
pub type Days = BTreeMap<i64, Vec<f64>>;

/// The data of one design.
pub struct DesignData {
    pub design: u32,
    pub name: String,
    households: f64,
    /// The days by quantity; empty for a design that is not shown.
    pub days: Vec<Days>,
    /// Sums over runs of the last day's positions, minor units.
    pub positions: BTreeMap<String, f64>,
    pub runs: usize,
}

/// The data of all plots.
pub struct PlotData {
    pub designs: Vec<DesignData>,
    pub shown: Vec<usize>,
}

impl PlotData {
    /// Empty plot data for the designs of a plan.
    pub fn new(plan: &Plan) -> PlotData {
        let all = plan.designs.len();
        let shown: Vec<usize> = match all {
            0..=SHOWN_MAX => (0..all).collect(),
            _ => (0..SHOWN_MAX).map(|index| index * (all - 1) / (SHOWN_MAX - 1)).collect(),
        };
        let design = |(number, design): (usize, &crate::plan::Design)| DesignData {
            design: design.design,
            name: design.name.clone(),
            households: design.households as f64,
            days: if shown.contains(&number) { vec![Days::new(); QUANTITIES.len()] } else { Vec::new() },
            positions: BTreeMap::new(),
            runs: 0,
        };
        PlotData { designs: plan.designs.iter().enumerate().map(design).collect(), shown }
    }

    /// Adds a run's macro table and its banks' table.
    pub fn add(&mut self, design: u32, macro_table: &Table, banks: &Table) {
        let Some(design) = self.designs.get_mut(design as usize) else { return };
        let days = macro_table.integers("day");
        for (quantity, kept) in QUANTITIES.iter().zip(&mut design.days) {
            let divisor = quantity.divisor * if quantity.is_per_household { design.households } else { 1.0 };
            let columns: Vec<Vec<f64>> = quantity.columns.iter().map(|name| macro_table.numbers(name)).collect();
            for (row, day) in days.iter().enumerate() {
                let sum: f64 = columns.iter().filter_map(|column| column.get(row)).sum();
                kept.entry(*day).or_default().push(sum / divisor);
            }
        }
        for column in macro_table.columns.iter().filter(|column| column.name.ends_with("_minor")) {
            let last = macro_table.numbers(&column.name).last().copied().unwrap_or(0.0);
            *design.positions.entry(format!("macro.{}", column.name)).or_insert(0.0) += last;
        }
        let bank_days = banks.integers("day");
        let last = bank_days.last();
        for column in banks.columns.iter().filter(|column| column.name.ends_with("_minor")) {
            let values = banks.numbers(&column.name).into_iter().zip(bank_days);
            let sum: f64 = values.filter(|(_, day)| Some(*day) == last).map(|(value, _)| value).sum();
            *design.positions.entry(format!("banks.{}", column.name)).or_insert(0.0) += sum;
        }
        design.runs += 1;
    }
}

impl DesignData {
    /// Mean over the runs of a position on the last day, minor units.
    pub fn position(&self, name: &str) -> f64 {
        self.positions.get(name).copied().unwrap_or(0.0) / self.runs.max(1) as f64
    }
}
