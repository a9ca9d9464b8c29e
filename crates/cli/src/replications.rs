//! `cbdc replications`: rebuilds published results, with one page per paper that compares the paper's figures with
//! ours.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cbdc_replications::comparison::{Comparison, Outcome};
use cbdc_replications::{PAPERS, Paper, ReplicationError, find, nearest, page, parallel};
use clap::Args;
use serde_json::{Value, json};

use crate::exit::Usage;
use crate::output::{Output, draws, table};

/// Rebuild published results and compare the papers' figures with ours
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc replications
  cbdc replications operational-framework static-outflow
  cbdc replications flight-to-quality --set run.seeds=200 --out results/flight
  cbdc replications --list

Each page states which claims hold and which do not, what was calibrated, how the models differ and why, and what is not
claimed. Parameters are those of simulations/replications/NAME.toml and give the same digest on any machine.")]
pub struct Replications {
    /// Papers to rebuild; by default all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Folder for the pages and replications.json
    #[arg(long, value_name = "DIR", default_value = "results/replications")]
    out: PathBuf,
    /// Change a key of the scenario, such as run.seeds=200; may be given again, with one paper
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Threads; by default all cores
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// List the papers and exit
    #[arg(long)]
    list: bool,
}

impl Replications {
    pub fn run(self, output: &Output) -> anyhow::Result<()> {
        if self.list {
            output.print(json!({ "replications": PAPERS.iter().map(about).collect::<Vec<_>>() }), list);
            return Ok(());
        }
        let papers = chosen(&self.names)?;
        let overrides = self.set.iter().map(|pair| key_and_value(pair)).collect::<Result<Vec<_>, Usage>>()?;
        if !overrides.is_empty() && papers.len() != 1 {
            return Err(Usage(format!("--set: expected exactly one paper, found {}", papers.len())).into());
        }
        let threads = self.threads.unwrap_or_else(parallel::all_cores).max(1);
        std::fs::create_dir_all(&self.out).with_context(|| format!("making {}", self.out.display()))?;
        let tells = !output.json && draws();
        let mut comparisons = Vec::new();
        for paper in papers {
            if tells {
                output.note(&format!("{} …", paper.name));
            }
            let file = format!("simulations/replications/{}.toml", paper.name);
            let comparison = paper.compare_with(&file, paper.scenario, &overrides, threads).map_err(usage)?;
            write(&self.out.join(format!("{}.html", paper.name)), &page::page(&comparison))?;
            comparisons.push(comparison);
        }
        write(&self.out.join("index.html"), &page::index(&comparisons))?;
        let object = json!({ "replications": comparisons.iter().map(object).collect::<Vec<_>>() });
        write(&self.out.join("replications.json"), &format!("{object}\n"))?;
        output
            .print(object, || format!("{}\npages    {}", summary(&comparisons), self.out.join("index.html").display()));
        Ok(())
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Paper>, Usage> {
    if names.is_empty() {
        return Ok(PAPERS.iter().collect());
    }
    names.iter().map(|name| find(name).ok_or_else(|| unknown(name))).collect()
}

fn unknown(name: &str) -> Usage {
    let known: Vec<&str> = PAPERS.iter().map(|paper| paper.name).collect();
    let hint = nearest(name).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    Usage(format!("expected one of {}, found `{name}`{hint}", known.join(", ")))
}

fn usage(error: ReplicationError) -> anyhow::Error {
    match error {
        ReplicationError::Scenario(_) | ReplicationError::NoCalibration { .. } => Usage(error.to_string()).into(),
        other => other.into(),
    }
}

fn key_and_value(pair: &str) -> Result<(String, String), Usage> {
    let split = pair.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) =
        split.ok_or_else(|| Usage(format!("--set: expected KEY=VALUE, such as run.seeds=200, found `{pair}`")))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn about(paper: &Paper) -> Value {
    json!({ "name": paper.name, "about": paper.about })
}

fn list() -> String {
    PAPERS.iter().map(|paper| format!("{:<24}{}\n", paper.name, paper.about)).collect()
}

/// A comparison with its digest.
fn object(comparison: &Comparison) -> Value {
    let mut object = serde_json::to_value(comparison).expect("plain data has a JSON form");
    object["digest"] = comparison.digest().into();
    object
}

fn summary(comparisons: &[Comparison]) -> String {
    let row = |comparison: &Comparison| {
        let count = |outcome| comparison.count(outcome).to_string();
        vec![
            comparison.name.to_owned(),
            count(Outcome::Holds),
            count(Outcome::Fails),
            count(Outcome::Undecided),
            count(Outcome::Shown),
            comparison.digest()[..16].to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = comparisons.iter().map(row).collect();
    table(&["paper", ">holds", ">does not", ">undecided", ">shown only", "digest"], &rows)
}
