//! Rest: without shocks, policy or CBDC an economy stays where it opens.

use crate::support::{run, scenario};
use cbdc_economy::Results;
use cbdc_economy::results::MacroRow;

const TEXT: &str = "
[households]
count = 1_000
[firms]
count = 40
[banks]
count = 4
[time]
days = 1_096
period_days = 30
[behaviour]
adoption = \"nobody\"
";

/// A stock with its name.
type Stock = (&'static str, fn(&MacroRow) -> i64);

const SEEDS: [&str; 4] = ["1", "2", "3", "4"];

fn mean(rows: &[MacroRow], value: impl Fn(&MacroRow) -> f64) -> f64 {
    rows.iter().map(value).sum::<f64>() / rows.len() as f64
}

fn rested(keys: &[(&str, &str)]) -> Vec<Results> {
    let of_seed = |seed: &&str| run(&scenario(TEXT, &[keys, &[("seed", seed)]].concat()));
    SEEDS.iter().map(of_seed).collect()
}

#[test]
fn ten_years_without_a_shock_are_flat() {
    let decade = [("time.days", "3_652"), ("behaviour.seasonality", "even")];
    let (mut gaps, mut inflations) = (Vec::new(), Vec::new());
    for results in rested(&decade) {
        let rows = &results.macro_rows[1..];
        gaps.push(mean(rows, |row| row.output_gap_ppm as f64 / 1e6));
        inflations.push(mean(rows, |row| row.inflation_ppm as f64 / 1e6));
        // Every year, and not only on average.
        for year in rows.chunks(12) {
            let gap = mean(year, |row| row.output_gap_ppm as f64 / 1e6);
            assert!(gap.abs() < 0.025, "seed {}: {gap} in the year to day {}", results.seed, year.last().unwrap().day);
        }
        let (first, last) = (&results.macro_rows[12], results.macro_rows.last().unwrap());
        let ratios: [Stock; 8] = [
            ("households' deposits", |row| row.deposits_households_minor),
            ("firms' deposits", |row| row.deposits_firms_minor),
            ("investors' deposits", |row| row.deposits_investors_minor),
            ("loans", |row| row.loans_minor),
            ("bonds", |row| row.bonds_minor),
            ("reserves", |row| row.reserves_minor + row.deposit_facility_minor),
            ("wholesale funding", |row| row.wholesale_minor),
            ("banks' equity", |row| row.bank_equity_minor),
        ];
        for (name, value) in ratios {
            let real = |row: &MacroRow| value(row) as f64 / row.price_level;
            let change = real(last) / real(first) - 1.0;
            assert!(change.abs() < 0.12, "seed {}: {name} {change}", results.seed);
        }
        assert_eq!(last.banks_alive, 4);
    }
    let (gap, inflation) = (gaps.iter().sum::<f64>() / 4.0, inflations.iter().sum::<f64>() / 4.0);
    assert!(gap.abs() < 0.005, "{gap}: {gaps:?}");
    assert!((inflation - 0.02).abs() < 0.001, "{inflation}: {inflations:?}");
}

#[test]
fn a_taylor_rule_at_rest_leaves_the_rate_alone() {
    let text = format!("{TEXT}\n[[rule]]\nkind = \"taylor\"\n");
    for seed in SEEDS {
        let results = run(&scenario(&text, &[("seed", seed), ("behaviour.seasonality", "even")]));
        let rate = mean(&results.macro_rows[1..], |row| row.policy_rate_ppm as f64 / 1e6);
        assert!((rate - 0.0215).abs() < 0.005, "seed {seed}: {rate}");
    }
}

#[test]
fn a_shock_shows_alike_on_whatever_day_it_comes() {
    let gap = |day: u32| {
        let shock = format!("{TEXT}\n[[shock]]\nkind = \"income\"\nday = {day}\nsize = 0.3\ndays = 180\n");
        let keys = [("behaviour.seasonality", "even"), ("time.days", "400"), ("behaviour.prices", "fixed")];
        let (with, without) = (run(&scenario(&shock, &keys)), run(&scenario(TEXT, &keys)));
        let least = |results: &Results| {
            let gaps =
                results.macro_rows.iter().filter(|row| row.day > i64::from(day) + 90).map(|row| row.output_gap_ppm);
            gaps.min().unwrap()
        };
        (least(&with) - least(&without)) as f64 / 1e6
    };
    let (early, late) = (gap(0), gap(200));
    assert!(early < -0.1 && late < -0.1, "{early} {late}");
    assert!((early - late).abs() < 0.05, "{early} {late}");
}

#[test]
fn the_season_is_not_in_the_gap() {
    let mut differences = Vec::new();
    let calendar = rested(&[]);
    let even = rested(&[("behaviour.seasonality", "even")]);
    for (calendar, even) in calendar.iter().zip(&even) {
        // January as it stands in February's rows, and December.
        let of_month = |results: &Results, month: &str| {
            let rows: Vec<MacroRow> =
                results.macro_rows.iter().filter(|row| row.day > 365 && row.date[5..7] == *month).cloned().collect();
            mean(&rows, |row| row.output_gap_ppm as f64 / 1e6)
        };
        differences.push(["01", "02"].map(|month| of_month(calendar, month) - of_month(even, month)));
    }
    for month in 0..2 {
        let mean = differences.iter().map(|of_seed| of_seed[month]).sum::<f64>() / differences.len() as f64;
        assert!(mean.abs() < 0.008, "{mean}: {differences:?}");
    }
}
