//! The page of a simulation is self-contained, and its figures can be traced.

use crate::support::{run, scenario};

const TEXT: &str = "
name = \"<script>alert(1)</script>\"
[households]
count = 300
[firms]
count = 10
[time]
days = 40
[adoption]
initial = 0.5
[[schedule]]
day = 20
holding_limit_minor = 20_000
[[shock]]
day = 25
kind = \"trust-banks\"
size = 0.3
";

#[test]
fn the_page_asks_nothing_of_any_network_and_names_its_sources() {
    let scenario = scenario(TEXT, &[]);
    let results = run(&scenario);
    let html = cbdc_economy::report::page(&scenario, &results, "cbdc simulate test.toml", 1.0);
    for forbidden in ["http://", "https://", "src=\"", "href=\"", "@import", "url(", "<script>alert", "NaN", "inf "] {
        assert!(!html.contains(forbidden), "`{forbidden}` is in the page");
    }
    for wanted in [&results.digest, &results.scenario_hash, &results.ledger.tip] {
        assert!(html.contains(wanted.as_str()), "{wanted}");
    }
    for behaviour in cbdc_economy::explain(&scenario) {
        assert!(html.contains(behaviour.name), "{}", behaviour.name);
    }
    let drawings = html.matches("<svg").count();
    assert!(drawings >= 14, "{drawings} drawings");
    assert_eq!(html.matches("<title id=").count(), drawings);
}

#[test]
fn tables_have_a_value_for_each_column() {
    let results = run(&scenario(TEXT, &[]));
    let mut tables = Vec::new();
    results.for_each_table(&mut |name, columns, rows| {
        assert!(rows.iter().all(|row| row.len() == columns.len()), "{name}");
        let csv = cbdc_economy::Results::csv(columns, &rows);
        assert_eq!(csv.lines().count(), rows.len() + 1, "{name}");
        tables.push(name);
    });
    assert_eq!(tables, ["macro", "banks", "households", "payments", "events"]);
}
