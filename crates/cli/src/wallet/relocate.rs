//! `cbdc wallet move`: to another bank.

use cbdc_client::BankId;
use clap::Args;
use serde_json::json;

use super::format::{grouped, grouped_text};
use super::pending::Pending;
use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Move a wallet to another bank, with its money, its holds and its key
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet move alice --bank 2

The wallet gets a new account number; payments to the old one are refused with WALLET_MOVED. The deposit beside it stays
at the old bank. After the committee has moved a resolved bank's customers, the same notes the new number.")]
pub struct Move {
    /// The wallet's name
    name: String,
    /// The new bank's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    bank: u16,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Move {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let pending = Pending::of(&self.network, &network, &self.name, output)?;
        let wallet = pending.wallet(&network, false).await?;
        pending.require_none(output, &wallet).await?;
        let before = wallet.account();
        let file = network.move_wallet(&self.name, BankId(self.bank)).await?;
        let account = file.account.map(|account| account.to_string()).unwrap_or_default();
        let object = json!({
            "name": file.name, "bank": file.bank.0, "account": account, "moved_from": before.to_string(),
        });
        output.print(object, || {
            fields(&[
                ("wallet", file.name.clone()),
                ("bank", file.bank.to_string()),
                ("account", grouped_text(&account)),
                ("instead of", grouped(before)),
            ])
        });
        Ok(())
    }
}
