//! Log append: one synced write of one sealed proposal, as ordering does it, on a RocksDB store on the disk under
//! `TMPDIR`. Most of the time of a small one is the disk's fsync.

use std::hint::black_box;
use std::time::Duration;

use cbdc_storage::{Column, Durability, RocksStore, Store, WriteBatch, sealed};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SIZES_BYTES: [usize; 3] = [1 << 10, 128 << 10, 1 << 20];

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("storage::append");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    for bytes in SIZES_BYTES {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = RocksStore::open(folder.path()).expect("a new store opens");
        let proposal: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
        let mut index = 0u64;
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("bytes={bytes}"), |bencher| {
            bencher.iter(|| {
                index += 1;
                let key = index.to_be_bytes();
                let mut batch = WriteBatch::new();
                batch.put(Column::Log, key, sealed::seal(&key, black_box(&proposal)));
                store.write(batch, Durability::Synced).expect("the disk is not full");
            });
        });
        assert_eq!(store.sync_count(), index, "one sync a proposal");
    }
    group.finish();
}

fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("storage::seal");
    for bytes in SIZES_BYTES {
        let proposal = vec![7; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("bytes={bytes}"), |bencher| {
            bencher.iter(|| sealed::seal(b"key", black_box(&proposal)));
        });
    }
    group.finish();
}

criterion_group!(benches, append, seal);
criterion_main!(benches);
