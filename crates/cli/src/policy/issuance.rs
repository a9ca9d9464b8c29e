//! `cbdc policy issue`, `redeem` and `endorse`: the exchange of reserves and CBDC.
//!
//! Issuing takes two signatures: the bank's request and the operator's endorsement. If the operator endorses
//! automatically, `issue` settles at once; otherwise the request waits for `endorse`.

use cbdc_client::bank_office::IssuanceAnswer;
use cbdc_client::{BankId, IssuanceKind, MemberId, Role};
use clap::Args;
use serde_json::json;

use crate::network::NetworkArgument;
use crate::output::{Output, fields, money};

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
  cbdc policy issue 10000 --bank 1")]
pub struct Issue {
    #[command(flatten)]
    request: Request,
}

/// Turn CBDC in a bank's treasury back into reserves
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy redeem 5000 --bank 1")]
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

impl Request {
    async fn run(self, kind: IssuanceKind, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let amount = anchor.parse(&self.amount)?;
        let office = network.bank_office(BankId(self.bank))?;
        let position = match office.request_issuance(kind, amount).await? {
            IssuanceAnswer::Ordered(status) => Some(status.settled()?),
            IssuanceAnswer::Waiting => None,
        };
        let treasury = office.treasury().await?;
        let word = match kind {
            IssuanceKind::Issue => "issued",
            IssuanceKind::Redeem => "redeemed",
        };
        let object = json!({
            "kind": word,
            "bank": self.bank,
            "amount_minor": amount.minor(),
            "settled": position.is_some(),
            "height": position.map(|position| position.height.0),
            "index": position.map(|position| position.index),
            "treasury_minor": treasury.available_minor,
            "reserves_minor": treasury.reserves_minor,
        });
        output.print(object, || match position {
            Some(position) => fields(&[
                (word, anchor.show(amount)),
                ("treasury", money(&anchor, treasury.available_minor)),
                ("reserves", money(&anchor, treasury.reserves_minor)),
                ("position", position.to_string()),
            ]),
            None => "The request waits for the operator: cbdc policy endorse".to_owned(),
        });
        Ok(())
    }
}

/// Endorse the banks' waiting requests, as the operator
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy endorse             all waiting requests
  cbdc policy endorse --bank 2    those of one bank
  cbdc policy endorse --list      only show them")]
pub struct Endorse {
    /// Only this bank's requests
    #[arg(long, value_name = "N")]
    bank: Option<u16>,
    /// Show the requests, endorse none
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Endorse {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let governance = network.acting(Role::Operator).await?;
        let mut requests = governance.waiting_requests().await?;
        requests.retain(|request| self.bank.is_none_or(|bank| request.record.bank == BankId(bank)));
        let mut objects = Vec::new();
        let mut lines = Vec::new();
        for request in requests {
            let record = request.record;
            let position = if self.list { None } else { Some(governance.endorse(request).await?.settled()?) };
            let word = match record.kind {
                IssuanceKind::Issue => "issue",
                IssuanceKind::Redeem => "redeem",
            };
            let outcome = position.map_or("waits".to_owned(), |position| format!("settled at {position}"));
            lines.push(format!("bank {}: {word} {}: {outcome}", record.bank, anchor.show(record.amount)));
            objects.push(json!({ "bank": record.bank.0, "kind": word, "amount_minor": record.amount.minor(), "settled": position.is_some() }));
        }
        output.print(json!({ "requests": objects }), || match lines.is_empty() {
            true => "No request waits.".to_owned(),
            false => lines.join("\n"),
        });
        Ok(())
    }
}
