//! Paths and contents of a sweep's folder.
//!
//! A finished run is `runs/NUMBER`; a name with a dot before it is an unfinished one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::SweepError;

/// The folder of all runs.
pub(crate) fn runs_path(folder: &Path) -> PathBuf {
    folder.join("runs")
}

/// The folder of one run's results.
pub fn run_path(folder: &Path, run: u32) -> PathBuf {
    runs_path(folder).join(format!("{run:06}"))
}

/// Counts the finished runs of a sweep.
///
/// # Errors
/// It cannot be read.
pub fn count(folder: &Path) -> Result<usize, SweepError> {
    Ok(names(folder)?.iter().filter(|name| !name.starts_with('.')).count())
}

/// Removes what killed processes left behind.
///
/// # Errors
/// It cannot be removed.
pub fn remove_leftovers(folder: &Path) -> Result<(), SweepError> {
    for name in names(folder)?.iter().filter(|name| name.starts_with('.')) {
        let path = runs_path(folder).join(name);
        std::fs::remove_dir_all(&path).map_err(SweepError::file(&path, "removed"))?;
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>, SweepError> {
    let runs = runs_path(folder);
    let entries = match std::fs::read_dir(&runs) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(SweepError::file(&runs, "read"))?,
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<std::io::Result<_>>().map_err(SweepError::file(&runs, "read"))
}
