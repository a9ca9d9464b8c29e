//! The durable outbox: commands for which this bank is responsible and whose outcome the chain has not brought yet.
//!
//! It holds three kinds: the bank's own fund commands and promised top-ups (reverse waterfalls), whose money is in
//! transit, and customers' payments that the bank accepted while the central bank could not be reached. Each is sent
//! again until its outcome is known, over any number of crashes; sequence numbers make that safe.
//!
//! # How an entry leaves
//! 1. The chain uses its sequence number for this record: the outcome is known.
//! 2. The chain uses its sequence number for another record, or a top-up's payer uses theirs: this one can never
//!    settle.
//! 3. The chain's time passes its valid-until: from then on it can only be refused.
//! 4. The central bank refuses it before ordering, for a reason that lasts, and this was the only copy ever sent.
//!
//! In cases 2 to 4 the deposit is restored (`deposit_service`). A refusal of a *second* copy says nothing about the
//! first, so 4 requires that there is only one.
//!
//! # Layout of [`Column::Outbox`]
//! Key: 0 (own) or 1 (customer), account (u64 big-endian; 0 for own), sequence (u64 big-endian). Value, sealed under
//! the key: request id (16, zeros for a customer), the command with its signature.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cbdc_ledger::command::{Payment, ReverseWaterfall};
use cbdc_ledger::encoding::hex;
use cbdc_ledger::{AccountId, Command, Reason, Signed, Timestamp};
use cbdc_storage::{Column, Direction, KeyRange, Store, StoreError, WriteBatch, sealed};
use tokio::sync::oneshot;

use crate::deposits::{OrderedOutcome, RequestId};

/// The number of entries that the outbox may hold; further ones are refused as overloaded.
pub const ENTRIES_MAX: usize = 100_000;
/// The number of callers that may wait for one entry.
const WAITERS_MAX: usize = 16;

/// The signer and the sequence number of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OutboxKey {
    Own { sequence: u64 },
    Customer { account: AccountId, sequence: u64 },
}

impl OutboxKey {
    const BYTES: usize = 17;

    fn to_bytes(self) -> [u8; OutboxKey::BYTES] {
        let (tag, account, sequence) = match self {
            OutboxKey::Own { sequence } => (0, 0, sequence),
            OutboxKey::Customer { account, sequence } => (1, account.to_u64(), sequence),
        };
        let mut key = [tag; OutboxKey::BYTES];
        key[1..9].copy_from_slice(&account.to_be_bytes());
        key[9..].copy_from_slice(&u64::to_be_bytes(sequence));
        key
    }

    fn from_bytes(key: &[u8]) -> Option<OutboxKey> {
        let key: &[u8; OutboxKey::BYTES] = key.try_into().ok()?;
        let integer = |at: usize| key[at..at + 8].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        match key[0] {
            0 => Some(OutboxKey::Own { sequence: integer(9) }),
            1 => Some(OutboxKey::Customer { account: AccountId::from_u64(integer(1))?, sequence: integer(9) }),
            _ => None,
        }
    }
}

/// The way in which an entry left the outbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    Ordered(OrderedOutcome),
    /// It will never settle; its amount in transit is back on the deposit.
    GivenBack(Reason),
}

/// The command of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OutboxPayload {
    /// The bank's own funding, or a customer's payment.
    Payment(Signed<Payment>),
    /// A payment that the bank tops up from the payer's deposit.
    TopUp(Box<Signed<ReverseWaterfall>>),
}

impl OutboxPayload {
    fn to_bytes(&self) -> Bytes {
        match self {
            OutboxPayload::Payment(payment) => payment.to_bytes().into(),
            OutboxPayload::TopUp(order) => order.to_bytes().into(),
        }
    }

