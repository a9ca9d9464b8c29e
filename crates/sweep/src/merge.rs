//! Merges all runs into tables, a summary and a page.
//!
//! 1. Every run of the plan is looked up; missing ones are named, and end the merge unless a partial one is requested.
//! 2. Runs are read in the order of their numbers, each table checked against its hash, and appended, with the columns
//!    `run`, `design` and `seed` before the run's own.
//! 3. `runs.parquet` is the run index: each run's number, design, seed, settings, digest and figures. A key's column
//!    holds numbers if all its values are numbers, else text.
//! 4. Everything is written under a name of its own and then renamed; `summary.json` comes last.
//!
//! No file contains a time, a path or a machine: the same runs give the same bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::SweepError;
use crate::folder;
use crate::plan::{Design, Plan, Run, VERSION};
use crate::quantiles::Quantiles;
use crate::report::{self, PlotData};
use crate::run_folder::{self, FIGURES, RunRecord, TABLES};
use crate::setting::Setting;
use crate::summary::{DesignSummary, Merged};
use crate::table::{Column, Table, TableWriter, Values};

/// Merges the folder's runs.
///
/// # Errors
/// Runs are missing and `partial` is false, a run is damaged or belongs to another plan, or the disk fails.
pub fn merge(folder: &Path, plan: &Plan, partial: bool) -> Result<Merged, SweepError> {
    let found = find(folder, plan)?;
    let missing: Vec<u32> = plan.runs.iter().map(|run| run.run).filter(|run| !found.contains_key(run)).collect();
    if !missing.is_empty() && (!partial || found.is_empty()) {
        return Err(SweepError::Missing { runs: missing, all: plan.runs.len() });
    }
    let mut files = Files::new(folder)?;
    let mut plot_data = PlotData::new(plan);
    let mut index = Index::default();
    for run in plan.runs.iter().filter(|run| found.contains_key(&run.run)) {
        let record = &found[&run.run];
        plot_data.add(run.design, &read(folder, record, "macro")?, &read(folder, record, "banks")?);
        for name in TABLES {
            let table = read(folder, record, name)?;
            let leading = [("run", i64::from(run.run)), ("design", i64::from(run.design)), ("seed", run.seed as i64)];
            files.append(name, table.led_by(&leading))?;
        }
        index.add(*run, record.clone(), read(folder, record, FIGURES)?);
    }
    let digest = index.digest();
    let designs = index.designs(plan);
    files.append("runs", index.table(plan))?;
    let merged = Merged {
        name: plan.name.clone(),
        description: plan.description.clone(),
        plan: plan.file.clone(),
        scenario: plan.scenario.file.clone(),
        version: VERSION.to_owned(),
        digest,
        runs: plan.runs.len(),
        missing,
        seeds: plan.runs.iter().take_while(|run| run.design == 0).map(|run| run.seed).collect(),
        keys: plan.keys.clone(),
        designs,
        rows: files.rows.clone(),
    };
    files.text("report.html", report::page(plan, &merged, &plot_data))?;
    let summary = serde_json::to_string_pretty(&merged).expect("texts and numbers always have a JSON form") + "\n";
    files.text("summary.json", summary)?;
    files.publish()?;
    if merged.missing.is_empty() {
        folder::remove_leftovers(folder)?;
    }
    Ok(merged)
}

fn find(folder: &Path, plan: &Plan) -> Result<BTreeMap<u32, RunRecord>, SweepError> {
    let mut found = BTreeMap::new();
    for run in &plan.runs {
        if let Some(record) = run_folder::record(folder, plan, *run)? {
            found.insert(run.run, record);
        }
    }
    Ok(found)
}

fn read(folder: &Path, record: &RunRecord, name: &str) -> Result<Table, SweepError> {
    let path = folder::run_path(folder, record.run);
    let Some(hash) = record.tables.get(name) else {
        let expected = format!("the hash of {name}.parquet");
        return Err(SweepError::unexpected(&path.join("run.json"), expected, "none"));
    };
    Table::read(&path.join(format!("{name}.parquet")), hash)
}

/// The merged files while they are written.
struct Files {
    folder: PathBuf,
    waiting: PathBuf,
    writers: BTreeMap<String, TableWriter>,
    rows: BTreeMap<String, usize>,
    texts: Vec<&'static str>,
}

impl Files {
    fn new(folder: &Path) -> Result<Files, SweepError> {
        let waiting = folder.join(format!(".merge-{}", std::process::id()));
        std::fs::create_dir_all(&waiting).map_err(SweepError::file(&waiting, "made"))?;
        let writers = BTreeMap::new();
        Ok(Files { folder: folder.to_path_buf(), waiting, writers, rows: BTreeMap::new(), texts: Vec::new() })
    }

    fn append(&mut self, name: &str, table: Table) -> Result<(), SweepError> {
        *self.rows.entry(name.to_owned()).or_insert(0) += table.rows();
        if !self.writers.contains_key(name) {
            let writer = TableWriter::new(&self.waiting.join(format!("{name}.parquet")))?;
            self.writers.insert(name.to_owned(), writer);
        }
        self.writers.get_mut(name).map_or(Ok(()), |writer| writer.append(table))
    }

    fn text(&mut self, name: &'static str, text: String) -> Result<(), SweepError> {
        let path = self.waiting.join(name);
        std::fs::write(&path, text).map_err(SweepError::file(&path, "written"))?;
        self.texts.push(name);
        Ok(())
    }

