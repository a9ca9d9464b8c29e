//! `cbdc simulate`: an economy in virtual time, on the ledger itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use cbdc_economy::{EconomyError, Go, Results, Scenario, ScenarioError, explain, explanation, report, simulate};
use cbdc_harness::run::{default_out, own_folder};
use cbdc_report::format::{count, rounded};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::exit::Usage;
use crate::invocation::{command_line, key_and_value};
use crate::output::{Output, draws, fields};
use crate::shutdown;

/// Simulate an economy in virtual time: every movement of CBDC is a command on the ledger
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc simulate simulations/economy/digital-euro.toml
  cbdc simulate simulations/economy/digital-euro.toml --seed 2 --json --quiet
  cbdc simulate simulations/economy/digital-euro.toml --set policy.holding_limit_minor=50_000
  cbdc simulate simulations/economy/digital-euro.toml --set behaviour.portfolio=full-to-limit
  cbdc simulate simulations/economy/digital-euro.toml --out results/full
  cbdc simulate simulations/economy/digital-euro.toml --explain

Same scenario, same seed: same digest, on any machine and with any number of threads. The folder given with --out
holds summary.json, report.html and the tables as Parquet and CSV; a second run replaces them. Exit code 2 if the
scenario has a mistake.")]
pub struct Simulate {
    /// The scenario's file
    scenario: PathBuf,
    /// The seed of agents and days; by default the scenario's own
    #[arg(long)]
    seed: Option<u64>,
    /// Change a key of the scenario, such as policy.holding_limit_minor=50_000; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder for summary.json, report.html and the tables; by default results/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads for the households' decisions; the results are the same
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print population, policy and each behaviour with its equation, source and values, and simulate nothing
    #[arg(long)]
    explain: bool,
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

impl Simulate {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let scenario = self.scenario()?;
        if self.explain {
            let (population, policy) = (scenario.population(), scenario.values.policy.listed());
            let object = json!({
                "scenario_hash": scenario.hash(),
                "population": population,
                "policy": policy,
                "behaviours": explain(&scenario),
            });
            output.print(object, || explanation(&scenario));
            return Ok(());
        }
        let out = self.out.clone().unwrap_or_else(|| default_out(&self.scenario));
        let quiet = self.quiet || output.json || !draws();
        make_folder(&out)?;
        let _own = own_folder(&out)?;
        let start = Instant::now();
        let (scenario, results) = simulated(scenario, quiet).await?;
        let wall_s = start.elapsed().as_secs_f64();
        let object = summary(&results, wall_s, &out)?;
        write(&out, &scenario, &results, &object, wall_s)?;
        output.print(object.clone(), || text(&results, &out, wall_s));
        Ok(())
    }

    fn scenario(&self) -> anyhow::Result<Scenario> {
        let usage = |mistake: ScenarioError| Usage(mistake.to_string());
        let mut scenario = Scenario::read(&self.scenario)
            .map_err(|mistake| Usage(load(&self.scenario).unwrap_or_else(|| mistake.to_string())))?;
        let pairs = self.set.iter().map(|pair| key_and_value(pair, "policy.holding_limit_minor=50_000"));
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        scenario.set_all(pairs.iter().map(|(key, value)| (key.trim(), value.trim()))).map_err(usage)?;
        if let Some(threads) = self.threads {
            scenario.set("threads", &threads.to_string()).map_err(usage)?;
        }
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        Ok(scenario)
    }
}

/// The error for a file that describes a load on a network, not an economy.
fn load(file: &Path) -> Option<String> {
    cbdc_harness::scenario::Scenario::load(file).ok()?;
    let file = file.display();
    Some(format!("{file}: expected a scenario of an economy, found a load on a network: use `cbdc bench {file}`"))
}

