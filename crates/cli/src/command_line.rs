//! The command line: the subcommands, and the arguments that belong to all of them.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::output::Output;

const AFTER_HELP: &str = "\
Start here:
  cbdc up                              a running network with money and three wallets, in ./network
  cbdc wallet pay alice bob 12.50      in a second terminal: a payment
  cbdc wallet receipt alice --last     its receipt, checked against genesis alone

Exit codes:
  0  done
  1  failed
  2  the command line is wrong
  3  refused by a rule, which is named
  4  a node could not be reached, or gave no answer in time
  5  an audit found something";

/// A permissioned ledger for a retail central bank digital currency.
#[derive(Parser, Debug)]
#[command(name = "cbdc", about, after_help = AFTER_HELP, arg_required_else_help = true)]
#[command(disable_help_subcommand = true, max_term_width = 120)]
pub struct CommandLine {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Print the version
    #[arg(short = 'V', long)]
    version: bool,
    /// With --version: also print signature backend, target, compiler and RocksDB's version
    #[arg(long, requires = "version")]
    verbose: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    Init(crate::init::Init),
    Up(crate::up::Up),
    Node(crate::node::Node),
    Wallet(crate::wallet::Wallet),
    Bank(crate::bank::Bank),
    Policy(crate::policy::Policy),
    Chain(crate::chain::Chain),
    Audit(crate::audit::Audit),
    Bench(crate::bench::Bench),
    Simulate(crate::simulate::Simulate),
    Sweep(crate::sweep::Sweep),
    #[command(alias = "papers")]
    Replications(crate::replications::Replications),
    Presets(crate::preset::Presets),
    Completions(crate::completions::Completions),
}

impl CommandLine {
    /// Runs the subcommand.
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        if self.version {
            crate::version::print(output, self.verbose);
            return Ok(());
        }
        let Some(command) = self.command else {
            let expected = "expected a subcommand, found none; see `cbdc --help`";
            CommandLine::command().error(ErrorKind::MissingSubcommand, expected).exit()
        };
        match command {
            Command::Init(init) => init.run(output),
            Command::Up(up) => up.run(output).await,
            Command::Node(node) => node.run().await,
            Command::Wallet(wallet) => wallet.run(output).await,
            Command::Bank(bank) => bank.run(output).await,
            Command::Policy(policy) => policy.run(output).await,
            Command::Chain(chain) => chain.run(output).await,
            Command::Audit(audit) => audit.run(output).await,
            Command::Bench(bench) => bench.run(output).await,
            Command::Simulate(simulate) => simulate.run(output).await,
            Command::Sweep(sweep) => sweep.run(output).await,
            Command::Replications(replications) => replications.run(output),
            Command::Presets(presets) => presets.run(output),
            Command::Completions(completions) => completions.run(CommandLine::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(line: &str) -> bool {
        CommandLine::try_parse_from(line.split(' ')).is_ok()
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
        let examples = help.lines().map(str::trim).filter(|line| line.starts_with("cbdc "));
        lines.extend(
            examples.map(|line| line.split("  ").next().unwrap_or_default().trim().replace('"', "").to_owned()),
        );
        command.get_subcommands().for_each(|subcommand| collect_examples(subcommand, lines));
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
            "cbdc bank transfer-reserves 5 --from 1",
            "cbdc bank transfer-reserves 5 --from 0 --to 1",
            "cbdc bank close-wallet",
            "cbdc sweep",
            "cbdc sweep run",
            "cbdc sweep run folder --threads 0",
            "cbdc up --banks 0",
            "cbdc up --preset digital-yuan",
            "cbdc --verbose",
        ] {
            assert!(!accepts(line), "{line}");
        }
    }
}
