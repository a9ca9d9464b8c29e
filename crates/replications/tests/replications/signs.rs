//! Signs with few seeds, books that balance, and the same digest on any number of threads.
//!
//! Few seeds decide only large effects; the shipped scenarios run more.

use cbdc_replications::comparison::{Comparison, Outcome};
use cbdc_replications::conversion::Conversion;
use cbdc_replications::find;
use cbdc_replications::flight_to_quality::design::{Design, Risk};
use cbdc_replications::flight_to_quality::economy::run;
use cbdc_replications::flight_to_quality::parameters::Parameters;
use cbdc_scenario_file::{Document, Section};

/// A paper with its scenario as shipped, scaled down.
fn smaller(name: &str, threads: usize, overrides: &[(&str, &str)]) -> Comparison {
    let paper = find(name).expect("a paper");
    let overrides: Vec<(String, String)> =
        overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    paper.compare_with(name, paper.scenario, &overrides, threads).expect("a scenario that runs")
}

fn outcome(comparison: &Comparison, what: &str) -> Outcome {
    let claim = comparison.claims.iter().find(|claim| claim.what.starts_with(what));
    claim.unwrap_or_else(|| panic!("no claim begins with {what}")).outcome
}

fn small_economy() -> Parameters {
    let text = "[run]\nhouseholds = 500\nfirms = 100\nsteps = 200\ndropped = 100\nseeds = 3";
    let document = Document::parse("test", text).expect("TOML");
    Parameters::read(&mut Section::root(&document)).expect("a scenario").0
}

#[test]
fn a_run_into_cbdc_has_the_signs_that_follow_from_who_pays_whom() {
    let comparison = smaller("bank-run", 2, &[("run.seeds", "4"), ("run.households", "200")]);
    for what in
        ["Corridor: output", "Corridor: banks' cost", "Zero rates: output", "Floor: interest", "Deposit insurance"]
    {
        assert_eq!(outcome(&comparison, what), Outcome::Holds, "{what}");
    }
}

#[test]
fn a_waterfall_raises_use_and_a_balance_limit_lowers_it() {
    let comparison = smaller("adoption", 2, &[("run.seeds", "4"), ("run.consumers", "200"), ("run.rounds", "100")]);
    assert_eq!(outcome(&comparison, "Subsidies: use of CBDC"), Outcome::Shown);
    assert_ne!(outcome(&comparison, "Reverse waterfall: use of CBDC"), Outcome::Fails);
    assert_ne!(outcome(&comparison, "Balance limit: use of CBDC"), Outcome::Fails);
}

#[test]
fn slow_helps_fast_hurts_and_a_limit_reverses() {
    let comparison = smaller("slow-fast", 1, &[("run.draws", "300")]);
    for what in ["Slow alone", "Fast alone", "Unlimited", "A limit"] {
        assert_eq!(outcome(&comparison, what), Outcome::Holds, "{what}");
    }
}

#[test]
fn the_books_of_every_design_balance_at_every_step() {
    let p = small_economy();
    for risk in Risk::ALL {
        for design in Design::ALL {
            run(&p, design, risk, 1).expect("the identities hold to the unit");
        }
    }
}

#[test]
fn designs_convert_in_the_order_of_their_rules() {
    let p = small_economy();
    let share = |design| {
        let measures = run(&p, design, Risk::RiskWeighted, 2).expect("books balance").expect("no collapse");
        let measure = &cbdc_replications::flight_to_quality::measures::MEASURES[0];
        assert_eq!(measure.name, "CBDC, % of wealth");
        (measure.read)(&measures)
    };
    let [base, c0, c1, c2] =
        [Design::Base, Design::Cbdc(Conversion::C0), Design::Cbdc(Conversion::C1), Design::Cbdc(Conversion::C2)]
            .map(share);
    assert_eq!(base, 0.0);
    assert!(c0 > 3.0 && c0 < 10.0, "{c0}");
    assert!(c0 < c2 && c2 < c1, "{c0} {c2} {c1}");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let economy = [
        ("run.seeds", "2"),
        ("run.households", "200"),
        ("run.firms", "40"),
        ("run.steps", "60"),
        ("run.dropped", "30"),
    ];
    let run_small = [("run.seeds", "3"), ("run.households", "100"), ("run.run_step", "20"), ("run.failure_step", "40")];
    let market = [("run.seeds", "2"), ("run.consumers", "50"), ("run.rounds", "40"), ("run.measured", "10")];
    for (name, overrides) in [("flight-to-quality", &economy[..]), ("bank-run", &run_small), ("adoption", &market)] {
        let digests = [1, 2, 7].map(|threads| smaller(name, threads, overrides).digest());
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{name}: {digests:?}");
    }
}
