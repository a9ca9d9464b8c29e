//! The trait [`Store`]: ordered bytes in columns, written in atomic batches.
//!
//! There are three strengths of durability, because the parts of a node have different needs:
//! - [`Durability::Synced`]: durable when the call returns, at the cost of one fsync. For block proposals, votes, a
//!   manifest, a debit.
//! - [`Durability::Buffered`]: in the write-ahead log, durable with the next synced write or [`Store::flush`]. For data
//!   that can be recomputed from the log: headers, outcomes.
//! - [`Durability::Bulk`]: past the write-ahead log, durable only after [`Store::flush`]. For gigabytes written in the
//!   background (checkpoint chunks), which in the write-ahead log would make the next block proposal's fsync wait for
//!   them.
//!
//! The trait is object safe: all users hold an `Arc<dyn Store>`. All calls block; call them from a blocking thread.

use std::fmt;
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::column::Column;
use crate::error::StoreError;

/// The durability of a write when the call returns. See the module header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Durable on return, and every earlier buffered write with it.
    Synced,
    /// Durable with the next synced write or flush.
    Buffered,
    /// Durable only with the next flush.
    Bulk,
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Sets `key` to `value`.
    Put {
        /// The column.
        column: Column,
        /// The key.
        key: Bytes,
        /// The new value.
        value: Bytes,
    },
    /// Removes `key`, if it is there.
    Delete {
        /// The column.
        column: Column,
        /// The key.
        key: Bytes,
    },
    /// Removes every key in `from..to`; nothing if `from >= to`.
    DeleteRange {
        /// The column.
        column: Column,
        /// First key removed.
        from: Bytes,
        /// First key kept.
        to: Bytes,
    },
}

impl Operation {
    /// The most bytes that the operation takes in RocksDB's batch.
    pub(crate) fn bytes_max(&self) -> usize {
        // A tag, a column and two lengths of up to five bytes each.
        const HEAD_BYTES: usize = 16;
        HEAD_BYTES
            + match self {
                Operation::Put { key, value, .. } => key.len() + value.len(),
                Operation::Delete { key, .. } => key.len(),
                Operation::DeleteRange { from, to, .. } => from.len() + to.len(),
            }
    }
}

/// Changes that are applied together, in order, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBatch {
    operations: Vec<Operation>,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        WriteBatch::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, column: Column, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> &mut Self {
        let key = Bytes::copy_from_slice(key.as_ref());
        self.operations.push(Operation::Put { column, key, value: value.into() });
        self
    }

    /// Removes `key`, if it is there.
    pub fn delete(&mut self, column: Column, key: impl AsRef<[u8]>) -> &mut Self {
        self.operations.push(Operation::Delete { column, key: Bytes::copy_from_slice(key.as_ref()) });
        self
    }

    /// Removes every key in `from..to`; nothing if `from >= to`.
    pub fn delete_range(&mut self, column: Column, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> &mut Self {
        let (from, to) = (from.as_ref(), to.as_ref());
        if from < to {
            self.operations.push(Operation::DeleteRange {
                column,
                from: Bytes::copy_from_slice(from),
                to: Bytes::copy_from_slice(to),
            });
        }
        self
    }

    /// The changes in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Whether there are no changes. A synced write of an empty batch still syncs.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.operations.len()
    }
}

/// The keys of a scan: `from` inclusive, `to` exclusive, `None` to the end of the column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// First key of the range.
    pub from: Vec<u8>,
    /// First key after the range.
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    /// The whole column.
    pub fn all() -> Self {
        KeyRange::default()
    }

    /// `from..`.
    pub fn starting_at(from: impl AsRef<[u8]>) -> Self {
        KeyRange { from: from.as_ref().to_vec(), to: None }
    }

    /// `from..to`.
    pub fn between(from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        KeyRange { from: from.as_ref().to_vec(), to: Some(to.as_ref().to_vec()) }
    }

    /// Every key that starts with `prefix`.
    pub fn with_prefix(prefix: impl AsRef<[u8]>) -> Self {
        let from = prefix.as_ref().to_vec();
        // The first key after the prefix: drop trailing 0xff, then add one; all 0xff means to the end.
        let mut end = from.clone();
        while end.last() == Some(&0xff) {
            end.pop();
        }
        let to = end.last_mut().map(|last| *last += 1).map(|()| end.clone());
        KeyRange { from, to }
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }
}

/// The order of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Forward,
    /// Greatest key first.
    Reverse,
}

/// The callback of a scan for each record: key, value; `Break` ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Ordered bytes in columns. One store per node.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// The value of `key`, or `None`.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// The values of `keys`, in their order.
    fn multi_get(&self, column: Column, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, StoreError> {
        keys.iter().map(|key| self.get(column, key)).collect()
    }

    /// Calls `visit` for each record of `range`, in order, until it breaks. Whether it sees concurrent writes is
    /// unspecified; `visit` may use the store.
    fn scan(
        &self,
        column: Column,
        range: &KeyRange,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError>;

    /// At most `limit` records of `range`.
    fn collect(
        &self,
        column: Column,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let mut records = Vec::new();
        if limit == 0 {
            return Ok(records);
        }
        self.scan(column, range, direction, &mut |key, value| {
            records.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            if records.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(records)
    }

    /// Applies `batch` atomically.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] or [`StoreError::Io`] if the disk failed: the batch may or may not be on disk, and
    /// every later write fails with [`StoreError::Poisoned`].
    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError>;

    /// Makes everything written so far durable, bulk writes included. Counts as a sync.
    fn flush(&self) -> Result<(), StoreError>;

    /// Reclaims the space of removed keys in `range`. Slow, in the caller's thread; losing it in a crash is harmless.
    fn reclaim(&self, column: Column, range: &KeyRange) -> Result<(), StoreError>;

    /// Closes the store even while others hold it: calls in flight end first, later ones fail. Synced data stays; call
    /// [`Store::flush`] first to keep the rest. A store in memory stays open, as if the next user had opened it again.
    fn close(&self) {}

    /// Number of syncs of the write-ahead log since the store was opened: one for each successful synced write and
    /// flush.
    fn sync_count(&self) -> u64;

    /// The failure that ended writing, if any. For health checks.
    fn poisoned_by(&self) -> Option<StoreError>;
}
