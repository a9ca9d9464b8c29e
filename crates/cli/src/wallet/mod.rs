//! `cbdc wallet`: named wallets of a development network.

mod defund;
mod designate;
pub mod format;
mod fund;
mod history;
mod hold;
mod link;
pub mod list;
mod open;
mod pay;
mod pending;
mod receipt;
mod release;
mod relocate;
mod show;

use clap::{Args, Subcommand};

use crate::output::Output;

/// Open wallets, pay, and keep receipts
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet open dave --bank 2
  cbdc wallet fund dave 100 --credit
  cbdc wallet pay dave alice 12.50
  cbdc wallet show dave
  cbdc wallet history dave
  cbdc wallet receipt dave --last --save payment.receipt
  cbdc wallet link dave --bank 2
  cbdc wallet move dave --bank 3
  cbdc wallet hold dave bakery 20 --expires-in-s 3600

Amounts are in major units, exact: 12, 12.5 or 12.50.")]
pub struct Wallet {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Open(open::Open),
    List(list::List),
    Show(show::Show),
    Pay(pay::Pay),
    Fund(fund::Fund),
    Defund(defund::Defund),
    History(history::History),
    Receipt(receipt::Receipt),
    Link(link::Link),
    Unlink(link::Unlink),
    Move(relocate::Move),
    Designate(designate::Designate),
    Hold(hold::Hold),
    Holds(hold::Holds),
    Capture(release::Capture),
    Void(release::Void),
}

impl Wallet {
    /// What helps a customer on while the central bank settles nothing, if anything does.
    pub fn while_it_waits(&self) -> Option<&'static str> {
        match &self.command {
            Command::Pay(pay) => pay.while_it_waits(),
            _ => None,
        }
    }

    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        match self.command {
            Command::Open(open) => open.run(output).await,
            Command::List(list) => list.run(output).await,
            Command::Show(show) => show.run(output).await,
            Command::Pay(pay) => pay.run(output).await,
            Command::Fund(fund) => fund.run(output).await,
            Command::Defund(defund) => defund.run(output).await,
            Command::History(history) => history.run(output).await,
            Command::Receipt(receipt) => receipt.run(output).await,
            Command::Link(link) => link.run(output).await,
            Command::Unlink(unlink) => unlink.run(output).await,
            Command::Move(order) => order.run(output).await,
            Command::Designate(designate) => designate.run(output).await,
            Command::Hold(hold) => hold.run(output).await,
            Command::Holds(holds) => holds.run(output).await,
            Command::Capture(capture) => capture.run(output).await,
            Command::Void(void) => void.run(output).await,
        }
    }
}
