//! Block headers by height, each with the log index of its block proposal.
//!
//! Stored in [`Column::Headers`]: key = height, u64 big-endian; value = version (1 byte), log index (u64
//! little-endian), the header's bytes as given, sealed under the key. Headers are opaque to this module. They can be
//! recomputed from the log, so they are put into a batch of the caller's and need no sync of their own.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;

use crate::column::Column;
use crate::error::StoreError;
use crate::sealed;
use crate::store::{Direction, KeyRange, Store, WriteBatch};

/// Raised whenever the data that a node stores with its headers (outcomes, filtered blocks, history) changes its
/// layout.
const VERSION: u8 = 3;
const PREFIX_BYTES: usize = 1 + 8;

/// A header as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHeader {
    /// The block's height.
    pub height: u64,
    /// The log index of the block proposal from which the block was made.
    pub log_index: u64,
    /// The header, opaque here.
    pub header: Bytes,
}

/// The headers of one store.
#[derive(Debug, Clone)]
pub struct HeaderStore {
    store: Arc<dyn Store>,
}

impl HeaderStore {
    /// The headers kept in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        HeaderStore { store }
    }

    /// Adds the header to `batch`, so that it is written together with what belongs to it.
    pub fn put(batch: &mut WriteBatch, header: &StoredHeader) {
        let key = header.height.to_be_bytes();
        let mut record = Vec::with_capacity(PREFIX_BYTES + header.header.len() + sealed::SEAL_BYTES);
        record.push(VERSION);
        record.extend_from_slice(&header.log_index.to_le_bytes());
        record.extend_from_slice(&header.header);
        sealed::seal_in_place(&key, &mut record);
        batch.put(Column::Headers, key, record);
    }

    /// Adds to `batch` the removal of every header at `height` and above.
    pub fn remove_from(batch: &mut WriteBatch, height: u64) {
        batch.delete_range(Column::Headers, height.to_be_bytes(), u64::MAX.to_be_bytes());
        batch.delete(Column::Headers, u64::MAX.to_be_bytes());
    }

    /// The header at `height`, or `None`.
    ///
    /// # Errors
    /// [`StoreError::DamagedHeader`] naming the height, if a bit flipped; [`StoreError::OtherFormat`], if another
    /// version of the program wrote the folder.
    pub fn get(&self, height: u64) -> Result<Option<StoredHeader>, StoreError> {
        let record =
            self.store.get(Column::Headers, &height.to_be_bytes()).map_err(|error| name_height(height, error))?;
        record.map(|record| decode(height, &record)).transpose()
    }

    /// The header of the greatest height, or `None`.
    pub fn last(&self) -> Result<Option<StoredHeader>, StoreError> {
        let newest = self.store.collect(Column::Headers, &KeyRange::all(), Direction::Reverse, 1)?;
        newest.first().map(|(key, record)| decode(height_of(key)?, record)).transpose()
    }

    /// Calls `visit` for each header in `heights`, in order, until it breaks. Gaps are skipped: a caller that wants a
    /// chain compares heights.
    pub fn visit(
        &self,
        heights: Range<u64>,
        visit: &mut dyn FnMut(StoredHeader) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let range = KeyRange::between(heights.start.to_be_bytes(), heights.end.to_be_bytes());
        let mut damage = None;
        self.store.scan(Column::Headers, &range, Direction::Forward, &mut |key, record| match height_of(key)
            .and_then(|height| decode(height, record))
        {
            Ok(header) => visit(header),
            Err(error) => {
                damage = Some(error);
                ControlFlow::Break(())
            }
        })?;
        damage.map_or(Ok(()), Err)
    }
}

fn height_of(key: &[u8]) -> Result<u64, StoreError> {
    let bytes = <[u8; 8]>::try_from(key).map_err(|_| StoreError::Damaged {
        column: Column::Headers,
        key: crate::error::hex(key),
        reason: format!("its key has {} bytes, and a height has 8", key.len()),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

fn decode(height: u64, record: &[u8]) -> Result<StoredHeader, StoreError> {
    let damaged = |reason: String| StoreError::DamagedHeader { height, reason };
    let opened = sealed::open(&height.to_be_bytes(), record).map_err(|damage| damaged(damage.to_string()))?;
    let Some((version, rest)) = opened.split_first() else {
        return Err(damaged("it is empty".into()));
    };
    if *version != VERSION {
        return Err(StoreError::OtherFormat { expected: VERSION, found: *version });
    }
    let Some((log_index, header)) = rest.split_first_chunk::<8>() else {
        return Err(damaged("it ends within the log index".into()));
    };
    Ok(StoredHeader { height, log_index: u64::from_le_bytes(*log_index), header: Bytes::copy_from_slice(header) })
}

/// If RocksDB finds the damage before the seal does, the height is named all the same.
fn name_height(height: u64, error: StoreError) -> StoreError {
    match error.damage_reason() {
        Some(reason) => StoreError::DamagedHeader { height, reason: reason.to_owned() },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;
    use crate::store::Durability;

    fn header(height: u64) -> StoredHeader {
        StoredHeader { height, log_index: height * 2 + 3, header: Bytes::from(format!("header {height}")) }
    }

    fn headers_with(heights: Range<u64>) -> (Arc<MemoryStore>, HeaderStore) {
        let store = Arc::new(MemoryStore::new());
        let mut batch = WriteBatch::new();
        for height in heights {
            HeaderStore::put(&mut batch, &header(height));
        }
        store.write(batch, Durability::Buffered).unwrap();
        (store.clone(), HeaderStore::new(store))
    }

    #[test]
    fn headers_are_found_by_height_and_in_order() {
        let (_, headers) = headers_with(1..300);
        assert_eq!(headers.get(255).unwrap(), Some(header(255)));
        assert_eq!(headers.get(0).unwrap(), None);
        assert_eq!(headers.last().unwrap(), Some(header(299)));
        let mut seen = Vec::new();
        headers
            .visit(254..258, &mut |found| {
                seen.push(found.height);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(seen, [254, 255, 256, 257]);
    }

    #[test]
    fn removed_headers_are_gone_and_older_ones_stay() {
        let (store, headers) = headers_with(1..10);
        let mut batch = WriteBatch::new();
        HeaderStore::remove_from(&mut batch, 5);
        store.write(batch, Durability::Buffered).unwrap();
        assert_eq!(headers.last().unwrap(), Some(header(4)));
    }

    #[test]
    fn a_flipped_bit_is_found_and_named_by_height() {
        let (store, headers) = headers_with(1..4);
        let bits = store.get(Column::Headers, &2u64.to_be_bytes()).unwrap().unwrap().len() * 8;
        for bit in 0..bits {
            store.flip_bit(Column::Headers, &2u64.to_be_bytes(), bit);
            assert!(matches!(headers.get(2), Err(StoreError::DamagedHeader { height: 2, .. })), "bit {bit}");
            let visited = headers.visit(1..4, &mut |_| ControlFlow::Continue(()));
            assert!(matches!(visited, Err(StoreError::DamagedHeader { height: 2, .. })), "bit {bit}");
            store.flip_bit(Column::Headers, &2u64.to_be_bytes(), bit);
        }
        assert_eq!(headers.get(2).unwrap(), Some(header(2)));
    }
}
