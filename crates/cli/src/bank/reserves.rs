//! `cbdc bank transfer-reserves`.

use cbdc_client::BankId;
use clap::Args;
use serde_json::json;

use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};

/// Pay reserves to another bank, as the paying bank
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc bank transfer-reserves 25000 --from 1 --to 2
  cbdc bank transfer-reserves 25000 --from 1 --to 2 --json

Each call is a new transfer. If no answer came, look at the reserves first: cbdc policy balance-sheet")]
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

impl TransferReserves {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = anchor.parse(&self.amount)?;
        let office = network.bank_office(BankId(self.from))?;
        let position = office.transfer_reserves(BankId(self.to), amount).await?.settled()?;
        // It is settled; the remaining reserves are shown only if the bank still answers.
        let left = office.treasury().await.ok().map(|treasury| treasury.reserves_minor);
        let object = json!({
            "from": self.from,
            "to": self.to,
            "amount_minor": amount.minor(),
            "reserves_left_minor": left,
            "height": position.height.0,
            "index": position.index,
        });
        output.print(object, || {
            let mut rows = vec![
                ("transferred", anchor.show(amount)),
                ("from bank", self.from.to_string()),
                ("to bank", self.to.to_string()),
            ];
            rows.extend(left.map(|minor| ("reserves left", money(&anchor, minor))));
            rows.push(("position", position.to_string()));
            fields(&rows)
        });
        Ok(())
    }
}
