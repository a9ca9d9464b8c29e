//! Scenario files: defaults, overrides, and mistakes shown at their positions.

use super::*;
use cbdc_devnet::policy::Preset;

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
    assert_eq!(scenario.policy.parameters, cbdc_ledger::policy::Parameters::default());
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
        [[event]]
        at_s = 6
        action = "grant"
        class = "household"
        first = 100
        amount_minor = 5_500
        expires_in_s = 60
        payees = ["merchant", "business"]
        funding = "government"
        [[event]]
        at_s = 7
        action = "grant"
        class = "tier-1"
        bank = "bank-1"
        amount_minor = 1
        [[event]]
        at_s = 8
        action = "bank-status"
        node = "bank-1"
        status = "suspended"
        [[event]]
        at_s = 9
        action = "operation"
        kind = "refinance"
        bank = "bank-2"
        amount_minor = 1_000
        rate = "2.15 %"
        matures_in_days = 7
        [[event]]
        at_s = 9.5
        action = "operation"
        kind = "buy-securities"
        bank = "bank-2"
        amount_minor = 1_000
        price = "99.5%"
        [[event]]
        at_s = 10
        action = "freeze"
        class = "merchant"
        count = 3
        amount_minor = 500
        [[event]]
        at_s = 10
        action = "unfreeze"
        wallet = 7
        amount_minor = 500
        [[event]]
        at_s = 10
        action = "seize"
        class = "household"
        to_wallet = 0
        amount_minor = 9
        [[event]]
        at_s = 10
        action = "reclassify"
        wallet = 999
        class = "tier-2"
        [[event]]
        at_s = 10
        action = "report-deposits"
        node = "bank-2"
        [[event]]
        at_s = 10
        action = "issue"
        node = "bank-1"
        amount_minor = 100
        [[event]]
        at_s = 10
        action = "redeem"
        node = "bank-1"
        amount_minor = 100
    "#;
    let scenario = parse(text).expect("a valid scenario");
    let again = parse(&scenario.canonical()).expect("the canonical form is valid");
    assert_eq!(scenario, again);
    assert_eq!(scenario.scenario_hash(), again.scenario_hash());
    assert_eq!(scenario.events[0].action, Action::Kill { node: NodeChoice::Named(NodeName::Bank(1)) });
}

#[test]
fn every_parameter_of_policy_has_a_key_and_reads_back() {
    let text = r#"
        [policy]
        supply_cap_minor = 900_000_000_000
        issuance_quota_minor = "none"
        issuance_quota_of_bank_minor = { bank-2 = 900_000_000_000 }
        capitalisation = "daily"
        policy_rate = "2%"
        deposit_rate = "-0.25 %"
        lending_rate = "2.5 %"
        penalty_rate = "5 %"
        reserves_rate_up_to = "1 %"
        reserves_rate_above = "0.5 %"
        reserve_requirement = "1 %"
        shortfall_rate = "2.5 %"
        maintenance_period = 42
        haircut = "12.5 %"
        work_per_block = 100
        month_limit_minor = { household = 900_000 }
        velocity = { household = "10 in 24 h", visitor = "1 in 1 h" }
        remuneration = { household = "0 % up to 3000, -1 % above" }
        payer_fee = "0.1 %"
        payee_fee = { merchant = "0.2 %, to payee-bank" }
        [[event]]
        at_s = 1
        action = "policy"
        remuneration = "1%"
        work_per_block = 200
    "#;
    let scenario = parse(text).expect("valid");
    let mut names: Vec<String> = cbdc_ledger::policy::text::NAMES.map(str::to_owned).to_vec();
    names.extend(cbdc_ledger::policy::text::CLASS_NAMES.map(str::to_owned));
    let words = cbdc_devnet::policy::change::policy_keys();
    for name in names {
        let word = name.replace('-', "_");
        assert!(words.iter().any(|key| *key == word || *key == format!("{word}_minor")), "{name} has no key");
    }
    assert_eq!(scenario.policy.parameters.key_rates.deposit.0, -2_500);
    assert_eq!(scenario.policy.parameters.reserves.period_days, 42);
    assert_eq!(
        scenario.events[0].action.to_string(),
        "policy: work-per-block = 200, remuneration of every class = 1 %"
    );
    let again = parse(&scenario.canonical()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scenario, again);
    let one_percent = text.replace("\"1%\"", "\"1 %\"");
    assert_eq!(parse(&one_percent).expect("valid").scenario_hash(), scenario.scenario_hash());
}

