//! Errors of planning, running and merging a sweep.

use std::path::{Path, PathBuf};

use cbdc_economy::EconomyError;
use cbdc_scenario_file::ScenarioError;

use crate::part::PartError;

/// The reason why a sweep could not be planned, run or merged.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A mistake in the plan file or its scenario.
    #[error("{0}")]
    Mistake(#[from] ScenarioError),
    /// The part asked for does not exist.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The operating system refused.
    #[error("{} cannot be {done}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// read, written, …
        done: &'static str,
        /// Its reason.
        source: std::io::Error,
    },
    /// The folder holds no plan.
    #[error(
        "expected plan.json in {}, found none: write it with `cbdc sweep plan FILE --out {}`",
        folder.display(), folder.display()
    )]
    NoPlan {
        /// The folder without a plan.
        folder: PathBuf,
    },
    /// A file of the sweep has unexpected contents.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The expected contents.
        expected: String,
        /// The contents found.
        found: String,
    },
    /// The folder holds runs of another plan.
    #[error(
        "{} holds runs of another plan ({runs}): choose another folder with --out, or remove {} if they are not needed",
        folder.display(), folder.join("runs").display()
    )]
    OtherPlan {
        /// The folder.
        folder: PathBuf,
        /// Number of runs in it.
        runs: usize,
    },
    /// The progress callback asked to stop.
    #[error("stopped: {done} of this part's {all} runs are done and kept; the same command resumes from here")]
    Stopped {
        /// Runs of the part that are done.
        done: usize,
        /// Runs of the part.
        all: usize,
    },
    /// Some runs ended with an error; all others of the part are done.
    #[error("{} of this part's {all} runs failed; the first, run {run}: {error}", runs.len())]
    Failed {
        /// Their numbers.
        runs: Vec<u32>,
        /// Runs of the part.
        all: usize,
        /// The first of them.
        run: u32,
        /// Its error.
        error: Box<EconomyError>,
    },
    /// Some runs have not been simulated yet.
    #[error("{}", missing_words(runs, *all))]
    Missing {
        /// Their numbers.
        runs: Vec<u32>,
        /// Runs of the plan.
        all: usize,
    },
    /// A table cannot be written or read.
    #[error("{}: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: parquet::errors::ParquetError,
    },
}

impl SweepError {
    pub(crate) fn file(path: &Path, done: &'static str) -> impl FnOnce(std::io::Error) -> SweepError {
        let path = path.to_path_buf();
        move |source| SweepError::File { path, done, source }
    }

    pub(crate) fn table(path: &Path) -> impl Fn(parquet::errors::ParquetError) -> SweepError {
        let path = path.to_path_buf();
        move |source| SweepError::Table { path: path.clone(), source }
    }

    pub(crate) fn unexpected(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> SweepError {
        SweepError::Unexpected { path: path.to_path_buf(), expected: expected.into(), found: found.into() }
    }
}

fn missing_words(runs: &[u32], all: usize) -> String {
    let (verb, them) = if runs.len() == 1 { ("is", "it") } else { ("are", "them") };
    format!(
        "{} of {all} runs {verb} missing: {}. Run {them} with `cbdc sweep run`, or merge what is there with --partial",
        runs.len(),
        ranges(runs)
    )
}

/// Numbers in ascending order, as people write them: `0–3, 7, 9–12`; at most twenty ranges.
pub fn ranges(numbers: &[u32]) -> String {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => found.push((*number, *number)),
        }
    }
    let word = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}–{last}") };
    let mut words: Vec<String> = found.iter().take(20).map(word).collect();
    if found.len() > 20 {
        words.push(format!("and {} more ranges", found.len() - 20));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_told_as_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0–2, 5, 7–8");
        assert_eq!(ranges(&[]), "");
        let missing = SweepError::Missing { runs: vec![3], all: 9 }.to_string();
        assert!(missing.starts_with("1 of 9 runs is missing: 3. Run it"), "{missing}");
    }
}
