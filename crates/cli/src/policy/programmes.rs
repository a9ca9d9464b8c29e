//! `cbdc policy programmes`: the committee's payments to cohorts.

use cbdc_client::{Timestamp, v1};
use clap::Args;
use serde_json::{Value, json};

use super::paging::Page;
use crate::network::NetworkArgument;
use crate::output::{Output, money, sum_minor, table};

/// List payments to cohorts: unbacked issuance and purpose-bound money; newest first
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy programmes
  cbdc policy programmes --count 100 --json

With --json amounts are numbers of minor units; a sum beyond 64 bits is a string of its digits.
Start one: cbdc policy propose grant=\"25 to household\" (see its help)")]
pub struct Programmes {
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Programmes {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let answer = network.governance_reader().await?.programmes(self.page.count, self.page.token).await?;
        let programmes: Vec<Value> = answer.programmes.iter().map(object).collect();
        let next = Some(&answer.next_page_token).filter(|token| !token.is_empty());
        output.print(json!({ "programmes": programmes, "next_page_token": next }), || {
            if answer.programmes.is_empty() {
                return "There is no programme yet. Start one: cbdc policy propose --help".to_owned();
            }
            let row = |programme: &v1::Programme| {
                vec![
                    programme.number.to_string(),
                    cohort(programme),
                    money(&anchor, programme.amount_each_minor),
                    purpose(programme),
                    programme.state.clone(),
                    programme.paid.to_string(),
                    programme.refused.to_string(),
                    money(&anchor, programme.expired_minor),
                    money(&anchor, programme.outstanding_minor),
                ]
            };
            let rows: Vec<_> = answer.programmes.iter().map(row).collect();
            let headings =
                [">number", "cohort", ">each", "purpose", "state", ">paid", ">refused", ">expired", ">still bound"];
            table(&headings, &rows)
        });
        Ok(())
    }
}

fn object(programme: &v1::Programme) -> Value {
    let purpose = |purpose: &v1::Purpose| {
        json!({
            "payees": purpose.payees,
            "funding": purpose.funding,
            "expires_at_ms": purpose.expires_at_ms,
        })
    };
    json!({
        "number": programme.number,
        "class": programme.class,
        "bank": programme.bank,
        "first": programme.first,
        "amount_each_minor": programme.amount_each_minor,
        "purpose": programme.purpose.as_ref().map(purpose),
        "state": programme.state,
        "holders_paid": programme.paid,
        "holders_refused": programme.refused,
        "paid_minor": sum_minor(&programme.paid_minor),
        "expired_minor": programme.expired_minor,
        "outstanding_minor": programme.outstanding_minor,
    })
}

/// A cohort as it is typed: `household first 100 of bank-2`.
fn cohort(programme: &v1::Programme) -> String {
    let first = if programme.first == 0 { String::new() } else { format!(" first {}", programme.first) };
    let bank = programme.bank.map(|bank| format!(" of bank-{bank}")).unwrap_or_default();
    format!("{}{first}{bank}", programme.class)
}

fn purpose(programme: &v1::Programme) -> String {
    match &programme.purpose {
        None => "any (unbacked)".to_owned(),
        Some(v1::Purpose { payees, funding, expires_at_ms }) => {
            format!("from {funding} for {} until {}", payees.join(","), Timestamp(*expires_at_ms))
        }
    }
}
