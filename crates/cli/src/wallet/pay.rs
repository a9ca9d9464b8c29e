//! `cbdc wallet pay`.

use anyhow::Context;
use cbdc_client::{Fate, PaymentTerms, Reason, Wallet};
use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, Payment, PaymentKind, Signed};
use clap::Args;

use super::pending::Pending;
use super::{amount, grouped, place_text, settled_object};
use crate::exit::Usage;
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};

/// How often a payment is signed anew because its number was taken meanwhile.
const RENUMBERINGS_MAX: usize = 5;

/// Pay from a named wallet to another, by name or account number
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet pay alice bob 12.50
  cbdc wallet pay alice XC66000010000000007 3 --reference coffee
  cbdc wallet pay alice bob 0.01 --json
  cbdc wallet pay alice bakery 200 --max-fee 0.50
  cbdc wallet pay alice bakery 200 --top-up      with what the wallet lacks from the deposit at the linked bank

It waits until the payment is settled or refused. If it is interrupted, run the same command again: the same signed
record is handed in again, which cannot pay twice.")]
pub struct Pay {
    /// The paying wallet's name
    from: String,
    /// A wallet's name or an account number
    to: String,
    /// Major units, such as 12.50
    amount: String,
    /// At most 16 bytes for the payee to read
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference: String,
    /// The largest fee to accept, major units
    #[arg(long, value_name = "AMOUNT", default_value = "0")]
    max_fee: String,
    /// Let the linked bank add from the deposit what the wallet lacks
    #[arg(long)]
    top_up: bool,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Pay {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = amount(&anchor, &self.amount)?;
        let (reference, max_fee) = (reference(&self.reference)?, super::amount(&anchor, &self.max_fee)?);
        let terms = PaymentTerms { reference, max_fee, top_up: self.top_up };
        let to = network.account_of(&self.to)?;
        let pending = Pending::of(&network, &self.from);
        let wallet = pending.wallet(&network, self.top_up).await?;

        if let Some(earlier) = pending.payment()? {
            let fate = pending.submit(&wallet, &earlier).await.context("an earlier payment is still under way")?;
            let Payment { kind, to: earlier_to, amount: earlier_amount, .. } = earlier.record;
            let is_same = kind == PaymentKind::Transfer && (earlier_to, earlier_amount) == (to, amount);
            output.note(&format!(
                "note: an earlier payment of {} to {} was under way",
                anchor.show(earlier_amount),
                earlier_to
            ));
            if is_same || matches!(fate, Fate::Unknown { .. } | Fate::Accepted) {
                return self.report(output, &wallet, &earlier, fate).await;
            }
        }

        let mut payment = wallet.sign_transfer_on(to, amount, &terms).await?;
        let mut fate = pending.submit_new(&wallet, &payment).await?;
        for _ in 0..RENUMBERINGS_MAX {
            if !number_was_taken(&fate) {
                break;
            }
            payment = wallet.sign_transfer_on(to, amount, &terms).await?;
            fate = pending.submit_new(&wallet, &payment).await?;
        }
        self.report(output, &wallet, &payment, fate).await
    }

    async fn report(
        &self,
        output: &Output,
        wallet: &Wallet,
        payment: &Signed<Payment>,
        fate: Fate,
    ) -> anyhow::Result<()> {
        let (anchor, Payment { from, to, amount, head, .. }) = (wallet.anchor(), payment.record);
        let mut object = settled_object("transfer", from, to, amount, &fate);
        let (place, waterfall) = fate.result()?;
        // What was drawn is part of the outcome, which the receipt proves. (The wallet's own bank may not have the block yet.)
        let drawn = match head.flags & FLAG_REVERSE_WATERFALL {
            0 => Some(0),
            _ => wallet.receipt(place).await.ok().map(|receipt| receipt.outcome().limit),
        };
        object["reverse_waterfall_minor"] = drawn.into();
        output.print(object, || {
            let mut rows = vec![
                ("settled", anchor.show(amount)),
                ("from", format!("{}  {}", grouped(from), self.from)),
                ("to", grouped(to)),
            ];
            for (label, minor) in [("from deposit", drawn.unwrap_or_default()), ("to deposit", waterfall)] {
                if minor > 0 {
                    rows.push((label, money(anchor, minor)));
                }
            }
            rows.push(("place", place_text(place)));
            rows.push(("receipt", format!("cbdc wallet receipt {} {place}{}", self.from, self.network.suffix())));
            fields(&rows)
        });
        Ok(())
    }
}

/// Whether another record took the number: then this one can never settle, and may be signed anew.
fn number_was_taken(fate: &Fate) -> bool {
    matches!(fate, Fate::Refused(refusal) if refusal.place.is_none() && refusal.reason() == Reason::SequenceConflict)
}

pub fn reference(text: &str) -> anyhow::Result<[u8; 16]> {
    let mut reference = [0; 16];
    let place = reference.get_mut(..text.len());
    let place = place
        .ok_or_else(|| Usage(format!("expected a reference of at most 16 bytes, found {} in `{text}`", text.len())))?;
    place.copy_from_slice(text.as_bytes());
    Ok(reference)
}
