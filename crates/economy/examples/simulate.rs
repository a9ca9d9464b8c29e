//! Simulates a scenario and prints its summary, with the time that it took:
//!
//! `cargo run --release -p cbdc-economy --example simulate -- simulations/digital-euro.toml [key=value …]`

use std::path::Path;
use std::time::Instant;

use cbdc_economy::{Go, Scenario, simulate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("expected a scenario's file, found no argument")?;
    let mut scenario = Scenario::read(Path::new(&file))?;
    for pair in arguments {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("expected key=value, found `{pair}`"))?;
        scenario.set(key, value)?;
    }
    let start = Instant::now();
    let results = simulate(&scenario, scenario.seed, &mut |_| Go::On)?;
    let wall_s = start.elapsed().as_secs_f64();
    let household_days = results.households as f64 * f64::from(results.days);
    println!("{}", serde_json::to_string_pretty(&results.summary())?);
    println!("{wall_s:.2} s, {:.0} household-days a second", household_days / wall_s);
    Ok(())
}
