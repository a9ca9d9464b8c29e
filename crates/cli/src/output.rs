//! Printing: friendly, aligned text, or one JSON object.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use cbdc_client::{Amount, Anchor};
use serde_json::Value;

/// The form of the output.
#[derive(Debug)]
pub struct Output {
    /// One JSON object instead of text.
    pub json: bool,
    /// Whether a part of the answer could not be written.
    is_cut: AtomicBool,
}

impl Output {
    pub fn new(json: bool) -> Output {
        Output { json, is_cut: AtomicBool::new(false) }
    }

    /// Whether a part of the answer could not be written, for another reason than a reader that had enough.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    /// Prints the object with `--json`, otherwise the text.
    pub fn print(&self, object: Value, text: impl FnOnce() -> String) {
        if self.json {
            self.line(&object.to_string());
        } else {
            self.line(text().trim_end());
        }
    }

    /// Prints a line of the answer. A reader may close the pipe before the end, as `head` does: the rest is dropped.
    pub fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.is_cut.store(true, Ordering::Relaxed);
                self.note(&format!("error: the answer cannot be written: {error}"));
            }
            _ => {}
        }
    }

    /// Prints a note to standard error, apart from the answer.
    pub fn note(&self, text: &str) {
        writeln!(std::io::stderr(), "{text}").ok();
    }
}

/// Whether a progress bar can be drawn on standard error.
pub fn draws() -> bool {
    std::io::stderr().is_terminal() && !is_dumb()
}

/// Whether standard output takes colours: on a terminal that can show them, unless `NO_COLOR` is set.
pub fn colours() -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !is_unwanted && !is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}

/// Labels and values, one pair per line, with the values aligned.
pub fn fields(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(label, value)| format!("{label:<width$}  {value}\n")).collect()
}

/// A table; columns whose heading begins with `>` are aligned to the right.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let is_right: Vec<bool> = headings.iter().map(|heading| heading.starts_with('>')).collect();
    let headings: Vec<String> = headings.iter().map(|heading| heading.trim_start_matches('>').to_owned()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).chain(std::iter::once(&headings[column]));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).zip(&is_right).map(|((cell, width), is_right)| match is_right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        let text = padded.collect::<Vec<_>>().join("  ");
        format!("{}\n", text.trim_end())
    };
    std::iter::once(line(&headings)).chain(rows.iter().map(|row| line(row))).collect()
}

/// A sum of minor units, which messages carry as text since it may exceed 64 bits: a number if it fits into 64 bits,
/// like every other amount, otherwise the text.
pub fn sum_minor(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(minor), _) => minor.into(),
        (_, Ok(minor)) => minor.into(),
        _ => text.into(),
    }
}

/// Formats minor units in major ones, with the currency.
pub fn money(anchor: &Anchor, minor: u64) -> String {
    anchor.show(Amount::from_minor(minor))
}

/// A duration in one unit, for people.
pub fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{:.0} s", seconds.max(1.0)),
        seconds if seconds < 90.0 * 60.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 48.0 * 3_600.0 => format!("{:.1} h", seconds / 3_600.0),
        seconds => format!("{:.1} days", seconds / 86_400.0),
    }
}

/// A path as a word for the shell.
pub fn shell_word(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A text as a word for the shell.
pub fn quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A limit that may be absent.
pub fn limit(anchor: &Anchor, minor: Option<u64>) -> String {
    minor.map_or("none".to_owned(), |minor| money(anchor, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_a_number_if_it_fits() {
        for text in ["0", "-5", "9223372036854775807", "18446744073709551615", "-9223372036854775808"] {
            assert_eq!(sum_minor(text).to_string(), text);
        }
        for text in ["18446744073709551616", "-9223372036854775809"] {
            assert_eq!(sum_minor(text), Value::from(text));
        }
    }

    #[test]
    fn a_duration_is_shown_in_one_unit() {
        let shown: Vec<String> = [0.2, 75.0, 600.0, 7_200.0, 400_000.0].into_iter().map(duration).collect();
        assert_eq!(shown, ["1 s", "75 s", "10 min", "2.0 h", "4.6 days"]);
    }

    #[test]
    fn a_path_is_shown_as_it_can_be_pasted() {
        assert_eq!(shell_word(Path::new("net/a-1")), "net/a-1");
        assert_eq!(shell_word(Path::new("my net's")), r"'my net'\''s'");
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["alice".to_owned(), "5.00".to_owned()], vec!["bo".to_owned(), "1234.00".to_owned()]];
        assert_eq!(table(&["name", ">amount"], &rows), "name    amount\nalice     5.00\nbo     1234.00\n");
        assert_eq!(fields(&[("a", "1".to_owned()), ("long", "2".to_owned())]), "a     1\nlong  2\n");
    }
}
