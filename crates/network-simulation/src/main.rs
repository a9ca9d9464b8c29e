//! `cbdc-simulate-network`.

use anyhow::Result;
use cbdc_network_simulation::run::{Options, run};
use clap::Parser;

/// Simulate a whole network from a seed
#[derive(Parser)]
struct Arguments {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of seeds
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Print the trace
    #[arg(long)]
    trace: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        let began = std::time::Instant::now();
        let outcome = run(&Options { seed, keeps_trace: arguments.trace, ..Options::default() })?;
        if let Some(lines) = &outcome.lines {
            print!("{lines}");
        }
        for (at, what) in &outcome.story {
            println!("{at:>8} ms  {what}");
        }
        println!(
            "seed {seed}: {:?}, {} blocks, {} ms simulated in {:?}, trace {:?}",
            outcome.counts,
            outcome.blocks,
            outcome.simulated_ms,
            began.elapsed(),
            outcome.trace
        );
        for violation in &outcome.violations {
            println!("VIOLATION {violation:?}");
        }
    }
    Ok(())
}
