//! Mistakes in a scenario: their position, what was expected and found, and what was probably meant.
//!
//! Every mistake names file, line and column, shows the line, and proposes the nearest known word if one is near.

use std::fmt;
use std::path::PathBuf;

/// The reason why a scenario could not be loaded.
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
        let found = excerpt(&self.found, 0, FOUND_MAX);
        writeln!(f, "{}:{}:{}: expected {}, found {found}", self.file, self.line, self.column, self.expected)?;
        writeln!(f, "{gutter} |")?;
        // A long line is shown from a little before the fault.
        let at = self.column - 1;
        let first = if at < LINE_MAX { 0 } else { at - LINE_MAX / 4 };
        writeln!(f, "{number} | {}", excerpt(&self.source_line, first, LINE_MAX))?;
        let before = self.source_line.chars().take(at).skip(first);
        let indent: String = before.map(|character| if character == '\t' { '\t' } else { ' ' }).collect();
        let ellipsis = if first > 0 { " " } else { "" };
        let width = self.width.min((first + LINE_MAX).saturating_sub(at)).max(1);
        write!(f, "{gutter} | {ellipsis}{indent}{}", "^".repeat(width))?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, " did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

/// The most characters of a line that are shown.
const LINE_MAX: usize = 160;
/// The most characters of the contents found that are shown.
const FOUND_MAX: usize = 200;

/// At most `max` characters of a text from `first` on, with `…` for omissions. Control characters, which could drive a
/// terminal, are shown as `�`.
fn excerpt(text: &str, first: usize, max: usize) -> String {
    let is_harmless = |character: char| !character.is_control() || character == '\t';
    let shown =
        text.chars().skip(first).take(max).map(|character| if is_harmless(character) { character } else { '�' });
    let start = if first > 0 { "…" } else { "" };
    let end = if text.chars().nth(first + max).is_some() { "…" } else { "" };
    format!("{start}{}{end}", shown.collect::<String>())
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(" Did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(column: usize, source_line: String, found: String, width: usize) -> String {
        let (file, expected) = ("a.toml".to_owned(), "a number".to_owned());
        Mistake { file, line: 1, column, expected, found, suggestion: None, source_line, width }.to_string()
    }

    #[test]
    fn a_long_line_is_shown_around_the_fault() {
        let text =
            shown(100_001, format!("{}!{}", "a".repeat(100_000), "b".repeat(100_000)), "x".repeat(9_999), 50_000);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() < 300), "{text}");
        assert_eq!(lines[2].chars().position(|character| character == '!'), lines[3].chars().position(|c| c == '^'));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let text = shown(1, "\u{1b}[31mred\u{7}\tx".to_owned(), "\u{1b}]0;title\u{7}".to_owned(), 1);
        assert!(text.chars().all(|character| character == '\n' || character == '\t' || !character.is_control()));
    }
}
