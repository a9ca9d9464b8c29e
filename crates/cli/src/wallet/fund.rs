//! `cbdc wallet fund`: from the deposit to the wallet.

use anyhow::Context;
use cbdc_client::{
    AccountId, Amount, ClientError, InFlightFile, NetworkFolder, Reason, Refusal, SubmissionStatus, Wallet, random_id,
};
use cbdc_ledger::outcome::Stage;
use clap::Args;

use super::format::{parse_amount, settled_object};
use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Move money from a customer's deposit to their wallet
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet fund alice 50
  cbdc wallet fund alice 50 --credit     first pay 50 into the deposit, as a salary would

If interrupted, run the same command again: it asks again under the same ids, and neither credits nor funds twice.")]
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

/// A funding as it is stored until its answer was shown, with the ids under which it is repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Funding {
    amount: Amount,
    with_credit: bool,
    credit_id: [u8; 16],
    fund_id: [u8; 16],
}

impl Funding {
    fn to_bytes(self) -> Vec<u8> {
        let amount = self.amount.minor().to_le_bytes();
        [&amount[..], &[u8::from(self.with_credit)], &self.credit_id, &self.fund_id].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Funding> {
        let (amount, rest) = bytes.split_first_chunk::<8>()?;
        let ([with_credit], rest) = rest.split_first_chunk::<1>()?;
        let (credit_id, fund_id) = rest.split_first_chunk::<16>()?;
        Some(Funding {
            amount: Amount::from_minor(u64::from_le_bytes(*amount)),
            with_credit: *with_credit == 1,
            credit_id: *credit_id,
            fund_id: fund_id.try_into().ok()?,
        })
    }

    /// Credits the deposit, if requested, and funds the wallet. Safe to repeat.
    async fn run(&self, network: &NetworkFolder, wallet: &Wallet) -> anyhow::Result<SubmissionStatus> {
        let account = wallet.account();
        if self.with_credit {
            network.bank_office(account.bank)?.credit_deposit(account, self.amount, self.credit_id).await?;
        }
        self.of_the_wallet(wallet.fund(self.amount, self.fund_id).await)
    }

    /// The result of funding the wallet. If that is an error, it says that the deposit has been credited.
    fn of_the_wallet<T>(&self, result: Result<T, ClientError>) -> anyhow::Result<T> {
        match self.with_credit {
            true => result.context("the deposit has been credited, and keeps that"),
            false => Ok(result?),
        }
    }
}

/// Whether a funding is over: the request with its ids is settled or refused, and nothing of it is in transit. An error
/// from a busy or absent node says nothing about earlier requests.
fn is_final(status: &anyhow::Result<SubmissionStatus>) -> bool {
    let is_over = |refusal: &Refusal| {
        let reason = refusal.reason();
        let is_of_the_call = matches!(reason, Reason::NoSession | Reason::SessionExpired);
        let is_of_the_node = reason.stage() == Stage::BeforeOrdering && reason.later_may_help();
        let is_of_neither = !is_of_the_call && !is_of_the_node;
        refusal.position.is_some() || is_of_neither || reason == Reason::DepositTooSmall
    };
    match status {
        Ok(SubmissionStatus::Settled { .. }) => true,
        Ok(SubmissionStatus::Refused(refusal)) => is_over(refusal),
        Ok(_) => false,
        Err(error) => matches!(error.downcast_ref(), Some(ClientError::Refused(refusal)) if is_over(refusal)),
    }
}

impl Fund {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = parse_amount(&anchor, &self.amount)?;
        let wallet = network.wallet(&self.name)?;
        let account = wallet.account();
        let waits = || output.note(&format!("waiting for another funding of the wallet `{}` to end", self.name));
        let file = InFlightFile::open(network.wallets_dir().join(format!("{}.funding", self.name)), waits)?;

        let earlier = match file.read()? {
            Some(bytes) => Some(Funding::from_bytes(&bytes).ok_or_else(|| file.damaged())?),
            None => None,
        };
        let new = Funding { amount, with_credit: self.credit, credit_id: random_id(), fund_id: random_id() };
        let funding = match earlier {
            Some(earlier) if (earlier.amount, earlier.with_credit) == (amount, self.credit) => {
                output.note("note: the answer to an earlier funding like this was not shown; it is asked for again");
                earlier
            }
            Some(earlier) => {
                let status = earlier.run(&network, &wallet).await;
                let settled = status.as_ref().is_ok_and(|status| matches!(status, SubmissionStatus::Settled { .. }));
                if !is_final(&status) {
                    status?.settled().context("an earlier funding is still in flight")?;
                }
                let ended = if settled { "settled" } else { "was refused" };
                let earlier = anchor.show(earlier.amount);
                output.note(&format!("note: an earlier funding with {earlier} was in flight; it {ended}"));
                new
            }
            None => new,
        };
        file.keep(&funding.to_bytes())?;
        let status = funding.run(&network, &wallet).await;
        let is_final = is_final(&status);
        let shown = status.and_then(|status| {
            let object = settled_object("fund", AccountId::treasury(account.bank), account, amount, &status);
            let position = funding.of_the_wallet(status.settled())?;
            output.print(object, || {
                fields(&[
                    ("funded", format!("{} with {}", self.name, anchor.show(amount))),
                    ("position", position.to_string()),
                ])
            });
            Ok(())
        });
        if is_final && !output.is_cut() {
            file.forget()?;
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_funding_survives_the_file() {
        let amount = Amount::from_minor(5_000);
        let funding = Funding { amount, with_credit: true, credit_id: [1; 16], fund_id: [2; 16] };
        assert_eq!(Funding::from_bytes(&funding.to_bytes()), Some(funding));
        for length in 0..funding.to_bytes().len() {
            assert_eq!(Funding::from_bytes(&funding.to_bytes()[..length]), None);
        }
    }

    #[test]
    fn what_a_busy_node_says_ends_no_funding() {
        let refused = |reason| {
            let outcome = cbdc_ledger::Outcome::refused(reason, 0, 0);
            let finality = cbdc_client::Finality::NotStated;
            let refusal = Refusal { outcome, sentence: String::new(), position: None, finality };
            Err::<SubmissionStatus, _>(anyhow::Error::new(ClientError::from(refusal)))
        };
        for reason in [Reason::Overloaded, Reason::Unavailable, Reason::NoSession] {
            assert!(!is_final(&refused(reason)), "{reason}");
        }
        for reason in [Reason::DepositTooSmall, Reason::UnknownAccount, Reason::SequenceConflict] {
            assert!(is_final(&refused(reason)), "{reason}");
        }
    }

    #[test]
    fn only_what_fails_after_the_credit_says_that_the_deposit_was_credited() {
        let failed = |with_credit| {
            let funding = Funding { amount: Amount::ZERO, with_credit, credit_id: [1; 16], fund_id: [2; 16] };
            let unknown = ClientError::Unknown { why: String::new() };
            funding.of_the_wallet(Err::<(), _>(unknown)).unwrap_err()
        };
        assert!(failed(true).to_string().contains("has been credited"));
        assert!(!failed(false).to_string().contains("credited"));
        assert!(matches!(failed(true).downcast_ref(), Some(ClientError::Unknown { .. })), "it stays what it is");
    }
}
