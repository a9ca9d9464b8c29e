//! A mistake in a scenario is reported with file, line, key and the allowed range.

use cbdc_economy::{Scenario, explain};

fn mistake(text: &str) -> String {
    Scenario::parse("bad.toml", text).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_mistake_names_file_line_key_and_range() {
    for (text, words) in [
        ("[households]\ncount = 0", ["bad.toml:2:9", "from 1 to 20000000", "0"]),
        ("[households]\n\ncuont = 5", ["bad.toml:3:1", "unknown key `cuont`", "did you mean `count`"]),
        ("[policy]\nholding_limit_minor = \"many\"", ["bad.toml:2:23", "or \"none\"", "text"]),
        ("[adoption]\nimitation = -1", ["bad.toml:2:13", "from 0 to 20", "-1"]),
        ("[behaviour]\nportfolio = \"logot\"", ["bad.toml:2:13", "one of \"logit\"", "did you mean `logit`"]),
        ("[[shock]]\nday = 3\nkind = \"outage\"\nsize = 1", ["bad.toml:4:1", "no `size`", "size"]),
        ("[[shock]]\nday = 3", ["bad.toml:1:1", "one of rates", "none"]),
        ("[banks]\ncount = 3\n[[shock]]\nkind = \"fail-bank\"\nbank = 4", ["bad.toml:5:8", "from 1 to 3", "4"]),
        (
            "[[rule]]\nkind = \"expression\"\nexpression = \"inflatoin\"",
            ["bad.toml:3:14", "one of inflation", "did you mean `inflation`"],
        ),
        (
            "[[rule]]\nkind = \"limit-ladder\"\nsteps_minor = [5, 5]",
            ["bad.toml:3:19", "each above the one before", "5"],
        ),
        ("[time]\nstart = \"2027-02-30\"", ["bad.toml:2:9", "a date", "2027-02-30"]),
        ("[policy]\npolicy_rate_ppm = 0.5", ["bad.toml:2:19", "a whole number", "0.5"]),
        ("[policy]\nwaterfall = false", ["bad.toml", "waterfall", "firm_limit_minor"]),
        ("seed = \"x\"", ["bad.toml:1:8", "a whole number", "the text"]),
        ("[policy]\npayer_fee = \"much\"", ["bad.toml:2:13", "0.10 + 0.5 % up to 100", "\"much\""]),
        ("[policy]\nmerchant_fee = true", ["bad.toml:2:16", "a fee in EUR", "the boolean true"]),
        ("[[schedule]]\nday_limit_minor = -1", ["bad.toml:2:19", "from 0 to", "-1"]),
        (
            "[households]\ncount = 20_000_000\ndeposit_minor_mean = 1e12",
            ["bad.toml:3:22", "at most 500000000 for 20000000 households", "1000000000000"],
        ),
        (
            "[households]\ncount = 10_000\nincome_minor_mean = 1e11\n[firms]\nloan_months = 240",
            ["bad.toml:5:15", "months of all wages", "240"],
        ),
        ("[behaviour]\nrhythm = \"even\"", ["bad.toml:2:1", "expected `seasonality`", "`rhythm`"]),
        ("[rhythm]\nfriday = 1", ["bad.toml:1:2", "expected `seasonality`", "`rhythm`"]),
        ("[policy]\ncbdc_rate_above_ppm = -200_000", ["bad.toml:2:23", "a tier, `cbdc_tier_minor`", "-200000"]),
        (
            "[policy]\ncbdc_rate_ppm = 5_000\n[[schedule]]\nday = 9\ncbdc_rate_above_ppm = 0",
            ["bad.toml:5:23", "a tier, `cbdc_tier_minor`", "0"],
        ),
        ("[adoption]\nceiling = 0.4\ninitial = 0.6", ["bad.toml:3:11", "at most adoption.ceiling, 0.4", "0.6"]),
        ("[policy", ["bad.toml:1", "valid TOML", ""]),
        ("[wrong]\nx = 1", ["bad.toml:1:2", "unknown key `wrong`", "behaviour"]),
    ] {
        let told = mistake(text);
        assert!(words.iter().all(|word| told.contains(word)), "{text}\n---\n{told}");
    }
}

#[test]
fn an_override_is_told_on_itself_and_leaves_the_scenario_as_it_was() {
    let mut scenario = Scenario::parse("good.toml", "[households]\ncount = 5").unwrap();
    let hash = scenario.hash();
    let told = scenario.set("households.count", "-3").unwrap_err().to_string();
    assert!(told.contains("--set:1:18") && told.contains("from 1 to 20000000"), "{told}");
    assert_eq!(scenario.hash(), hash);
    scenario.set("households.count", "6").unwrap();
    assert_ne!(scenario.hash(), hash);
}

#[test]
fn a_missing_file_proposes_a_similar_one() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.tolm");
    let told = Scenario::read(&path).unwrap_err().to_string();
    assert!(told.contains("Did you mean `") && told.contains("/Cargo.toml`?"), "{told}");
}

