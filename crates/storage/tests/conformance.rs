//! The behaviour that every store shows, one test a behaviour, for each store.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Deref};
use std::sync::Arc;

use bytes::Bytes;
use cbdc_storage::checkpoint::CHUNK_BYTES_MAX;
use cbdc_storage::{
    CheckpointStore, CheckpointWriter, Column, Direction, Durability, HeaderStore, KeyRange, LogPosition, MemoryStore,
    RocksStore, Store, StoredHeader, WriteBatch,
};
use proptest::prelude::*;
use tempfile::TempDir;

/// A new, empty store, and the folder that goes with it.
struct Fresh {
    store: Arc<dyn Store>,
    _folder: Option<TempDir>,
}

impl Deref for Fresh {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

fn in_memory() -> Fresh {
    Fresh { store: Arc::new(MemoryStore::new()), _folder: None }
}

fn on_rocksdb() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    Fresh { store: Arc::new(RocksStore::open(folder.path()).unwrap()), _folder: Some(folder) }
}

/// Makes a test for each store of each behaviour, which is a function over a way to make stores.
macro_rules! for_each_store {
    ($($behaviour:ident)*) => {
        mod memory {
            $(#[test]
            fn $behaviour() {
                super::$behaviour(super::in_memory);
            })*
        }

        mod rocksdb {
            $(#[test]
            fn $behaviour() {
                super::$behaviour(super::on_rocksdb);
            })*
        }
    };
}

for_each_store! {
    columns_are_apart
    a_batch_is_applied_in_order
    scans_keep_to_their_range_in_both_directions
    a_scan_may_break_and_may_use_the_store
    range_deletes_end_before_their_end
    every_sync_is_counted_and_nothing_else
    large_values_come_back_whole
    a_header_comes_back_by_its_height
    a_checkpoint_comes_back_chunk_by_chunk
    random_histories_equal_a_map
}

type Make = fn() -> Fresh;

fn columns_are_apart(make: Make) {
    let store = make();
    let mut batch = WriteBatch::new();
    for column in Column::ALL {
        batch.put(column, "key", column.name());
    }
    store.write(batch, Durability::Synced).unwrap();
    for column in Column::ALL {
        assert_eq!(store.get(column, b"key").unwrap(), Some(Bytes::from(column.name())));
        assert_eq!(store.get(column, b"other").unwrap(), None);
    }
    let values = store.multi_get(Column::Log, &[b"none", b"key"]).unwrap();
    assert_eq!(values, [None, Some(Bytes::from("log"))]);
}

fn a_batch_is_applied_in_order(make: Make) {
    let store = make();
    let mut batch = WriteBatch::new();
    batch
        .put(Column::Meta, "a", "1")
        .put(Column::Meta, "a", "2")
        .put(Column::Meta, "b", "1")
        .delete(Column::Meta, "b")
        .put(Column::Meta, "c", "1")
        .delete_range(Column::Meta, "c", "d")
        .put(Column::Meta, "c", "3")
        .delete(Column::Meta, "never there");
    store.write(batch, Durability::Buffered).unwrap();
    assert_eq!(store.get(Column::Meta, b"a").unwrap(), Some(Bytes::from("2")));
    assert_eq!(store.get(Column::Meta, b"b").unwrap(), None);
    assert_eq!(store.get(Column::Meta, b"c").unwrap(), Some(Bytes::from("3")));
}

fn numbers(store: &dyn Store, range: KeyRange, direction: Direction, limit: usize) -> Vec<u64> {
    let records = store.collect(Column::History, &range, direction, limit).unwrap();
    records.iter().map(|(key, _)| u64::from_be_bytes(key[..].try_into().unwrap())).collect()
}

fn fill(store: &dyn Store, count: u64) {
    let mut batch = WriteBatch::new();
    for number in 0..count {
        batch.put(Column::History, number.to_be_bytes(), vec![number as u8]);
    }
    store.write(batch, Durability::Buffered).unwrap();
}

