//! `cbdc wallet show`.

use cbdc_client::AccountId;
use clap::Args;
use serde_json::json;

use super::grouped;
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};

/// Show a wallet's money, its deposit and its next number
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet show alice
  cbdc wallet show alice --json")]
pub struct Show {
    /// The wallet's name
    name: String,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Show {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let wallet = network.wallet(&self.name)?;
        let details = wallet.details().await?;
        let deposit = wallet.deposit().await?;
        let account: AccountId = wallet.account();
        let object = json!({
            "name": self.name,
            "account": account.to_string(),
            "bank": account.bank.0,
            "class": details.class,
            "posted_minor": details.posted_minor,
            "available_minor": details.available_minor,
            "held_minor": details.held_minor,
            "frozen_minor": details.frozen_minor,
            "deposit_minor": deposit.balance_minor,
            "deposit_in_transit_minor": deposit.in_transit_minor,
            "next_sequence": details.next_sequence,
            "height": details.height,
        });
        output.print(object, || {
            let mut rows = vec![
                ("wallet", self.name.clone()),
                ("account", grouped(account)),
                ("bank", account.bank.to_string()),
                ("class", details.class.clone()),
                ("available", money(&anchor, details.available_minor)),
            ];
            for (label, minor) in [("held", details.held_minor), ("frozen", details.frozen_minor)] {
                if minor > 0 {
                    rows.push((label, money(&anchor, minor)));
                }
            }
            rows.push(("deposit", money(&anchor, deposit.balance_minor)));
            rows.push(("next number", details.next_sequence.to_string()));
            rows.push(("as of block", details.height.to_string()));
            fields(&rows)
        });
        Ok(())
    }
}