#[test]
fn everything_in_force_is_explained_with_its_source() {
    let scenario = Scenario::parse("plain.toml", "[adoption]\nimitation = 0.7").unwrap();
    let behaviours = explain(&scenario);
    assert!(behaviours.len() >= 16);
    for behaviour in &behaviours {
        assert!(!behaviour.source.is_empty() && !behaviour.equation.is_empty(), "{}", behaviour.name);
        assert!(behaviour.models.contains(&behaviour.model));
        for parameter in &behaviour.parameters {
            assert!((parameter.least..=parameter.most).contains(&parameter.value), "{}", parameter.key);
            // Every key that is explained can be set.
            let mut changed = scenario.clone();
            changed.set(&parameter.key, &parameter.least.to_string()).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    let imitation = behaviours.iter().flat_map(|it| &it.parameters).find(|it| it.key == "adoption.imitation");
    assert_eq!(imitation.map(|it| it.value), Some(0.7));
}

#[test]
fn the_shipped_scenarios_can_be_read() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../simulations/economy/digital-euro.toml");
    let scenario = Scenario::read(&file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scenario.values.policy.holding_limit_minor, Some(300_000));
    assert!(scenario.values.households.count >= 100_000);
}

#[test]
fn a_seed_that_was_chosen_outlives_what_is_set_after_it() {
    let mut scenario = Scenario::parse("good.toml", "seed = 3").unwrap();
    scenario.seed = 2;
    scenario.set("threads", "4").unwrap();
    assert_eq!((scenario.seed, scenario.threads), (2, 4));
    scenario.set("seed", "9").unwrap();
    assert_eq!((scenario.seed, scenario.threads), (9, 4));
}

#[test]
fn every_key_of_the_policy_is_explained_and_can_be_set() {
    let scenario = Scenario::parse("plain.toml", "[policy]\nday_limit_minor = 7").unwrap();
    let listed = scenario.values.policy.listed();
    let keys = serde_json::to_value(&scenario.values.policy).unwrap().as_object().map(|object| object.len());
    assert_eq!(Some(listed.len()), keys);
    for provision in &listed {
        let mut changed = scenario.clone();
        let told = changed.set(&provision.key, &provision.value);
        told.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(changed.hash(), scenario.hash(), "{}", provision.key);
    }
    assert!(cbdc_economy::explanation(&scenario).contains("policy.day_limit_minor = 7  most that a household may pay"));
}

#[test]
fn overrides_may_come_in_any_order() {
    let tiered = [("policy.cbdc_rate_above_ppm", "-10_000"), ("policy.cbdc_tier_minor", "10_000")];
    let full = [("adoption.initial", "0.9"), ("adoption.ceiling", "0.95")];
    for pairs in [tiered, full] {
        let [one, other] = [[pairs[0], pairs[1]], [pairs[1], pairs[0]]].map(|pairs| {
            let mut scenario = Scenario::parse("plain.toml", "").unwrap();
            scenario.set_all(pairs).unwrap_or_else(|error| panic!("{error}"));
            scenario.hash()
        });
        assert_eq!(one, other);
    }
    let mut scenario = Scenario::parse("plain.toml", "").unwrap();
    let told = scenario.set_all(tiered.into_iter().take(1)).unwrap_err().to_string();
    assert!(told.contains("--set:1") && told.contains("cbdc_tier_minor"), "{told}");
}

#[test]
fn every_key_of_the_population_is_explained_documented_and_can_be_set() {
    let scenario = Scenario::parse("plain.toml", "").unwrap();
    let values = &scenario.values;
    let fields = |value: serde_json::Value| value.as_object().map_or(0, serde_json::Map::len);
    let keys: usize = [
        serde_json::to_value(&values.time),
        serde_json::to_value(&values.households),
        serde_json::to_value(&values.firms),
        serde_json::to_value(&values.banks),
        serde_json::to_value(&values.investors),
    ]
    .into_iter()
    .map(|table| fields(table.unwrap()))
    .sum();
    let listed = scenario.population();
    assert_eq!(listed.len(), keys);
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/research/economy.md");
    let page = std::fs::read_to_string(page).unwrap();
    for provision in &listed {
        let mut changed = scenario.clone();
        // A date is text in quotes.
        let value = format!("\"{}\"", provision.value);
        let value = if provision.key == "time.start" { &value } else { &provision.value };
        changed.set(&provision.key, value).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(changed.hash(), scenario.hash(), "{}", provision.key);
        let key = provision.key.split('.').next_back().unwrap();
        assert!(page.contains(&format!("`{key}`")), "docs/research/economy.md has no `{key}`");
    }
    assert!(cbdc_economy::explanation(&scenario).contains("firms.accepting_share = 1.0  share that takes CBDC"));
}