fn scans_keep_to_their_range_in_both_directions(make: Make) {
    let store = make();
    fill(&*store, 3000);
    let key = |number: u64| number.to_be_bytes();
    let between = KeyRange::between(key(250), key(260));
    assert_eq!(numbers(&*store, between.clone(), Direction::Forward, 100), (250..260).collect::<Vec<_>>());
    assert_eq!(numbers(&*store, between.clone(), Direction::Reverse, 3), [259, 258, 257]);
    assert_eq!(numbers(&*store, between, Direction::Forward, 0), [0u64; 0]);
    assert_eq!(numbers(&*store, KeyRange::starting_at(key(2998)), Direction::Forward, 9), [2998, 2999]);
    assert_eq!(numbers(&*store, KeyRange::all(), Direction::Forward, 9000).len(), 3000);
    assert_eq!(numbers(&*store, KeyRange::all(), Direction::Reverse, 9000), (0..3000).rev().collect::<Vec<_>>());
    assert_eq!(numbers(&*store, KeyRange::between(key(7), key(7)), Direction::Reverse, 9), [0u64; 0]);
    assert_eq!(numbers(&*store, KeyRange::between(key(9), key(7)), Direction::Forward, 9), [0u64; 0]);
    let prefix = KeyRange::with_prefix([0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(numbers(&*store, prefix, Direction::Forward, 9000), (256..512).collect::<Vec<_>>());
    assert_eq!(numbers(&*store, KeyRange::with_prefix([0xff]), Direction::Forward, 9), [0u64; 0]);
}

fn a_scan_may_break_and_may_use_the_store(make: Make) {
    let store = make();
    fill(&*store, 100);
    let mut sum = 0;
    store
        .scan(Column::History, &KeyRange::all(), Direction::Forward, &mut |key, value| {
            assert_eq!(store.get(Column::History, key).unwrap().as_deref(), Some(value));
            sum += u64::from(value[0]);
            if value[0] == 50 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(sum, 50 * 51 / 2);
}

fn range_deletes_end_before_their_end(make: Make) {
    let store = make();
    fill(&*store, 20);
    let mut batch = WriteBatch::new();
    batch.delete_range(Column::History, 5u64.to_be_bytes(), 15u64.to_be_bytes());
    batch.delete_range(Column::History, 3u64.to_be_bytes(), 2u64.to_be_bytes());
    store.write(batch, Durability::Synced).unwrap();
    let left = numbers(&*store, KeyRange::all(), Direction::Forward, 100);
    assert_eq!(left, (0..5).chain(15..20).collect::<Vec<_>>());
    store.reclaim(Column::History, &KeyRange::all()).unwrap();
    assert_eq!(numbers(&*store, KeyRange::all(), Direction::Forward, 100), left);
}

fn every_sync_is_counted_and_nothing_else(make: Make) {
    let store = make();
    let before = store.sync_count();
    let write = |durability| {
        let mut batch = WriteBatch::new();
        batch.put(Column::Meta, "a", "1");
        store.write(batch, durability).unwrap();
    };
    write(Durability::Buffered);
    write(Durability::Bulk);
    assert_eq!(store.sync_count(), before);
    write(Durability::Synced);
    write(Durability::Synced);
    store.flush().unwrap();
    assert_eq!(store.sync_count(), before + 3);
    assert_eq!(store.poisoned_by(), None);
}

fn large_values_come_back_whole(make: Make) {
    let store = make();
    let value: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    for column in [Column::Log, Column::Checkpoint, Column::Meta] {
        let mut batch = WriteBatch::new();
        batch.put(column, "large", value.clone());
        store.write(batch, Durability::Synced).unwrap();
        assert_eq!(store.get(column, b"large").unwrap().as_deref(), Some(&value[..]));
    }
}

fn a_header_comes_back_by_its_height(make: Make) {
    let store = make();
    let header = StoredHeader { height: 7, log_index: 9, header: Bytes::from("header") };
    let mut batch = WriteBatch::new();
    HeaderStore::put(&mut batch, &header);
    store.write(batch, Durability::Buffered).unwrap();
    let headers = HeaderStore::new(store.store.clone());
    assert_eq!(headers.get(7).unwrap(), Some(header.clone()));
    assert_eq!(headers.get(8).unwrap(), None);
    assert_eq!(headers.last().unwrap(), Some(header));
}

fn a_checkpoint_comes_back_chunk_by_chunk(make: Make) {
    let store = make();
    let position = LogPosition { term: 1, index: 9 };
    let mut writer = CheckpointWriter::begin(store.store.clone(), 7).unwrap();
    writer.chunk(b"one").unwrap();
    writer.chunk(&vec![2; CHUNK_BYTES_MAX]).unwrap();
    let manifest = writer.finish(position, [3; 32], b"members").unwrap();
    let checkpoints = CheckpointStore::new(store.store.clone());
    assert_eq!(checkpoints.latest().unwrap(), Some(manifest.clone()));
    let mut lengths = Vec::new();
    checkpoints
        .read_chunks(&manifest, |chunk| {
            lengths.push(chunk.len());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(lengths, [3, CHUNK_BYTES_MAX]);
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    DeleteRange(u8, u8),
    Flush,
}

fn random_histories_equal_a_map(make: Make) {
    let step = prop_oneof![
        4 => (any::<u8>(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => any::<u8>().prop_map(Step::Delete),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Step::DeleteRange(from, to)),
        1 => Just(Step::Flush),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..Default::default()
    });
    runner
        .run(&proptest::collection::vec(step, 1..120), |steps| {
            let store = make();
            let mut model = BTreeMap::new();
            for step in &steps {
                let mut batch = WriteBatch::new();
                match *step {
                    Step::Put(key, value) => {
                        model.insert(key, value);
                        batch.put(Column::Deposits, [key], vec![value]);
                    }
                    Step::Delete(key) => {
                        model.remove(&key);
                        batch.delete(Column::Deposits, [key]);
                    }
                    Step::DeleteRange(from, to) => {
                        model.retain(|key, _| *key < from || *key >= to);
                        batch.delete_range(Column::Deposits, [from], [to]);
                    }
                    Step::Flush => store.flush().unwrap(),
                }
                store.write(batch, Durability::Buffered).unwrap();
            }
            for direction in [Direction::Forward, Direction::Reverse] {
                let found = store.collect(Column::Deposits, &KeyRange::all(), direction, usize::MAX).unwrap();
                let found: Vec<(u8, u8)> = found.iter().map(|(key, value)| (key[0], value[0])).collect();
                let mut expected: Vec<(u8, u8)> = model.clone().into_iter().collect();
                if direction == Direction::Reverse {
                    expected.reverse();
                }
                prop_assert_eq!(found, expected);
            }
            Ok(())
        })
        .unwrap();
}
