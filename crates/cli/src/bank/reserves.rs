//! `cbdc bank transfer-reserves`.

use cbdc_client::{Amount, Anchor, BankId, ClientError, InFlightFile, NetworkFolder, SubmissionStatus};
use clap::Args;
use serde_json::json;

use crate::idempotent_request::{IdempotentRequest, Request};
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};
use crate::wallet::format::plain;

/// Pay reserves to another bank, as the paying bank
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc bank transfer-reserves 25000 --from 1 --to 2
  cbdc bank transfer-reserves 25000 --from 1 --to 2 --json

If interrupted, run the same command again: it asks again under the same id, and transfers once.")]
pub struct TransferReserves {
    /// Major units, such as 25000
    amount: String,
    /// The paying bank
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    from: u16,
    /// The bank to be paid
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u16).range(1..))]
    to: u16,
    #[command(flatten)]
    network: NetworkArgument,
}

/// A transfer, as it is asked for under one id of the paying bank's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Transfer {
    to: BankId,
    amount: Amount,
}

impl Request for Transfer {
    fn describe(&self, anchor: &Anchor) -> String {
        format!("a transfer of {} of reserves to bank {}", anchor.show(self.amount), self.to)
    }

    fn to_bytes(&self) -> Vec<u8> {
        [&self.to.0.to_le_bytes()[..], &self.amount.minor().to_le_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Transfer> {
        let (to, amount) = bytes.split_first_chunk()?;
        let amount = u64::from_le_bytes(amount.try_into().ok()?);
        Some(Transfer { to: BankId(u16::from_le_bytes(*to)), amount: Amount::from_minor(amount) })
    }
}

impl TransferReserves {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let transfer = Transfer { to: BankId(self.to), amount: anchor.parse(&self.amount)? };
        let office = network.bank_office(BankId(self.from))?;
        let file = requests_file(&network, BankId(self.from), "transfer-reserves", output)?;
        let ask = async |transfer: Transfer, id| Ok(office.transfer_reserves(transfer.to, transfer.amount, id).await?);
        let words = |earlier: Transfer| {
            let (amount, from, to) = (plain(&anchor, earlier.amount), self.from, earlier.to);
            format!("cbdc bank transfer-reserves {amount} --from {from} --to {to}{}", self.network.suffix())
        };
        let begun = IdempotentRequest::begin(file, transfer, (&anchor, output), words)?;
        let show = async |status: SubmissionStatus| {
            let position = status.settled()?;
            // What is left is shown only if the bank still answers: the transfer is settled.
            let left = office.treasury().await.ok().map(|treasury| treasury.reserves_minor);
            let object = json!({
                "from": self.from,
                "to": self.to,
                "amount_minor": transfer.amount.minor(),
                "reserves_left_minor": left,
                "height": position.height.0,
                "index": position.index,
            });
            output.print(object, || {
                let mut rows = vec![
                    ("transferred", anchor.show(transfer.amount)),
                    ("from bank", self.from.to_string()),
                    ("to bank", self.to.to_string()),
                ];
                rows.extend(left.map(|minor| ("reserves left", money(&anchor, minor))));
                rows.push(("position", position.to_string()));
                fields(&rows)
            });
            Ok(())
        };
        begun.run(output, &ask, show).await
    }
}

/// The file of what a bank's back office has in flight, beside the bank's keys.
pub fn requests_file(
    network: &NetworkFolder,
    bank: BankId,
    name: &str,
    output: &Output,
) -> Result<InFlightFile, ClientError> {
    let waits = || output.note(&format!("waiting for another such command of bank {bank} to end"));
    InFlightFile::open(network.dir().join(format!("bank-{bank}/{name}.request")), waits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_survives_the_file() {
        let transfer = Transfer { to: BankId(2), amount: Amount::from_minor(5_000) };
        assert_eq!(Transfer::from_bytes(&transfer.to_bytes()), Some(transfer));
        for length in 0..transfer.to_bytes().len() {
            assert_eq!(Transfer::from_bytes(&transfer.to_bytes()[..length]), None);
        }
    }
}
