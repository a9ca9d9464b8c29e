//! Printing: friendly, aligned text, or one JSON object.

use std::io::{ErrorKind, Write};

use cbdc_client::{Amount, Anchor};
use serde_json::Value;

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// Prints the object with `--json`, the text without.
    pub fn print(&self, object: Value, text: impl FnOnce() -> String) {
        if self.json {
            self.line(&object.to_string());
        } else {
            self.line(text().trim_end());
        }
    }

    /// A line of the answer. Whoever reads may stop before its end, as `head` does: what is left is then for nobody.
    pub fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.note(&format!("error: the answer cannot be written: {error}"));
            }
            _ => {}
        }
    }

    /// Something worth knowing that is no part of the answer.
    pub fn note(&self, text: &str) {
        eprintln!("{text}");
    }
}

/// Label and value, the values beneath each other.
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

/// A sum of minor units that messages carry as text, since it may pass 64 bits: a number where it fits into 64 bits, like every
/// other amount, and the text beyond.
pub fn sum_minor(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(minor), _) => minor.into(),
        (_, Ok(minor)) => minor.into(),
        _ => text.into(),
    }
}

/// An amount of minor units in major ones, with the currency.
pub fn money(anchor: &Anchor, minor: u64) -> String {
    anchor.show(Amount::from_minor(minor))
}

/// A limit that may be absent.
pub fn limit(anchor: &Anchor, minor: Option<u64>) -> String {
    minor.map_or("none".to_owned(), |minor| money(anchor, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_a_number_as_long_as_it_fits() {
        for text in ["0", "-5", "9223372036854775807", "18446744073709551615", "-9223372036854775808"] {
            assert_eq!(sum_minor(text).to_string(), text);
        }
        for text in ["18446744073709551616", "-9223372036854775809"] {
            assert_eq!(sum_minor(text), Value::from(text));
        }
    }

    #[test]
    fn columns_stand_beneath_each_other() {
        let rows = [vec!["alice".to_owned(), "5.00".to_owned()], vec!["bo".to_owned(), "1234.00".to_owned()]];
        assert_eq!(table(&["name", ">amount"], &rows), "name    amount\nalice     5.00\nbo     1234.00\n");
        assert_eq!(fields(&[("a", "1".to_owned()), ("long", "2".to_owned())]), "a     1\nlong  2\n");
    }
}
