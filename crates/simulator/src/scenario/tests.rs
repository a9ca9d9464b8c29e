//! Scenario files: defaults, overrides, and mistakes that are shown where they stand.

use super::*;

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse("test.toml", "test", text, &[])
}

fn parse_with(text: &str, key: &str, value: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse("test.toml", "test", text, &[(key.to_owned(), value.to_owned())])
}

fn mistake(outcome: Result<Scenario, ScenarioError>) -> Mistake {
    match outcome {
        Err(ScenarioError::Mistake(mistake)) => *mistake,
        other => panic!("expected a mistake, found {other:?}"),
    }
}

#[test]
fn an_empty_file_is_a_scenario_of_defaults() {
    let scenario = parse("").expect("defaults are valid");
    assert_eq!(scenario.name, "test");
    assert_eq!(scenario.network.banks, 3);
    assert_eq!(scenario.load.profile, Profile::Poisson { rate_per_s: 1_000.0 });
    assert_eq!(scenario.load.amounts, Amounts::Space2022);
    assert_eq!(scenario.policy.supply_cap_minor, Limit::None);
}

#[test]
fn the_canonical_form_reads_back_as_the_same_scenario() {
    let text = r#"
        seed = 9
        [network]
        banks = 2
        [wallets]
        per_bank = 500
        opening_balance_minor = { business = 0 }
        [load]
        profile = "burst"
        amounts = "uniform"
        [policy]
        holding_limit_minor = { household = 500000, business = 0 }
        [[event]]
        at_s = 5
        action = "policy"
        holding_limit_minor = { household = 50000, merchant = "none" }
        [[event]]
        at_s = 2.5
        action = "kill"
        node = "bank-2"
    "#;
    let scenario = parse(text).expect("a valid scenario");
    let again = parse(&scenario.canonical()).expect("the canonical form is valid");
    assert_eq!(scenario, again);
    assert_eq!(scenario.scenario_hash(), again.scenario_hash());
    assert_eq!(scenario.events[0].action, Action::Kill { node: NodeName::Bank(1) });
}

#[test]
fn the_hash_follows_the_meaning_and_not_the_writing() {
    let spelled_out = parse("# a comment\n[load]\nrate_per_s = 1000.0\nprofile = 'poisson'").expect("valid");
    let defaults = parse("").expect("valid");
    assert_eq!(spelled_out.scenario_hash(), defaults.scenario_hash());
    assert_ne!(parse("seed = 2").expect("valid").scenario_hash(), defaults.scenario_hash());
}

#[test]
fn an_unknown_key_is_shown_with_its_place_and_the_nearest_known_one() {
    let found = mistake(parse("[load]\nrate_pre_s = 5\n"));
    assert_eq!((found.line, found.column, found.width), (2, 1, 10));
    assert_eq!(found.suggestion.as_deref(), Some("rate_per_s"));
    assert_eq!(found.source_line, "rate_pre_s = 5");
    let shown = found.to_string();
    assert!(shown.starts_with("test.toml:2:1: expected a key of [load]"), "{shown}");
    assert!(shown.ends_with("2 | rate_pre_s = 5\n  | ^^^^^^^^^^ did you mean `rate_per_s`?"), "{shown}");
}

#[test]
fn an_unknown_section_is_refused() {
    assert_eq!(mistake(parse("[netwrok]\nbanks = 2\n")).suggestion.as_deref(), Some("network"));
}

