//! Formats of the wallet commands: payments, positions and account numbers.

use cbdc_client::{AccountId, Amount, Anchor, BlockPosition, SubmissionStatus};
use cbdc_ledger::outcome::Charges;
use cbdc_ledger::text::is_shown;
use serde_json::{Value, json};

/// A payment as a JSON object.
pub fn settled_object(kind: &str, from: AccountId, to: AccountId, amount: Amount, status: &SubmissionStatus) -> Value {
    let (position, charges) = match status {
        SubmissionStatus::Settled { position, charges, .. } => (Some(*position), *charges),
        _ => (None, Charges::default()),
    };
    json!({
        "outcome": if position.is_some() { "SETTLED" } else { "NOT_SETTLED" },
        "kind": kind,
        "from": from.to_string(),
        "to": to.to_string(),
        "amount_minor": amount.minor(),
        "fee_minor": charges.fee.minor(),
        "payee_fee_minor": charges.payee_fee.minor(),
        "credited_minor": position.map(|_| amount.minus_or_zero(charges.payee_fee).minor()),
        "reverse_waterfall_minor": charges.reverse_waterfall.minor(),
        "height": position.map(|position| position.height.0),
        "index": position.map(|position| position.index),
    })
}

/// The rows for what a settled payment of `amount` moved in addition, if anything.
pub fn charges_rows(anchor: &Anchor, amount: Amount, charges: &Charges) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let mut row = |label, amount: Amount| {
        if !amount.is_zero() {
            rows.push((label, anchor.show(amount)));
        }
    };
    row("fee", charges.fee);
    row("payee's fee", charges.payee_fee);
    if !charges.payee_fee.is_zero() {
        row("credited", amount.minus_or_zero(charges.payee_fee));
    }
    row("from deposit", charges.reverse_waterfall);
    rows
}

/// A command's position, for people.
pub fn position_text(position: BlockPosition) -> String {
    format!("{position}  (block {}, command {})", position.height, position.index)
}

/// An account number in groups of four.
pub fn grouped(account: AccountId) -> String {
    let text = account.to_string();
    text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

/// An account number of an answer in groups of four.
pub fn grouped_text(account: &str) -> String {
    account.parse().map_or_else(|_: String| account.to_owned(), grouped)
}

/// A reference as text, or in hexadecimal digits if its text cannot be shown as itself.
pub fn reference_text(reference: &[u8; 16]) -> String {
    let end = reference.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match std::str::from_utf8(&reference[..end]) {
        Ok(text) if text.chars().all(is_shown) => text.to_owned(),
        _ => cbdc_ledger::encoding::hex(reference),
    }
}

/// An amount in major units, as it is typed.
pub fn plain(anchor: &Anchor, amount: Amount) -> String {
    let shown = anchor.show(amount);
    shown.split(' ').next().unwrap_or_default().replace(',', "")
}

/// Reads an amount in major units.
pub fn parse_amount(anchor: &Anchor, text: &str) -> anyhow::Result<Amount> {
    Ok(anchor.parse(text)?)
}
