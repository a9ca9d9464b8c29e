//! The command line as it was typed: repeated in reports, and its `--set KEY=VALUE` arguments.

use crate::exit::Usage;

/// The command as it was typed, for a report.
pub fn command_line() -> String {
    let words = std::env::args().skip(1).map(|word| match word.contains(char::is_whitespace) {
        true => format!("'{word}'"),
        false => word,
    });
    std::iter::once("cbdc".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Splits the value of `--set` into key and value; `example` is one for the error.
pub fn key_and_value(pair: &str, example: &str) -> Result<(String, String), Usage> {
    let split = pair.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) =
        split.ok_or_else(|| Usage(format!("--set: expected KEY=VALUE, such as {example}, found `{pair}`")))?;
    Ok((key.to_owned(), value.to_owned()))
}
