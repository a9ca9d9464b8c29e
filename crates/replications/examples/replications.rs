//! Rebuilds papers without the rest of the system, writes their pages and prints the time that each took:
//!
//! `cargo run --release -p cbdc-replications --example replications -- FOLDER [NAME …] [key=value …]`

use std::path::Path;
use std::time::Instant;

use cbdc_replications::comparison::Outcome;
use cbdc_replications::{PAPERS, page, parallel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("expected a folder for the pages, found no argument")?;
    let (overrides, names): (Vec<String>, Vec<String>) = arguments.partition(|argument| argument.contains('='));
    let overrides: Vec<(String, String)> = overrides
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    std::fs::create_dir_all(&folder)?;
    let mut comparisons = Vec::new();
    for paper in PAPERS.iter().filter(|paper| names.is_empty() || names.iter().any(|name| name == paper.name)) {
        let start = Instant::now();
        let comparison = paper.compare_with(paper.name, paper.scenario, &overrides, parallel::all_cores())?;
        let [holds, fails, undecided] =
            [Outcome::Holds, Outcome::Fails, Outcome::Undecided].map(|outcome| comparison.count(outcome));
        let seconds = start.elapsed().as_secs_f64();
        println!("{:<24}{holds} hold, {fails} do not, {undecided} undecided, {seconds:.1} s", paper.name);
        let file = Path::new(&folder).join(format!("{}.html", paper.name));
        std::fs::write(file, page::page(&comparison))?;
        comparisons.push(comparison);
    }
    std::fs::write(Path::new(&folder).join("index.html"), page::index(&comparisons))?;
    Ok(())
}
