//! [`SlowStore`]: a store whose syncs take longer, to see what a network does when a disk gets slow.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::column::Column;
use crate::error::StoreError;
use crate::store::{Direction, Durability, KeyRange, Store, Visit, WriteBatch};

/// A store each of whose syncs waits before it begins, for as many milliseconds as a file says at that moment; not at
/// all while the file is missing or no number.
#[derive(Debug)]
pub struct SlowStore {
    inner: Arc<dyn Store>,
    delay_ms_file: PathBuf,
}

impl SlowStore {
    /// A store over `inner` whose delay is in a file.
    pub fn new(inner: Arc<dyn Store>, delay_ms_file: PathBuf) -> SlowStore {
        SlowStore { inner, delay_ms_file }
    }

    fn wait(&self) {
        let delay_ms = std::fs::read_to_string(&self.delay_ms_file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(delay_ms) = delay_ms {
            std::thread::sleep(Duration::from_millis(delay_ms));
        }
    }
}

impl Store for SlowStore {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(column, key)
    }

    fn multi_get(&self, column: Column, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.inner.multi_get(column, keys)
    }

    fn scan(
        &self,
        column: Column,
        range: &KeyRange,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.inner.scan(column, range, direction, visit)
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
        if durability == Durability::Synced {
            self.wait();
        }
        self.inner.write(batch, durability)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.wait();
        self.inner.flush()
    }

    fn reclaim(&self, column: Column, range: &KeyRange) -> Result<(), StoreError> {
        self.inner.reclaim(column, range)
    }

    fn close(&self) {
        self.inner.close();
    }

    fn sync_count(&self) -> u64 {
        self.inner.sync_count()
    }

    fn poisoned_by(&self) -> Option<StoreError> {
        self.inner.poisoned_by()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;

    #[test]
    fn a_sync_takes_as_long_as_the_file_says_and_other_writes_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("delay-ms");
        let store = SlowStore::new(Arc::new(MemoryStore::new()), file.clone());
        let took = |durability| {
            let began = std::time::Instant::now();
            let mut batch = WriteBatch::new();
            batch.put(Column::Meta, b"key", Bytes::from_static(b"value"));
            store.write(batch, durability).unwrap();
            began.elapsed()
        };
        std::fs::write(&file, "60\n").unwrap();
        assert!(took(Durability::Synced) >= Duration::from_millis(60));
        for (text, durability) in [("60000", Durability::Buffered), ("soon", Durability::Synced)] {
            std::fs::write(&file, text).unwrap();
            assert!(took(durability) < Duration::from_secs(30), "{text}");
        }
        assert_eq!(store.get(Column::Meta, b"key").unwrap().as_deref(), Some(&b"value"[..]));
        assert_eq!(store.sync_count(), 2);
    }
}
