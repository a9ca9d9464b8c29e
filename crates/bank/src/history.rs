//! The history index: where in the chain each customer's payments and other commands stand.
//!
//! The records themselves are in the archive; an entry holds only the place of a command and where in its proposal the
//! record begins. Outgoing and incoming payments are kept apart, so that a payment can be found by its sequence number
//! without reading everything that a merchant received. A payment that a bank topped up stands here as the payment that it
//! is; captures of holds stand in no wallet's history, since their record names a hold and no wallet. Written in the block's
//! own batch.
//!
//! # Layout of [`Column::History`]
//! Key: account (u64 big-endian), 0 (outgoing), 1 (incoming) or 2 (a holder's command that is no payment), height (u64
//! big-endian), index (u32 big-endian). Value: offset in the proposal (u32), and where the command used the account's own
//! number that number (u64), little-endian.

use std::ops::ControlFlow;
use std::sync::Arc;

use cbdc_ledger::command::{Payment, PaymentKind, Signer};
use cbdc_ledger::encoding::Reader;
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::{OUTCOME_BYTES, Stage};
use cbdc_ledger::sequence::WALLET_WINDOW;
use cbdc_ledger::{AccountId, BankId, Command, Height, MemberId, Outcome, Signed, Timestamp};
use cbdc_node::{Archive, ArchiveError};
use cbdc_storage::{Column, Direction, KeyRange, Store, StoreError, WriteBatch};

use crate::deposits::Placed;

const OUTGOING: u8 = 0;
const INCOMING: u8 = 1;
const OTHER: u8 = 2;

/// A command's place: height, then index.
pub type Place = (Height, u32);

/// One line of the index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    place: Place,
    offset: u32,
    /// Of outgoing payments and other commands; 0 of incoming payments.
    sequence: u64,
}

/// A payment as history shows it.
#[derive(Clone, Debug)]
pub struct PastPayment {
    pub payment: Signed<Payment>,
    pub placed: Placed,
    pub time: Timestamp,
}

/// A command that used a holder's number.
#[derive(Clone, Debug)]
pub struct PastCommand {
    pub command: Command,
    pub placed: Placed,
    pub time: Timestamp,
}

/// The payment that a command is, or that it tops up.
pub fn payment_of(command: &Command) -> Option<&Signed<Payment>> {
    match command {
        Command::Payment(payment) => Some(payment),
        Command::ReverseWaterfall(order) => Some(&order.record.transfer),
        _ => None,
    }
}

/// Adds a command of a block to the index: a payment for each side that is a wallet of `own`, another command of a holder
/// for that holder.
///
/// A refused payment stands in the payer's history only. A command that used no number stands in none.
pub fn put(batch: &mut WriteBatch, own: BankId, command: &Command, place: Place, offset: u32, outcome: &Outcome) {
    if outcome.reason.stage() == Stage::BeforeOrdering {
        return;
    }
    match (payment_of(command), command.signer()) {
        (Some(payment), signer) => {
            // What this bank topped up it must find again, whoever's customer the payer is.
            let is_known = payment.record.from.bank == own || signer == Signer::Member(Role::Bank, MemberId(own.0));
            let own_payer = is_known && payment.record.kind != PaymentKind::Fund;
            put_payment(batch, own, own_payer, &payment.record, (place, offset, outcome));
        }
        (None, Signer::Holder(account)) if account.bank == own => {
            batch.put(Column::History, key(account, OTHER, place), numbered(offset, command.head().sequence));
        }
        _ => {}
    }
}

/// The value of a command that used the wallet's own number.
fn numbered(offset: u32, sequence: u64) -> Vec<u8> {
    [&offset.to_le_bytes()[..], &sequence.to_le_bytes()].concat()
}

fn put_payment(
    batch: &mut WriteBatch,
    own: BankId,
    own_payer: bool,
    payment: &Payment,
    (place, offset, outcome): (Place, u32, &Outcome),
) {
    if own_payer {
        batch.put(Column::History, key(payment.from, OUTGOING, place), numbered(offset, payment.head.sequence));
    }
    if payment.to.bank == own && payment.kind != PaymentKind::Defund && outcome.is_settled() {
        batch.put(Column::History, key(payment.to, INCOMING, place), offset.to_le_bytes().to_vec());
    }
}

fn prefix(account: AccountId, direction: u8) -> [u8; 9] {
    let mut prefix = [direction; 9];
    prefix[..8].copy_from_slice(&account.to_u64().to_be_bytes());
    prefix
}