#[test]
fn a_preset_gives_the_policy_and_own_keys_stand_above_it() {
    let text = "[policy]\npreset = \"digital-euro\"\nholding_limit_minor = { household = 50_000 }";
    let scenario = parse(text).expect("valid");
    let limit = |class| scenario.policy.parameters.class(class).holding_limit.map(Amount::minor);
    assert_eq!((limit(Class::HOUSEHOLD), limit(Class::BUSINESS)), (Some(50_000), Some(0)));
    assert_eq!(*scenario.wallets.opening_balance_minor.get(Class::HOUSEHOLD), 50_000, "no more than it may hold");
    assert_eq!(
        (*scenario.wallets.linked.get(Class::BUSINESS), *scenario.wallets.linked.get(Class::HOUSEHOLD)),
        (1.0, 0.0)
    );
    assert_eq!(parse(&scenario.canonical()).expect("the canonical form is valid"), scenario);
    let found = mistake(parse_with("", "policy.preset", "digital-yuan"));
    assert!(found.expected.contains("\"e-cny-before-2026\""), "{found}");
}

#[test]
fn an_opening_balance_that_a_preset_lowers_is_noted() {
    let text = "[policy]\npreset = \"digital-euro\"\n[wallets]\nopening_balance_minor = { household = 900_000 }";
    let scenario = parse(text).expect("valid");
    assert_eq!(*scenario.wallets.opening_balance_minor.get(Class::HOUSEHOLD), 300_000);
    let note = scenario.notes.iter().find(|note| note.contains("household")).expect("a note");
    assert!(note.contains("300000") && note.contains("900000"), "{note}");
    assert!(parse("[policy]\npreset = \"digital-euro\"").expect("valid").notes.is_empty(), "a default is no choice");
    assert!(
        parse(&text.replace("900_000", "200_000")).expect("valid").notes.iter().all(|note| !note.contains("household"))
    );
}

#[test]
fn every_preset_runs_with_every_scenario_that_is_shipped() {
    for path in shipped() {
        for preset in Preset::names() {
            let overrides = [("policy.preset".to_owned(), preset.to_owned())];
            Scenario::load_with(&path, &overrides).unwrap_or_else(|error| panic!("{preset}: {error}"));
        }
    }
}

/// The scenarios of networks under load in the repository.
fn shipped() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("../../simulations/load").expect("the folder of scenarios").flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|kind| kind == "toml")).collect()
}

#[test]
fn a_value_of_policy_that_cannot_be_read_says_what_was_expected() {
    let found = mistake(parse("[policy]\nvelocity = { household = \"often\" }"));
    assert_eq!((found.line, found.column), (2, 26));
    assert!(found.expected.contains("10 in 24 h") && found.found == "\"often\"", "{found}");
    let found = mistake(parse("[policy]\nremuneration = 1"));
    assert_eq!((found.expected.as_str(), found.found.as_str()), ("text in quotes", "the integer 1"));
    let found = mistake(parse("[policy]\nissuance_quota_of_bank_minor = { first = 5 }"));
    assert!(found.expected.contains("bank-2"), "{found}");
    let found = mistake(parse("[policy]\ndeposit_rate = \"3 %\""));
    assert!(found.expected.starts_with("deposit_rate ≤ policy_rate"), "{found}");
    let text = "[[event]]\nat_s = 1\naction = \"policy\"\nlending_rate = \"-1 %\"";
    assert_eq!(mistake(parse(text)).line, 3);
}

