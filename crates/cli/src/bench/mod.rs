//! `cbdc bench`: a scenario on a real network, measured; [`core`], the settlement core alone; and [`faults`], a network
//! disturbed and its answers checked.

mod core;
mod faults;

use std::path::{Path, PathBuf};

use cbdc_devnet::policy::Preset;
use cbdc_harness::run::maximum::{Bound, find_maximum};
use cbdc_harness::run::{BenchOptions, bench, default_out};
use cbdc_harness::{report, scenario::ScenarioError};
use clap::{Args, Subcommand};

use crate::exit::{AuditFound, Usage};
use crate::invocation::{command_line, key_and_value};
use crate::output::{Output, colours, draws};
use crate::shutdown;

/// Run a scenario on a real network, and measure it
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:
  cbdc bench simulations/load/quickstart.toml
  cbdc bench simulations/load/quickstart.toml --json --quiet
  cbdc bench simulations/load/smoke.toml --in-process --set load.rate_per_s=200
  cbdc bench simulations/load/boj-poc2.toml --out results/boj
  cbdc bench simulations/load/quickstart.toml --preset digital-euro
  cbdc bench simulations/load/throughput.toml --find-max --slo-p99-ms 100

Every node is a process with its own store and mutual TLS. Latency runs from the moment a payment was due. The
folder given with --out holds summary.json, report.html and the network with its logs; a second run replaces them.
Exit code 5 if the audit of the run finds something.")]
pub struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    /// The scenario's file
    #[arg(required = true)]
    scenario: Option<PathBuf>,
    /// Start with a preset's policy; the scenario's own keys of [policy] override it
    #[arg(long, value_name = "NAME", value_parser = crate::preset::names())]
    preset: Option<String>,
    /// Change a key of the scenario, such as load.rate_per_s=500; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder for summary.json and report.html; by default results/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Search for the highest rate that holds the bound given with --slo-p99-ms
    #[arg(long, requires = "slo_p99_ms")]
    find_max: bool,
    /// Bound in ms within which 99 of 100 payments must be final, from when they were due; by default the scenario's
    /// own
    #[arg(long, value_name = "MS", value_parser = bound_ms)]
    slo_p99_ms: Option<f64>,
    /// All nodes in this process: starts faster, but CPU times mean nothing
    #[arg(long)]
    in_process: bool,
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

/// A part of the system, measured on its own.
#[derive(Subcommand, Debug)]
enum Part {
    Core(core::Core),
    Faults(faults::Faults),
}

impl Bench {
    pub async fn run(mut self, output: &Output) -> anyhow::Result<()> {
        match self.part.take() {
            Some(Part::Core(core)) => return core.run(output).await,
            Some(Part::Faults(faults)) => return faults.run(output).await,
            None => {}
        }
        let scenario = self.scenario.take().ok_or_else(|| Usage("expected a scenario's file".to_owned()))?;
        let preset = self.preset.iter().map(|name| Ok(("policy.preset".to_owned(), name.clone())));
        let set = self.set.iter().map(|pair| key_and_value(pair, "load.rate_per_s=500"));
        let mut overrides = preset.chain(set).collect::<Result<Vec<_>, Usage>>()?;
        let out = self.out.clone().unwrap_or_else(|| default_out(&scenario));
        if let (Some(bound), false) = (self.slo_p99_ms, self.find_max) {
            overrides.push(("slo.p99_ms".to_owned(), bound.to_string()));
        }
        let options = BenchOptions {
            scenario,
            overrides,
            out: out.clone(),
            in_process: self.in_process,
            quiet: self.quiet || output.json || !draws(),
            command: command_line(),
        };
        let tell = |line: &str| {
            if !self.quiet {
                output.note(line);
            }
        };
        let measured = async {
            match self.slo_p99_ms.filter(|_| self.find_max) {
                Some(p99_ms) => find_maximum(&options, Bound { p99_ms }, tell).await,
                None => bench(&options).await,
            }
        };
        let result = tokio::select! {
            // First, so that the signals are handled before anything is created.
            biased;
            // The nodes are children of this process and end with it.
            signal = shutdown::requested(false) => {
                return Err(anyhow::anyhow!("interrupted by {signal}; {} holds no result of this run", out.display()));
            }
            result = measured => result,
        };
        let result = result.map_err(|error| match error.downcast::<ScenarioError>() {
            Ok(mistake) => Usage(another_kind(&options.scenario).unwrap_or_else(|| mistake.to_string())).into(),
            Err(other) => other,
        })?;
        if output.json {
            output.line(&result.to_json()?);
        } else {
            output.line(&report::summary(&result, colours()));
            output.line(&format!("report   {}", out.join("report.html").display()));
            output.line(&format!("figures  {}", out.join("summary.json").display()));
        }
        if result.audit.ok { Ok(()) } else { Err(AuditFound.into()) }
    }
}

/// The error for a file that is no load on a network but an economy, a sweep or a preset.
fn another_kind(file: &Path) -> Option<String> {
    let stem = file.file_stem()?.to_str()?;
    let name = file.display();
    let (found, instead) = if cbdc_economy::Scenario::read(file).is_ok() {
        ("a scenario of an economy", format!("use `cbdc simulate {name}`"))
    } else if cbdc_sweep::plan_file::PlanFile::read(file).is_ok() {
        ("a sweep", format!("use `cbdc sweep plan {name}`"))
    } else if Preset::parse(stem, &cbdc_proto::bounded_file::read_text(file).ok()?).is_ok() {
        ("a preset of policy", format!("name it beside a load: `cbdc bench SCENARIO --preset {stem}`"))
    } else {
        return None;
    };
    Some(format!("{name}: expected a load on a network, found {found}: {instead}"))
}

fn bound_ms(text: &str) -> Result<f64, String> {
    let found = text.parse::<f64>().ok().filter(|ms| (0.001..=3_600_000.0).contains(ms));
    found.ok_or_else(|| format!("expected 0.001 to 3600000 ms, found `{text}`"))
}
