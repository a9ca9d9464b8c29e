//! `cbdc policy issue`, `redeem` and `endorse`: the exchange of reserves and CBDC.
//!
//! Issuing takes two signatures: the bank's request and the operator's endorsement. If the operator endorses
//! automatically, `issue` settles at once; otherwise the request waits for `endorse`.

use cbdc_client::bank_office::IssuanceAnswer;
use cbdc_client::{
    Amount, Anchor, BankId, BlockPosition, ClientError, GovernanceClient, IssuanceKind, Role, SubmissionStatus,
};
use cbdc_ledger::Signed;
use cbdc_ledger::command::IssuanceRequest;
use clap::Args;
use serde_json::json;

use crate::bank::requests_file;
use crate::exit::Told;
use crate::idempotent_request::{self, IdempotentRequest};
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};
use crate::wallet::format::plain;

#[derive(Args, Debug)]
struct Request {
    /// Major units, such as 10000
    amount: String,
    /// The bank that requests it
    #[arg(long, value_name = "N")]
    bank: u16,
    #[command(flatten)]
    network: NetworkArgument,
}

/// Request CBDC against a bank's reserves
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy issue 10000 --bank 1

If interrupted, run the same command again: it asks again under the same id, and issues once.")]
pub struct Issue {
    #[command(flatten)]
    request: Request,
}

/// Turn CBDC in a bank's treasury back into reserves
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy redeem 5000 --bank 1

If interrupted, run the same command again: it asks again under the same id, and redeems once.")]
pub struct Redeem {
    #[command(flatten)]
    request: Request,
}

impl Issue {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        self.request.run(IssuanceKind::Issue, output).await
    }
}

impl Redeem {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        self.request.run(IssuanceKind::Redeem, output).await
    }
}

/// An issuance, as it is asked for under one id of the bank's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Issuance {
    kind: IssuanceKind,
    amount: Amount,
}

fn word_of(kind: IssuanceKind) -> &'static str {
    match kind {
        IssuanceKind::Issue => "issue",
        IssuanceKind::Redeem => "redeem",
    }
}

impl idempotent_request::Request for Issuance {
    fn describe(&self, anchor: &Anchor) -> String {
        format!("a request to {} {}", word_of(self.kind), anchor.show(self.amount))
    }

