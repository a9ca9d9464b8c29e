//! `cbdc bank`: a commercial bank's back office on a development network.

mod close;
mod deposits;
mod reserves;
mod statement;

use clap::{Args, Subcommand};

use crate::output::Output;

pub use reserves::requests_file;

/// As a commercial bank: report, list and accept deposits, pay reserves to another bank, close a customer's wallet
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc bank report-deposits --bank 1
  cbdc bank deposits --bank 1
  cbdc bank transfer-reserves 25000 --from 1 --to 2
  cbdc bank close-wallet dave

A bank's other actions: cbdc policy issue, cbdc wallet fund --credit, cbdc wallet capture.")]
pub struct Bank {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    ReportDeposits(deposits::ReportDeposits),
    Deposits(statement::Deposits),
    AcceptDeposits(statement::AcceptDeposits),
    TransferReserves(reserves::TransferReserves),
    CloseWallet(close::CloseWallet),
}

impl Bank {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        match self.command {
            Command::ReportDeposits(report) => report.run(output).await,
            Command::Deposits(list) => list.run(output).await,
            Command::AcceptDeposits(accept) => accept.run(output).await,
            Command::TransferReserves(transfer) => transfer.run(output).await,
            Command::CloseWallet(close) => close.run(output).await,
        }
    }
}