/// Simulates on a separate thread; Ctrl-C or SIGTERM ends it after the current day.
async fn simulated(scenario: Scenario, quiet: bool) -> anyhow::Result<(Scenario, Results)> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    let mut task = tokio::task::spawn_blocking(move || {
        let bar = bar(&scenario, quiet);
        let seed = scenario.seed;
        let results = simulate(&scenario, seed, &mut |progress| {
            bar.set_position(u64::from(progress.day));
            if asked.load(Ordering::Relaxed) { Go::Stop } else { Go::On }
        });
        bar.finish_and_clear();
        results.map(|results| (scenario, results))
    });
    let results = tokio::select! {
        biased;
        _ = shutdown::requested(false) => {
            stop.store(true, Ordering::Relaxed);
            task.await
        }
        results = &mut task => results,
    };
    results.context("the simulation's thread ended early, which is a defect of this program")?.map_err(|error| {
        match error {
            EconomyError::Scenario(mistake) => Usage(mistake.to_string()).into(),
            EconomyError::Stopped { day, days } => {
                anyhow::anyhow!("interrupted on day {day} of {days}; no results were written")
            }
            other => other.into(),
        }
    })
}

fn bar(scenario: &Scenario, quiet: bool) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(scenario.values.time.days));
    if quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{msg} {bar:30} day {pos}/{len}  {per_sec}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
    bar.set_message(format!("{} households", scenario.values.households.count));
    bar
}

/// The summary, with the elapsed time and the folder of the results, which are not part of the digest.
fn summary(results: &Results, wall_s: f64, out: &Path) -> anyhow::Result<Value> {
    let mut object = serde_json::to_value(results.summary())?;
    let household_days = results.households as f64 * f64::from(results.days);
    object["wall_s"] = json!(wall_s);
    object["household_days_per_s"] = json!((household_days / wall_s.max(1e-9)).round());
    object["out"] = json!(out.display().to_string());
    Ok(object)
}

/// Creates the folder of the results before the simulation, which may take hours: it fails at once if it cannot be
/// written.
fn make_folder(out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("the folder {} cannot be made", out.display()))?;
    let probe = out.join(".is-writable");
    let written = std::fs::write(&probe, []).and_then(|()| std::fs::remove_file(&probe));
    written.with_context(|| format!("the folder {} cannot be written", out.display()))
}

fn write(out: &Path, scenario: &Scenario, results: &Results, object: &Value, wall_s: f64) -> anyhow::Result<()> {
    let put = |name: &str, text: String| {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    put("summary.json", format!("{}\n", serde_json::to_string_pretty(object)?))?;
    put("report.html", report::page(scenario, results, &command_line(), wall_s))?;
    let mut written = Ok(());
    results.for_each_table(&mut |name, columns, rows| {
        if written.is_ok() {
            written = put(&format!("{name}.csv"), Results::csv(columns, &rows));
        }
    });
    written?;
    cbdc_sweep::run_folder::write_tables(out, results)?;
    Ok(())
}

fn text(results: &Results, out: &Path, wall_s: f64) -> String {
    let summary = results.summary();
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let euro = |minor: i64| {
        let major = minor / 100;
        format!("EUR {}{}", if major < 0 { "-" } else { "" }, count(major.unsigned_abs()))
    };
    let household_days = results.households as f64 * f64::from(results.days);
    fields(&[
        (
            "scenario",
            format!(
                "{} ({} households, {} days, seed {})",
                results.name,
                count(results.households),
                count(results.days.into()),
                results.seed
            ),
        ),
        ("adopters", percent(summary.adopters_share)),
        (
            "CBDC of households",
            format!(
                "{} ({} of their liquid money)",
                euro(summary.cbdc_households_minor),
                percent(summary.cbdc_of_liquid_wealth)
            ),
        ),
        (
            "deposits",
            format!("{} ({} since the start)", euro(summary.deposits_minor), percent(summary.deposits_change)),
        ),
        ("loans", format!("{} ({} since the start)", euro(summary.loans_minor), percent(summary.loans_change))),
        (
            "paid with CBDC",
            format!("{} of {} payments", percent(summary.payments_cbdc_share), count(summary.payments.unsigned_abs())),
        ),
        ("banks failed", summary.banks_failed.to_string()),
        (
            "commands",
            format!("{} on the ledger, {} refused", count(summary.ledger_commands), count(summary.ledger_refused)),
        ),
        ("time", format!("{wall_s:.1} s, {} household-days a second", rounded(household_days / wall_s.max(1e-9)))),
        ("digest", results.digest.clone()),
        ("scenario hash", results.scenario_hash.clone()),
        ("report", out.join("report.html").display().to_string()),
        ("figures", out.join("summary.json").display().to_string()),
    ])
}
