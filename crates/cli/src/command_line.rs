//! The command line: the subcommands, and the arguments that belong to all of them.

mod help;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::output::Output;
use crate::waiting;

const AFTER_HELP: &str = "\
Start here:
  cbdc up                              a running network with money and three wallets, in ./network
  cbdc wallet pay alice bob 12.50      in a second terminal: a payment
  cbdc wallet receipt alice --last     its receipt, checked against genesis alone

Exit codes:
  0  done
  1  failed
  2  the command line is wrong, or what it names does not exist
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
    Keys(crate::keys::Keys),
    Up(crate::up::Up),
    Node(crate::node::Node),
    Wallet(crate::wallet::Wallet),
    Bank(crate::bank::Bank),
    Policy(crate::policy::Policy),
    Chain(crate::chain::Chain),
    Anchor(crate::anchor::Anchor),
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
    /// The command line as typed. Ends the program with the help, or an error where it is wrong.
    pub fn read() -> CommandLine {
        let matches = help::flowing(CommandLine::command()).get_matches();
        CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

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
            Command::Keys(keys) => keys.run(output),
            Command::Up(up) => up.run(output).await,
            Command::Node(node) => node.run().await,
            Command::Wallet(wallet) => {
                let hint = wallet.while_it_waits();
                waiting::told(output, hint, wallet.run(output)).await
            }
            Command::Bank(bank) => waiting::told(output, None, bank.run(output)).await,
            Command::Policy(policy) => waiting::told(output, None, policy.run(output)).await,
            Command::Chain(chain) => waiting::told(output, None, chain.run(output)).await,
            Command::Anchor(anchor) => waiting::told(output, None, anchor.run(output)).await,
            Command::Audit(audit) => audit.run(output).await,
            Command::Bench(bench) => bench.run(output).await,
            Command::Simulate(simulate) => simulate.run(output).await,
            Command::Sweep(sweep) => sweep.run(output).await,
            Command::Replications(replications) => replications.run(output),
            Command::Presets(presets) => presets.run(output),
            Command::Completions(completions) => completions.run(CommandLine::command(), output),
        }
    }
}

#[cfg(test)]
mod tests;
