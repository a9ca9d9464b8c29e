//! Simulates a scenario and prints its summary and the time it took; an argument that ends in `.html` is where the page
//! of the run goes:
//!
//! `cargo run --release -p cbdc-economy --example simulate -- simulations/economy/digital-euro.toml [key=value …]
//! [FILE.html]`

use std::path::Path;
use std::time::Instant;

use cbdc_economy::{Go, Scenario, report, simulate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("expected a scenario's file, found no argument")?;
    let mut scenario = Scenario::read(Path::new(&file)).map_err(|mistake| mistake.to_string())?;
    let mut page = None;
    for argument in arguments {
        match argument.split_once('=') {
            Some((key, value)) => scenario.set(key, value).map_err(|mistake| mistake.to_string())?,
            None if argument.ends_with(".html") => page = Some(argument),
            None => return Err(format!("expected key=value or a name ending in .html, found `{argument}`").into()),
        }
    }
    let start = Instant::now();
    let results = simulate(&scenario, scenario.seed, &mut |_| Go::On)?;
    let wall_s = start.elapsed().as_secs_f64();
    if let Some(page) = page {
        std::fs::write(page, report::page(&scenario, &results, &command, wall_s))?;
    }
    let household_days = results.households as f64 * f64::from(results.days);
    println!("{}", serde_json::to_string_pretty(&results.summary())?);
    println!("{wall_s:.2} s, {:.0} household-days a second", household_days / wall_s);
    Ok(())
}
