//! Closure: liquid wealth is one, and its composition alone changes no real spending. Paired seeds.

use crate::support::{run, scenario};
use cbdc_economy::Results;

const TEXT: &str = "
[households]
count = 1_000
[firms]
count = 30
[banks]
count = 4
[time]
days = 150
period_days = 30
[adoption]
initial = 1.0
ceiling = 1.0
";

/// Keys under which banks have reserves for all that may leave, and their funding reaches nobody's loans, so that only
/// the composition of wealth differs.
const ONLY_COMPOSITION: [(&str, &str); 4] = [
    ("banks.reserves_share", "0.9"),
    ("funding.liquidity_floor", "0"),
    ("loan_pricing.own_cost_weight", "0"),
    ("loan_pricing.capital_premium", "0"),
];

/// Keys under which every household moves all of its deposit into its wallet, as far as the limit allows.
const ALL_IN_WALLETS: [(&str, &str); 2] =
    [("behaviour.portfolio", "full-to-limit"), ("policy.holding_limit_minor", "2_000_000")];

fn consumption(results: &Results, from_day: i64) -> f64 {
    let of_period = |row: &cbdc_economy::results::MacroRow| row.consumption_minor as f64 / row.price_level;
    results.macro_rows.iter().filter(|row| row.day > from_day).map(of_period).sum()
}

fn declined(results: &Results) -> i64 {
    results.payment_rows.iter().map(|row| row.declined).sum()
}

#[test]
fn cbdc_pays_bills_loans_and_deposit_payments() {
    let nobody = [&ONLY_COMPOSITION[..], &[("behaviour.adoption", "nobody")]].concat();
    let nobody = run(&scenario(TEXT, &nobody));
    // With and without the reverse waterfall.
    for keys in [&[][..], &[("policy.reverse_waterfall", "false")]] {
        let keys = [&ONLY_COMPOSITION[..], &ALL_IN_WALLETS[..], keys].concat();
        let full = run(&scenario(TEXT, &keys));
        let last = full.macro_rows.last().unwrap();
        assert!(last.cbdc_households_minor > last.deposits_households_minor / 3, "{last:?}");
        let change = consumption(&full, 0) / consumption(&nobody, 0) - 1.0;
        assert!(change.abs() < 0.01, "{change}");
        assert!(declined(&full) < declined(&nobody) * 13 / 10, "{} {}", declined(&full), declined(&nobody));
    }
}

#[test]
fn opening_the_wallets_on_a_day_changes_no_spending() {
    let text = format!("{TEXT}\n[[schedule]]\nday = 90\nholding_limit_minor = 1_000_000\n");
    let keys = [("behaviour.portfolio", "full-to-limit"), ("policy.holding_limit_minor", "0")];
    let (opened, shut) = (run(&scenario(&text, &keys)), run(&scenario(TEXT, &keys)));
    assert!(opened.macro_rows.last().unwrap().cbdc_households_minor > 0);
    let change = consumption(&opened, 90) / consumption(&shut, 90) - 1.0;
    assert!(change.abs() < 0.02, "{change}");
}