#[test]
fn a_mistake_names_what_was_expected_and_found() {
    let rows = [
        ("[network]\nbanks = 0", 2, 9, "a whole number from 1 to 64", "0"),
        ("[network]\nbanks = \"3\"", 2, 9, "a whole number from 1 to 64", "the text \"3\""),
        ("[network]\nreplica = \"all\"", 2, 11, "one of \"full\"", "\"all\""),
        ("[load]\ncross_bank_share = 1.5", 2, 20, "a number from 0 to 1", "1.5"),
        ("[load]\nburst_factor = 3", 2, 1, "this key only with profile = \"burst\"", "`burst_factor`"),
        ("[load]\nrate_per_s = nan", 2, 14, "a number from 0.001 to 10000000", "NaN"),
        ("[wallets]\nclass_mix = { household = 0.5 }", 2, 13, "shares that add up to 1", "a sum of 0.5"),
        (
            "[[event]]\nat_s = 1\naction = \"kill\"\nnode = \"bank-4\"",
            4,
            8,
            "\"central-bank\", or \"bank-1\" to \"bank-3\"",
            "\"bank-4\"",
        ),
        (
            "[policy]\nsupply_cap_minor = -1",
            2,
            20,
            "a whole number from 0 to 9000000000000000, or \"none\"",
            "the integer -1",
        ),
        ("[load]\nrate_per_s = ", 2, 14, "valid TOML", ""),
    ];
    for (text, line, column, expected, found) in rows {
        let mistake = mistake(parse(text));
        assert_eq!((mistake.line, mistake.column), (line, column), "{mistake}");
        assert_eq!(mistake.expected, expected, "{mistake}");
        assert!(mistake.found.starts_with(found), "{mistake}");
    }
}

#[test]
fn an_override_replaces_a_value_and_takes_bare_words() {
    let scenario = parse_with("[load]\nrate_per_s = 5", "load.rate_per_s", "700").expect("valid");
    assert_eq!(scenario.load.profile.peak_per_s(), 700.0);
    let scenario = parse_with("", "load.mode", "unary").expect("valid");
    assert_eq!(scenario.load.mode, Mode::Unary);
    let text = "[[event]]\nat_s = 1\naction = 'kill'\nnode = 'bank-1'";
    let scenario = parse_with(text, "event.0.at_s", "3").expect("valid");
    assert_eq!(scenario.events[0].at_s, 3.0);
}

#[test]
fn a_mistake_in_an_override_is_shown_on_the_override() {
    let found = mistake(parse_with("", "load.rate", "700"));
    assert_eq!((found.file.as_str(), found.line, found.column), ("--set", 1, 6));
    assert_eq!(found.suggestion.as_deref(), Some("rate_per_s"));
    assert_eq!(found.source_line, "load.rate=700");
    let found = mistake(parse_with("[network]\nbanks = 2", "network.banks.first", "1"));
    assert_eq!(found.found, "`first` inside the integer 2");
}

#[test]
fn too_few_wallets_for_the_rate_are_refused_with_the_number_needed() {
    let found = mistake(parse("[load]\nrate_per_s = 1000000\n[wallets]\ncount = 1000"));
    assert_eq!(found.line, 4);
    assert!(found.expected.starts_with("at least 17"), "{found}");
}

#[test]
fn opening_balances_must_respect_the_policy_they_open_under() {
    let found = mistake(parse("[policy]\nholding_limit_minor = 300000\n[wallets]\nopening_balance_minor = 300001"));
    assert_eq!(found.expected, "at most the holding limit of household, 300000");
    let found = mistake(parse("[policy]\nsupply_cap_minor = 1000\n[wallets]\nopening_balance_minor = 100"));
    assert_eq!((found.line, found.found.as_str()), (4, "300000"));
}

#[test]
fn a_missing_file_suggests_its_neighbour() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("quickstart.toml"), "").expect("a file can be written");
    let error = Scenario::load(&folder.path().join("quikstart.toml")).expect_err("no such file");
    let shown = error.to_string();
    assert!(shown.contains("quickstart.toml`?"), "{shown}");
}

#[test]
fn every_scenario_that_is_shipped_is_valid() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../simulations"));
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of scenarios").flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "toml") {
            let scenario = Scenario::load(&entry.path()).unwrap_or_else(|error| panic!("{error}"));
            assert!(!scenario.description.is_empty(), "{} has no description", scenario.name);
            count += 1;
        }
    }
    assert!(count >= 4, "only {count} scenarios found in {}", folder.display());
}
