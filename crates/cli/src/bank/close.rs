//! `cbdc bank close-wallet`.

use clap::Args;
use serde_json::json;

use crate::network::NetworkArgument;
use crate::output::{Output, fields};
use crate::wallet::format::grouped;

/// Close an empty wallet, as the customer's bank
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet defund dave 100
  cbdc bank close-wallet dave

A wallet with money on it, or with an order against it, is not closed. Demurrage that it owes stays with its holder, and
is written off with their last wallet; the deposit beside it stays. A closed wallet cannot be reopened.")]
pub struct CloseWallet {
    /// A wallet's name or an account number
    name: String,
    #[command(flatten)]
    network: NetworkArgument,
}

impl CloseWallet {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let account = network.account_of(&self.name)?;
        let position = network.bank_office(account.bank)?.close_wallet(account).await?.settled()?;
        let object = json!({
            "name": self.name,
            "account": account.to_string(),
            "bank": account.bank.0,
            "open": false,
            "height": position.height.0,
            "index": position.index,
        });
        output.print(object, || {
            fields(&[
                ("closed", self.name.clone()),
                ("account", grouped(account)),
                ("bank", account.bank.to_string()),
                ("position", position.to_string()),
            ])
        });
        Ok(())
    }
}
