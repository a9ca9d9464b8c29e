//! The keys of `summary.json` are a contract.

use super::*;
use crate::report::sample;
use serde_json::Value;

/// Every path of keys; the elements of a list share one path.
fn paths(prefix: &str, value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let free = prefix.ends_with("refusals") || prefix == "deposits";
                let key = if free { "*" } else { key };
                let path = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
                paths(&path, value, found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| paths(&format!("{prefix}[]"), item, found));
        }
        _ => {
            found.insert(prefix.to_owned());
        }
    }
}

#[test]
fn the_keys_of_the_summary_are_pinned() {
    let json = sample::full_run().to_json().expect("a result is valid JSON");
    let mut found = std::collections::BTreeSet::new();
    paths("", &serde_json::from_str(&json).expect("valid JSON"), &mut found);
    let found: Vec<String> = found.into_iter().collect();
    let pinned: Vec<&str> = include_str!("summary.schema").lines().collect();
    assert_eq!(found, pinned, "the keys are a contract: new ones are added to summary.schema, others never change");
}

#[test]
fn a_summary_reads_back_as_the_same_result() {
    let result = sample::full_run();
    let json = result.to_json().expect("a result is valid JSON");
    assert_eq!(RunResult::from_json(&json).expect("its own JSON"), result);
}

#[test]
fn supply_terms_add_up_with_the_signs_of_the_invariant() {
    let supply = SupplyTerms {
        issued_minor: 1_000,
        redeemed_minor: 100,
        waterfall_minor: 50,
        reverse_waterfall_minor: 20,
        interest_minor: 7,
        demurrage_minor: 3,
        fees_minor: 2,
        unbacked_minor: 500,
        targeted_minor: 60,
        expired_minor: 10,
        wallets_minor: 0,
    };
    assert_eq!(supply.expected_minor(), Some(1_422));
}

#[test]
fn amounts_are_counted_below_their_edge() {
    let mut counter = AmountCounter::new(&[10, 20]);
    [1, 9, 10, 19, 20, 1_000].into_iter().for_each(|amount| counter.count(amount));
    let counts: Vec<u64> = counter.buckets().iter().map(|bucket| bucket.count).collect();
    assert_eq!(counts, [2, 2, 2]);
}
