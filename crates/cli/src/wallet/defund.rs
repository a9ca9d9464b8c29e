//! `cbdc wallet defund`: from the wallet to the deposit.

use cbdc_client::{AccountId, Wallet};
use cbdc_ledger::Command;
use cbdc_ledger::command::PaymentKind;
use clap::Args;

use super::format::{parse_amount, settled_object};
use super::pending::{InFlight, InsteadArgument, Intent, Pending};
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};

/// Move money from a wallet to its deposit
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet defund alice 50

If interrupted, run the same command again: it submits the same signed record, which cannot move the money twice.")]
pub struct Defund {
    /// The wallet's name
    name: String,
    /// Major units, such as 50
    amount: String,
    #[command(flatten)]
    instead: InsteadArgument,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Defund {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = parse_amount(&anchor, &self.amount)?;
        let pending = Pending::of(&self.network, &network, &self.name, output)?;
        let wallet = pending.wallet(&network, false).await?;
        let is_same = |earlier: &InFlight| match &earlier.command {
            Command::Payment(payment) => (payment.record.kind, payment.record.amount) == (PaymentKind::Defund, amount),
            _ => false,
        };
        let intent = Intent { is_same, lasts_s: 0, instead: self.instead.instead };
        let sign = async |wallet: &Wallet| Ok(wallet.sign_defund(amount).await?.into());
        let made = pending.make(output, &wallet, intent, sign).await?;
        // The defunding is settled; the remaining balances are shown only if the bank still answers.
        let deposit = wallet.deposit().await.ok();
        pending.show(output, made, |_, status| {
            let (from, treasury) = (wallet.account(), AccountId::treasury(wallet.account().bank));
            let object = settled_object("defund", from, treasury, amount, &status);
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
