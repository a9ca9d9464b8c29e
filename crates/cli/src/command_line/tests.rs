use std::path::{Path, PathBuf};

use super::*;

fn accepts(line: &str) -> bool {
    // A hash is shown by its first digits.
    let whole = |word: String| match word.strip_suffix('…').map(|start| (start, start.rsplit(':').next())) {
        Some((start, digits)) => format!("{start}{}", "0".repeat(64 - digits.map_or(0, str::len))),
        None => word,
    };
    CommandLine::try_parse_from(words(line).into_iter().map(whole)).is_ok()
}

/// The words of a line, as a shell splits it: a quoted text is one word.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in line.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, ' ') => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            _ => word.push(character),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[test]
fn the_command_line_is_sound() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_example_in_the_help_is_accepted() {
    let mut lines = Vec::new();
    collect_examples(&CommandLine::command(), &mut lines);
    assert!(lines.len() >= 25, "found only {} examples", lines.len());
    for line in lines {
        assert!(accepts(&line), "the help shows `{line}`, which is not accepted");
    }
}

/// The lines of each help text that begin with `cbdc`, up to their explanation.
fn collect_examples(command: &clap::Command, lines: &mut Vec<String>) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    lines.extend(help.lines().filter_map(command_of).map(str::to_owned));
    command.get_subcommands().for_each(|subcommand| collect_examples(subcommand, lines));
}

/// The command that a line of an example shows, without its explanation.
fn command_of(line: &str) -> Option<&str> {
    let line = line.trim_start_matches(['#', ' ']);
    let command = line.split("  ").next()?.split(" #").next()?.trim_end();
    command.starts_with("cbdc ").then_some(command)
}

/// The files below the root's `folder` with one of these endings.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, endings, found);
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            found.push(path);
        }
    }
}

#[test]
fn every_command_on_the_pages_and_in_the_scenarios_is_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    for folder in ["docs", "simulations", "deploy", "proto"] {
        files(&root.join(folder), &[".md", ".toml", ".sh", ".sbatch", ".yaml", ".proto"], &mut pages);
    }
    // In running text the beginning of a command may represent the whole.
    let is_beginning = |kind| {
        let beginnings = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion, ErrorKind::MissingRequiredArgument];
        beginnings.contains(&kind)
    };
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let shown = text.lines().filter_map(command_of).filter(|line| !line.contains('`'));
        // In running text a command may represent a group, and `…` or `[…]` an omission.
        let spans = text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("cbdc "));
        let spans = spans.filter(|span| !span.contains(['…', '[', ':']) && span.split(' ').count() > 2);
        for line in shown.chain(spans) {
            count += 1;
            // A span may be broken over two lines.
            let line = &line.split_whitespace().collect::<Vec<_>>().join(" ");
            // An upper-case word represents a value.
            let is_value = |word: &str| word.chars().all(|letter| letter.is_ascii_uppercase());
            let words = words(line).into_iter().map(|word| if is_value(&word) { "1".to_owned() } else { word });
            if let Err(error) = CommandLine::try_parse_from(words)
                && !is_beginning(error.kind())
            {
                wrong.push(format!("{}: `{line}`: {}", page.display(), error.to_string().lines().next().unwrap()));
            }
        }
    }
    assert!(count > 60, "expected the commands of all pages, found {count}");
    assert!(wrong.is_empty(), "commands that are not accepted:\n{}", wrong.join("\n"));
}

#[test]
fn every_subcommand_shows_an_example() {
    fn check(command: &clap::Command) {
        for subcommand in command.get_subcommands() {
            let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("cbdc "), "`{}` shows no example", subcommand.get_name());
            check(subcommand);
        }
    }
    check(&CommandLine::command());
}

#[test]
fn earlier_names_are_accepted() {
    for line in ["cbdc papers --list", "cbdc policy propose threshold=2 --carry"] {
        assert!(accepts(line), "{line}");
    }
}

#[test]
fn wrong_command_lines_are_refused() {
    for line in [
        "cbdc",
        "cbdc pay",
        "cbdc wallet pay alice bob",
        "cbdc wallet receipt alice",
        "cbdc wallet receipt alice 3:1 --last",
        "cbdc policy vote 1 maybe --as 1",
        "cbdc policy propose --as 1",
        "cbdc node bank",
        "cbdc bank report-deposits",
        "cbdc bank deposits",
        "cbdc bank accept-deposits --bank 1",
        "cbdc bank transfer-reserves 5 --from 1",
        "cbdc bank transfer-reserves 5 --from 0 --to 1",
        "cbdc bank close-wallet",
        "cbdc sweep",
        "cbdc sweep run",
        "cbdc sweep run folder --threads 0",
        "cbdc up --banks 0",
        "cbdc init net --central-banks 2",
        "cbdc up --central-banks 9",
        "cbdc up --central-banks three",
        "cbdc up --preset digital-yuan",
        "cbdc --verbose",
    ] {
        assert!(!accepts(line), "{line}");
    }
}
