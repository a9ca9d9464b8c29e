//! Configuration files: TOML, checked as they are read.
//!
//! Paths in a file are relative to the file's folder. An unknown key or a wrong value is an error that names file, line
//! and column, and shows the line.

use std::path::{Path, PathBuf};

use cbdc_proto::bounded_file;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error};

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {reason}")]
    Read { path: PathBuf, reason: String },
    #[error("{path}:{line}:{column}: {message}\n  | {source_line}")]
    Wrong { path: PathBuf, line: usize, column: usize, message: String, source_line: String },
}

/// Reads a configuration of type `T`.
pub fn load_config<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = bounded_file::read_text(path)
        .map_err(|error| ConfigError::Read { path: path.to_owned(), reason: error.to_string() })?;
    toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = &text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
        let source_line = text.lines().nth(line - 1).unwrap_or_default().to_owned();
        ConfigError::Wrong { path: path.to_owned(), line, column, message: error.message().to_owned(), source_line }
    })
}

/// A path in the configuration file at `config`, resolved relative to its folder.
pub fn beside(config: &Path, path: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new(".")).join(path)
}

/// Reads a whole number from `MIN` to `MAX`, for `#[serde(deserialize_with)]`.
pub fn within<'de, D, T, const MIN: i64, const MAX: i64>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let found = i64::deserialize(input)?;
    let value = (MIN..=MAX).contains(&found).then(|| T::try_from(found).ok()).flatten();
    value.ok_or_else(|| D::Error::custom(format!("expected a number from {MIN} to {MAX}, found {found}")))
}
