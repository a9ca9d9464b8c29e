//! `cbdc-simulate-network`: one seed of a simulated network with all its detail, or many ([`seeds`]).

mod seeds;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use cbdc_network_simulation::canary::Canary;
use cbdc_network_simulation::picture::picture;
use cbdc_network_simulation::plan::{Plan, Wanted};
use cbdc_network_simulation::run::{Options, Outcome, run};
use clap::Parser;

use crate::seeds::{KnownSeeds, many, merge};

/// The exit code where a promise was broken.
const BROKEN: u8 = 5;
/// Simulate a whole network on one thread and one clock, from one number
///
/// Central-bank nodes, banks and paying wallets run without sockets, disks and threads of the system, while faults that
/// follow from the seed disturb them. Afterwards every answer and read is compared with every block of every node. The
/// same seed does the same, to the byte.
#[derive(Parser)]
#[command(name = "cbdc-simulate-network", version, after_help = AFTER_HELP)]
struct Arguments {
    /// The seed, or the first of several; a fresh one by default
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Run so many seeds, counting up from the first
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Run seeds, counting up from the first, for so many minutes
    #[arg(long, value_name = "M", conflicts_with = "seeds", value_parser = minutes)]
    minutes: Option<f64>,
    /// Run the seeds in this file before others, one a line (# begins a comment)
    #[arg(long, value_name = "FILE", value_parser = KnownSeeds::read)]
    known: Option<KnownSeeds>,
    /// Draw networks with so many central-bank nodes only
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..=7), conflicts_with = "plan")]
    central_banks: Option<u16>,
    /// Draw small networks only: one bank, and faults for a few seconds
    #[arg(long, conflicts_with = "plan")]
    small: bool,
    /// Seeds at once; as many as there are cores by default
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Tell what happens as it happens (one seed)
    #[arg(long, conflicts_with_all = MANY)]
    watch: bool,
    /// Write every message and log line to this file (one seed)
    #[arg(long, value_name = "FILE", conflicts_with_all = MANY)]
    trace: Option<PathBuf>,
    /// Draw the time line into this file (one seed)
    #[arg(long, value_name = "FILE.svg", conflicts_with_all = MANY)]
    picture: Option<PathBuf>,
    /// Print the outcome as one JSON object (one seed)
    #[arg(long, conflicts_with_all = MANY, conflicts_with = "watch")]
    json: bool,
    /// Run this plan (JSON) instead of the seed's own (one seed)
    #[arg(long, value_name = "FILE", conflicts_with_all = MANY, value_parser = read_plan)]
    plan: Option<Plan>,
    /// The part of the seeds that this machine runs, from 0
    #[arg(long, value_name = "I", requires = "seeds")]
    index: Option<u32>,
    /// The number of parts. Both also come from Slurm's and Kubernetes' variables, as for `cbdc sweep run`
    #[arg(long, value_name = "K", requires = "seeds")]
    count: Option<u32>,
    /// Put together what the parts have left in a folder, and run nothing
    #[arg(long, value_name = "DIR", exclusive = true)]
    merge: Option<PathBuf>,
    /// Folder for the stories and pictures of seeds that fail, and for parts (many seeds)
    #[arg(long, value_name = "DIR", default_value = "results/simulation")]
    out: PathBuf,
    /// Do not shorten the runs that fail (many seeds)
    #[arg(long)]
    as_it_is: bool,
    /// Break the program on purpose: exit code 0 if a seed finds it, 5 if none does
    #[arg(long, value_name = "WHAT")]
    canary: Option<Canary>,
    /// Expect seeds to break these promises, as a program does that was built broken: exit code 0 if one does, else 5
    #[arg(long, value_name = "PROPERTY", value_delimiter = ',', conflicts_with = "canary", requires = "seeds")]
    find: Vec<String>,
}

impl Arguments {
    fn wanted(&self) -> Wanted {
        Wanted { central_banks: self.central_banks, small: self.small }
    }
}

