//! The store in memory, for tests and virtual time: it can crash and its disk can fail, on demand.
//!
//! It is the strictest store that keeps the promises of [`crate::store`]: it loses everything that a real disk *may*
//! lose in a crash.
//! - [`MemoryStore::crash`] drops every buffered write without a later synced write or flush, every bulk write without
//!   a later flush, and ends poisoning: the store is then what a restarted process would open.
//! - [`MemoryStore::fail_next_write`], [`MemoryStore::fail_every`] and [`MemoryStore::fail_column`] make writes fail as
//!   a disk would, and poison the store as a disk would.
//! - [`MemoryStore::flip_bit`] damages a stored record.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::column::Column;
use crate::error::StoreError;
use crate::store::{Direction, Durability, KeyRange, Operation, Store, Visit, WriteBatch};

/// The way in which a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An I/O error; nothing was written.
    Io,
    /// The disk is full; nothing was written.
    DiskFull,
    /// An I/O error was reported, but everything had been written and survives a crash: a possible result of a failing
    /// fsync.
    IoAfterWriting,
}

type Columns = BTreeMap<Column, BTreeMap<Bytes, Bytes>>;

#[derive(Debug, Default)]
struct Inner {
    /// The state that readers see.
    seen: Columns,
    /// The state that a crash leaves.
    durable: Columns,
    /// Writes seen but not durable, oldest first.
    pending: Vec<(WriteBatch, Durability)>,
    faults: Faults,
    poisoned: Option<StoreError>,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Faults {
    next: Option<Fault>,
    every: Option<(u64, Fault)>,
    column: Option<(Column, Fault)>,
    writes: u64,
}

impl Faults {
    /// The fault that this write meets, if any.
    fn meet(&mut self, batch: &WriteBatch) -> Option<Fault> {
        self.writes += 1;
        if let Some(fault) = self.next.take() {
            return Some(fault);
        }
        if let Some((every, fault)) = self.every
            && self.writes.is_multiple_of(every)
        {
            return Some(fault);
        }
        let (column, fault) = self.column?;
        batch.operations().iter().any(|operation| column_of(operation) == column).then_some(fault)
    }
}

/// The store in memory. Share it as an `Arc<MemoryStore>`; the same handle also serves as an `Arc<dyn Store>`.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    /// Loses everything that was not durable, and clears faults and poisoning: the store as a restarted process opens
    /// it. The count of syncs starts again.
    pub fn crash(&self) {
        let mut inner = self.lock();
        inner.seen = inner.durable.clone();
        inner.pending.clear();
        inner.faults = Faults::default();
        inner.poisoned = None;
        inner.syncs = 0;
    }

    /// [`Self::crash`], of which the first `kept` of the writes that were not durable survive: a disk may have written
    /// any of them, in order.
    pub fn crash_keeping(&self, kept: usize) {
        let mut inner = self.lock();
        let Inner { pending, durable, .. } = &mut *inner;
        pending.iter().take(kept).for_each(|(batch, _)| apply(durable, batch));
        drop(inner);
        self.crash();
    }

    /// The writes that are not durable yet.
    pub fn pending(&self) -> usize {
        self.lock().pending.len()
    }

    /// The next write or flush fails.
    pub fn fail_next_write(&self, fault: Fault) {
        self.lock().faults.next = Some(fault);
    }

    /// Makes every `every`-th write or flush from the store's beginning fail; 0 ends this.
    pub fn fail_every(&self, every: u64, fault: Fault) {
        self.lock().faults.every = (every > 0).then_some((every, fault));
    }

    /// Makes every write that touches `column` fail; `None` ends this.
    pub fn fail_column(&self, column: Option<Column>, fault: Fault) {
        self.lock().faults.column = column.map(|column| (column, fault));
    }

