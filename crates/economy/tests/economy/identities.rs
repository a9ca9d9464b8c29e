//! Whatever the scenario, every balance sheet balances on every day: the simulation checks all identities
//! of `simulation::identity` and the ledger its own, and leaves results only if all of them hold.

use crate::support::{scenario, try_run};
use proptest::prelude::*;

/// Keys that change the flows, each with values at the ends of their sensible range.
const CHOICES: &[(&str, &[&str])] = &[
    ("policy.holding_limit_minor", &["none", "0", "5_000", "300_000"]),
    ("policy.firm_limit_minor", &["0", "none", "2_000"]),
    ("policy.cbdc_rate_ppm", &["0", "30_000", "-40_000"]),
    ("policy.cbdc_tier_minor", &["none", "10_000"]),
    ("policy.cbdc_rate_above_ppm", &["0", "-100_000"]),
    ("policy.capitalisation", &["monthly", "daily"]),
    ("policy.reverse_waterfall", &["true", "false"]),
    ("policy.supply_cap_minor", &["none", "1_000_000"]),
    ("policy.policy_rate_ppm", &["21_500", "-5_000", "90_000"]),
    ("policy.day_limit_minor", &["none", "4_000"]),
    ("policy.payer_fee", &["none", "0.05 + 1 % up to 20, 0.50 above, to payee-bank", "0.10", "100 above"]),
    ("policy.merchant_fee", &["none", "0.5 %", "0.02 up to 10, 100 % above, to payee-bank", "5, to payee-bank"]),
    ("policy.reserves_rate_ppm", &["0", "20_000", "-10_000"]),
    ("behaviour.adoption", &["bass", "everyone", "nobody"]),
    ("behaviour.portfolio", &["logit", "transactions", "full-to-limit", "risk"]),
    ("behaviour.funding", &["least-cost", "central-bank", "wholesale"]),
    ("behaviour.resolution", &["insured", "bail-out", "bail-in"]),
    ("funding.wholesale_days", &["90", "1"]),
    ("behaviour.switching", &["trust", "stay"]),
    ("switching.trust_sensitivity", &["0.5", "20.0"]),
    ("behaviour.cash", &["inventory", "baumol-tobin"]),
    ("banks.reserves_share", &["0.12", "0.0", "0.5"]),
    ("banks.capital_ratio", &["0.15", "0.05", "0.9"]),
    ("households.deposit_minor_mean", &["2_000_000", "0", "40_000_000"]),
    ("firms.accepting_share", &["1.0", "0.4"]),
    ("default.probability", &["0.0006", "0.3"]),
    ("adoption.initial", &["0.0", "0.5"]),
];

const SHOCKS: &[&str] = &[
    "kind = \"trust-banks\"\nsize = 0.9",
    "kind = \"trust-bank\"\nbank = 1\nsize = 1.0",
    "kind = \"trust-cbdc\"\nsize = 0.8",
    "kind = \"bank-loss\"\nbank = 2\nsize = 0.4",
    "kind = \"fail-bank\"\nbank = 1",
    "kind = \"income\"\nsize = 0.6\ndays = 20",
    "kind = \"outage\"\ndays = 9",
    "kind = \"rates\"\nsize = 0.04",
];

const RULES: &[&str] = &[
    "kind = \"taylor\"",
    "kind = \"mccallum\"",
    "kind = \"k-percent\"\ngrowth = 0.5",
    "kind = \"limit-ladder\"",
    "kind = \"tier-ladder\"",
    "kind = \"expression\"\nlever = \"cbdc-rate\"\nexpression = \"0.02 - policy_rate\"",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 30, ..ProptestConfig::default() })]

    #[test]
    fn every_sheet_balances_on_every_day(
        seed in 0_u64..1_000_000,
        households in 1_u32..300,
        firms in 1_u32..20,
        banks in 2_u16..6,
        days in 5_u32..110,
        picks in proptest::collection::vec(0_usize..12, CHOICES.len()),
        shocks in proptest::collection::vec((0_usize..SHOCKS.len(), 0_u32..80), 0..4),
        rules in proptest::collection::vec((0_usize..RULES.len(), 1_u32..40), 0..3),
    ) {
        let mut text = format!(
            "seed = {seed}\n[households]\ncount = {households}\n[firms]\ncount = {firms}\n[banks]\ncount = {banks}\n\
             [time]\nstart = \"2028-01-20\"\ndays = {days}\nperiod_days = 9\n"
        );
        for (shock, day) in shocks {
            text += &format!("[[shock]]\nday = {day}\n{}\n", SHOCKS[shock]);
        }
        for (rule, every) in rules {
            text += &format!("[[rule]]\nfrom_day = 3\nevery_days = {every}\n{}\n", RULES[rule]);
        }
        let mut overrides: Vec<(&str, &str)> = CHOICES
            .iter()
            .zip(&picks)
            // Half of the keys keep their first value, so that single causes show.
            .map(|((key, values), pick)| (*key, values[if *pick < 6 { 0 } else { pick % values.len() }]))
            .collect();
        // A rate above a tier needs a tier.
        if overrides.contains(&("policy.cbdc_tier_minor", "none")) {
            overrides.retain(|(key, _)| *key != "policy.cbdc_rate_above_ppm");
        }
        let scenario = scenario(&text, &overrides);
        if let Err(error) = try_run(&scenario) {
            prop_assert!(false, "{error}\n{text}\n{overrides:?}");
        }
    }
}
