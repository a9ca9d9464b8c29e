//! `cbdc wallet fund`: from the deposit to the wallet.

use anyhow::Context;
use cbdc_client::{AccountId, Amount, Anchor, ClientError, InFlightFile, NetworkFolder, SubmissionStatus, Wallet};
use clap::Args;

use super::format::{parse_amount, plain, settled_object};
use crate::idempotent_request::{Id, IdempotentRequest, Request};
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

/// A funding, as it is asked for under one id. Credits and fundings have ids of their own at the bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Funding {
    amount: Amount,
    with_credit: bool,
}

impl Request for Funding {
    fn describe(&self, anchor: &Anchor) -> String {
        let credited = if self.with_credit { ", and the deposit's credit before it," } else { "" };
        format!("a funding with {}{credited}", anchor.show(self.amount))
    }

    fn to_bytes(&self) -> Vec<u8> {
        [&self.amount.minor().to_le_bytes()[..], &[u8::from(self.with_credit)]].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Funding> {
        let (amount, with_credit) = bytes.split_first_chunk::<8>()?;
        let with_credit = match with_credit {
            [flag @ (0 | 1)] => *flag == 1,
            _ => return None,
        };
        Some(Funding { amount: Amount::from_minor(u64::from_le_bytes(*amount)), with_credit })
    }
}

impl Funding {
    /// Credits the deposit, if that was asked for, and funds the wallet. Safe to repeat.
    async fn ask(self, id: Id, network: &NetworkFolder, wallet: &Wallet) -> anyhow::Result<SubmissionStatus> {
        let account = wallet.account();
        if self.with_credit {
            network.bank_office(account.bank)?.credit_deposit(account, self.amount, id).await?;
        }
        let status = self.of_the_wallet(wallet.fund(self.amount, id).await)?;
        match status {
            // Of the two that were asked for, the credit stays.
            SubmissionStatus::Refused(refusal) if self.with_credit => self.of_the_wallet(Err(refusal.into())),
            status => Ok(status),
        }
    }

    /// The result of funding the wallet. If that is an error, it says that the deposit has been credited.
    fn of_the_wallet<T>(&self, result: Result<T, ClientError>) -> anyhow::Result<T> {
        match self.with_credit {
            true => result.context("the deposit has been credited, and keeps that"),
            false => Ok(result?),
        }
    }
}

impl Fund {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let funding = Funding { amount: parse_amount(&anchor, &self.amount)?, with_credit: self.credit };
        let wallet = network.wallet(&self.name)?;
        let account = wallet.account();
        let waits = || output.note(&format!("waiting for another funding of the wallet `{}` to end", self.name));
        let file = InFlightFile::open(network.wallets_dir().join(format!("{}.funding", self.name)), waits)?;
        let ask = async |funding: Funding, id| funding.ask(id, &network, &wallet).await;
        let words = |earlier: Funding| {
            let (amount, credit) = (plain(&anchor, earlier.amount), if earlier.with_credit { " --credit" } else { "" });
            format!("cbdc wallet fund {} {amount}{credit}{}", self.name, self.network.suffix())
        };
        let begun = IdempotentRequest::begin(file, funding, (&anchor, output), words)?;
        let show = async |status: SubmissionStatus| {
            let amount = funding.amount;
            let object = settled_object("fund", AccountId::treasury(account.bank), account, amount, &status);
            let position = funding.of_the_wallet(status.settled())?;
            output.print(object, || {
                fields(&[
                    ("funded", format!("{} with {}", self.name, anchor.show(amount))),
                    ("position", position.to_string()),
                ])
            });
            Ok(())
        };
        begun.run(output, &ask, show).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_funding_survives_the_file() {
        for with_credit in [false, true] {
            let funding = Funding { amount: Amount::from_minor(5_000), with_credit };
            assert_eq!(Funding::from_bytes(&funding.to_bytes()), Some(funding));
            for length in 0..funding.to_bytes().len() {
                assert_eq!(Funding::from_bytes(&funding.to_bytes()[..length]), None);
            }
        }
    }

    #[test]
    fn only_what_fails_after_the_credit_says_that_the_deposit_was_credited() {
        let failed = |with_credit| {
            let funding = Funding { amount: Amount::ZERO, with_credit };
            let unknown = ClientError::Unknown { why: String::new() };
            funding.of_the_wallet(Err::<(), _>(unknown)).unwrap_err()
        };
        assert!(failed(true).to_string().contains("has been credited"));
        assert!(!failed(false).to_string().contains("credited"));
        assert!(matches!(failed(true).downcast_ref(), Some(ClientError::Unknown { .. })), "it stays what it is");
    }
}
