//! `cbdc wallet pay`: a payment, followed until its status is known.

use cbdc_client::{AccountId, Amount, PaymentTerms, SubmissionStatus, Wallet};
use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, Payment, PaymentKind, Signed};
use clap::Args;

use super::format::{charges_rows, grouped, parse_amount, position_text, settled_object};
use super::pending::Pending;
use crate::exit::Usage;
use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Pay from a named wallet to another, by name or account number
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet pay alice bob 12.50
  cbdc wallet pay alice XC96000010000000007 3 --reference coffee
  cbdc wallet pay alice bob 0.01 --json
  cbdc wallet pay alice bakery 200 --max-fee 0.50
  cbdc wallet pay alice bakery 200 --top-up      with what the wallet lacks from the deposit at the linked bank
  cbdc wallet pay alice bakery 5 --accept        accepted by the bank, if the central bank does not answer within 2 s

Waits until the payment is settled or refused. If interrupted, run the same command again: it submits the same signed record
again, which cannot pay twice. With another payee, amount, reference, --max-fee or --top-up it is another payment, made once
the status of the earlier one is known.")]
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
    /// Let the bank accept the payment while the central bank is away: it counts as spent, and settles later
    #[arg(long)]
    accept: bool,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Pay {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = parse_amount(&anchor, &self.amount)?;
        let (reference, max_fee) = (reference(&self.reference)?, parse_amount(&anchor, &self.max_fee)?);
        let terms = PaymentTerms { reference, max_fee, top_up: self.top_up };
        let to = network.account_of(&self.to)?;
        let pending = Pending::of(&network, &self.from, output)?;
        let wallet = pending.wallet(&network, self.top_up).await?;
        let wallet = if self.accept { wallet.accepting() } else { wallet };

        let is_same = |earlier: &Payment| is_same(earlier, to, amount, &terms);
        let sign = async || wallet.sign_transfer_on(to, amount, &terms).await;
        let (payment, status) = pending.make(output, &wallet, is_same, sign).await?;
        pending.show(output, status, |status| self.report(output, &wallet, &payment, status))
    }

    fn report(
        &self,
        output: &Output,
        wallet: &Wallet,
        payment: &Signed<Payment>,
        status: SubmissionStatus,
    ) -> anyhow::Result<()> {
        let (anchor, Payment { from, to, amount, .. }) = (wallet.anchor(), payment.record);
        let mut object = settled_object("transfer", from, to, amount, &status);
        if self.accept && status == SubmissionStatus::Accepted {
            object["outcome"] = "ACCEPTED".into();
            output.print(object, || {
                fields(&[
                    ("accepted", format!("{}, not settled yet", anchor.show(amount))),
                    ("from", format!("{}  {}", grouped(from), self.from)),
                    ("to", grouped(to)),
                    ("settles", "once the central bank answers; the same command, typed again, tells".to_owned()),
                ])
            });
            return Ok(());
        }
        let (position, charges) = status.charges()?;
        output.print(object, || {
            let mut rows = vec![
                ("settled", anchor.show(amount)),
                ("from", format!("{}  {}", grouped(from), self.from)),
                ("to", grouped(to)),
            ];
            rows.extend(charges_rows(anchor, amount, &charges));
            rows.push(("position", position_text(position)));
            rows.push(("receipt", format!("cbdc wallet receipt {} {position}{}", self.from, self.network.suffix())));
            fields(&rows)
        });
        Ok(())
    }
}

/// Whether the earlier payment equals the present request, with the same terms.
fn is_same(earlier: &Payment, to: AccountId, amount: Amount, terms: &PaymentTerms) -> bool {
    let earlier_terms = PaymentTerms {
        reference: earlier.reference,
        max_fee: earlier.max_fee,
        top_up: earlier.head.flags & FLAG_REVERSE_WATERFALL != 0,
    };
    earlier.kind == PaymentKind::Transfer && (earlier.to, earlier.amount, earlier_terms) == (to, amount, *terms)
}

/// Reads a reference: at most 16 bytes, padded with zeros.
pub fn reference(text: &str) -> anyhow::Result<[u8; 16]> {
    let mut reference = [0; 16];
    let start = reference.get_mut(..text.len());
    let start = start
        .ok_or_else(|| Usage(format!("expected a reference of at most 16 bytes, found {} in `{text}`", text.len())))?;
    start.copy_from_slice(text.as_bytes());
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use cbdc_client::{BankId, Timestamp};
    use cbdc_ledger::command::Head;

    use super::*;

    #[test]
    fn a_payment_with_any_other_term_is_another_payment() {
        let (from, to, amount) = (AccountId::new(BankId(1), 1), AccountId::new(BankId(2), 1), Amount::from_minor(500));
        let terms = PaymentTerms { reference: [1; 16], max_fee: Amount::from_minor(5), top_up: true };
        let head = Head { flags: FLAG_REVERSE_WATERFALL, key_version: 0, sequence: 1, valid_until: Timestamp(1) };
        let (kind, max_fee, reference) = (PaymentKind::Transfer, terms.max_fee, terms.reference);
        let earlier = Payment { kind, head, from, to, amount, max_fee, reference };
        assert!(is_same(&earlier, to, amount, &terms));
        assert!(!is_same(&earlier, from, amount, &terms));
        assert!(!is_same(&earlier, to, max_fee, &terms));
        for other in [
            PaymentTerms { top_up: false, ..terms },
            PaymentTerms { max_fee: Amount::ZERO, ..terms },
            PaymentTerms { reference: [2; 16], ..terms },
        ] {
            assert!(!is_same(&earlier, to, amount, &other), "{other:?}");
        }
        assert!(!is_same(&Payment { kind: PaymentKind::Defund, ..earlier }, to, amount, &terms));
    }
}
