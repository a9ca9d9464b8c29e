//! The data folder's last sign of life: the time until which a bank surely ran on it.
//!
//! A node notes the time in its store every [`NOTE_EVERY_MS`]. A copy of the folder keeps the time at which it was
//! made. So a command that went through this bank and is in a block after that time, but before this process began,
//! shows that the bank has run on another folder since: this one is older ([`crate::deposit_doubt`]). A bank that is
//! off relays nothing, and one that lags notes the time all the same.
//!
//! Clocks of bank and central bank may differ, and a power loss may take the last note: [`MARGIN_MS`] on either side is
//! left out. What happened within a minute of a copy is thus found by its fundings alone.
//!
//! # Layout of [`Column::Deposits`]: key 5, sealed under its key
//! The last sign of life (8), and the span searched for commands of this bank: from (8), to (8), ms since 1970,
//! little-endian. The span outlives a restart until the replica has passed it.

use std::sync::{Mutex, PoisonError};

use cbdc_ledger::encoding::Writer;
use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, Command, Height, Timestamp, command::Signer};
use cbdc_storage::{Column, Durability, Store, WriteBatch, sealed};

use crate::deposits::{DepositError, damaged, open};

const KEY: [u8; 1] = [5];
/// How often the time is noted, ms.
const NOTE_EVERY_MS: u64 = 20_000;
/// What is left out at either end of the span that is searched, ms.
const MARGIN_MS: u64 = 60_000;

/// The folder's signs of life.
pub struct LastAlive(Mutex<Record>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Record {
    alive_at: Timestamp,
    /// The span that is searched; empty if it ends before it begins.
    from: Timestamp,
    to: Timestamp,
}

impl LastAlive {
    /// Reads the folder's last sign of life and adds one, durably. `tip` is the replica's height and time.
    pub fn begin(store: &dyn Store, tip: (Height, Timestamp), now: Timestamp) -> Result<LastAlive, DepositError> {
        let record = Record::at_start(read(store)?, tip, now);
        let mut batch = WriteBatch::new();
        record.put(&mut batch);
        store.write(batch, Durability::Synced)?;
        Ok(LastAlive(Mutex::new(record)))
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the node runs, if the last note is old enough.
    pub fn note(&self, store: &dyn Store, now: Timestamp) -> Result<(), DepositError> {
        let mut record = self.record();
        if now.0 < record.alive_at.0.saturating_add(NOTE_EVERY_MS) {
            return Ok(());
        }
        record.alive_at = now;
        let mut batch = WriteBatch::new();
        record.put(&mut batch);
        Ok(store.write(batch, Durability::Buffered)?)
    }

    /// Whether a block of this time is to be searched for commands that went through this bank.
    pub fn searches(&self, time: Timestamp) -> bool {
        let Record { from, to, .. } = *self.record();
        time.0 > from.0.saturating_add(MARGIN_MS) && time.0.saturating_add(MARGIN_MS) < to.0
    }

    /// Ends the search.
    pub fn found(&self, batch: &mut WriteBatch) {
        let mut record = self.record();
        record.to = Timestamp(0);
        record.put(batch);
    }
}

impl Record {
    fn at_start(before: Option<Record>, (height, time): (Height, Timestamp), now: Timestamp) -> Record {
        let (from, to) = match before {
            // The process before has not searched it to the end.
            Some(before) if time.0.saturating_add(MARGIN_MS) < before.to.0 => (before.from, before.to),
            Some(before) => (before.alive_at, now),
            None if height == Height(0) => (Timestamp(0), now),
            // A version that noted nothing has written this folder.
            None => (now, now),
        };
        Record { alive_at: now, from, to }
    }

    fn put(&self, batch: &mut WriteBatch) {
        let mut value = Writer::with_capacity(24 + sealed::SEAL_BYTES);
        value.u64(self.alive_at.0).u64(self.from.0).u64(self.to.0);
        batch.put(Column::Deposits, KEY, sealed::seal(&KEY, &value.finish()));
    }
}

fn read(store: &dyn Store) -> Result<Option<Record>, DepositError> {
    let Some(record) = store.get(Column::Deposits, &KEY)? else { return Ok(None) };
    let mut input = open(&KEY, &record)?;
    let mut time = || input.u64().map(Timestamp).map_err(|error| damaged(&KEY, error));
    Ok(Some(Record { alive_at: time()?, from: time()?, to: time()? }))
}

/// Whether a command came to the central bank through this bank: it is the bank's own, or its customer's. One that
/// carries another bank's consent, such as a customer's who leaves this one, came through that bank.
pub fn went_through(bank: BankId, command: &Command) -> bool {
    if command.consented().is_some_and(|(statement, _)| statement.bank != bank) {
        return false;
    }
    match command.signer() {
        Signer::Member(Role::Bank, id) => id.0 == bank.0,
        Signer::Holder(account) => account.bank == bank,
        Signer::Member(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use cbdc_storage::MemoryStore;

    use super::*;

    const MINUTE: u64 = 60_000;

    fn at(minute: u64) -> Timestamp {
        Timestamp(minute * MINUTE)
    }

    fn start(store: &MemoryStore, tip: (u64, u64), now: u64) -> LastAlive {
        LastAlive::begin(store, (Height(tip.0), at(tip.1)), at(now)).unwrap()
    }

    #[test]
    fn an_empty_folder_is_searched_for_whatever_its_bank_ever_did() {
        let alive = start(&MemoryStore::new(), (0, 0), 100);
        let searched: Vec<u64> = (0..110).filter(|minute| alive.searches(at(*minute))).collect();
        assert_eq!(searched, (2..99).collect::<Vec<_>>());
    }

    #[test]
    fn the_search_begins_at_the_last_sign_of_life_however_old_the_newest_block_is() {
        let store = MemoryStore::new();
        let alive = start(&store, (0, 0), 10);
        alive.note(&store, at(40)).unwrap();
        alive.note(&store, Timestamp(at(40).0 + 1)).unwrap();
        let alive = start(&store, (3, 12), 100);
        let searched: Vec<u64> = (0..110).filter(|minute| alive.searches(at(*minute))).collect();
        assert_eq!(searched, (42..99).collect::<Vec<_>>());
    }

    #[test]
    fn a_search_goes_on_after_a_restart_and_ends_once_something_is_found() {
        let store = MemoryStore::new();
        start(&store, (0, 0), 10);
        start(&store, (3, 9), 100);
        let alive = start(&store, (4, 20), 120);
        assert!(alive.searches(at(98)) && !alive.searches(at(110)));
        let mut batch = WriteBatch::new();
        alive.found(&mut batch);
        store.write(batch, Durability::Buffered).unwrap();
        assert!(!alive.searches(at(98)));
        assert!(!start(&store, (5, 30), 121).searches(at(98)));
    }

    #[test]
    fn a_folder_of_a_version_that_noted_nothing_is_not_searched() {
        let alive = start(&MemoryStore::new(), (5, 20), 100);
        assert!((0..110).all(|minute| !alive.searches(at(minute))));
    }
}
