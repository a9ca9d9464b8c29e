//! Many seeds, several at once, until a count or a time: their totals, and each failure as a story.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use cbdc_network_simulation::canary::Canary;
use cbdc_network_simulation::picture::picture;
use cbdc_network_simulation::plan::Plan;
use cbdc_network_simulation::processes::Processes;
use cbdc_network_simulation::run::{Options, Outcome};
use cbdc_network_simulation::shrink::shrink;
use cbdc_network_simulation::totals::Totals;
use cbdc_sweep::Part;

use crate::{Arguments, is_found, story, write};

/// Plans that are tried in order to shorten one.
const TRIES: u32 = 150;

/// Runs many seeds. Returns whether every promise was kept; with a canary, whether it was found.
pub fn many(arguments: &Arguments, first: u64) -> Result<bool> {
    let part = Part::chosen(arguments.index, arguments.count, &|name| std::env::var(name).ok())?;
    let known = arguments.known.iter().filter(|_| part.index() == 0).flat_map(|known| &known.0).copied();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.map_or_else(cores, usize::from);
    let mut processes = Processes::new()?;
    let begun = Instant::now();
    let fresh = (0_u64..).take_while(|number| match arguments.minutes {
        Some(minutes) => begun.elapsed().as_secs_f64() < minutes * 60.0,
        None => *number < arguments.seeds.unwrap_or(0),
    });
    let own = |number: &u64| number % u64::from(part.count()) == u64::from(part.index());
    let fresh = fresh.filter(own).map(|number| first.wrapping_add(number));
    let mut seeds = known.chain(fresh).fuse();
    let (mut totals, mut failed) = (Totals::default(), Vec::new());
    loop {
        while processes.count() < jobs
            && let Some(seed) = seeds.next()
        {
            let plan = Plan::draw(seed, arguments.wanted());
            processes.start(options(seed, plan, arguments.canary))?;
        }
        let Some((seed, outcome)) = processes.next_ended() else { break };
        totals.add(seed, &outcome);
        failed.extend(outcome.ok().filter(|outcome| !outcome.violations.is_empty()));
        progress(&totals, begun);
    }
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    let took_s = begun.elapsed().as_secs_f64().max(0.001);
    println!(
        "{} seeds from {first} in {took_s:.1} s ({:.1} a second, {:.0} times real time): {}",
        totals.seeds,
        totals.seeds as f64 / took_s,
        totals.simulated_ms as f64 / 1_000.0 / took_s,
        totals.sentence()
    );
    for (seed, why) in &totals.without_outcome {
        println!("seed {seed}: {why}");
    }
    if part != Part::WHOLE {
        totals.write_part(&arguments.out, (part.index(), part.count()))?;
    }
    if arguments.canary.is_some() || !arguments.find.is_empty() {
        let is_sought = |outcome: &&Outcome| match arguments.canary {
            Some(_) => is_found(outcome),
            None => outcome.violations.iter().any(|(property, _)| arguments.find.contains(property)),
        };
        let (found, seeds) = (failed.iter().filter(is_sought).count(), totals.seeds);
        println!("the canary was found by {found} of {seeds} seeds");
        return Ok(found > 0);
    }
    failed.sort_by_key(|outcome| outcome.seed);
    for outcome in &failed {
        tell_failure(arguments, &mut processes, outcome)?;
    }
    Ok(totals.bad() == 0)
}

fn options(seed: u64, plan: Plan, canary: Option<Canary>) -> Options {
    Options { seed, plan, keeps_trace: false, tells: false, canary }
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

/// How far it is, in a line that the next one overwrites.
fn progress(totals: &Totals, begun: Instant) {
    if totals.seeds.is_multiple_of(20) && std::io::stderr().is_terminal() {
        let rate = totals.seeds as f64 / begun.elapsed().as_secs_f64().max(0.001);
        eprint!("\r{} seeds, {rate:.1} a second, {} failed ", totals.seeds, totals.bad());
        drop(std::io::stderr().flush());
    }
}

/// Tells what the parts in a folder came to together.
pub fn merge(folder: &Path) -> Result<bool> {
    let totals = Totals::of_parts(folder)?;
    println!("{} seeds: {}", totals.seeds, totals.sentence());
    for (seed, why) in totals.failed.iter().chain(&totals.without_outcome) {
        println!("seed {seed}: {why}");
    }
    Ok(totals.bad() == 0)
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
