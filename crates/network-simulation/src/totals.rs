//! What came of many seeds: counted here, or put together from the parts that several machines have run.
//!
//! A part's totals are a file of its own, `part-I-of-K.json`, in a folder that all machines see; it is there as a whole
//! or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::run::Outcome;

/// Sums over seeds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub seeds: u64,
    pub payments: u64,
    pub settled: u64,
    pub simulated_ms: u64,
    /// Faults that were made, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Seeds that broke a promise, with the first sentence that says so.
    pub failed: BTreeMap<u64, String>,
    /// Seeds that gave no outcome, and why.
    pub without_outcome: BTreeMap<u64, String>,
}

impl Totals {
    /// Counts a seed.
    pub fn add(&mut self, seed: u64, outcome: &Result<Outcome>) {
        self.seeds += 1;
        match outcome {
            Ok(outcome) => {
                self.payments += outcome.payments;
                self.settled += outcome.settled;
                self.simulated_ms += outcome.simulated_ms;
                for planned in &outcome.faults {
                    *self.faults.entry(planned.fault.kind().to_owned()).or_default() += 1;
                }
                if let Some((property, sentence)) = outcome.violations.first() {
                    self.failed.insert(seed, format!("{property}: {sentence}"));
                }
            }
            Err(error) => drop(self.without_outcome.insert(seed, format!("{error:#}"))),
        }
    }

    fn put(&mut self, other: Totals) {
        self.seeds += other.seeds;
        self.payments += other.payments;
        self.settled += other.settled;
        self.simulated_ms += other.simulated_ms;
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.failed.extend(other.failed);
        self.without_outcome.extend(other.without_outcome);
    }

    /// The seeds that did not keep every promise.
    pub fn bad(&self) -> usize {
        self.failed.len() + self.without_outcome.len()
    }

    /// The sums in a sentence.
    pub fn sentence(&self) -> String {
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        format!(
            "{} payments, {} settled, in {:.1} h of simulated time; faults: {}; {} failed",
            self.payments,
            self.settled,
            self.simulated_ms as f64 / 3_600_000.0,
            if faults.is_empty() { "none".to_owned() } else { faults.join(", ") },
            self.bad()
        )
    }

    /// Leaves a part's totals in a folder.
    pub fn write_part(&self, folder: &Path, (index, count): (u32, u32)) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let path = folder.join(format!("part-{index}-of-{count}.json"));
        let begun = path.with_extension("json.new");
        std::fs::write(&begun, serde_json::to_vec(self)?).with_context(|| format!("writing {}", begun.display()))?;
        std::fs::rename(&begun, &path).with_context(|| format!("writing {}", path.display()))
    }

    /// Puts the parts in a folder together.
    ///
    /// # Errors
    /// There are none, some are missing, or they are of different divisions.
    pub fn of_parts(folder: &Path) -> Result<Totals> {
        let (mut totals, mut found, mut counts) = (Totals::default(), BTreeSet::new(), BTreeSet::new());
        for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let numbers = name.strip_prefix("part-").and_then(|rest| rest.strip_suffix(".json"));
            let Some((index, count)) = numbers.and_then(|numbers| numbers.split_once("-of-")) else { continue };
            let (Ok(index), Ok(count)) = (index.parse::<u32>(), count.parse::<u32>()) else { continue };
            let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            totals.put(serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?);
            found.insert(index);
            counts.insert(count);
        }
        let place = folder.display();
        ensure!(!found.is_empty(), "{place}: expected files part-I-of-K.json, found none");
        ensure!(counts.len() == 1, "{place}: expected parts of one division, found parts of {counts:?}");
        let missing: Vec<u32> = (0..*counts.first().unwrap_or(&0)).filter(|index| !found.contains(index)).collect();
        ensure!(missing.is_empty(), "{place}: these parts are missing: {missing:?}");
        Ok(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_together_and_missing_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let part = |seed: u64| Totals {
            seeds: 10,
            payments: 100,
            faults: BTreeMap::from([("kill".to_owned(), seed)]),
            failed: BTreeMap::from([(seed, "OneChain: …".to_owned())]),
            ..Totals::default()
        };
        let why = |found: Result<Totals>| found.unwrap_err().to_string();
        assert!(why(Totals::of_parts(folder.path())).contains("found none"));
        part(3).write_part(folder.path(), (2, 3)).unwrap();
        assert!(why(Totals::of_parts(folder.path())).contains("these parts are missing: [0, 1]"));
        part(4).write_part(folder.path(), (0, 3)).unwrap();
        part(5).write_part(folder.path(), (1, 3)).unwrap();
        let all = Totals::of_parts(folder.path()).unwrap();
        assert_eq!((all.seeds, all.payments, all.faults["kill"], all.failed.len()), (30, 300, 12, 3));
        part(6).write_part(folder.path(), (0, 2)).unwrap();
        assert!(why(Totals::of_parts(folder.path())).contains("parts of one division"));
    }
}
