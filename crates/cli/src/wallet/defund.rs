//! `cbdc wallet defund`: from the wallet to the deposit.

use clap::Args;

use super::format::{parse_amount, settled_object};
use super::pending::Pending;
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};

/// Move money from a wallet to the deposit beside it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet defund alice 50")]
pub struct Defund {
    /// The wallet's name
    name: String,
    /// Major units, such as 50
    amount: String,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Defund {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = parse_amount(&anchor, &self.amount)?;
        let pending = Pending::of(&network, &self.name);
        let wallet = pending.wallet(&network, false).await?;
        if let Some(earlier) = pending.payment()? {
            let position = pending.submit(&wallet, &earlier).await?.settled()?;
            output.note(&format!(
                "note: an earlier payment of {} was in flight; it settled at {position}",
                anchor.show(earlier.record.amount)
            ));
        }
        let payment = wallet.sign_defund(amount).await?;
        let status = pending.submit_new(&wallet, &payment).await?;
        let object = settled_object("defund", payment.record.from, payment.record.to, amount, &status);
        let position = status.settled()?;
        let deposit = wallet.deposit().await?;
        output.print(object, || {
            fields(&[
                ("defunded", anchor.show(amount)),
                ("deposit", money(&anchor, deposit.balance_minor)),
                ("position", position.to_string()),
            ])
        });
        Ok(())
    }
}
