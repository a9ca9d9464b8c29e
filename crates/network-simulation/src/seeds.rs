//! Many seeds, several at once, until a count or a time: their totals, and each failure as a story.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cbdc_network_simulation::canary::Canary;
use cbdc_network_simulation::picture::picture;
use cbdc_network_simulation::plan::Plan;
use cbdc_network_simulation::processes::Processes;
use cbdc_network_simulation::run::{Options, Outcome};
use cbdc_network_simulation::shrink::shrink;

use crate::{Arguments, is_found, story, write};

/// Plans that are tried in order to shorten one.
const TRIES: u32 = 150;

/// Runs many seeds. Returns whether every promise was kept; with a canary, whether it was found.
pub fn many(arguments: &Arguments, first: u64) -> Result<bool> {
    let known = arguments.known.iter().flat_map(|known| &known.0).copied();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.map_or_else(cores, usize::from);
    let mut processes = Processes::new()?;
    let begun = Instant::now();
    let fresh = (0..).map(|number| first.wrapping_add(number));
    let fresh = fresh.enumerate().take_while(|(number, _)| match arguments.minutes {
        Some(minutes) => begun.elapsed().as_secs_f64() < minutes * 60.0,
        None => (*number as u64) < arguments.seeds.unwrap_or(0),
    });
    let mut seeds = known.chain(fresh.map(|(_, seed)| seed)).fuse();
    let mut totals = Totals::default();
    loop {
        while processes.count() < jobs
            && let Some(seed) = seeds.next()
        {
            let plan = Plan::draw(seed, arguments.wanted());
            processes.start(options(seed, plan, arguments.canary))?;
        }
        let Some((seed, outcome)) = processes.next() else { break };
        totals.add(seed, outcome);
        totals.progress(begun);
    }
    totals.end_progress();
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
        tell_failure(arguments, &mut processes, outcome)?;
    }
    Ok(totals.failed.is_empty() && totals.without_outcome.is_empty())
}

fn options(seed: u64, plan: Plan, canary: Option<Canary>) -> Options {
    Options { seed, plan, keeps_trace: false, tells: false, canary, is_alone: true }
}

/// Seeds that failed once.
#[derive(Debug, Clone)]
pub struct KnownSeeds(Vec<u64>);

impl KnownSeeds {
    /// Reads a file of seeds, one a line.
    pub fn read(path: &str) -> Result<KnownSeeds, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let words = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let seed = |(index, word): (usize, &str)| {
            word.parse().map_err(|_| format!("line {}: expected a seed, found `{word}`", index + 1))
        };
        let seeds: Result<_, _> = words.enumerate().filter(|(_, word)| !word.is_empty()).map(seed).collect();
        seeds.map(KnownSeeds)
    }
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

    /// How far it is, in a line that the next one overwrites.
    fn progress(&self, begun: Instant) {
        if self.seeds.is_multiple_of(20) && std::io::stderr().is_terminal() {
            let rate = self.seeds as f64 / begun.elapsed().as_secs_f64().max(0.001);
            let bad = self.failed.len() + self.without_outcome.len();
            eprint!("\r{} seeds, {rate:.1} a second, {bad} failed ", self.seeds);
            drop(std::io::stderr().flush());
        }
    }

    fn end_progress(&self) {
        if std::io::stderr().is_terminal() {
            eprintln!();
        }
    }

    fn sentence(&self, first: u64, took: Duration) -> String {
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let seconds = took.as_secs_f64().max(0.001);
        format!(
            "{} seeds from {first} in {seconds:.1} s ({:.1} a second): {} payments, {} settled, in {:.1} h of simulated time ({:.0} \
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
fn tell_failure(arguments: &Arguments, processes: &mut Processes, outcome: &Outcome) -> Result<()> {
    std::fs::create_dir_all(&arguments.out).with_context(|| format!("creating {}", arguments.out.display()))?;
    let path = |ending: &str| arguments.out.join(format!("seed-{}{ending}", outcome.seed));
    let plan_path = path(".plan.json");
    let mut shown = outcome.clone();
    if !arguments.as_it_is {
        let mut again = |plan: &Plan| processes.run(options(outcome.seed, plan.clone(), arguments.canary));
        let broken = outcome.violations[0].0.clone();
        let fails = |plan: &Plan| {
            again(plan).is_ok_and(|outcome| outcome.violations.iter().any(|(property, _)| *property == broken))
        };
        let shorter = shrink(&outcome.plan, TRIES, fails, |plan| {
            eprintln!("seed {}: shortened to {} faults", outcome.seed, plan.faults.len());
        });
        shown = again(&shorter)?;
    }
    write(&plan_path, &serde_json::to_string(&shown.plan)?)?;
    let text = story(&shown, true);
    write(&path(".txt"), &text)?;
    write(&path(".svg"), &picture(&shown))?;
    println!("\n{text}plan: {}, picture: {}", plan_path.display(), path(".svg").display());
    println!("again: cbdc-simulate-network --seed {} --plan {}", outcome.seed, plan_path.display());
    Ok(())
}
