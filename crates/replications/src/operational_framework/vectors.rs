//! The steady states that ours are compared with: the authors' code, solved independently of this code, and within
//! 3e-9 of the series that the authors store with theirs. The paper prints no such table; *printed* is a figure as it
//! stands here.

use super::equations::Steady;

/// One printed row.
pub struct Vector {
    /// CBDC demand, % of yearly output.
    pub cbdc: f64,
    /// The printed cells, in the order of [`QUANTITIES`], as they are printed.
    pub printed: [&'static str; 8],
}

/// A column: its name, its unit, and its value for a steady state and the one without CBDC.
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// Tolerance of a printed figure before rounding, in the column's unit: 3e-9 of a gross quarterly rate, or of
    /// quarterly output.
    pub slack: f64,
    /// Reads the column.
    pub read: fn(&Steady, &Steady) -> f64,
}

/// The columns of the table.
pub const QUANTITIES: [Column; 8] = [
    Column {
        name: "deposits",
        unit: "% of GDP",
        slack: 1e-7,
        read: |at, _| of_yearly_output(at, at.unknowns.deposits),
    },
    Column { name: "cash", unit: "% of GDP", slack: 1e-7, read: |at, _| of_yearly_output(at, at.unknowns.cash) },
    Column { name: "reserves", unit: "% of GDP", slack: 1e-7, read: |at, _| of_yearly_output(at, at.reserves) },
    Column {
        name: "central-bank borrowing",
        unit: "% of GDP",
        slack: 1e-7,
        read: |at, _| of_yearly_output(at, at.central_bank_lending),
    },
    Column {
        name: "deposit facility",
        unit: "bp a year",
        slack: 1.2e-4,
        read: |at, _| basis_points(at.facility_return),
    },
    Column { name: "deposit rate", unit: "bp a year", slack: 1.2e-4, read: |at, _| basis_points(at.deposit_return) },
    Column {
        name: "capital",
        unit: "% against t = 0",
        slack: 3e-7,
        read: |at, zero| percent_against(at.unknowns.capital, zero.unknowns.capital),
    },
    Column {
        name: "output",
        unit: "% against t = 0",
        slack: 3e-7,
        read: |at, zero| percent_against(at.output, zero.output),
    },
];

/// The printed rows.
pub const VECTORS: [Vector; 6] = [
    Vector { cbdc: 0.0, printed: ["233.54", "10.54", "5.461", "0.001", "100.00", "100.13", "0", "0"] },
    Vector { cbdc: 2.0, printed: ["231.93", "10.06", "3.946", "0.007", "99.90", "100.73", "-0.078", "-0.032"] },
    Vector { cbdc: 6.0, printed: ["228.69", "9.13", "1.113", "0.244", "76.21", "101.99", "-0.268", "-0.108"] },
    Vector { cbdc: 8.0, printed: ["227.05", "8.68", "0.296", "0.980", "32.86", "102.63", "-0.351", "-0.143"] },
    Vector { cbdc: 12.0, printed: ["223.69", "7.83", "0.008", "3.837", "4.92", "103.94", "-0.476", "-0.199"] },
    Vector { cbdc: 14.0, printed: ["222.00", "7.42", "0.001", "5.417", "4.77", "104.63", "-0.558", "-0.233"] },
];

/// Output without CBDC, a quarter.
pub const OUTPUT_WITHOUT_CBDC: &str = "2.000704";

/// CBDC demand at which the rate is in the middle of the corridor, % of yearly output.
pub const MIDDLE_OF_THE_CORRIDOR: &str = "7.12";

/// Our figure with as many decimals as the printed one; never `-0.00`.
pub fn as_printed(ours: f64, printed: &str) -> String {
    let decimals = printed.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let text = format!("{ours:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|digit| digit == '0' || digit == '.') => digits.to_owned(),
        _ => text,
    }
}

/// Whether our figure, moved by no more than `slack`, rounds to the printed one.
pub fn is_printed(ours: f64, printed: &str, slack: f64) -> bool {
    [ours, ours - slack, ours + slack].into_iter().any(|ours| as_printed(ours, printed) == printed)
}

/// Distance from the printed figure in units of its last digit.
pub fn last_digits_off(ours: f64, printed: &str) -> f64 {
    let decimals = printed.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let unit = (0..decimals).fold(1.0, |unit, _| unit / 10.0);
    let printed: f64 = printed.parse().expect("a printed cell is a number");
    (ours - printed).abs() / unit
}

fn of_yearly_output(at: &Steady, stock: f64) -> f64 {
    100.0 * stock / (4.0 * at.output)
}

fn basis_points(gross_a_quarter: f64) -> f64 {
    4.0 * 10_000.0 * (gross_a_quarter - 1.0)
}

fn percent_against(value: f64, base: f64) -> f64 {
    100.0 * (value / base - 1.0)
}
