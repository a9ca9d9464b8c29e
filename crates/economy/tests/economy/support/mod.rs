//! Small economies for tests.

use cbdc_economy::{EconomyError, Go, Results, Scenario, simulate};

/// A scenario of a text, with overrides.
pub fn scenario(text: &str, overrides: &[(&str, &str)]) -> Scenario {
    let mut scenario = Scenario::parse("test.toml", text).unwrap_or_else(|error| panic!("{error}"));
    scenario.set_all(overrides.iter().copied()).unwrap_or_else(|error| panic!("{error}"));
    scenario
}

/// Runs it to its end with its own seed.
pub fn try_run(scenario: &Scenario) -> Result<Results, EconomyError> {
    simulate(scenario, scenario.seed, &mut |_| Go::On)
}

/// Runs it to its end; an identity that does not hold is a panic that names it.
#[allow(dead_code)]
pub fn run(scenario: &Scenario) -> Results {
    try_run(scenario).unwrap_or_else(|error| panic!("{error}"))
}

/// Settled commands of a kind.
#[allow(dead_code)]
pub fn settled(results: &Results, kind: &str) -> u64 {
    results.ledger.kinds.get(kind).copied().unwrap_or(0)
}
