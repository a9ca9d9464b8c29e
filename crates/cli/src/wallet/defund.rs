//! `cbdc wallet defund`: from the wallet to the deposit.

use anyhow::Context;
use cbdc_client::{Amount, SubmissionStatus, Wallet};
use cbdc_ledger::command::{Payment, PaymentKind, Signed};
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
        let (payment, status) = match pending.payment()? {
            Some(earlier) => {
                let status =
                    pending.submit(&wallet, &earlier).await.context("an earlier payment is still in flight")?;
                let earlier_amount = anchor.show(earlier.record.amount);
                let is_same = earlier.record.kind == PaymentKind::Defund && earlier.record.amount == amount;
                if is_same && !status.sequence_was_taken() {
                    output.note("note: the answer to an earlier defunding like this was not shown; here it is");
                    (earlier, status)
                } else if !status.is_final() {
                    return status.settled().map(|_| ()).context("an earlier payment is still in flight");
                } else {
                    let ended = if let SubmissionStatus::Settled { .. } = status { "settled" } else { "was refused" };
                    output.note(&format!("note: an earlier payment of {earlier_amount} was in flight; it {ended}"));
                    self.submit_new(&pending, &wallet, amount).await?
                }
            }
            None => self.submit_new(&pending, &wallet, amount).await?,
        };
        // The defunding is settled; the remaining balances are shown only if the bank still answers.
        let deposit = wallet.deposit().await.ok();
        pending.show(output, status, |status| {
            let object = settled_object("defund", payment.record.from, payment.record.to, amount, &status);
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

    async fn submit_new(
        &self,
        pending: &Pending,
        wallet: &Wallet,
        amount: Amount,
    ) -> anyhow::Result<(Signed<Payment>, SubmissionStatus)> {
        let attempt = || async {
            let payment = wallet.sign_defund(amount).await?;
            let status = pending.submit_new(wallet, &payment).await?;
            anyhow::Ok((payment, status))
        };
        wallet.re_sign_if_taken(attempt).await
    }
}
