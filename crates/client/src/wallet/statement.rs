//! A wallet's balance and history, as reported by its bank.

use cbdc_ledger::block::Cause;
use cbdc_ledger::command::{Payment, Signed};
use cbdc_ledger::{AccountId, Amount, Height, Reason, Timestamp};
use cbdc_proto::{convert, v1};

use crate::position::BlockPosition;

/// A wallet's money at a height. Amounts are in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balance {
    /// All money on the wallet.
    pub posted: Amount,
    /// The part that the holder may spend now, for any purpose; payments accepted by the bank count as spent.
    pub available: Amount,
    /// The sum of the payments that the bank has accepted into its outbox and that are not settled.
    pub accepted: Amount,
    /// Held for payees until they capture it or the hold ends.
    pub held: Amount,
    /// Bound to a purpose; [`Wallet::details`](super::Wallet::details) has the parts.
    pub earmarked: Amount,
    /// Frozen by court orders.
    pub frozen: Amount,
    /// The block after which this was the balance.
    pub height: Height,
}

/// A line of a wallet's history: a payment from or to the wallet, or anything else that changed its balance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryEntry {
    /// The position in the chain; the index is `u32::MAX` for the ledger's own work.
    pub position: BlockPosition,
    /// The block's time.
    pub time: Timestamp,
    /// `transfer`, `defund` or `fund`; otherwise the command that the holder signed, or the main change's cause.
    pub kind: String,
    /// The payer, where there is one.
    pub from: Option<AccountId>,
    /// The payee, where there is one.
    pub to: Option<AccountId>,
    /// The amount of a payment as signed; otherwise the main change.
    pub amount: Amount,
    /// 16 bytes of the payer's own choice.
    pub reference: [u8; 16],
    /// The payer's sequence number.
    pub sequence: u64,
    /// `SETTLED`, or the rule that refused it.
    pub reason: Reason,
    /// The part that went to this wallet's deposit instead of the wallet.
    pub waterfall: Amount,
    /// The part that came from the payer's deposit.
    pub reverse_waterfall: Amount,
    /// Every change of the wallet's balance, credits first.
    pub changes: Vec<BalanceChange>,
    /// The money on the wallet after this line.
    pub balance: Amount,
}

/// One change of a wallet's balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BalanceChange {
    /// Why it changed, and in which direction.
    pub cause: Cause,
    /// The amount of the change.
    pub amount: Amount,
    /// The other account, where there is one.
    pub counterparty: Option<AccountId>,
    /// The hold of a capture, the programme of a grant and its expiry, the linked bank of a waterfall; otherwise 0.
    pub number: u64,
}

/// A page of history, newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryPage {
    /// The page's lines.
    pub entries: Vec<HistoryEntry>,
    /// The token of the next page; `None` on the last.
    pub next: Option<String>,
    /// Payments that the bank has accepted into its outbox and that are not settled, by number; on the first page.
    pub accepted: Vec<Signed<Payment>>,
}

impl Balance {
    pub(super) fn from_message(wallet: &v1::Wallet) -> Balance {
        Balance {
            posted: Amount::from_minor(wallet.posted_minor),
            available: Amount::from_minor(wallet.available_minor),
            accepted: Amount::from_minor(wallet.accepted_minor),
            held: Amount::from_minor(wallet.held_minor),
            earmarked: Amount::from_minor(wallet.earmarked_minor),
            frozen: Amount::from_minor(wallet.frozen_minor),
            height: Height(wallet.height),
        }
    }
}

impl HistoryEntry {
    fn from_message(entry: &v1::PaymentEntry) -> Result<HistoryEntry, String> {
        let unknown = || format!("expected a known reason, found `{}`", entry.reason);
        Ok(HistoryEntry {
            position: BlockPosition { height: Height(entry.height), index: entry.index },
            time: Timestamp(entry.time_ms),
            kind: entry.kind.clone(),
            from: account("from", &entry.from)?,
            to: account("to", &entry.to)?,
            amount: Amount::from_minor(entry.amount_minor),
            reference: entry.reference.as_ref().try_into().unwrap_or_default(),
            sequence: entry.sequence,
            reason: Reason::from_name(&entry.reason).ok_or_else(unknown)?,
            waterfall: Amount::from_minor(entry.waterfall_minor),
            reverse_waterfall: Amount::from_minor(entry.reverse_waterfall_minor),
            changes: entry.changes.iter().map(BalanceChange::from_message).collect::<Result<_, _>>()?,
            balance: Amount::from_minor(entry.balance_minor),
        })
    }
}

impl BalanceChange {
    fn from_message(change: &v1::BalanceChange) -> Result<BalanceChange, String> {
        let unknown = || format!("expected the cause of a change, found `{}`", change.cause);
        let cause = Cause::from_name(&change.cause).ok_or_else(unknown)?;
        let minor = if cause.is_credit() { change.credit_minor } else { change.debit_minor };
        let counterparty = account("counterparty", &change.counterparty)?;
        Ok(BalanceChange { cause, amount: Amount::from_minor(minor), counterparty, number: change.number })
    }
}

/// The account in a field that may be empty.
fn account(field: &str, text: &str) -> Result<Option<AccountId>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    convert::account(field, text).map(Some).map_err(|status| status.message().to_owned())
}

impl HistoryPage {
    pub(super) fn from_message(page: v1::ListPaymentsResponse) -> Result<HistoryPage, String> {
        let entries = page.payments.iter().map(HistoryEntry::from_message).collect::<Result<_, _>>()?;
        let accepted = page.accepted.iter().map(convert::payment_from_message).collect::<Result<_, _>>();
        let accepted = accepted.map_err(|status| status.message().to_owned())?;
        Ok(HistoryPage { accepted, entries, next: Some(page.next_page_token).filter(|token| !token.is_empty()) })
    }
}
