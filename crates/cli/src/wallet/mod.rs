//! `cbdc wallet`: named wallets of a development network.

mod defund;
mod designate;
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
mod show;

use cbdc_client::{AccountId, Amount, Anchor, BlockPosition, SubmissionStatus};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

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
    Designate(designate::Designate),
    Hold(hold::Hold),
    Holds(hold::Holds),
    Capture(release::Capture),
    Void(release::Void),
}

impl Wallet {
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
            Command::Designate(designate) => designate.run(output).await,
            Command::Hold(hold) => hold.run(output).await,
            Command::Holds(holds) => holds.run(output).await,
            Command::Capture(capture) => capture.run(output).await,
            Command::Void(void) => void.run(output).await,
        }
    }
}

/// A payment that settled, as an object.
fn settled_object(kind: &str, from: AccountId, to: AccountId, amount: Amount, status: &SubmissionStatus) -> Value {
    let (position, waterfall) = match status {
        SubmissionStatus::Settled { position, result } => (Some(*position), *result),
        _ => (None, 0),
    };
    json!({
        "outcome": if position.is_some() { "SETTLED" } else { "NOT_SETTLED" },
        "kind": kind,
        "from": from.to_string(),
        "to": to.to_string(),
        "amount_minor": amount.minor(),
        "waterfall_minor": waterfall,
        "height": position.map(|position| position.height.0),
        "index": position.map(|position| position.index),
    })
}

/// The place of a command, as people read it.
fn position_text(position: BlockPosition) -> String {
    format!("{position}  (block {}, command {})", position.height, position.index)
}

/// An account number in groups of four, as people read it.
fn grouped(account: AccountId) -> String {
    let text = account.to_string();
    text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

/// A reference as text, where it is text.
fn reference_text(reference: &[u8; 16]) -> String {
    let end = reference.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match std::str::from_utf8(&reference[..end]) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => cbdc_ledger::encoding::hex(reference),
    }
}

/// An amount that the user typed.
fn amount(anchor: &Anchor, text: &str) -> anyhow::Result<Amount> {
    Ok(anchor.parse(text)?)
}
