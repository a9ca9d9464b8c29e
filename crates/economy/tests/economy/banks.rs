//! Banks: what they pay for deposits, lend to each other, place overnight, and when they fail.

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
days = 180
period_days = 30
";

#[test]
fn a_rate_on_cbdc_that_nobody_holds_changes_nothing() {
    let of_rate = |rate: &str| {
        let results = run(&scenario(TEXT, &[("behaviour.adoption", "nobody"), ("policy.cbdc_rate_ppm", rate)]));
        let last = results.macro_rows.last().unwrap().clone();
        (last.deposit_rate_ppm, last.loans_minor, last.consumption_minor)
    };
    assert_eq!(of_rate("0"), of_rate("20_000"));
    // The more customers hold it, the more banks respond.
    let rate = |initial: &str| {
        let keys = [("policy.cbdc_rate_ppm", "20_000"), ("adoption.initial", initial), ("adoption.ceiling", "1.0")];
        run(&scenario(TEXT, &keys)).macro_rows.last().unwrap().deposit_rate_ppm
    };
    assert!(rate("0.1") < rate("0.9"));
}

#[test]
fn a_bank_that_loses_everything_fails_the_same_day() {
    let text = format!("{TEXT}\n[[shock]]\nday = 40\nkind = \"bank-loss\"\nbank = 1\nsize = 1.0\n");
    let results = run(&scenario(&text, &[]));
    let day = results.event_rows.iter().find(|event| event.what.contains("takes over")).map(|event| event.day);
    assert_eq!(day, Some(40));
}

#[test]
fn nothing_is_placed_overnight_at_less_than_reserves_pay() {
    let placed = |keys: &[(&str, &str)]| {
        let results = run(&scenario(TEXT, keys));
        results.macro_rows[1..].iter().map(|row| row.deposit_facility_minor).max()
    };
    assert!(placed(&[]) > Some(0));
    assert_eq!(placed(&[("policy.policy_rate_ppm", "-5_000")]), Some(0));
    assert_eq!(placed(&[("policy.reserves_rate_ppm", "25_000")]), Some(0));
}

#[test]
fn banks_lend_to_each_other_before_the_central_bank_lends() {
    // Reserves are scarce at some banks and not at others.
    let keys = [
        ("banks.reserves_share", "0.03"),
        ("banks.reserves_spread", "0.9"),
        ("behaviour.funding", "central-bank"),
        ("time.days", "90"),
        ("time.period_days", "1"),
    ];
    let results = run(&scenario(TEXT, &keys));
    let lent = |results: &Results| results.macro_rows.iter().map(|row| row.interbank_minor).max();
    assert!(lent(&results) > Some(0));
    for row in &results.macro_rows[1..] {
        let (floor, ceiling) = (row.deposit_facility_rate_ppm, row.policy_rate_ppm + 2_500);
        assert!((floor..=ceiling).contains(&row.interbank_rate_ppm), "{}: {}", row.date, row.interbank_rate_ppm);
        // Nobody places overnight at the central bank while another borrows anew there.
        let banks: Vec<_> = results.bank_rows.iter().filter(|bank| bank.day == row.day).collect();
        assert_eq!(banks.iter().map(|bank| bank.interbank_minor).sum::<i64>(), 0);
    }
    // Without scarcity nobody borrows, and the rate is at the floor.
    let ample = run(&scenario(TEXT, &[]));
    let last = ample.macro_rows.last().unwrap();
    assert_eq!((last.interbank_minor, last.interbank_rate_ppm), (0, last.deposit_facility_rate_ppm));
}

#[test]
fn the_central_banks_profit_goes_to_the_government() {
    let keys = [("behaviour.adoption", "nobody"), ("time.days", "365"), ("time.period_days", "365")];
    let results = run(&scenario(TEXT, &keys));
    let (first, last) = (&results.macro_rows[0], results.macro_rows.last().unwrap());
    assert!(last.central_bank_coupons_minor > last.central_bank_interest_minor, "{last:?}");
    assert!(last.central_bank_interest_minor > 0 && last.remittance_minor > 0);
    // Equity keeps its real amount.
    let real = |row: &cbdc_economy::results::MacroRow| row.central_bank_equity_minor as f64 / row.price_level;
    assert!((real(last) / real(first) - 1.0).abs() < 0.02, "{} {}", real(first), real(last));
    let booked = last.central_bank_coupons_minor - last.central_bank_interest_minor - last.remittance_minor;
    assert_eq!(last.central_bank_equity_minor - first.central_bank_equity_minor, booked);
}