    /// The payer and the payer's number of a top-up.
    pub fn topped_up(&self) -> Option<(AccountId, u64)> {
        match self {
            OutboxPayload::Payment(_) => None,
            OutboxPayload::TopUp(order) => {
                let transfer = &order.record.transfer.record;
                Some((transfer.from, transfer.head.sequence))
            }
        }
    }
}

/// A command in the outbox.
pub struct Entry {
    /// The command's bytes, as sent.
    pub command: Bytes,
    pub payload: OutboxPayload,
    pub request: RequestId,
    /// The number of times it was passed to the relay since the node started; entries from before the start begin with
    /// one.
    pub copies: u32,
    pub in_flight: bool,
    next_try: Instant,
    waiters: Vec<oneshot::Sender<Release>>,
}

impl Entry {
    pub fn valid_until(&self) -> Timestamp {
        match &self.payload {
            OutboxPayload::Payment(payment) => payment.record.head.valid_until,
            // Once either signature has expired, it can only be refused.
            OutboxPayload::TopUp(order) => {
                order.record.head.valid_until.min(order.record.transfer.record.head.valid_until)
            }
        }
    }

    /// Notifies all waiting callers.
    pub fn release(self, release: Release) {
        for waiter in self.waiters {
            // A caller that gave up waiting asks again.
            let _ = waiter.send(release);
        }
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum OutboxError {
    #[error("the outbox cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("the record {key} of the outbox is damaged: {reason}; restore this node's data folder from a backup")]
    Damaged { key: String, reason: String },
}

/// All entries, in memory as on disk.
pub struct Outbox {
    entries: BTreeMap<OutboxKey, Entry>,
    /// The top-up of each payment, by payer and the payer's sequence number: one payment is topped up once.
    top_ups: BTreeMap<(AccountId, u64), OutboxKey>,
}

impl Outbox {
    pub fn load(store: &Arc<dyn Store>) -> Result<Outbox, OutboxError> {
        let mut outbox = Outbox { entries: BTreeMap::new(), top_ups: BTreeMap::new() };
        let mut failed = None;
        store.scan(
            Column::Outbox,
            &KeyRange::all(),
            Direction::Forward,
            &mut |key, record| match decode(key, record) {
                Ok((key, mut entry)) => {
                    // It may have been sent before the node started.
                    entry.copies = 1;
                    outbox.insert(key, entry);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        failed.map_or(Ok(outbox), Err)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX
    }

    pub fn entries(&self) -> impl Iterator<Item = (&OutboxKey, &Entry)> {
        self.entries.iter()
    }

    /// The top-up of a payer's payment.
    pub fn top_up_of(&self, payer: AccountId, sequence: u64) -> Option<OutboxKey> {
        self.top_ups.get(&(payer, sequence)).copied()
    }

    /// Whether a copy of a record with a holder's number is in the outbox: accepted, or topped up.
    pub fn has_number_of(&self, account: AccountId, sequence: u64) -> bool {
        self.entries.contains_key(&OutboxKey::Customer { account, sequence })
            || self.top_ups.contains_key(&(account, sequence))
    }

    /// The accepted payments of a wallet, by number.
    pub fn accepted_of(&self, account: AccountId) -> impl Iterator<Item = &Signed<Payment>> {
        let key = |sequence| OutboxKey::Customer { account, sequence };
        self.entries.range(key(0)..=key(u64::MAX)).filter_map(|(_, entry)| match &entry.payload {
            OutboxPayload::Payment(payment) => Some(payment),
            OutboxPayload::TopUp(_) => None,
        })
    }

    /// The numbers of a wallet's topped-up payments, in order.
    pub fn topped_up_of(&self, account: AccountId) -> impl Iterator<Item = u64> {
        self.top_ups.range((account, 0)..=(account, u64::MAX)).map(|((_, sequence), _)| *sequence)
    }

    fn insert(&mut self, key: OutboxKey, entry: Entry) {
        if let Some(payment) = entry.payload.topped_up() {
            self.top_ups.insert(payment, key);
        }
        self.entries.insert(key, entry);
    }

    pub fn get(&self, key: &OutboxKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Adds an entry; the caller writes the batch before anybody sends it.
    pub fn put(&mut self, batch: &mut WriteBatch, key: OutboxKey, payload: OutboxPayload, request: RequestId) {
        let command = payload.to_bytes();
        let stored = key.to_bytes();
        let mut value = Vec::with_capacity(request.len() + command.len() + sealed::SEAL_BYTES);
        value.extend_from_slice(&request);
        value.extend_from_slice(&command);
        sealed::seal_in_place(&stored, &mut value);
        batch.put(Column::Outbox, stored, value);
        self.insert(key, Entry::new(command, payload, request));
    }

    /// Removes an entry.
    pub fn remove(&mut self, batch: &mut WriteBatch, key: &OutboxKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        if let Some(payment) = entry.payload.topped_up() {
            self.top_ups.remove(&payment);
        }
        batch.delete(Column::Outbox, key.to_bytes());
        Some(entry)
    }

    /// Waits for the entry to leave. `None` if there is no such entry, or too many callers wait already.
    pub fn wait(&mut self, key: &OutboxKey) -> Option<oneshot::Receiver<Release>> {
        let entry = self.entries.get_mut(key)?;
        entry.waiters.retain(|waiter| !waiter.is_closed());
        if entry.waiters.len() >= WAITERS_MAX {
            return None;
        }
        let (tell, hear) = oneshot::channel();
        entry.waiters.push(tell);
        Some(hear)
    }

    /// Entries that are due to be sent, at most `limit`; they count as in flight from now on.
    pub fn due(&mut self, now: Instant, limit: usize) -> Vec<(OutboxKey, Bytes)> {
        let due = self.entries.iter_mut().filter(|(_, entry)| !entry.in_flight && entry.next_try <= now).take(limit);
        due.map(|(key, entry)| {
            entry.in_flight = true;
            entry.copies += 1;
            (*key, entry.command.clone())
        })
        .collect()
    }

    /// Schedules the entry to be sent again after a delay, if it is still here.
    pub fn again(&mut self, key: &OutboxKey, after: Duration) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.in_flight = false;
            entry.next_try = Instant::now() + after;
        }
    }

    /// Entries whose valid-until has passed by the chain's time.
    pub fn expired(&self, chain_time: Timestamp) -> Vec<OutboxKey> {
        self.entries.iter().filter(|(_, entry)| entry.valid_until() < chain_time).map(|(key, _)| *key).collect()
    }
}

impl Entry {
    fn new(command: Bytes, payload: OutboxPayload, request: RequestId) -> Entry {
        Entry { command, payload, request, copies: 0, in_flight: false, next_try: Instant::now(), waiters: Vec::new() }
    }
}

fn decode(key: &[u8], record: &[u8]) -> Result<(OutboxKey, Entry), OutboxError> {
    let damaged = |reason: String| OutboxError::Damaged { key: hex(key), reason };
    let bytes = sealed::open(key, record).map_err(|damage| damaged(damage.to_string()))?;
    let key = OutboxKey::from_bytes(key).ok_or_else(|| damaged("its key is none of the outbox".to_owned()))?;
    let Some((request, command)) = bytes.split_first_chunk::<16>() else {
        return Err(damaged("it ends within the request id".to_owned()));
    };
    let payload = match Command::from_bytes(command) {
        Ok(Command::Payment(payment)) => OutboxPayload::Payment(payment),
        Ok(Command::ReverseWaterfall(order)) => OutboxPayload::TopUp(order),
        Ok(other) => {
            let found = other.kind().name();
            return Err(damaged(format!("expected a payment or a top-up, found a record of kind {found}")));
        }
        Err(error) => return Err(damaged(error.to_string())),
    };
    Ok((key, Entry::new(Bytes::copy_from_slice(command), payload, *request)))
}
