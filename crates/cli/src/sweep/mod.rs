//! `cbdc sweep`: batches of simulations, on one machine or many.
//!
//! One file per step: [`plan`], [`run`], [`merge`].

mod failure;
mod merge;
mod plan;
mod run;

use clap::{Args, Subcommand};

use crate::output::Output;

/// Simulate one scenario in several designs, each with several seeds
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc sweep plan simulations/sweeps/holding-limit.toml
  cbdc sweep run results/sweeps/holding-limit
  cbdc sweep merge results/sweeps/holding-limit

The results are the same bytes for any number of threads, parts and machines. deploy/ has scripts for Slurm,
Kubernetes and GNU parallel; docs/research/sweeps.md tells the rest.")]
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
