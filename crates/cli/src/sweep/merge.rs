//! `cbdc sweep merge`: tables, summary and page of all runs.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::failure::classified;
use crate::output::{Output, fields};

/// Make tables, a summary and a page of all runs
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc sweep merge results/sweeps/holding-limit
  cbdc sweep merge results/sweeps/holding-limit --partial --json

Writes macro, banks, households, payments, events and runs as Parquet, summary.json and report.html: the same bytes
from the same runs. Exit code 1, with the numbers of the missing runs, if any are missing and --partial is not given.")]
pub struct Merge {
    /// The plan's folder
    folder: PathBuf,
    /// Merge the completed runs, and name the missing ones in the results
    #[arg(long)]
    partial: bool,
}

impl Merge {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let (folder, partial) = (self.folder.clone(), self.partial);
        let task = tokio::task::spawn_blocking(move || {
            let plan = cbdc_sweep::Plan::open(&folder)?;
            cbdc_sweep::merge(&folder, &plan, partial)
        });
        let merged = task
            .await
            .context("the merge's thread ended early, which is a defect of this program")?
            .map_err(classified)?;
        output.print(serde_json::to_value(&merged)?, || {
            let missing = match merged.missing.len() {
                0 => String::new(),
                missing => format!(" ({missing} missing: {})", cbdc_sweep::error::ranges(&merged.missing)),
            };
            fields(&[
                ("runs", format!("{} of {}{missing}", merged.runs - merged.missing.len(), merged.runs)),
                ("digest", merged.digest.clone()),
                ("report", self.folder.join("report.html").display().to_string()),
                ("figures", self.folder.join("summary.json").display().to_string()),
                ("tables", self.folder.join("*.parquet").display().to_string()),
            ])
        });
        Ok(())
    }
}
