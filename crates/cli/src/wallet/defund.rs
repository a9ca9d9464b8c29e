//! `cbdc wallet defund`: from the wallet to the deposit.

use cbdc_ledger::command::{Payment, PaymentKind};
use clap::Args;

use super::format::{parse_amount, settled_object};
use super::pending::Pending;
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};

/// Move money from a wallet to its deposit
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
        let pending = Pending::of(&network, &self.name, output)?;
        let wallet = pending.wallet(&network, false).await?;
        let is_same = |earlier: &Payment| earlier.kind == PaymentKind::Defund && earlier.amount == amount;
        let sign = async || wallet.sign_defund(amount).await;
        let (payment, status) = pending.make(output, &wallet, is_same, sign).await?;
        // The defunding is settled; the remaining balances are shown only if the bank still answers.
        let deposit = wallet.deposit().await.ok();
        pending.show(output, status, |status| {
            let object =
                settled_object("defund", payment.record.from, payment.record.to, payment.record.amount, &status);
            let position = status.settled()?;
            output.print(object, || {
                let mut rows = vec![("defunded", anchor.show(amount))];
                rows.extend(deposit.map(|deposit| ("deposit", money(&anchor, deposit.balance_minor))));
                rows.push(("position", position.to_string()));
                fields(&rows)
            });
            Ok(())
        })
    }
}