fn key(account: AccountId, direction: u8, (height, index): Place) -> [u8; 21] {
    let mut key = [0; 21];
    key[..9].copy_from_slice(&prefix(account, direction));
    key[9..17].copy_from_slice(&height.0.to_be_bytes());
    key[17..].copy_from_slice(&index.to_be_bytes());
    key
}

fn line(key: &[u8], value: &[u8]) -> Option<Line> {
    let height = u64::from_be_bytes(key.get(9..17)?.try_into().ok()?);
    let index = u32::from_be_bytes(key.get(17..21)?.try_into().ok()?);
    let offset = u32::from_le_bytes(value.get(..4)?.try_into().ok()?);
    let sequence = value.get(4..12).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    Some(Line { place: (Height(height), index), offset, sequence })
}

/// Reads histories.
pub struct History {
    store: Arc<dyn Store>,
    archive: Arc<Archive>,
}

impl History {
    pub fn new(store: Arc<dyn Store>, archive: Arc<Archive>) -> History {
        History { store, archive }
    }

    /// Payments to and from a wallet, newest first, at most `limit`, all before the place `before`. Blocks.
    pub fn list(
        &self,
        account: AccountId,
        before: Option<Place>,
        limit: usize,
    ) -> Result<Vec<PastPayment>, ArchiveError> {
        let mut lines = self.lines(account, OUTGOING, before, limit)?;
        lines.extend(self.lines(account, INCOMING, before, limit)?);
        lines.sort_unstable_by_key(|line| std::cmp::Reverse(line.place));
        // A payment to oneself stands on both sides.
        lines.dedup_by_key(|line| line.place);
        lines.truncate(limit);
        let mut payments = Vec::with_capacity(lines.len());
        for line in &lines {
            let Some(PastCommand { command, placed, time }) = self.read(line)? else { continue };
            let payment =
                payment_of(&command).ok_or_else(|| damaged(placed.height, placed.index, "it is no payment"))?;
            payments.push(PastPayment { payment: *payment, placed, time });
        }
        Ok(payments)
    }

    fn lines(
        &self,
        account: AccountId,
        direction: u8,
        before: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Line>, StoreError> {
        let mut range = KeyRange::with_prefix(prefix(account, direction));
        if let Some(before) = before {
            range.to = Some(key(account, direction, before).to_vec());
        }
        let records = self.store.collect(Column::History, &range, Direction::Reverse, limit)?;
        Ok(records.iter().filter_map(|(key, value)| line(key, value)).collect())
    }

    /// The command that used a wallet's number, if this replica knows it. Blocks.
    pub fn by_number(&self, account: AccountId, sequence: u64) -> Result<Option<PastCommand>, ArchiveError> {
        for direction in [OUTGOING, OTHER] {
            if let Some(line) = self.line_of_number(account, direction, sequence)? {
                return self.read(&line);
            }
        }
        Ok(None)
    }

    fn line_of_number(&self, account: AccountId, direction: u8, sequence: u64) -> Result<Option<Line>, StoreError> {
        let mut found = None;
        let range = KeyRange::with_prefix(prefix(account, direction));
        self.store.scan(Column::History, &range, Direction::Reverse, &mut |key, value| {
            let Some(line) = line(key, value) else { return ControlFlow::Continue(()) };
            if line.sequence == sequence {
                found = Some(line);
                return ControlFlow::Break(());
            }
            // When this number was used, the window reached no further than 64 above it: all before lie below that.
            let is_beyond = sequence >= line.sequence.saturating_add(WALLET_WINDOW);
            if is_beyond { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    /// Reads one command from the archive; `None` where its block is no longer kept.
    fn read(&self, line: &Line) -> Result<Option<PastCommand>, ArchiveError> {
        let (height, index) = line.place;
        let Some(block) = self.archive.block(height)? else { return Ok(None) };
        let damaged = |what: &str| damaged(height, index, what);
        let record = block.proposal.get(line.offset as usize..).ok_or_else(|| damaged("its record is missing"))?;
        let command =
            Command::decode(&mut Reader::new("command", record)).map_err(|error| damaged(&error.to_string()))?;
        let at = index as usize * OUTCOME_BYTES;
        let outcome = block.outcomes.get(at..at + OUTCOME_BYTES).ok_or_else(|| damaged("its outcome is missing"))?;
        let outcome =
            Outcome::decode(&mut Reader::new("outcome", outcome)).map_err(|error| damaged(&error.to_string()))?;
        let placed = Placed { height, index, outcome };
        Ok(Some(PastCommand { command, placed, time: block.header.header.time }))
    }
}

fn damaged(height: Height, index: u32, what: &str) -> ArchiveError {
    ArchiveError::Damaged { height, what: format!("command {index}: {what}") }
}