#[test]
fn an_event_takes_only_the_keys_of_its_action() {
    let rows = [
        ("action = \"grant\"\nclass = \"household\"", "`amount_minor`, a whole number"),
        (
            "action = \"grant\"\nclass = \"household\"\namount_minor = 1\nexpires_in_s = 5",
            "`payees`, a list of classes, beside `expires_in_s`",
        ),
        (
            "action = \"grant\"\nclass = \"household\"\namount_minor = 1\npayees = [\"merchant\"]",
            "`expires_in_s`, a whole number of seconds, beside `payees`",
        ),
        (
            "action = \"grant\"\nclass = \"household\"\namount_minor = 1\nfunding = \"government\"",
            "`expires_in_s` and `payees` beside `funding`",
        ),
        (
            "action = \"grant\"\nclass = \"household\"\namount_minor = 1\nexpires_in_s = 5\npayees = []",
            "at least one of household, merchant",
        ),
        ("action = \"freeze\"\namount_minor = 1", "`wallet`, an index, or `class`"),
        ("action = \"freeze\"\namount_minor = 1\nwallet = 0\nclass = \"household\"", "either `wallet` or `class`"),
        ("action = \"freeze\"\nwallet = 0", "`amount_minor`, a whole number"),
        ("action = \"freeze\"\nwallet = 3000\namount_minor = 1", "a whole number from 0 to 2999"),
        ("action = \"unfreeze\"\nwallet = 1\ncount = 2\namount_minor = 1", "`count` only beside `class`"),
        ("action = \"freeze\"\nclass = \"visitor\"\namount_minor = 1", "a class that has wallets"),
        ("action = \"freeze\"\nclass = \"business\"\ncount = 2000\namount_minor = 1", "at most "),
        ("action = \"seize\"\nwallet = 1\namount_minor = 1", "`to_wallet`, a wallet's index from 0 to 2999"),
        ("action = \"seize\"\nwallet = 1\nto_wallet = 1\namount_minor = 1", "another wallet than"),
        ("action = \"freeze\"\nwallet = 1\nto_wallet = 2\namount_minor = 1", "`to_wallet` only with"),
        ("action = \"reclassify\"\nwallet = 1", "`class`, one of household"),
        ("action = \"reclassify\"\nclass = \"tier-1\"", "`wallet`, a wallet's index"),
        ("action = \"report-deposits\"\nnode = \"central-bank\"", "\"bank-1\" to \"bank-3\""),
        ("action = \"issue\"\nnode = \"bank-1\"", "`amount_minor`, a whole number"),
        ("action = \"redeem\"\namount_minor = 1\nbank = \"bank-1\"", "`node`: \"bank-1\""),
        ("action = \"redeem\"\namount_minor = 1\nnode = \"bank-1\"\nwallet = 3", "`wallet` only with"),
        ("action = \"grant\"\nclass = \"household\"\namount_minor = 1\nstatus = \"active\"", "`status` only with"),
        ("action = \"bank-status\"\nnode = \"central-bank\"\nstatus = \"active\"", "\"bank-1\" to \"bank-3\""),
        ("action = \"operation\"\nkind = \"lend\"\nbank = \"bank-1\"\namount_minor = 1\nrate = \"1 %\"", "no `rate`"),
        ("action = \"operation\"\nkind = \"buy-securities\"\nbank = \"bank-1\"\namount_minor = 1", "`price` with"),
        ("action = \"kill\"\nnode = \"bank-1\"\nvelocity = \"none\"", "policy figures only with"),
        ("action = \"hand-over\"", "at least three nodes of the central bank"),
        ("action = \"kill\"\nnode = \"former-leader\"", "an earlier event with \"leader\""),
        ("action = \"heal\"\nnode = \"bank-1\"", "`node` only with"),
    ];
    for (text, expected) in rows {
        let found = mistake(parse(&format!("[[event]]\nat_s = 1\n{text}")));
        assert!(found.expected.starts_with(expected), "{found}");
    }
}

