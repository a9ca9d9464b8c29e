//! `cbdc-simulate-network`: seeds of simulated networks, one after the other or many at once.
//!
//! Each seed runs in a process of its own: then nothing of another is left over, and a seed does the same in each.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cbdc_network_simulation::canary::Canary;
use cbdc_network_simulation::picture::picture;
use cbdc_network_simulation::plan::Plan;
use cbdc_network_simulation::run::{Options, Outcome, run};
use cbdc_network_simulation::shrink::shrink;
use clap::{Parser, ValueEnum};

/// The exit code where a promise was broken.
const BROKEN: u8 = 5;
/// Plans that are tried in order to shorten one.
const TRIES: u32 = 150;

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
    /// How many seeds to run, counting up from the first
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    seeds: u64,
    /// Run fresh seeds for so many minutes instead of a count
    #[arg(long, value_name = "M", conflicts_with = "seeds")]
    minutes: Option<f64>,
    /// Also run the seeds in this file, one a line (# begins a comment)
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// Seeds at once; as many as there are cores by default
    #[arg(long, value_name = "J")]
    jobs: Option<usize>,
    /// Tell what happens as it happens (one seed)
    #[arg(long)]
    watch: bool,
    /// Write every message and log line to this file (one seed)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Draw the time line into this file (one seed)
    #[arg(long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
    /// Folder for the stories and pictures of seeds that fail
    #[arg(long, value_name = "DIR", default_value = "results/simulation")]
    out: PathBuf,
    /// Do not shorten a run that fails
    #[arg(long)]
    as_it_is: bool,
    /// Run this plan (JSON) instead of the seed's own
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Break the program on purpose: exit code 0 if a seed finds it, 5 if none does
    #[arg(long, value_name = "WHAT")]
    canary: Option<Canary>,
    /// Print the outcome as one JSON object (one seed)
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  cbdc-simulate-network --seed 4711 --watch
  cbdc-simulate-network --seed 4711 --picture seed.svg --trace seed.txt
  cbdc-simulate-network --seeds 1000
  cbdc-simulate-network --minutes 2 --known simulations/network/seeds.txt

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
    let seed = arguments.seed.unwrap_or_else(fresh);
    let is_many = arguments.seeds != 1 || arguments.minutes.is_some() || arguments.known.is_some();
    if is_many { many(arguments, seed) } else { one(arguments, seed) }
}

/// A seed that was not there before.
fn fresh() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // Short enough to be read out.
    (now.as_micros() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

fn one(arguments: &Arguments, seed: u64) -> Result<bool> {
    let plan = match &arguments.plan {
        Some(path) => Some(read_plan(path)?),
        None => None,
    };
    let tells = arguments.watch && !arguments.json;
    let outcome = run(&Options {
        seed,
        plan,
        keeps_trace: arguments.trace.is_some(),
        tells,
        canary: arguments.canary,
        is_alone: true,
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
        print!("{}", story(&outcome, !tells));
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

fn read_plan(path: &Path) -> Result<Plan> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: expected a plan as --json prints it", path.display()))
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

/// Runs a seed in a process of its own.
fn in_process(seed: u64, plan: Option<&Path>, canary: Option<Canary>) -> Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--json", "--seed", &seed.to_string()]);
    if let Some(plan) = plan {
        command.arg("--plan").arg(plan);
    }
    if let Some(name) = canary.and_then(|canary| canary.to_possible_value()) {
        command.args(["--canary", name.get_name()]);
    }
    let output = command.output().context("starting a seed's process")?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("seed {seed} gave no outcome: {}", said.lines().next().unwrap_or("it said nothing"))
    })
}

/// Runs many seeds, several at once.
fn many(arguments: &Arguments, first: u64) -> Result<bool> {
    let known = match &arguments.known {
        Some(path) => known_seeds(path)?,
        None => Vec::new(),
    };
    let until = arguments.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1);
    let (next, begun) = (AtomicU64::new(0), Instant::now());
    let totals = Mutex::new(Totals::default());
    let take = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let known_count = known.len() as u64;
        if number < known_count {
            return Some(known[number as usize]);
        }
        let goes_on = match until {
            Some(until) => Instant::now() < until,
            None => number - known_count < arguments.seeds,
        };
        goes_on.then(|| first + (number - known_count))
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(seed) = take() {
                    let outcome = in_process(seed, None, arguments.canary);
                    let mut totals = totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    totals.add(seed, outcome);
                    totals.progress(begun);
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("{}", totals.sentence(first, begun.elapsed()));
    for (seed, why) in &totals.without_outcome {
        println!("seed {seed}: {why}");
    }
    if arguments.canary.is_some() {
        let (found, seeds) = (totals.failed.values().filter(|outcome| is_found(outcome)).count(), totals.seeds);
        println!("the canary was found by {found} of {seeds} seeds");
        return Ok(found > 0);
    }
    for outcome in totals.failed.values() {
        tell_failure(arguments, outcome)?;
    }
    Ok(totals.failed.is_empty() && totals.without_outcome.is_empty())
}

fn known_seeds(path: &Path) -> Result<Vec<u64>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut seeds = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let word = line.split('#').next().unwrap_or_default().trim();
        if !word.is_empty() {
            let place = || format!("{}:{}: expected a seed, found `{word}`", path.display(), index + 1);
            seeds.push(word.parse().with_context(place)?);
        }
    }
    Ok(seeds)
}