    /// Flips one bit of a stored value, as a failing disk would.
    ///
    /// # Panics
    /// If there is no such record or bit: a test that damages nothing cannot fail.
    pub fn flip_bit(&self, column: Column, key: &[u8], bit: usize) {
        let mut inner = self.lock();
        let Inner { seen, durable, .. } = &mut *inner;
        let mut flipped = 0;
        for columns in [seen, durable] {
            if let Some(value) = columns.get_mut(&column).and_then(|records| records.get_mut(key)) {
                let mut damaged = value.to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                *value = damaged.into();
                flipped += 1;
            }
        }
        assert!(flipped > 0, "there is no record {key:02x?} in column {column} to damage");
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in another test thread leaves the maps complete: every change is applied by code that cannot panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(
        &self,
        column: Column,
        bounds: (Bound<Bytes>, Bound<Bytes>),
        direction: Direction,
        limit: usize,
    ) -> Vec<(Bytes, Bytes)> {
        let inner = self.lock();
        let Some(records) = inner.seen.get(&column) else { return Vec::new() };
        let range = records.range(bounds).map(|(key, value)| (key.clone(), value.clone()));
        match direction {
            Direction::Forward => range.take(limit).collect(),
            Direction::Reverse => range.rev().take(limit).collect(),
        }
    }
}

impl Store for MemoryStore {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.lock().seen.get(&column).and_then(|records| records.get(key)).cloned())
    }

    fn scan(
        &self,
        column: Column,
        range: &KeyRange,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        // Page by page, so that the lock is free while `visit` runs and a scan that breaks early costs little.
        let mut from = Bound::Included(Bytes::copy_from_slice(&range.from));
        let mut to = match &range.to {
            Some(to) => Bound::Excluded(Bytes::copy_from_slice(to)),
            None => Bound::Unbounded,
        };
        let mut limit = 16;
        loop {
            let page = self.page(column, (from.clone(), to.clone()), direction, limit);
            for (key, value) in &page {
                if visit(key, value).is_break() {
                    return Ok(());
                }
            }
            let Some((last, _)) = page.last().filter(|_| page.len() == limit) else { return Ok(()) };
            match direction {
                Direction::Forward => from = Bound::Excluded(last.clone()),
                Direction::Reverse => to = Bound::Excluded(last.clone()),
            }
            if let (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end)) = (&from, &to)
                && start >= end
            {
                return Ok(());
            }
            limit = 1024;
        }
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if let Some(first) = &inner.poisoned {
            return Err(StoreError::Poisoned { first: Box::new(first.clone()) });
        }
        let fault = inner.faults.meet(&batch);
        if !matches!(fault, Some(Fault::Io | Fault::DiskFull)) {
            apply(&mut inner.seen, &batch);
            inner.pending.push((batch, durability));
            if durability == Durability::Synced {
                inner.make_durable(|durability| durability != Durability::Bulk);
                inner.syncs += u64::from(fault.is_none());
            }
        }
        inner.outcome(fault)
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if let Some(first) = &inner.poisoned {
            return Err(StoreError::Poisoned { first: Box::new(first.clone()) });
        }
        let fault = inner.faults.meet(&WriteBatch::new());
        if !matches!(fault, Some(Fault::Io | Fault::DiskFull)) {
            inner.make_durable(|_| true);
            inner.syncs += u64::from(fault.is_none());
        }
        inner.outcome(fault)
    }

    fn reclaim(&self, _column: Column, _range: &KeyRange) -> Result<(), StoreError> {
        Ok(())
    }

    fn sync_count(&self) -> u64 {
        self.lock().syncs
    }

    fn poisoned_by(&self) -> Option<StoreError> {
        self.lock().poisoned.clone()
    }
}

impl Inner {
    fn make_durable(&mut self, which: impl Fn(Durability) -> bool) {
        let Inner { pending, durable, .. } = self;
        pending.retain(|(batch, durability)| {
            let now = which(*durability);
            if now {
                apply(durable, batch);
            }
            !now
        });
    }

    fn outcome(&mut self, fault: Option<Fault>) -> Result<(), StoreError> {
        let path = PathBuf::from("memory");
        let error = match fault {
            None => return Ok(()),
            Some(Fault::DiskFull) => StoreError::DiskFull { path, reason: "No space left on device (injected)".into() },
            Some(Fault::Io | Fault::IoAfterWriting) => {
                StoreError::Io { path, doing: "writing".into(), reason: "Input/output error (injected)".into() }
            }
        };
        self.poisoned = Some(error.clone());
        Err(error)
    }
}

