//! Storage: the data that a node keeps across a crash.
//!
//! Only this crate knows RocksDB. All other crates use the trait [`Store`], of which there are two implementations that
//! pass the same tests (`tests/conformance.rs`): [`RocksStore`] on disk, and [`MemoryStore`] for tests and virtual
//! time, which can crash and fail on demand.
//!
//! # Modules
//!
//! | file | idea |
//! |---|---|
//! | [`column`] | the columns: separate key spaces |
//! | [`store`] | the trait: atomic batches, scans, three strengths of durability |
//! | [`rocks`] | RocksDB, one per node: settings, sync counters, poisoning |
//! | `log_framing` | a look at RocksDB's logs, so that reading them comes to an end |
//! | [`memory`] | the same in memory, with crashes and failing disks on demand |
//! | [`sealed`] | records that carry a checksum bound to their key, so that a flipped bit is found |
//! | [`headers`] | block headers by height, each with the log index of its block proposal |
//! | [`checkpoint`] | whole-ledger checkpoints as numbered chunks and a manifest written last |
//! | [`error`] | the one error of this crate |
//!
//! The log itself is laid out by the ordering crate, in [`Column::Log`].
//!
//! # Promises
//!
//! 1. A [`WriteBatch`] is atomic across columns, in a crash too.
//! 2. When a [`Durability::Synced`] write returns `Ok`, it and every earlier [`Durability::Buffered`] write survive any
//!    crash, of the process or of the machine (as far as the disk keeps its own promise about fsync).
//! 3. When a write fails with an I/O error the store is *poisoned*: every later write fails with
//!    [`StoreError::Poisoned`]. After a failed fsync nobody knows what the disk holds, so the node must stop and start
//!    again from what it can read. Reads still work.
//! 4. A flipped bit is never read as good data: RocksDB's own checksums or the seal find it, and the error names the
//!    record.
//! 5. Every sync is counted ([`Store::sync_count`]); [`RocksStore::wal_syncs_by_rocksdb`] is RocksDB's own count of the
//!    same, so that the two can be compared.
//!
//! # Costs
//!
//! Measured by `benches/log_append.rs` on two Zen 4 cores and a virtual disk on which a 4 KiB `O_DSYNC` write took 0.2
//! ms at the time (and ten times that in a bad minute: the disk is shared):
//!
//! | what | cost |
//! |---|---|
//! | synced append of a block proposal of 1 KiB, 128 KiB, 1 MiB | 0.20 ms, 0.66 ms, 4.2 ms (240 MiB/s) |
//! | seal of 1 KiB, 128 KiB | 1.3 µs, 29 µs (4.2 GiB/s) |
//!
//! As a rule, the fsync is the whole cost of a small synced write, and a value in a blob column is written twice
//! (write-ahead log, then blob file).

#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod column;
pub mod error;
pub mod headers;
mod log_framing;
pub mod memory;
pub mod rocks;
pub mod sealed;
mod slow;
pub mod store;
mod wal_cache;

pub use checkpoint::{
    CHUNK_BYTES_MAX, CheckpointId, CheckpointManifest, CheckpointStore, CheckpointWriter, LogPosition,
};
pub use column::Column;
pub use error::StoreError;
pub use headers::{HeaderStore, StoredHeader};
pub use memory::{Fault, MemoryStore};
pub use rocks::{OPEN_FILES_MAX, RocksStore, is_locked, locked_by};
pub use slow::SlowStore;
pub use store::{Direction, Durability, KeyRange, Operation, Store, Visit, WriteBatch};