/// What came of many seeds.
#[derive(Default)]
struct Totals {
    seeds: u64,
    payments: u64,
    settled: u64,
    simulated_ms: u64,
    faults: BTreeMap<&'static str, u64>,
    failed: BTreeMap<u64, Outcome>,
    without_outcome: BTreeMap<u64, String>,
}

impl Totals {
    fn add(&mut self, seed: u64, outcome: Result<Outcome>) {
        self.seeds += 1;
        match outcome {
            Ok(outcome) => {
                self.payments += outcome.payments;
                self.simulated_ms += outcome.simulated_ms;
                for planned in &outcome.faults {
                    *self.faults.entry(planned.fault.kind()).or_default() += 1;
                }
                self.settled += outcome.settled;
                if !outcome.violations.is_empty() {
                    self.failed.insert(seed, outcome);
                }
            }
            Err(error) => drop(self.without_outcome.insert(seed, format!("{error:#}"))),
        }
    }

    fn progress(&self, begun: Instant) {
        if self.seeds.is_multiple_of(20) {
            let rate = self.seeds as f64 / begun.elapsed().as_secs_f64().max(0.001);
            let bad = self.failed.len() + self.without_outcome.len();
            eprint!("\r{} seeds, {rate:.1} a second, {bad} failed ", self.seeds);
            drop(std::io::stderr().flush());
        }
    }

    fn sentence(&self, first: u64, took: Duration) -> String {
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let seconds = took.as_secs_f64().max(0.001);
        format!(
            "\r{} seeds from {first} in {seconds:.1} s ({:.1} a second): {} payments, {} settled, in {:.1} h of simulated time ({:.0} \
             times real time); faults: {}; {} failed",
            self.seeds,
            self.seeds as f64 / seconds,
            self.payments,
            self.settled,
            self.simulated_ms as f64 / 3_600_000.0,
            self.simulated_ms as f64 / 1_000.0 / seconds,
            if faults.is_empty() { "none".to_owned() } else { faults.join(", ") },
            self.failed.len() + self.without_outcome.len()
        )
    }
}

/// Shortens a run that failed, and tells and draws it.
fn tell_failure(arguments: &Arguments, outcome: &Outcome) -> Result<()> {
    std::fs::create_dir_all(&arguments.out).with_context(|| format!("creating {}", arguments.out.display()))?;
    let path = |ending: &str| arguments.out.join(format!("seed-{}{ending}", outcome.seed));
    let plan_path = path(".plan.json");
    let mut shown = outcome.clone();
    if !arguments.as_it_is {
        let broken = outcome.violations[0].0.clone();
        let fails = |plan: &Plan| {
            let written = serde_json::to_string(plan).map(|text| std::fs::write(&plan_path, text).is_ok());
            written.is_ok_and(|written| written)
                && in_process(outcome.seed, Some(&plan_path), arguments.canary)
                    .is_ok_and(|outcome| outcome.violations.iter().any(|(property, _)| *property == broken))
        };
        let shorter = shrink(&outcome.plan, TRIES, fails, |plan| {
            eprint!("\rseed {}: shortened to {} faults ", outcome.seed, plan.faults.len());
        });
        write(&plan_path, &serde_json::to_string(&shorter)?)?;
        shown = in_process(outcome.seed, Some(&plan_path), arguments.canary)?;
        eprintln!();
    } else {
        write(&plan_path, &serde_json::to_string(&outcome.plan)?)?;
    }
    let text = story(&shown, true);
    write(&path(".txt"), &text)?;
    write(&path(".svg"), &picture(&shown))?;
    println!("\n{text}plan: {}, picture: {}", plan_path.display(), path(".svg").display());
    println!("again: cbdc-simulate-network --seed {} --plan {}", outcome.seed, plan_path.display());
    Ok(())
}
