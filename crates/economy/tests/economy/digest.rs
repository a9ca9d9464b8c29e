//! One scenario and one seed give one digest.

use crate::support::{run, scenario};

const TEXT: &str = "
[households]
count = 700
[firms]
count = 30
[banks]
count = 4
[time]
days = 70
[adoption]
initial = 0.4
[policy]
cbdc_rate_ppm = 10_000
[[shock]]
day = 40
kind = \"fail-bank\"
bank = 2
";

#[test]
fn threads_and_repetition_change_nothing() {
    let first = run(&scenario(TEXT, &[]));
    for threads in ["1", "2", "3", "16"] {
        let again = run(&scenario(TEXT, &[("threads", threads)]));
        assert_eq!(again.digest, first.digest, "{threads} threads");
        assert_eq!(again.scenario_hash, first.scenario_hash);
    }
}

#[test]
fn the_digest_is_pinned_so_that_machines_can_be_compared() {
    let text = "[households]\ncount = 60\n[firms]\ncount = 5\n[banks]\ncount = 2\n[time]\ndays = 40\n[adoption]\n\
                initial = 0.5";
    assert_eq!(run(&scenario(text, &[])).digest, "f9f02f7e621906cdb25492fe7974355242ab7c18fd310a96b883c532065205c8");
}

#[test]
fn another_seed_is_another_draw() {
    let mut other = scenario(TEXT, &[]);
    other.seed = 2;
    assert_ne!(run(&other).digest, run(&scenario(TEXT, &[])).digest);
    assert_eq!(other.hash(), scenario(TEXT, &[]).hash());
}

#[test]
fn the_hash_is_that_of_the_values_and_not_of_how_they_were_given() {
    let given = scenario(&format!("name = \"x\"\n{TEXT}"), &[("policy.holding_limit_minor", "300_000")]);
    assert_eq!(given.hash(), scenario(TEXT, &[]).hash());
    let other = scenario(TEXT, &[("policy.holding_limit_minor", "299_999")]);
    assert_ne!(other.hash(), given.hash());
}

#[test]
fn progress_is_told_each_day_and_can_stop_the_run() {
    let scenario = scenario(TEXT, &[]);
    let mut told = Vec::new();
    let stopped = cbdc_economy::simulate(&scenario, 1, &mut |progress| {
        told.push(progress.day);
        if progress.day < 3 { cbdc_economy::Go::On } else { cbdc_economy::Go::Stop }
    });
    assert_eq!(told, [1, 2, 3]);
    assert!(matches!(stopped, Err(cbdc_economy::EconomyError::Stopped { day: 3, days: 70 })));
}
