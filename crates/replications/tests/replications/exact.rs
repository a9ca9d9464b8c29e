//! The exact claims: printed figures to their digits.

use cbdc_replications::comparison::{Kind, Outcome};
use cbdc_replications::operational_framework::parameters::Calibration;
use cbdc_replications::operational_framework::path::{middle_of_the_corridor, steady_states};
use cbdc_replications::operational_framework::vectors::{QUANTITIES, VECTORS, as_printed, is_printed, last_digits_off};
use cbdc_replications::{PAPERS, find};

const STEP: f64 = 0.005;

#[test]
fn steady_states_are_the_printed_ones() {
    let shares: Vec<f64> = VECTORS.iter().map(|vector| vector.cbdc / 100.0).collect();
    let states =
        steady_states(&Calibration::default(), &shares, STEP).expect("the published calibration has a solution");
    let mut alike = 0;
    for (vector, at) in VECTORS.iter().zip(&states) {
        for (column, printed) in QUANTITIES.iter().zip(vector.printed) {
            let ours = (column.read)(at, &states[0]);
            let is_alike = is_printed(ours, printed, column.slack);
            assert!(is_alike, "{} at {} %: printed {printed}, ours {ours}", column.name, vector.cbdc);
            assert!(last_digits_off(ours, printed) < 1.1);
            alike += usize::from(is_alike);
        }
    }
    assert_eq!(alike, 48);
    assert_eq!(as_printed(states[0].output, "2.000704"), "2.000704");
    assert!(states.iter().all(|at| at.residuals.iter().all(|residual| residual.abs() < 1e-12)));
}

#[test]
fn the_market_rate_crosses_the_corridor_where_printed() {
    let middle = middle_of_the_corridor(&Calibration::default(), (0.05, 0.1), STEP).expect("a solution");
    assert_eq!(as_printed(100.0 * middle, "7.12"), "7.12");
}

#[test]
fn reserves_go_before_banks_borrow() {
    let shares: Vec<f64> = (0..=30).map(|half| f64::from(half) / 200.0).collect();
    let states = steady_states(&Calibration::default(), &shares, STEP).expect("a solution");
    assert!(states.windows(2).all(|pair| pair[1].reserves < pair[0].reserves));
    assert!(states.windows(2).all(|pair| pair[1].central_bank_lending > pair[0].central_bank_lending));
    assert!(states.windows(2).all(|pair| pair[1].floor_weight < pair[0].floor_weight));
    assert!(states[0].floor_weight > 0.99 && states[30].floor_weight < 0.01);
}

#[test]
fn the_length_of_the_steps_on_the_way_does_not_matter() {
    let at = |step| steady_states(&Calibration::default(), &[0.08], step).expect("a solution")[0].reserves;
    assert!((at(0.005) - at(0.002)).abs() < 1e-9);
}

#[test]
fn shipped_pages_claim_no_more_than_they_show() {
    for (name, failing) in [("operational-framework", 0), ("static-outflow", 0), ("slow-fast", 0)] {
        let comparison = find(name).expect("a paper").compare(1).expect("the shipped scenario");
        let fails = comparison.claims.iter().filter(|claim| claim.outcome == Outcome::Fails).count();
        assert_eq!(fails, failing, "{name}");
        assert!(!comparison.not_claimed.is_empty() && !comparison.differences.is_empty());
    }
    let outflow = find("static-outflow").expect("a paper").compare(1).expect("the shipped scenario");
    let of = |kind| outflow.claims.iter().filter(|claim| claim.kind == kind).count();
    assert_eq!((of(Kind::Exact), of(Kind::Calibration), of(Kind::Distance)), (1, 2, 4));
}

#[test]
fn a_page_needs_nothing_else() {
    let comparison = find("operational-framework").expect("a paper").compare(1).expect("the shipped scenario");
    let page = cbdc_replications::page::page(&comparison);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for outside in ["http://", "https://", " src=", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("<svg").count(), comparison.charts.len());
    assert!(page.contains(&comparison.digest()));
}

#[test]
fn a_mistake_in_a_scenario_names_its_line() {
    let paper = find("static-outflow").expect("a paper");
    let of = |text: &str| paper.compare_with("x.toml", text, &[], 1).expect_err("a mistake").to_string();
    assert!(
        of("paper = \"static-outflow\"\n[deposits]\nholder = 5\n")
            .starts_with("x.toml:3:1: expected a key of [deposits]")
    );
    assert!(of("paper = \"static-outflow\"\n[deposits]\nclasses = 3\n").contains("from 10 to 100000"));
    assert!(of("paper = \"bank-run\"\n").contains("expected \"static-outflow\", found \"bank-run\""));
    assert!(of("paper = \"static-outflow\"\n[deposits]\nholders = 100_000_000\n").contains("the spread of deposits"));
    let typo = [("deposits.limt".to_owned(), "5".to_owned())];
    let error = paper.compare_with("x.toml", paper.scenario, &typo, 1).expect_err("a mistake").to_string();
    assert!(error.contains("did you mean `limit`?"), "{error}");
}

#[test]
fn shipped_scenarios_say_what_the_defaults_are() {
    use cbdc_replications::{adoption, bank_run, flight_to_quality, slow_fast};
    use cbdc_scenario_file::{Document, Section};
    fn same<T: PartialEq + std::fmt::Debug>(name: &str, read: impl Fn(&mut Section<'_>) -> T) {
        let of = |text: &str| read(&mut Section::root(&Document::parse(name, text).expect("TOML")));
        assert_eq!(of(find(name).expect("a paper").scenario), of(""), "{name}");
    }
    same("flight-to-quality", |root| flight_to_quality::parameters::Parameters::read(root).expect("a scenario"));
    same("bank-run", |root| bank_run::parameters::Parameters::read(root).expect("a scenario"));
    same("adoption", |root| adoption::parameters::Parameters::read(root).expect("a scenario"));
    same("slow-fast", |root| slow_fast::parameters::Parameters::read(root).expect("a scenario"));
}

#[test]
fn every_paper_has_its_name_and_file() {
    for paper in &PAPERS {
        assert!(paper.scenario.contains(&format!("paper = \"{}\"", paper.name)));
        assert!(paper.scenario.contains(&format!("cbdc replications {}", paper.name)));
    }
    assert_eq!(cbdc_replications::nearest("static-outflw"), Some("static-outflow"));
}
