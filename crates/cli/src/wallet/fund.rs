//! `cbdc wallet fund`: from the deposit to the wallet.

use cbdc_client::{AccountId, random_id};
use clap::Args;

use super::format::{parse_amount, settled_object};
use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Move money from a customer's deposit to their wallet
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet fund alice 50
  cbdc wallet fund alice 50 --credit     first pay 50 into the deposit, as a salary would")]
pub struct Fund {
    /// The wallet's name
    name: String,
    /// Major units, such as 50
    amount: String,
    /// First credit the deposit with the amount, as the bank's back office
    #[arg(long)]
    credit: bool,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Fund {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = parse_amount(&anchor, &self.amount)?;
        let wallet = network.wallet(&self.name)?;
        let account = wallet.account();
        if self.credit {
            network.bank_office(account.bank)?.credit_deposit(account, amount, random_id()).await?;
        }
        let status = wallet.fund(amount, random_id()).await?;
        let object = settled_object("fund", AccountId::treasury(account.bank), account, amount, &status);
        let position = status.settled()?;
        output.print(object, || {
            fields(&[
                ("funded", format!("{} with {}", self.name, anchor.show(amount))),
                ("position", position.to_string()),
            ])
        });
        Ok(())
    }
}
