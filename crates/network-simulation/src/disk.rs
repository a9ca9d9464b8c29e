//! The disk of a simulated node: a store in memory that loses in a crash as much of what was not synced as a real disk
//! may lose.
//!
//! A node holds it through a [`Life`]: what a killed node still does while it is taken apart reaches no disk. A disk
//! that lies, for canaries, says that it has synced and has not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use cbdc_storage::{Column, Direction, Durability, KeyRange, MemoryStore, Store, StoreError, Visit, WriteBatch};

/// The disk as one start of a node sees it. Clones share it, so that the node can be the only holder of its own.
#[derive(Debug, Clone)]
pub struct Life {
    disk: Arc<MemoryStore>,
    /// Says that a write is synced, and keeps it in memory.
    lies: bool,
    is_over: Arc<AtomicBool>,
    /// The writes until it ends by itself; 0 if it does not.
    writes_left: Arc<AtomicU64>,
}

impl Life {
    /// A start on this disk.
    pub fn new(disk: Arc<MemoryStore>, lies: bool) -> Life {
        Life { disk, lies, is_over: Arc::default(), writes_left: Arc::default() }
    }

    /// Ends it: nothing reaches the disk any more.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Ends it in the middle of what the node does: so many writes from now on still reach the disk.
    pub fn end_after(&self, writes: u64) {
        self.writes_left.store(writes + 1, Ordering::Release);
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.is_over() {
            true => Err(StoreError::Closed { path: "the simulated disk".into() }),
            false => Ok(()),
        }
    }
}

impl Store for Life {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.check()?;
        self.disk.get(column, key)
    }

    fn multi_get(&self, column: Column, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.check()?;
        self.disk.multi_get(column, keys)
    }

    fn scan(
        &self,
        column: Column,
        range: &KeyRange,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.check()?;
        self.disk.scan(column, range, direction, visit)
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
        if self.writes_left.load(Ordering::Acquire) > 0 && self.writes_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.end();
        }
        self.check()?;
        let durability = if self.lies { Durability::Buffered } else { durability };
        self.disk.write(batch, durability)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.check()?;
        self.disk.flush()
    }

    fn reclaim(&self, column: Column, range: &KeyRange) -> Result<(), StoreError> {
        self.check()?;
        self.disk.reclaim(column, range)
    }

    // The disk outlives the node.
    fn close(&self) {}

    fn sync_count(&self) -> u64 {
        self.disk.sync_count()
    }

    fn poisoned_by(&self) -> Option<StoreError> {
        self.disk.poisoned_by()
    }
}