    fn to_bytes(&self) -> Vec<u8> {
        [&[u8::from(self.kind == IssuanceKind::Redeem)][..], &self.amount.minor().to_le_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Issuance> {
        let ([kind], amount) = bytes.split_first_chunk::<1>()?;
        let kind = match kind {
            0 => IssuanceKind::Issue,
            1 => IssuanceKind::Redeem,
            _ => return None,
        };
        Some(Issuance { kind, amount: Amount::from_minor(u64::from_le_bytes(amount.try_into().ok()?)) })
    }
}

impl Request {
    async fn run(self, kind: IssuanceKind, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let issuance = Issuance { kind, amount: anchor.parse(&self.amount)? };
        let office = network.bank_office(BankId(self.bank))?;
        let file = requests_file(&network, BankId(self.bank), "issuance", output)?;
        let ask = async |issuance: Issuance, id| {
            Ok(match office.request_issuance(issuance.kind, issuance.amount, id).await? {
                IssuanceAnswer::Ordered(status) => status,
                IssuanceAnswer::Waiting => SubmissionStatus::Accepted,
            })
        };
        let words = |earlier: Issuance| {
            let (word, amount) = (word_of(earlier.kind), plain(&anchor, earlier.amount));
            format!("cbdc policy {word} {amount} --bank {}{}", self.bank, self.network.suffix())
        };
        let begun = IdempotentRequest::begin(file, issuance, (&anchor, output), words)?;
        let word = match kind {
            IssuanceKind::Issue => "issued",
            IssuanceKind::Redeem => "redeemed",
        };
        let show = async |status: SubmissionStatus| {
            let position = match status {
                SubmissionStatus::Accepted => None,
                status => Some(status.settled()?),
            };
            // The bank's books are shown only if it still answers.
            let treasury = office.treasury().await.ok();
            let [available, reserves] = [
                treasury.as_ref().map(|treasury| treasury.available_minor),
                treasury.as_ref().map(|treasury| treasury.reserves_minor),
            ];
            let object = json!({
                "kind": word,
                "bank": self.bank,
                "amount_minor": issuance.amount.minor(),
                "settled": position.is_some(),
                "height": position.map(|position| position.height.0),
                "index": position.map(|position| position.index),
                "treasury_minor": available,
                "reserves_minor": reserves,
            });
            output.print(object, || match position {
                Some(position) => {
                    let mut rows = vec![(word, anchor.show(issuance.amount))];
                    rows.extend(available.map(|minor| ("treasury", money(&anchor, minor))));
                    rows.extend(reserves.map(|minor| ("reserves", money(&anchor, minor))));
                    rows.push(("position", position.to_string()));
                    fields(&rows)
                }
                None => format!("The request waits for the operator: cbdc policy endorse{}", self.network.suffix()),
            });
            Ok(())
        };
        begun.run(output, &ask, show).await
    }
}

/// Endorse the banks' waiting requests, as the operator, or reject them
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy endorse                  all waiting requests, each with what became of it
  cbdc policy endorse --list           only show them
  cbdc policy endorse --bank 2         those of one bank
  cbdc policy endorse --request 2:17   the one with this number
  cbdc policy endorse --request 2:17 --reject")]
pub struct Endorse {
    /// Only this bank's requests
    #[arg(long, value_name = "N")]
    bank: Option<u16>,
    /// Only this request: the bank's number and that of the request, as --list shows them
    #[arg(long, value_name = "BANK:NUMBER", conflicts_with = "bank", value_parser = request_number)]
    request: Option<(u16, u64)>,
    /// Show the requests, endorse none
    #[arg(long, conflicts_with = "reject")]
    list: bool,
    /// Reject the requests instead of endorsing them
    #[arg(long)]
    reject: bool,
    #[command(flatten)]
    network: NetworkArgument,
}

fn request_number(text: &str) -> Result<(u16, u64), String> {
    let numbers = text.split_once(':').and_then(|(bank, number)| Some((bank.parse().ok()?, number.parse().ok()?)));
    numbers.ok_or_else(|| format!("expected a bank and the number of its request, such as 2:17, found `{text}`"))
}

/// The result of handling a request.
enum Handled {
    Waits,
    Settled(BlockPosition),
    Rejected,
    Failed(ClientError),
}

impl Handled {
    fn name(&self) -> &'static str {
        match self {
            Handled::Waits => "waits",
            Handled::Settled(_) => "settled",
            Handled::Rejected => "rejected",
            Handled::Failed(ClientError::Refused(_)) => "refused",
            Handled::Failed(_) => "failed",
        }
    }
}

impl Endorse {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let governance = network.acting(Role::Operator).await?;
        let mut requests = governance.waiting_requests().await?;
        requests.retain(|request| self.is_asked_for(&request.record));
        if let (Some((bank, number)), true) = (self.request, requests.is_empty()) {
            return Err(ClientError::NotFound(format!("no request {bank}:{number} waits")).into());
        }
        let (mut objects, mut lines, mut failed) = (Vec::new(), Vec::new(), None);
        for request in requests {
            let record = request.record;
            let handled = self.handle(&governance, request).await;
            let word = word_of(record.kind);
            let (number, amount) = (record.head.sequence, anchor.show(record.amount));
            let (position, error) = match &handled {
                Handled::Settled(position) => (Some(*position), None),
                Handled::Failed(error) => (None, Some(error.to_string())),
                _ => (None, None),
            };
            let told = match (position, &error) {
                (Some(position), _) => format!("settled at {position}"),
                (_, Some(error)) => error.clone(),
                _ => handled.name().to_owned(),
            };
            lines.push(format!("{}:{number}  bank {}: {word} {amount}: {told}", record.bank, record.bank));
            objects.push(json!({
                "bank": record.bank.0, "number": number, "kind": word, "amount_minor": record.amount.minor(),
                "state": handled.name(), "settled": position.is_some(),
                "height": position.map(|position| position.height.0), "index": position.map(|position| position.index),
                "error": error,
            }));
            if let Handled::Failed(error) = handled {
                failed.get_or_insert(error);
            }
        }
        output.print(json!({ "requests": objects }), || match lines.is_empty() {
            true => "No request waits.".to_owned(),
            false => lines.join("\n"),
        });
        // Each error was shown; the exit code is that of the first.
        failed.map_or(Ok(()), |error| Err(Told(error).into()))
    }

    fn is_asked_for(&self, request: &IssuanceRequest) -> bool {
        self.bank.is_none_or(|bank| request.bank == BankId(bank))
            && self.request.is_none_or(|(bank, number)| (request.bank.0, request.head.sequence) == (bank, number))
    }

    /// Endorses or rejects one request. Its result does not affect the others.
    async fn handle(&self, governance: &GovernanceClient, request: Signed<IssuanceRequest>) -> Handled {
        if self.list {
            return Handled::Waits;
        }
        let handled = match self.reject {
            true => governance.reject(&request).await.map(|()| Handled::Rejected),
            false => {
                let status = governance.endorse(request).await;
                status.and_then(|status| status.settled()).map(Handled::Settled)
            }
        };
        handled.unwrap_or_else(Handled::Failed)
    }
}