    /// Renames every file to its final name.
    fn publish(mut self) -> Result<(), SweepError> {
        let mut names = Vec::new();
        for (name, writer) in std::mem::take(&mut self.writers) {
            writer.finish()?;
            names.push(format!("{name}.parquet"));
        }
        names.extend(self.texts.iter().map(|name| (*name).to_owned()));
        for name in names {
            let target = self.folder.join(&name);
            std::fs::rename(self.waiting.join(&name), &target).map_err(SweepError::file(&target, "written"))?;
        }
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Only a failed merge leaves files here, which do no harm if they cannot be removed.
        drop(std::fs::remove_dir_all(&self.waiting));
    }
}

/// The run index.
#[derive(Default)]
struct Index {
    runs: Vec<(Run, RunRecord)>,
    figures: BTreeMap<String, Vec<f64>>,
    columns: Vec<Column>,
}

impl Index {
    fn add(&mut self, run: Run, record: RunRecord, figures: Table) {
        for (index, column) in figures.columns.into_iter().enumerate() {
            let numbers = match &column.values {
                Values::Integer(values) => values.iter().map(|value| *value as f64).collect(),
                Values::Number(values) => values.clone(),
                Values::Text(_) | Values::Optional(_) | Values::Date(_) => Vec::new(),
            };
            self.figures.entry(column.name.clone()).or_default().extend(numbers);
            match self.columns.get_mut(index) {
                None => self.columns.push(column),
                Some(known) => match (&mut known.values, column.values) {
                    (Values::Integer(values), Values::Integer(more)) => values.extend(more),
                    (Values::Number(values), Values::Number(more)) => values.extend(more),
                    _ => unreachable!("one version of this program gives a figure one type"),
                },
            }
        }
        self.runs.push((run, record));
    }

    fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (run, record) in &self.runs {
            hasher.update(&run.run.to_le_bytes()).update(&run.seed.to_le_bytes());
            for text in [&record.scenario_hash, &record.digest] {
                hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    fn designs(&self, plan: &Plan) -> Vec<DesignSummary> {
        let of_first = self.runs.iter().enumerate().filter(|(_, (run, _))| run.design == 0);
        let first_of_seed: BTreeMap<u64, usize> = of_first.map(|(index, (run, _))| (run.seed, index)).collect();
        let summary = |design: &Design| {
            // Runs are in the order of their designs.
            let first = self.runs.partition_point(|(run, _)| run.design < design.design);
            let end = self.runs.partition_point(|(run, _)| run.design <= design.design);
            let quantiles =
                |(name, values): (&String, &Vec<f64>)| Some((name.clone(), quantiles_of(&values[first..end])?));
            let difference = |(name, values): (&String, &Vec<f64>)| {
                let pairs =
                    (first..end).filter_map(|index| Some((index, *first_of_seed.get(&self.runs[index].0.seed)?)));
                let differences: Vec<f64> = pairs.map(|(index, other)| values[index] - values[other]).collect();
                Some((name.clone(), quantiles_of(&differences)?))
            };
            let figures: BTreeMap<String, Quantiles> = self.figures.iter().filter_map(quantiles).collect();
            let against_first = match design.design {
                0 => BTreeMap::new(),
                _ => self.figures.iter().filter_map(difference).collect(),
            };
            DesignSummary {
                design: design.design,
                name: design.name.clone(),
                set: design.set.iter().map(|one| (one.key.clone(), one.value.clone())).collect(),
                scenario_hash: design.scenario_hash.clone(),
                households: design.households,
                days: design.days,
                runs: end - first,
                figures,
                against_first,
            }
        };
        plan.designs.iter().map(summary).collect()
    }

    fn table(self, plan: &Plan) -> Table {
        let runs = &self.runs;
        let texts =
            |name, text: &dyn Fn(&(Run, RunRecord)) -> String| Column::text(name, runs.iter().map(text).collect());
        let mut columns = vec![
            Column::integer("run", runs.iter().map(|(run, _)| i64::from(run.run)).collect()),
            Column::integer("design", runs.iter().map(|(run, _)| i64::from(run.design)).collect()),
            Column::integer("seed", runs.iter().map(|(run, _)| run.seed as i64).collect()),
            texts("design_name", &|(run, _)| plan.design(*run).name.clone()),
            texts("scenario_hash", &|(_, record)| record.scenario_hash.clone()),
            texts("version", &|(_, record)| record.version.clone()),
            texts("digest", &|(_, record)| record.digest.clone()),
        ];
        for key in &plan.keys {
            let values: Vec<String> = runs.iter().map(|(_, record)| value_of(&record.set, key)).collect();
            columns.push(key_column(key, values));
        }
        columns.extend(self.columns);
        Table { columns }
    }
}

fn quantiles_of(values: &[f64]) -> Option<Quantiles> {
    (!values.is_empty()).then(|| Quantiles::of(values))
}

/// A key's value in a design; empty if the design does not set it.
fn value_of(set: &[Setting], key: &str) -> String {
    let value = set.iter().find(|one| one.key == key).map(|one| one.value.as_str());
    value
        .map(|value| value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
        .unwrap_or_default()
        .to_owned()
}

fn key_column(key: &str, values: Vec<String>) -> Column {
    if let Ok(whole) = values.iter().map(|value| value.parse::<i64>()).collect::<Result<Vec<_>, _>>() {
        return Column::integer(key, whole);
    }
    match values.iter().map(|value| value.parse::<f64>()).collect::<Result<Vec<_>, _>>() {
        Ok(numbers) => Column::number(key, numbers),
        Err(_) => Column::text(key, values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_type_that_all_its_values_have() {
        let column = |values: &[&str]| key_column("k", values.iter().map(|value| (*value).to_owned()).collect()).values;
        assert_eq!(column(&["1", "2"]), Values::Integer(vec![1, 2]));
        assert_eq!(column(&["1", "2.5"]), Values::Number(vec![1.0, 2.5]));
        assert_eq!(column(&["1", "none"]), Values::Text(vec!["1".to_owned(), "none".to_owned()]));
    }
}