#[test]
fn a_disturbance_names_nodes_that_there_are() {
    let nodes = "\"leader\", \"former-leader\", \"central-bank-1\" to \"central-bank-3\", or \"bank-1\" to \"bank-3\"";
    let rows = [
        ("action = \"kill\"\nnode = \"central-bank-4\"", nodes, "\"central-bank-4\""),
        ("action = \"kill\"\nnode = \"central-bank\"", nodes, "\"central-bank\""),
        ("action = \"pause\"\nnode = \"bank-4\"", nodes, "\"bank-4\""),
        ("action = \"partition\"\nnodes = [\"leader\", \"bank-0\"]", nodes, "\"bank-0\""),
        ("action = \"partition\"\nnodes = []", "at least one of", "an empty list"),
        ("action = \"partition\"\nnodes = [\"leader\", \"leader\"]", "each node once", "\"leader\" twice"),
        ("action = \"partition\"\nnode = \"leader\"", "`nodes`, a list of", "none"),
        ("action = \"partition\"\nnodes = [\"leader\"]\ndirection = \"up\"", "one of \"both\"", "\"up\""),
        ("action = \"partition\"\nnodes = [\"leader\"]\ndelay_ms = 5", "`delay_ms` only with", "`delay_ms`"),
        ("action = \"slow-link\"\nnodes = [\"leader\"]", "`delay_ms` or `rate_kib_per_s`", "a slow link"),
        ("action = \"hand-over\"\nto = \"bank-1\"", "\"central-bank-1\" to \"central-bank-3\"", "\"bank-1\""),
    ];
    for (text, expected, found) in rows {
        let text = format!("[network]\ncentral_banks = 3\n[[event]]\nat_s = 1\n{text}");
        let mistake = mistake(parse(&text));
        assert!(mistake.expected.starts_with(expected) && mistake.found.starts_with(found), "{mistake}");
    }
}

#[test]
fn disturbances_read_back_from_the_canonical_form() {
    let text = "[network]\ncentral_banks = 5\nheader_signatures = 2
        [[event]]\nat_s = 1\naction = \"kill\"\nnode = \"leader\"
        [[event]]\nat_s = 2\naction = \"restart\"\nnode = \"former-leader\"
        [[event]]\nat_s = 3\naction = \"pause\"\nnode = \"central-bank-2\"
        [[event]]\nat_s = 4\naction = \"resume\"\nnode = \"central-bank-2\"
        [[event]]\nat_s = 5\naction = \"partition\"\nnodes = [\"leader\", \"bank-1\"]\ndirection = \"in\"
        [[event]]\nat_s = 6\naction = \"slow-link\"\nnodes = [\"bank-2\"]\ndelay_ms = 100
        [[event]]\nat_s = 7\naction = \"heal\"
        [[event]]\nat_s = 8\naction = \"hand-over\"
        [[event]]\nat_s = 9\naction = \"hand-over\"\nto = \"central-bank-5\"";
    let scenario = parse(text).expect("valid");
    assert_eq!(parse(&scenario.canonical()).expect("the canonical form"), scenario);
    let nodes = vec![NodeChoice::Leader, NodeChoice::Named(NodeName::Bank(0))];
    assert_eq!(scenario.events[4].action, Action::Partition { nodes, direction: Direction::In });
    let words: Vec<String> = scenario.events.iter().map(|event| event.action.to_string()).collect();
    let expected = [
        "kill leader",
        "restart former-leader",
        "pause central-bank-2",
        "resume central-bank-2",
        "nothing reaches leader, bank-1",
        "links of bank-2 slow: 100 ms",
        "heal all links and disks",
        "hand over",
        "hand over to central-bank-5",
    ];
    assert_eq!(words, expected);
    assert!(scenario.events.iter().all(|event| event.action.is_a_disturbance()));
}