/// What makes it many seeds.
const MANY: [&str; 3] = ["seeds", "minutes", "known"];

const AFTER_HELP: &str = "\
Examples:
  cbdc-simulate-network --seed 4711 --watch
  cbdc-simulate-network --seed 4711 --picture seed.svg --trace seed.txt
  cbdc-simulate-network --seeds 1000
  cbdc-simulate-network --minutes 2 --known simulations/network/seeds.txt
  cbdc-simulate-network --seed 1 --seeds 100000 --index 3 --count 20 --out /shared/seeds
  cbdc-simulate-network --merge /shared/seeds

Exit code 5 if a promise was broken; --out then has the story and a picture of each seed, shortened to what it needs.";

fn main() -> ExitCode {
    match go(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BROKEN),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn go(arguments: &Arguments) -> Result<bool> {
    if let Some(folder) = &arguments.merge {
        return merge(folder);
    }
    let seed = arguments.seed.unwrap_or_else(fresh);
    let is_many = arguments.seeds.is_some() || arguments.minutes.is_some() || arguments.known.is_some();
    if is_many { many(arguments, seed) } else { one(arguments, seed) }
}

/// A seed that was not there before.
fn fresh() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // Short enough to be read out.
    (now.as_micros() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

fn one(arguments: &Arguments, seed: u64) -> Result<bool> {
    let outcome = run(&Options {
        seed,
        plan: arguments.plan.clone().unwrap_or_else(|| Plan::draw(seed, arguments.wanted())),
        keeps_trace: arguments.trace.is_some(),
        tells: arguments.watch,
        canary: arguments.canary,
    })?;
    if let Some(path) = &arguments.trace {
        write(path, outcome.trace.as_deref().unwrap_or_default())?;
    }
    if let Some(path) = &arguments.picture {
        write(path, &picture(&outcome))?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&outcome)?);
    } else {
        print!("{}", story(&outcome, !arguments.watch));
    }
    Ok(match arguments.canary {
        Some(_) => is_found(&outcome),
        None => outcome.violations.is_empty(),
    })
}

/// Whether a canary was found: an answer or a chain that is wrong, and not only a node that stopped.
fn is_found(outcome: &Outcome) -> bool {
    outcome.violations.iter().any(|(property, _)| property != "Serves")
}

fn read_plan(path: &str) -> Result<Plan, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("expected a plan as --json prints it, found: {error}"))
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: Option<f64> = text.parse().ok().filter(|minutes| *minutes > 0.0);
    minutes.ok_or_else(|| "expected a number of minutes above 0".to_owned())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// The outcome in words.
fn story(outcome: &Outcome, with_events: bool) -> String {
    let mut text = String::new();
    if with_events {
        for event in &outcome.story {
            text.push_str(&event.line(&outcome.nodes));
            text.push('\n');
        }
    }
    let shape = &outcome.plan.shape;
    text.push_str(&format!(
        "seed {}: {} central-bank nodes ({} signatures a header), {} banks ({} full replicas), {} wallets, {} faults\n\
         {} payments: {} settled, {} refused, {} given up, {} open; {} reads; {} blocks in {:.1} s of simulated time\n\
         trace: {} lines, {}\n",
        outcome.seed,
        shape.central_banks,
        shape.header_signatures,
        shape.banks,
        shape.full_replicas,
        shape.wallets,
        outcome.faults.len(),
        outcome.payments,
        outcome.settled,
        outcome.refused,
        outcome.given_up,
        outcome.open,
        outcome.reads,
        outcome.blocks,
        outcome.simulated_ms as f64 / 1_000.0,
        outcome.trace_lines,
        outcome.trace_hash
    ));
    match outcome.violations.as_slice() {
        [] => text.push_str("every promise was kept\n"),
        violations => {
            for (property, sentence) in violations {
                text.push_str(&format!("BROKEN {property}: {sentence}\n"));
            }
        }
    }
    text
}
