//! `cbdc wallet history`: the payments of a wallet.

use cbdc_client::wallet::HistoryEntry;
use cbdc_client::{AccountId, Reason};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde_json::json;

use super::format::reference_text;
use crate::network::NetworkArgument;
use crate::output::{Output, table};

/// List a wallet's payments, newest first
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet history alice
  cbdc wallet history alice --count 500 --json")]
pub struct History {
    /// The wallet's name
    name: String,
    /// Payments on the page
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = RangedU64ValueParser::<u32>::new().range(1..=500))]
    count: u32,
    /// Continue from here: `next_page_token` of an earlier answer
    #[arg(long, value_name = "TOKEN")]
    page: Option<String>,
    #[command(flatten)]
    network: NetworkArgument,
}

impl History {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let wallet = network.wallet(&self.name)?;
        let page = wallet.history(self.count, self.page).await?;
        let objects: Vec<_> = page.entries.iter().map(object).collect();
        output.print(json!({ "payments": objects, "next_page_token": page.next }), || {
            if page.entries.is_empty() {
                return format!("{} has no payments yet.", self.name);
            }
            let row = |entry: &HistoryEntry| {
                let (sign, other) = seen_from(wallet.account(), entry);
                vec![
                    entry.position.to_string(),
                    entry.time.to_string(),
                    entry.kind.clone(),
                    other.to_string(),
                    format!("{sign}{}", anchor.show(entry.amount)),
                    if entry.reason == Reason::Settled { String::new() } else { entry.reason.to_string() },
                    reference_text(&entry.reference),
                ]
            };
            let rows: Vec<_> = page.entries.iter().map(row).collect();
            let mut text = table(&["position", "time", "kind", "with", ">amount", "refused", "reference"], &rows);
            if let Some(token) = &page.next {
                text.push_str(&format!("\nmore: cbdc wallet history {} --page {token}\n", self.name));
            }
            text
        });
        Ok(())
    }
}

/// The sign of a payment as the account sees it, and the other account.
fn seen_from(account: AccountId, entry: &HistoryEntry) -> (&'static str, AccountId) {
    if entry.from == account { ("-", entry.to) } else { ("+", entry.from) }
}

fn object(entry: &HistoryEntry) -> serde_json::Value {
    json!({
        "height": entry.position.height.0,
        "index": entry.position.index,
        "time_ms": entry.time.0,
        "kind": entry.kind,
        "from": entry.from.to_string(),
        "to": entry.to.to_string(),
        "amount_minor": entry.amount.minor(),
        "sequence": entry.sequence,
        "reason": entry.reason.name(),
        "reference": reference_text(&entry.reference),
        "waterfall_minor": entry.waterfall.minor(),
        "reverse_waterfall_minor": entry.reverse_waterfall.minor(),
    })
}
