//! `cbdc bench`: a scenario on a real network, measured.

use std::path::PathBuf;

use cbdc_simulator::run::{BenchOptions, bench};
use clap::Args;

use crate::output::Output;

/// Run a scenario on a real network, and measure it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc bench simulations/quickstart.toml
  cbdc bench simulations/quickstart.toml --json
  cbdc bench simulations/smoke.toml --in-process --set load.rate_per_s=500
  cbdc bench simulations/boj-poc2.toml --out results/boj
  cbdc bench simulations/quickstart.toml --find-max --slo-p99-ms 200

Every node is its own process. Latency runs from the moment a payment was due. The folder given with --out holds
summary.json and report.html.")]
pub struct Bench {
    /// The scenario's file
    scenario: PathBuf,
    /// Change a key of the scenario; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to leave summary.json and report.html; without it a folder of its own under results/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// All nodes in this process: quicker to start, and no use for figures of CPU time
    #[arg(long)]
    in_process: bool,
    /// Raise the rate until the bound on p99 is passed, and report the highest rate inside it
    #[arg(long)]
    find_max: bool,
    /// The bound on p99 latency for --find-max
    #[arg(long, value_name = "MS", default_value_t = 200, requires = "find_max")]
    slo_p99_ms: u64,
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

impl Bench {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let Bench { scenario, set, out, in_process, find_max, slo_p99_ms, quiet } = self;
        let slo_p99_ms = find_max.then_some(slo_p99_ms);
        bench(BenchOptions { scenario, set, out, in_process, slo_p99_ms, quiet, json: output.json }).await
    }
}
