//! One run's results on the disk, whole or not at all.
//!
//! 1. Everything is written into a separate folder next to the final one, under a name that no other process has.
//! 2. Each file is synced, `run.json` last; it identifies the run and holds the hash of every table.
//! 3. One rename makes it `runs/NUMBER`. If another process was faster, its folder stays and ours is dropped: both are
//!    the same.
//!
//! A folder under its final name is therefore a finished run. A killed process leaves a folder whose name begins with a
//! dot; it is never read, and removed when all runs are merged.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use cbdc_economy::Results;
use cbdc_economy::results::Row;
use serde::{Deserialize, Serialize};

use crate::error::SweepError;
use crate::folder::{run_path, runs_path};
use crate::plan::{Plan, Run, VERSION};
use crate::setting::Setting;
use crate::table::{Column, Table};

/// The economy's tables.
pub const TABLES: [&str; 5] = ["macro", "banks", "households", "payments", "events"];

/// The table with a run's figures: one row.
pub const FIGURES: &str = "figures";

/// The record of a run: `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    pub run: u32,
    pub design: u32,
    pub seed: u64,
    pub scenario_hash: String,
    pub version: String,
    /// The design's settings.
    pub set: Vec<Setting>,
    /// BLAKE3 over all results.
    pub digest: String,
    /// BLAKE3 of each table's file.
    pub tables: BTreeMap<String, String>,
}

/// A finished run's record; `None` if it is not finished.
///
/// # Errors
/// The folder holds another run: another scenario, seed or version.
pub fn record(folder: &Path, plan: &Plan, run: Run) -> Result<Option<RunRecord>, SweepError> {
    let path = run_path(folder, run.run).join("run.json");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(SweepError::file(&path, "read"))?,
    };
    let record: RunRecord = serde_json::from_str(&text)
        .map_err(|error| SweepError::unexpected(&path, "a run's record", error.to_string()))?;
    let design = plan.design(run);
    let expected = (run.run, run.design, run.seed, design.scenario_hash.as_str(), VERSION);
    let found = (record.run, record.design, record.seed, record.scenario_hash.as_str(), record.version.as_str());
    if found != expected {
        let words = |(run, design, seed, hash, version): (u32, u32, u64, &str, &str)| {
            format!("run {run} of design {design} with seed {seed}, scenario hash {hash}, version {version}")
        };
        let found = format!("{}: remove its folder to repeat it", words(found));
        return Err(SweepError::unexpected(&path, words(expected), found));
    }
    Ok(Some(record))
}

/// Writes a run's results.
///
/// # Errors
/// The disk failed; then nothing appears under the run's name.
pub fn write(folder: &Path, plan: &Plan, run: Run, results: &Results) -> Result<(), SweepError> {
    let waiting = waiting_folder(folder, run)?;
    let mut tables = write_tables(&waiting, results)?;
    let name = format!("{FIGURES}.parquet");
    tables.insert(FIGURES.to_owned(), figures(results).write(&waiting.join(name))?);
    let record = RunRecord {
        run: run.run,
        design: run.design,
        seed: run.seed,
        scenario_hash: results.scenario_hash.clone(),
        version: results.version.clone(),
        set: plan.design(run).set.clone(),
        digest: results.digest.clone(),
        tables,
    };
    let path = waiting.join("run.json");
    let text = serde_json::to_string_pretty(&record).expect("texts and numbers always have a JSON form") + "\n";
    let written =
        File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(SweepError::file(&path, "written"))?;
    publish(&waiting, &run_path(folder, run.run))
}

/// Writes the economy's tables as Parquet files into a folder. Returns the BLAKE3 of each file by the table's name.
///
/// # Errors
/// The disk failed.
pub fn write_tables(folder: &Path, results: &Results) -> Result<BTreeMap<String, String>, SweepError> {
    fn named<R: Row + Default>(rows: &[R]) -> (&'static str, Table) {
        (R::TABLE, Table::of(rows))
    }
    let tables = [
        named(&results.macro_rows),
        named(&results.bank_rows),
        named(&results.household_rows),
        named(&results.payment_rows),
        named(&results.event_rows),
    ];
    let write =
        |(name, table): (&str, Table)| Ok((name.to_owned(), table.write(&folder.join(format!("{name}.parquet")))?));
    tables.into_iter().map(write).collect()
}

/// A new folder that no other process writes to.
fn waiting_folder(folder: &Path, run: Run) -> Result<PathBuf, SweepError> {
    let runs = runs_path(folder);
    std::fs::create_dir_all(&runs).map_err(SweepError::file(&runs, "made"))?;
    for attempt in 0_u32.. {
        let path = runs.join(format!(".{:06}-{}-{attempt}", run.run, std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(SweepError::file(&path, "made")(error)),
        }
    }
    unreachable!("fewer than 2^32 leftovers lie in a folder")
}

fn publish(waiting: &Path, target: &Path) -> Result<(), SweepError> {
    let sync = |path: &Path| File::open(path).and_then(|folder| folder.sync_all());
    sync(waiting).map_err(SweepError::file(waiting, "written"))?;
    match std::fs::rename(waiting, target) {
        Ok(()) => {
            let parent = target.parent().unwrap_or(target);
            sync(parent).map_err(SweepError::file(parent, "written"))
        }
        Err(_) if target.join("run.json").exists() => {
            std::fs::remove_dir_all(waiting).map_err(SweepError::file(waiting, "removed"))
        }
        Err(error) => Err(SweepError::file(target, "written")(error)),
    }
}

/// The summary's figures as a table of one row, in the order of their names.
fn figures(results: &Results) -> Table {
    let summary = serde_json::to_value(results.summary()).expect("texts and numbers always have a JSON form");
    let object = summary.as_object().into_iter().flatten();
    let sorted: BTreeMap<&String, &serde_json::Value> = object.filter(|(name, _)| name.as_str() != "seed").collect();
    let column = |(name, value): (&String, &serde_json::Value)| match value.as_i64() {
        Some(whole) => Some(Column::integer(name, vec![whole])),
        None => value.as_f64().map(|number| Column::number(name, vec![number])),
    };
    Table { columns: sorted.into_iter().filter_map(column).collect() }
}
