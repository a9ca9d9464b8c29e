//! `cbdc wallet history`: the payments of a wallet, and every other change of its balance.

use cbdc_client::wallet::{BalanceChange, HistoryEntry};
use cbdc_client::{AccountId, Amount, Anchor, Reason};
use cbdc_ledger::command::{Payment, Record, Signed};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde_json::json;

use super::format::{grouped, reference_text};
use crate::network::NetworkArgument;
use crate::output::{Output, table};

/// List a wallet's payments and every other change of its balance, newest first
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet history alice
  cbdc wallet history alice --count 500 --json")]
pub struct History {
    /// The wallet's name
    name: String,
    /// Payments and other events on the page; each may change the balance more than once
    #[arg(
        long, value_name = "N", default_value_t = 20,
        value_parser = RangedU64ValueParser::<u32>::new().range(1..=500)
    )]
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
        let accepted: Vec<_> = page.accepted.iter().map(|payment| accepted_object(&payment.record)).collect();
        output.print(json!({ "payments": objects, "accepted": accepted, "next_page_token": page.next }), || {
            let accepted = |payment: &Signed<Payment>| {
                let Payment { head, to, amount, .. } = payment.record;
                format!(
                    "accepted by the bank, not settled yet: {} to {}, number {}\n",
                    anchor.show(amount),
                    grouped(to),
                    head.sequence
                )
            };
            let accepted: String = page.accepted.iter().map(accepted).collect();
            if page.entries.is_empty() && !accepted.is_empty() {
                return accepted;
            }
            if page.entries.is_empty() {
                return format!("{} has no payments yet.", self.name);
            }
            let rows: Vec<_> = page.entries.iter().flat_map(|entry| rows(&anchor, wallet.account(), entry)).collect();
            let columns = ["position", "time", "cause", "with", ">amount", ">balance", "refused", "reference"];
            let mut text = accepted;
            text.push_str(&table(&columns, &rows));
            if let Some(token) = &page.next {
                let (name, count, suffix) = (&self.name, self.count, self.network.suffix());
                text.push_str(&format!("\nmore: cbdc wallet history {name} --count {count} --page {token}{suffix}\n"));
            }
            text
        });
        Ok(())
    }
}

/// A row for each change of the balance, the newest first; a refused payment, which changed nothing, has one.
fn rows(anchor: &Anchor, account: AccountId, entry: &HistoryEntry) -> Vec<Vec<String>> {
    let text = |other: Option<AccountId>| other.map_or_else(String::new, grouped);
    let row = |cause: &str, with: Option<AccountId>, amount: String, balance: String| {
        let refused = if entry.reason == Reason::Settled { String::new() } else { entry.reason.to_string() };
        let (position, time) = (position_text(entry), entry.time.to_string());
        vec![position, time, cause.to_owned(), text(with), amount, balance, refused, reference_text(&entry.reference)]
    };
    if entry.changes.is_empty() {
        let other = [entry.from, entry.to].into_iter().flatten().find(|other| *other != account);
        return vec![row(&entry.kind, other, anchor.show(entry.amount), String::new())];
    }
    let mut balance = entry.balance.minor();
    let changes = entry.changes.iter().rev().map(|change| {
        let (sign, minor) = (if change.cause.is_credit() { "+" } else { "-" }, change.amount.minor());
        let after = anchor.show(Amount::from_minor(balance));
        let before = if change.cause.is_credit() { balance.checked_sub(minor) } else { balance.checked_add(minor) };
        balance = before.unwrap_or_default();
        row(change.cause.name(), change.counterparty, format!("{sign}{}", anchor.show(change.amount)), after)
    });
    changes.collect()
}

/// Height and index, or the height alone for the ledger's own work.
fn position_text(entry: &HistoryEntry) -> String {
    if entry.position.index == u32::MAX { entry.position.height.to_string() } else { entry.position.to_string() }
}

fn change_object(change: &BalanceChange) -> serde_json::Value {
    let signed = i128::from(change.amount.minor()) * if change.cause.is_credit() { 1 } else { -1 };
    json!({
        "cause": change.cause.name(),
        "change_minor": i64::try_from(signed).unwrap_or(if signed < 0 { i64::MIN } else { i64::MAX }),
        "with": change.counterparty.map(|other| other.to_string()),
        "number": Some(change.number).filter(|number| *number != 0),
    })
}

fn accepted_object(payment: &Payment) -> serde_json::Value {
    json!({
        "kind": payment.kind().name(),
        "from": payment.from.to_string(),
        "to": payment.to.to_string(),
        "amount_minor": payment.amount.minor(),
        "sequence": payment.head.sequence,
        "valid_until_ms": payment.head.valid_until.0,
        "reference": reference_text(&payment.reference),
    })
}

fn object(entry: &HistoryEntry) -> serde_json::Value {
    json!({
        "height": entry.position.height.0,
        "index": Some(entry.position.index).filter(|index| *index != u32::MAX),
        "time_ms": entry.time.0,
        "kind": entry.kind,
        "from": entry.from.map(|from| from.to_string()),
        "to": entry.to.map(|to| to.to_string()),
        "amount_minor": entry.amount.minor(),
        "sequence": entry.sequence,
        "reason": entry.reason.name(),
        "reference": reference_text(&entry.reference),
        "waterfall_minor": entry.waterfall.minor(),
        "reverse_waterfall_minor": entry.reverse_waterfall.minor(),
        "changes": entry.changes.iter().map(change_object).collect::<Vec<_>>(),
        "balance_minor": entry.balance.minor(),
    })
}