#[test]
fn the_central_bank_has_an_odd_number_of_nodes_and_no_more_signatures_than_nodes() {
    for (text, expected) in [
        ("central_banks = 2", "an odd number of the central bank's nodes"),
        ("central_banks = 9", "a whole number from 1 to 7"),
        ("header_signatures = 2", "a whole number from 1 to 1"),
        ("central_banks = 3\nheader_signatures = 4", "a whole number from 1 to 3"),
    ] {
        let found = mistake(parse(&format!("[network]\n{text}")));
        assert!(found.expected.starts_with(expected), "{found}");
    }
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
        ("[network]\nreplica = \"all\"", 2, 11, "one of \"full\", \"partial\"", "\"all\""),
        ("[load]\ncross_bank_share = 1.5", 2, 20, "a number from 0 to 1", "1.5"),
        ("[load]\nburst_factor = 3", 2, 1, "this key only with profile = \"burst\"", "`burst_factor`"),
        ("[load]\nrate_per_s = nan", 2, 14, "a number from 0.001 to 10000000", "NaN"),
        ("[wallets]\nclass_mix = { household = 0.5 }", 2, 13, "shares that add up to 1", "a sum of 0.5"),
        (
            "[[event]]\nat_s = 1\naction = \"kill\"\nnode = \"bank-4\"",
            4,
            8,
            "\"leader\", \"former-leader\", \"central-bank-1\", or \"bank-1\" to \"bank-3\"",
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
fn only_disks_of_the_central_bank_can_be_slow() {
    let event = |nodes: &str| {
        format!(
            "[network]\ncentral_banks = 3\n[[event]]\nat_s = 1\naction = 'slow-disk'\nnodes = {nodes}\ndelay_ms = 30"
        )
    };
    let scenario = parse(&event("['central-bank-2', 'leader']")).expect("valid");
    assert_eq!(scenario.events[0].action.to_string(), "disks of central-bank-2, leader slow: 30 ms a sync");
    let mistake = mistake(parse(&event("['bank-1']")));
    assert!(mistake.expected.contains("nodes of the central bank"), "{mistake}");
}

#[test]
fn an_event_happens_as_often_as_it_says() {
    let event = |more: &str| format!("[[event]]\nat_s = 1\naction = 'kill'\nnode = 'bank-1'\n{more}");
    let scenario = parse(&event("every_s = 2.5\ntimes = 3")).expect("valid");
    assert_eq!(scenario.events.iter().map(|event| event.at_s).collect::<Vec<_>>(), [1.0, 3.5, 6.0]);
    for (more, expected) in [
        ("times = 3", "`every_s`"),
        ("every_s = 3", "`times` above 1"),
        ("every_s = 3\ntimes = 10000", "a last time within the run"),
    ] {
        let mistake = mistake(parse(&event(more)));
        assert!(mistake.expected.contains(expected), "{mistake}");
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
fn payments_can_be_topped_up_only_where_wallets_are_linked() {
    let found = mistake(parse("[load]\ntop_up_share = 0.1"));
    assert_eq!((found.line, found.found.as_str()), (2, "0.1"));
    assert!(found.expected.contains("wallets.linked"), "{found}");
    let text = "[load]\ntop_up_share = 0.1\n[wallets]\nlinked = { household = 0.5 }\nopening_deposit_minor = 700";
    let scenario = parse(text).expect("some wallets are linked");
    let deposits: Vec<u64> = (0..scenario.wallets.count).map(|wallet| scenario.deposit_of(wallet)).collect();
    for (wallet, deposit) in (0..).zip(deposits) {
        assert_eq!(deposit, if scenario.is_linked(wallet) { 700 } else { 0 });
    }
}

#[test]
fn opening_balances_must_respect_the_policy_they_open_under() {
    let found = mistake(parse("[policy]\nholding_limit_minor = 300000\n[wallets]\nopening_balance_minor = 300001"));
    assert_eq!(found.expected, "at most the holding limit of household, 300000");
    let linked = "[policy]\nholding_limit_minor = 300000\n[wallets]\nopening_balance_minor = 300001\nlinked = true";
    parse(linked).expect("the waterfall takes what is above");
    let found = mistake(parse(
        "[policy]\nholding_limit_minor = 10\n[wallets]\nopening_balance_minor = 10\nopening_spread = 0.5",
    ));
    assert_eq!(found.found, "15");
    let quotas = "[network]\nbanks = 2\n[policy]\nissuance_quota_minor = 10_000\n\
                  issuance_quota_of_bank_minor = { bank-2 = 2_000 }\n\
                  [wallets]\nper_bank = 20\nopening_balance_minor = 200\n[load]\nrate_per_s = 10";
    let found = mistake(parse(quotas));
    assert_eq!(found.expected, "opening balances of at most 2000 at bank-2 (policy.issuance_quota_of_bank_minor)");
    assert_eq!(found.found, "4000");
    parse(&quotas.replace("2_000", "4_000")).expect("each bank's own need is within its own quota");
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
    let shipped = shipped();
    for path in &shipped {
        let scenario = Scenario::load(path).unwrap_or_else(|error| panic!("{error}"));
        assert!(!scenario.description.is_empty(), "{} has no description", scenario.name);
    }
    assert!(shipped.len() >= 7, "only {} scenarios found", shipped.len());
}
