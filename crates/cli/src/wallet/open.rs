//! `cbdc wallet open`: an account with a new key.

use cbdc_client::{BankId, Class};
use clap::Args;
use serde_json::json;

use super::format::grouped;
use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Open a wallet: a new key, certified by the registrar, and an account at a bank
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet open dave --bank 2
  cbdc wallet open bakery --bank 1 --class merchant

Safe to repeat: the same name leads to the same wallet.")]
pub struct Open {
    /// The wallet's name: lower-case letters, digits, - and _
    name: String,
    /// The bank's number
    #[arg(long, value_name = "N", default_value_t = 1)]
    bank: u16,
    /// household, merchant, business, government, …
    #[arg(long, default_value = "household")]
    class: Class,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Open {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let file = network.open_wallet(&self.name, BankId(self.bank), self.class).await?;
        let account = network.account_of(&file.name)?;
        let object = json!({
            "name": file.name,
            "account": account.to_string(),
            "bank": file.bank.0,
            "class": file.class.to_string(),
            "holder": file.holder.to_string(),
        });
        output.print(object, || {
            fields(&[
                ("opened", file.name.clone()),
                ("account", grouped(account)),
                ("bank", file.bank.to_string()),
                ("class", file.class.to_string()),
                ("next", format!("cbdc wallet fund {} 100 --credit{}", file.name, self.network.suffix())),
            ])
        });
        Ok(())
    }
}
