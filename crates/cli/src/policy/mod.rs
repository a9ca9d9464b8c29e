//! `cbdc policy`: the policy desk of a development network.

mod freeze;
mod issuance;
mod measure;
mod motion;
mod views;

use clap::{Args, Subcommand};

use crate::output::Output;

/// Read and change monetary policy: committee, operator, court
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy show
  cbdc policy balance-sheet
  cbdc policy propose holding-limit.household=2000 --carry
  cbdc policy issue 10000 --bank 1
  cbdc policy freeze alice 50")]
pub struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Show(views::Show),
    BalanceSheet(views::BalanceSheet),
    Supply(views::Supply),
    Members(views::Members),
    Proposals(motion::Proposals),
    Propose(motion::Propose),
    Vote(motion::Vote),
    Issue(issuance::Issue),
    Redeem(issuance::Redeem),
    Endorse(issuance::Endorse),
    Freeze(freeze::Freeze),
    Unfreeze(freeze::Unfreeze),
}

impl Policy {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        match self.command {
            Command::Show(show) => show.run(output).await,
            Command::BalanceSheet(sheet) => sheet.run(output).await,
            Command::Supply(supply) => supply.run(output).await,
            Command::Members(members) => members.run(output).await,
            Command::Proposals(proposals) => proposals.run(output).await,
            Command::Propose(propose) => propose.run(output).await,
            Command::Vote(vote) => vote.run(output).await,
            Command::Issue(issue) => issue.run(output).await,
            Command::Redeem(redeem) => redeem.run(output).await,
            Command::Endorse(endorse) => endorse.run(output).await,
            Command::Freeze(freeze) => freeze.run(output).await,
            Command::Unfreeze(unfreeze) => unfreeze.run(output).await,
        }
    }
}
