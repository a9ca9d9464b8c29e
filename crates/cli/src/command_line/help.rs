//! The help's paragraphs, which the terminal's width alone breaks into lines.
//!
//! In the source they are broken where the source's lines end. Broken a second time by the terminal, every other line
//! would be a stump.

use clap::Command;

/// The command with its paragraphs, and those of its subcommands, as one line each.
pub fn flowing(mut command: Command) -> Command {
    if let Some(help) = command.get_after_help().map(ToString::to_string) {
        command = command.after_help(flow(&help));
    }
    let names: Vec<String> = command.get_subcommands().map(|subcommand| subcommand.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, flowing))
}

/// Joins the lines of each paragraph. Indented lines, such as examples, and the headings above them stay as they are.
fn flow(text: &str) -> String {
    let mut flowing = String::with_capacity(text.len());
    let mut before: Option<&str> = None;
    for line in text.lines() {
        let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
        match before {
            None => {}
            Some(before) if is_prose(before) && is_prose(line) && !before.ends_with(':') => flowing.push(' '),
            Some(_) => flowing.push('\n'),
        }
        flowing.push_str(line);
        before = Some(line);
    }
    flowing
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::command_line::CommandLine;

    /// The narrowest terminal on which no example is broken; also what is assumed where there is no terminal.
    const WIDTH: usize = 100;

    fn check(command: &Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> = help.lines().collect();
        for line in lines.iter().filter(|line| line.starts_with(' ')) {
            assert!(line.chars().count() <= WIDTH, "{}: `{line}` is longer than {WIDTH}", command.get_name());
        }
        for pair in lines.windows(2) {
            let is_broken = |line: &str| !line.is_empty() && !line.starts_with(' ');
            let is_heading = pair[0].ends_with(':');
            assert!(!is_broken(pair[0]) || !is_broken(pair[1]) || is_heading, "{}: {pair:?}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }

    #[test]
    fn no_help_is_broken_into_lines_twice() {
        check(&flowing(CommandLine::command()));
        let text = "Examples:\n  cbdc a\n  cbdc b\n\nOne\nparagraph.\n\nAnother:\n  x";
        assert_eq!(flow(text), "Examples:\n  cbdc a\n  cbdc b\n\nOne paragraph.\n\nAnother:\n  x");
    }
}
