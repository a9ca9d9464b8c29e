//! `cbdc policy`: monetary policy and governance of a development network.

mod action;
mod books;
mod clock;
mod court_order;
mod grant;
mod history;
mod issuance;
pub mod member_file;
mod members;
mod operate;
mod paging;
mod programmes;
mod proposal;
mod reclassify;
mod show;

use clap::{Args, Subcommand};

use crate::output::Output;

/// Read and change monetary policy: committee, operator, registrar, court
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy show
  cbdc policy balance-sheet
  cbdc policy propose holding-limit.household=2000 --approve
  cbdc policy history
  cbdc policy issue 10000 --bank 1
  cbdc policy operate lend 5000 --bank 1
  cbdc policy freeze alice 50")]
pub struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Show(show::Show),
    History(history::History),
    BalanceSheet(books::BalanceSheet),
    ProfitAndLoss(books::ProfitAndLoss),
    Aggregates(books::Aggregates),
    Supply(books::Supply),
    Programmes(programmes::Programmes),
    Members(members::Members),
    Proposals(proposal::Proposals),
    Propose(proposal::Propose),
    Vote(proposal::Vote),
    Issue(issuance::Issue),
    Redeem(issuance::Redeem),
    Endorse(issuance::Endorse),
    Operate(operate::Operate),
    Reclassify(reclassify::Reclassify),
    Freeze(court_order::Freeze),
    Unfreeze(court_order::Unfreeze),
    Seize(court_order::Seize),
    AcceptClock(clock::AcceptClock),
}

impl Policy {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        match self.command {
            Command::Show(show) => show.run(output).await,
            Command::History(history) => history.run(output).await,
            Command::BalanceSheet(sheet) => sheet.run(output).await,
            Command::ProfitAndLoss(profit) => profit.run(output).await,
            Command::Aggregates(aggregates) => aggregates.run(output).await,
            Command::Supply(supply) => supply.run(output).await,
            Command::Programmes(programmes) => programmes.run(output).await,
            Command::Members(members) => members.run(output).await,
            Command::Proposals(proposals) => proposals.run(output).await,
            Command::Propose(propose) => propose.run(output).await,
            Command::Vote(vote) => vote.run(output).await,
            Command::Issue(issue) => issue.run(output).await,
            Command::Redeem(redeem) => redeem.run(output).await,
            Command::Endorse(endorse) => endorse.run(output).await,
            Command::Operate(operate) => operate.run(output).await,
            Command::Reclassify(reclassify) => reclassify.run(output).await,
            Command::Freeze(freeze) => freeze.run(output).await,
            Command::Unfreeze(unfreeze) => unfreeze.run(output).await,
            Command::Seize(seize) => seize.run(output).await,
            Command::AcceptClock(accept) => accept.run(output).await,
        }
    }
}
