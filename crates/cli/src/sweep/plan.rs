//! `cbdc sweep plan`: numbers the runs and estimates their time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use cbdc_sweep::run::all_threads;
use clap::Args;
use serde_json::json;

use super::failure::classified;
use crate::output::{Output, duration, fields};

/// The time for which the first run is tried, for the estimate.
const TRIAL: Duration = Duration::from_secs(2);

/// Number the runs of a plan file, and estimate their time
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc sweep plan simulations/sweeps/holding-limit.toml
  cbdc sweep plan simulations/sweeps/holding-limit.toml --out /scratch/limits --no-estimate --json

Writes plan.json, which holds all that a run needs. Exit code 2 if the plan or its scenario has a mistake, or the folder
holds runs of another plan.")]
pub struct Plan {
    /// The plan file
    file: PathBuf,
    /// The folder for plan.json and all results; by default results/sweeps/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Skip the estimate, which tries the first run for two seconds
    #[arg(long)]
    no_estimate: bool,
}

impl Plan {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let plan = cbdc_sweep::Plan::read(&self.file).map_err(classified)?;
        let out = self.out.unwrap_or_else(|| default_out(&self.file));
        let path = plan.write(&out).map_err(classified)?;
        let (plan, one_thread_s) = match self.no_estimate {
            true => (plan, None),
            false => {
                let trial = tokio::task::spawn_blocking(move || {
                    let estimate = cbdc_sweep::estimate(&plan, TRIAL);
                    (plan, estimate)
                });
                let (plan, estimate) =
                    trial.await.context("the trial run's thread ended early, which is a defect of this program")?;
                (plan, Some(estimate.map_err(classified)?.as_secs_f64()))
            }
        };
        let threads = all_threads();
        let object = json!({
            "plan": path.display().to_string(),
            "designs": plan.designs.len(),
            "runs": plan.runs.len(),
            "keys": plan.keys,
            "version": plan.version,
            "estimate_one_thread_s": one_thread_s,
            "threads_here": threads,
        });
        output.print(object, || {
            let time = one_thread_s.map_or("not estimated".to_owned(), |seconds| {
                format!("about {} on this machine's {threads} threads", duration(seconds / threads as f64))
            });
            let designs = plan.designs.len();
            fields(&[
                ("plan", path.display().to_string()),
                (
                    "runs",
                    format!("{} = {designs} designs × {} seeds", plan.runs.len(), plan.runs.len() / designs.max(1)),
                ),
                ("varied", if plan.keys.is_empty() { "nothing but the seed".to_owned() } else { plan.keys.join(", ") }),
                ("time", time),
                ("next", format!("cbdc sweep run {}", out.display())),
            ])
        });
        Ok(())
    }
}

fn default_out(file: &Path) -> PathBuf {
    Path::new("results/sweeps").join(file.file_stem().unwrap_or(file.as_os_str()))
}
