//! Records of a node's store whose seal holds and whose contents are arbitrary: headers, log entries, outcomes.

#![no_main]

use std::sync::Arc;

use cbdc_storage::headers::HeaderStore;
use cbdc_storage::{Column, Durability, MemoryStore, Store, WriteBatch, sealed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let key = 7_u64.to_be_bytes();
    let mut batch = WriteBatch::default();
    for column in [Column::Headers, Column::Log] {
        batch.put(column, key, sealed::seal(&key, bytes));
    }
    store.write(batch, Durability::Buffered).expect("memory takes it");
    let _ = HeaderStore::new(store.clone()).get(7);
    let _ = cbdc_ordering::read_logged_proposal(&*store, 7);
    let _ = cbdc_node::archive::decode_outcomes(bytes);
});
