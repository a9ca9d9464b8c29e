//! The history index: where in the chain each customer's payments stand.
//!
//! The payments themselves are in the archive; an entry holds only the place of a command and where in its proposal the
//! record begins. Outgoing and incoming payments are kept apart, so that a payment can be found by its sequence number
//! without reading everything that a merchant received. Written in the block's own batch.
//!
//! # Layout of [`Column::History`]
//! Key: account (u64 big-endian), 0 (outgoing) or 1 (incoming), height (u64 big-endian), index (u32 big-endian).
//! Value: offset in the proposal (u32), and for outgoing payments the sequence number (u64), little-endian.

use std::ops::ControlFlow;
use std::sync::Arc;

use cbdc_ledger::command::{Payment, PaymentKind};
use cbdc_ledger::encoding::Reader;
use cbdc_ledger::outcome::{OUTCOME_BYTES, Stage};
use cbdc_ledger::sequence::WALLET_WINDOW;
use cbdc_ledger::{AccountId, BankId, Command, Height, Outcome, Signed, Timestamp};
use cbdc_node::{Archive, ArchiveError};
use cbdc_storage::{Column, Direction, KeyRange, Store, StoreError, WriteBatch};

use crate::deposits::Placed;

const OUTGOING: u8 = 0;
const INCOMING: u8 = 1;

/// A command's place: height, then index.
pub type Place = (Height, u32);

/// One line of the index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    place: Place,
    offset: u32,
    /// Of outgoing payments.
    sequence: u64,
}

/// A payment as history shows it.
#[derive(Clone, Debug)]
pub struct PastPayment {
    pub payment: Signed<Payment>,
    pub placed: Placed,
    pub time: Timestamp,
}

/// Adds a payment of a block to the index, for each side that is a wallet of `own`.
///
/// A refused payment stands in the payer's history only. One that used no number stands in none.
pub fn put(batch: &mut WriteBatch, own: BankId, payment: &Payment, place: Place, offset: u32, outcome: &Outcome) {
    if outcome.reason.stage() == Stage::BeforeOrdering {
        return;
    }
    if payment.from.bank == own && payment.kind != PaymentKind::Fund {
        let mut value = [0; 12];
        value[..4].copy_from_slice(&offset.to_le_bytes());
        value[4..].copy_from_slice(&payment.head.sequence.to_le_bytes());
        batch.put(Column::History, key(payment.from, OUTGOING, place), value.to_vec());
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
        lines.iter().filter_map(|line| self.read(line).transpose()).collect()
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

    /// The payment that used a wallet's number, if this replica knows it. Blocks.
    pub fn by_number(&self, account: AccountId, sequence: u64) -> Result<Option<PastPayment>, ArchiveError> {
        let mut found = None;
        let range = KeyRange::with_prefix(prefix(account, OUTGOING));
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
        found.map_or(Ok(None), |line| self.read(&line))
    }

    /// Reads one payment from the archive; `None` where its block is no longer kept.
    fn read(&self, line: &Line) -> Result<Option<PastPayment>, ArchiveError> {
        let (height, index) = line.place;
        let Some(block) = self.archive.block(height)? else { return Ok(None) };
        let damaged = |what: &str| ArchiveError::Damaged { height, what: format!("command {index}: {what}") };
        let record = block.proposal.get(line.offset as usize..).ok_or_else(|| damaged("its record is missing"))?;
        let command =
            Command::decode(&mut Reader::new("payment", record)).map_err(|error| damaged(&error.to_string()))?;
        let Command::Payment(payment) = command else { return Err(damaged("it is no payment")) };
        let at = index as usize * OUTCOME_BYTES;
        let outcome = block.outcomes.get(at..at + OUTCOME_BYTES).ok_or_else(|| damaged("its outcome is missing"))?;
        let outcome =
            Outcome::decode(&mut Reader::new("outcome", outcome)).map_err(|error| damaged(&error.to_string()))?;
        let placed = Placed { height, index, outcome };
        Ok(Some(PastPayment { payment, placed, time: block.header.header.time }))
    }
}
