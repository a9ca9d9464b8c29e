//! `cbdc sweep`: batches of simulations, on one machine or many.
//!
//! One file a step: [`plan`], [`run`], [`merge`].

mod merge;
mod plan;
mod run;

use cbdc_sweep::SweepError;
use clap::{Args, Subcommand};

use crate::exit::Usage;
use crate::output::Output;

/// Simulate one scenario in several designs, each with several seeds
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc sweep plan simulations/sweeps/holding-limit.toml
  cbdc sweep run results/sweeps/holding-limit
  cbdc sweep merge results/sweeps/holding-limit

The results are the same bytes for any number of threads, parts and machines. deploy/ has scripts for Slurm, Kubernetes and
GNU parallel; docs/research/sweeps.md tells the rest.")]
pub struct Sweep {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand, Debug)]
enum Step {
    Plan(plan::Plan),
    Run(run::Run),
    Merge(merge::Merge),
}

impl Sweep {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        match self.step {
            Step::Plan(plan) => plan.run(output).await,
            Step::Run(run) => run.run(output).await,
            Step::Merge(merge) => merge.run(output).await,
        }
    }
}

/// An error of the sweep with the exit code that it deserves.
fn told(error: SweepError) -> anyhow::Error {
    match error {
        SweepError::Mistake(_) | SweepError::Part(_) | SweepError::NoPlan { .. } | SweepError::OtherPlan { .. } => {
            Usage(error.to_string()).into()
        }
        other => other.into(),
    }
}

/// A span of time as people say it.
fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{:.0} s", seconds.max(1.0)),
        seconds if seconds < 90.0 * 60.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 48.0 * 3_600.0 => format!("{:.1} h", seconds / 3_600.0),
        seconds => format!("{:.1} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_span_is_told_in_one_unit() {
        let told: Vec<String> = [0.2, 75.0, 600.0, 7_200.0, 400_000.0].into_iter().map(span).collect();
        assert_eq!(told, ["1 s", "75 s", "10 min", "2.0 h", "4.6 days"]);
    }
}
