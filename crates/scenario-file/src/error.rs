//! Mistakes in a scenario: where, what was expected and found, and what was probably meant.
//!
//! Every mistake names file, line and column, shows the line, and proposes the nearest known word if one is near.

use std::fmt;
use std::path::PathBuf;

/// Why a scenario could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file is missing or cannot be read.
    #[error("The scenario file `{}` cannot be read: {source}.{}", path.display(), did_you_mean(suggestion.as_deref()))]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
        /// A file with a similar name, if there is one.
        suggestion: Option<String>,
    },
    /// The file or an override was read and holds a mistake.
    #[error("{0}")]
    Mistake(Box<Mistake>),
}

/// One mistake in a scenario file or in a `--set` override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file's path as given, or `--set`.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The expected contents.
    pub expected: String,
    /// The contents found.
    pub found: String,
    /// The word that was probably meant.
    pub suggestion: Option<String>,
    /// The offending line.
    pub source_line: String,
    /// Number of characters at fault from `column` on, at least 1.
    pub width: usize,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let indent: String =
            self.source_line.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{}:{}:{}: expected {}, found {}", self.file, self.line, self.column, self.expected, self.found)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {}", self.source_line)?;
        write!(f, "{gutter} | {indent}{}", "^".repeat(self.width))?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, " did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(" Did you mean `{name}`?")).unwrap_or_default()
}