fn column_of(operation: &Operation) -> Column {
    match operation {
        Operation::Put { column, .. } | Operation::Delete { column, .. } | Operation::DeleteRange { column, .. } => {
            *column
        }
    }
}

fn apply(columns: &mut Columns, batch: &WriteBatch) {
    for operation in batch.operations() {
        let records = columns.entry(column_of(operation)).or_default();
        match operation {
            Operation::Put { key, value, .. } => {
                records.insert(key.clone(), value.clone());
            }
            Operation::Delete { key, .. } => {
                records.remove(key);
            }
            Operation::DeleteRange { from, to, .. } => {
                let doomed: Vec<Bytes> = records.range(from.clone()..to.clone()).map(|(key, _)| key.clone()).collect();
                for key in doomed {
                    records.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &'static str, durability: Durability, store: &MemoryStore) -> Result<(), StoreError> {
        let mut batch = WriteBatch::new();
        batch.put(Column::Meta, key, key);
        store.write(batch, durability)
    }

    fn keys(store: &MemoryStore) -> Vec<String> {
        let records = store.collect(Column::Meta, &KeyRange::all(), Direction::Forward, usize::MAX).unwrap();
        records.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
    }

    #[test]
    fn a_crash_loses_unsynced_writes_and_keeps_synced_ones_with_all_before_them() {
        let store = MemoryStore::new();
        put("a", Durability::Buffered, &store).unwrap();
        put("b", Durability::Bulk, &store).unwrap();
        put("c", Durability::Synced, &store).unwrap();
        put("d", Durability::Buffered, &store).unwrap();
        assert_eq!(keys(&store), ["a", "b", "c", "d"]);
        store.crash();
        assert_eq!(keys(&store), ["a", "c"]);
    }

    #[test]
    fn a_flush_makes_buffered_and_bulk_writes_durable() {
        let store = MemoryStore::new();
        put("a", Durability::Buffered, &store).unwrap();
        put("b", Durability::Bulk, &store).unwrap();
        store.flush().unwrap();
        store.crash();
        assert_eq!(keys(&store), ["a", "b"]);
    }

    #[test]
    fn a_failed_write_poisons_the_store_until_it_restarts() {
        let store = MemoryStore::new();
        store.fail_next_write(Fault::DiskFull);
        assert!(put("a", Durability::Synced, &store).unwrap_err().is_disk_full());
        let later = put("b", Durability::Synced, &store).unwrap_err();
        assert!(matches!(later, StoreError::Poisoned { .. }) && later.is_disk_full());
        assert!(store.flush().is_err());
        assert_eq!((keys(&store), store.sync_count()), (vec![], 0));
        store.crash();
        put("b", Durability::Synced, &store).unwrap();
        assert_eq!((keys(&store), store.sync_count()), (vec!["b".to_string()], 1));
    }

    #[test]
    fn a_write_that_reported_failure_may_have_happened() {
        let store = MemoryStore::new();
        store.fail_next_write(Fault::IoAfterWriting);
        put("a", Durability::Synced, &store).unwrap_err();
        store.crash();
        assert_eq!(keys(&store), ["a"]);
    }

    #[test]
    fn faults_strike_every_nth_write_or_one_column() {
        let store = MemoryStore::new();
        store.fail_every(3, Fault::Io);
        put("a", Durability::Synced, &store).unwrap();
        put("b", Durability::Synced, &store).unwrap();
        put("c", Durability::Synced, &store).unwrap_err();
        store.crash();
        store.fail_column(Some(Column::Log), Fault::Io);
        put("d", Durability::Synced, &store).unwrap();
        let mut batch = WriteBatch::new();
        batch.put(Column::Meta, "e", "e").put(Column::Log, "e", "e");
        store.write(batch, Durability::Synced).unwrap_err();
        assert_eq!(keys(&store), ["a", "b", "d"]);
    }
}
