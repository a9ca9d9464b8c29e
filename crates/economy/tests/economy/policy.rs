//! Policy: tiers, rules for base money, collapse as a result, distrust. Paired seeds.

use crate::support::{run, scenario};
use cbdc_economy::Results;
use cbdc_economy::results::MacroRow;

const TEXT: &str = "
[households]
count = 1_000
[firms]
count = 30
[banks]
count = 4
[time]
days = 360
period_days = 30
[adoption]
initial = 0.6
";

fn last(results: &Results) -> &MacroRow {
    results.macro_rows.last().unwrap()
}

// A row is the evening of a day on which the rule decides.
fn with_rule(rule: &str, keys: &[(&str, &str)]) -> Results {
    run(&scenario(&format!("{TEXT}\n[[rule]]\nfrom_day = 29\nevery_days = 30\n{rule}\n"), keys))
}

#[test]
fn the_rate_above_a_tier_changes_what_is_held() {
    let held = |tier: &[(&str, &str)]| last(&run(&scenario(TEXT, tier))).cbdc_households_minor;
    let one_rate = held(&[]);
    let punished = held(&[("policy.cbdc_tier_minor", "10_000"), ("policy.cbdc_rate_above_ppm", "-200_000")]);
    assert!(punished * 3 < one_rate, "{punished} {one_rate}");
    let rewarded = held(&[("policy.cbdc_tier_minor", "10_000"), ("policy.cbdc_rate_above_ppm", "30_000")]);
    assert!(rewarded > one_rate, "{rewarded} {one_rate}");
    // A bound beyond everybody's holdings is no tier.
    let unreached = held(&[("policy.cbdc_tier_minor", "300_000"), ("policy.cbdc_rate_above_ppm", "-200_000")]);
    assert_eq!(unreached, one_rate);
}

#[test]
fn more_base_money_lowers_the_rate_and_raises_prices() {
    let keys = [("time.days", "1_080"), ("behaviour.adoption", "nobody")];
    let of = |growth: &str| with_rule(&format!("kind = \"k-percent\"\ngrowth = {growth}"), &keys);
    let (slow, usual, fast) = (of("-0.05"), of("0.02"), of("0.15"));
    let rates = [&slow, &usual, &fast].map(|results| last(results).policy_rate_ppm);
    assert!(rates[0] > rates[1] && rates[1] > rates[2], "{rates:?}");
    let prices = [&slow, &usual, &fast].map(|results| last(results).price_level);
    assert!(prices[0] < prices[1] && prices[1] < prices[2], "{prices:?}");
    // Growth with the anchor is what rest has.
    assert!((rates[1] - 21_500).abs() < 5_000, "{rates:?}");
}

#[test]
fn mccallums_rule_grows_the_base_with_its_target_and_against_velocity() {
    let keys = [("time.days", "1_080"), ("behaviour.adoption", "nobody")];
    let base =
        |row: &MacroRow| (row.cash_minor + row.vault_minor + row.reserves_minor + row.deposit_facility_minor) as f64;
    let growth = |rule: &str| {
        let results = with_rule(rule, &keys);
        base(last(&results)) / base(&results.macro_rows[1]) - 1.0
    };
    let usual = growth("kind = \"mccallum\"");
    let high = growth("kind = \"mccallum\"\ngrowth_target = 0.06");
    // Two per cent a year over three years, give or take what the government moves.
    assert!((0.0..0.12).contains(&usual), "{usual}");
    assert!(high > usual + 0.05, "{high} {usual}");
}

#[test]
fn a_collapse_is_a_result() {
    let shocks: String = (1..=4)
        .map(|bank| format!("[[shock]]\nday = 100\nkind = \"bank-loss\"\nbank = {bank}\nsize = 1.0\n"))
        .collect();
    let results = run(&scenario(&format!("{TEXT}\n{shocks}"), &[]));
    assert!(results.is_collapsed && results.days == 101, "{}", results.days);
    assert_eq!((last(&results).day, last(&results).banks_alive), (101, 0));
    assert!(results.event_rows.last().unwrap().what.contains("the last bank fails"));
    let summary = results.summary();
    assert_eq!((summary.collapsed, summary.banks_failed), (1, 4));
    assert_eq!(run(&scenario(TEXT, &[("time.days", "30")])).summary().collapsed, 0);
}

#[test]
fn distrust_of_banks_runs_into_cash_and_new_wallets_the_uninsured_first() {
    let text = format!("{TEXT}\n[[shock]]\nday = 60\nkind = \"trust-banks\"\nsize = 0.6\n");
    let keys = [("time.days", "90"), ("adoption.initial", "0.2"), ("households.cash_stored_share", "0")];
    let of = |text: &str, insured: &str| {
        let keys: Vec<_> = keys.iter().copied().chain([("resolution.insured_minor", insured)]).collect();
        last(&run(&scenario(text, &keys))).clone()
    };
    let calm = of(TEXT, "10_000_000");
    let (insured, exposed) = (of(&text, "1_000_000_000"), of(&text, "0"));
    assert!(insured.cash_minor > calm.cash_minor * 3 / 2, "{} {}", insured.cash_minor, calm.cash_minor);
    assert!(exposed.cash_minor > insured.cash_minor * 3 / 2, "{} {}", exposed.cash_minor, insured.cash_minor);
    assert!(insured.adopters > calm.adopters, "{} {}", insured.adopters, calm.adopters);
    assert!(exposed.cbdc_households_minor > insured.cbdc_households_minor);
    // When trust is back, so are the banknotes.
    let back = [&keys[1..], &[("trust.half_life_days", "5"), ("time.days", "180")]].concat();
    let after = last(&run(&scenario(&text, &back))).cash_minor;
    assert!(after < insured.cash_minor * 3 / 4, "{after} {}", insured.cash_minor);
}

#[test]
fn deposits_banknotes_and_pass_through_are_those_of_the_euro_area() {
    let text = TEXT.replace("count = 1_000", "count = 20_000");
    let keys = [("time.days", "1"), ("households.age_max", "60")];
    let first = run(&scenario(&text, &keys)).macro_rows[0].clone();
    // Banknotes of EUR 1,435 bn beside EUR 8.52 tn of households' overnight deposits (2021).
    let banknotes = first.cash_minor as f64 / first.deposits_households_minor as f64;
    assert!((banknotes - 0.17).abs() < 0.01, "{banknotes}");
    let mean = first.deposits_households_minor as f64 / 20_000.0;
    assert!((mean / 2_000_000.0 - 1.0).abs() < 0.15, "{mean}");
    // 50 of 450 basis points reached overnight deposits.
    let rate = |policy: &str| {
        let keys = [("policy.policy_rate_ppm", policy), ("time.days", "1")];
        run(&scenario(TEXT, &keys)).macro_rows[0].deposit_rate_ppm
    };
    assert!((rate("45_000") - rate("0") - 5_000).abs() < 100, "{} {}", rate("45_000"), rate("0"));
}
