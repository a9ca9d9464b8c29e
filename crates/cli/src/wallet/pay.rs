//! `cbdc wallet pay`: a payment, followed until its status is known.

use cbdc_client::{AccountId, Amount, PaymentTerms, SubmissionStatus, Wallet};
use cbdc_ledger::Command;
use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, PaymentKind};
use clap::Args;

use super::format::{charges_rows, grouped, parse_amount, position_text, settled_object};
use super::pending::{InFlight, InsteadArgument, Intent, Pending};
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
  cbdc wallet pay alice bakery 200 --top-up   what it lacks comes from the linked bank's deposit
  cbdc wallet pay alice bakery 5 --accept     accepted by the bank if the central bank is silent

Waits until the payment is settled or refused. If it was interrupted, accepted or not answered, run the same command
again: it submits the same signed record, which cannot pay twice, and tells what became of it. With another payee,
amount, reference, --max-fee or --top-up it is another payment. That never sends the earlier one. It is made beside one
that was accepted, instead of one that was refused and might still settle (with its number, so that at most one of them
settles), and not at all while the status of an earlier one is unknown, unless it is meant instead of it: --instead")]
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
    instead: InsteadArgument,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Pay {
    /// What helps the customer on while the central bank settles nothing.
    pub fn while_it_waits(&self) -> Option<&'static str> {
        (!self.accept).then_some(
            "to go on meanwhile: Ctrl-C, and the same command with --accept, by which the bank takes the same payment; \
             it counts as spent, and settles later",
        )
    }

    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = parse_amount(&anchor, &self.amount)?;
        let (reference, max_fee) = (reference(&self.reference)?, parse_amount(&anchor, &self.max_fee)?);
        let terms = PaymentTerms { reference, max_fee, top_up: self.top_up };
        let to = network.account_of(&self.to)?;
        let pending = Pending::of(&self.network, &network, &self.from, output)?;
        let wallet = pending.wallet(&network, self.top_up).await?;
        let wallet = if self.accept { wallet.accepting() } else { wallet };

        let is_same = |earlier: &InFlight| is_same(&earlier.command, to, amount, &terms);
        let intent = Intent { is_same, lasts_s: 0, instead: self.instead.instead };
        let sign = async |wallet: &Wallet| Ok(wallet.sign_transfer_on(to, amount, &terms).await?.into());
        let made = pending.make(output, &wallet, intent, sign).await?;
        pending.show(output, made, |_, status| self.report(output, &wallet, (to, amount), status))
    }

    fn report(
        &self,
        output: &Output,
        wallet: &Wallet,
        (to, amount): (AccountId, Amount),
        status: SubmissionStatus,
    ) -> anyhow::Result<()> {
        let (anchor, from) = (wallet.anchor(), wallet.account());
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
fn is_same(earlier: &Command, to: AccountId, amount: Amount, terms: &PaymentTerms) -> bool {
    let Command::Payment(earlier) = earlier else { return false };
    let earlier = &earlier.record;
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
    use cbdc_ledger::command::{Head, Payment, Record};
    use cbdc_ledger::{NetworkId, SigningKey};

    use super::*;

    #[test]
    fn a_payment_with_any_other_term_is_another_payment() {
        let (from, to, amount) = (AccountId::new(BankId(1), 1), AccountId::new(BankId(2), 1), Amount::from_minor(500));
        let terms = PaymentTerms { reference: [1; 16], max_fee: Amount::from_minor(5), top_up: true };
        let head = Head { flags: FLAG_REVERSE_WATERFALL, key_version: 0, sequence: 1, valid_until: Timestamp(1) };
        let (kind, max_fee, reference) = (PaymentKind::Transfer, terms.max_fee, terms.reference);
        let signed = |payment: Payment| payment.sign(NetworkId([1; 32]), &SigningKey::from_seed([7; 32])).into();
        let payment = Payment { kind, head, from, to, amount, max_fee, reference };
        let earlier: Command = signed(payment);
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
        assert!(!is_same(&signed(Payment { kind: PaymentKind::Defund, ..payment }), to, amount, &terms));
    }
}
