//! The store on disk: RocksDB, one per node, in its own folder.
//!
//! # Settings and why
//! - **Blob files** for [`Column::Log`], [`Column::FilteredBlocks`] and [`Column::Checkpoint`]: large values are
//!   written once to the write-ahead log and once to a blob file, and compaction moves only keys. Blob garbage
//!   collection is off: the log is an archive, and a blob file whose last key is removed goes as a whole
//!   ([`Store::reclaim`]).
//! - **Write-ahead log**: recovery tolerates a torn tail (a crash leaves one) and nothing else: a flipped bit further
//!   in makes opening fail, instead of silently dropping acknowledged writes after it.
//! - **Direct writes** of tables and blob files, past the page cache, if the file system supports them: nobody reads
//!   them soon (recent data is in memory), and filling fresh pages of the cache cost a tenth of all CPU time under full
//!   load and delayed the log's fsync. The write-ahead log has no such mode: the cache is told to drop it
//!   (`wal_cache`).
//! - **No compression**: signatures and hashes do not compress, and the CPU belongs to verifying signatures.
//! - **Two background jobs**, bounded open files, write buffers and write-ahead log: a node shares two cores with
//!   everything else. Worst case of memory: 4 × 64 MiB for the log, 8 × 16 MiB for checkpoints, 2 × 32 MiB for filtered
//!   blocks, 2 × 16 MiB for each of the other seven, 64 MiB of block cache.
//! - [`Durability::Synced`] is RocksDB's `WriteOptions::sync`; [`Durability::Bulk`] its `disableWAL`, whose columns
//!   [`Store::flush`] flushes.
//!
//! # After a failed write
//! The store poisons itself: see [`crate`], promise 3.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use rocksdb::statistics::{StatsLevel, Ticker};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, ErrorKind,
    LogLevel, Options, ReadOptions, WriteOptions,
};
use rustix::fs::OFlags;

use crate::column::Column;
use crate::error::{StoreError, hex};
use crate::log_framing;
use crate::store::{Direction, Durability, KeyRange, Operation, Store, Visit, WriteBatch};
use crate::wal_cache::WalCache;

const MIB: usize = 1024 * 1024;
/// The size from which values go to blob files, in the columns that have them.
const BLOB_BYTES_MIN: u64 = 1024;
/// Bytes of RocksDB's batch before its first operation.
const BATCH_HEAD_BYTES: usize = 12;
const BLOB_FILE_BYTES: u64 = 256 * MIB as u64;
const BLOCK_CACHE_BYTES: usize = 64 * MIB;
/// Files that a store keeps open at once.
pub const OPEN_FILES_MAX: i32 = 512;
const BACKGROUND_JOBS_MAX: i32 = 2;
const WAL_BYTES_MAX: u64 = 512 * MIB as u64;
/// The interval between messages while the store is being opened, and the time that opening may take in addition to a
/// second per MiB of logs.
const OPENING_WORD: Duration = Duration::from_secs(10);
const OPENING_MAX: Duration = Duration::from_secs(300);
/// Holds the process id of the node that has the folder open, for the message to a second one.
const OWNER_FILE: &str = "OWNER";
/// The number of waits for calls in flight when closing, and the length of each.
const CLOSE_WAITS: u32 = 500;
const CLOSE_WAIT: Duration = Duration::from_millis(10);

/// The store on disk.
pub struct RocksStore {
    /// Taken by [`Store::close`].
    database: RwLock<Option<Arc<DB>>>,
    /// Kept for its statistics, which it shares with the database.
    options: Options,
    path: PathBuf,
    /// `None` for a read-only store.
    wal_cache: Option<WalCache>,
    syncs: AtomicU64,
    /// Per column: whether bulk writes wait for a flush. Indexed by the column's position in [`Column::ALL`].
    unflushed: [AtomicBool; Column::ALL.len()],
    poisoned: Mutex<Option<StoreError>>,
}

impl fmt::Debug for RocksStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RocksStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RocksStore {
    /// Opens the store in `path`, creating the folder if necessary. Recovers the state after a crash.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process (or this one) has it open; [`StoreError::DiskFull`];
    /// [`StoreError::Open`] for anything else, including damaged files.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_path_buf();
        fs::create_dir_all(&path).map_err(|error| open_error(&path, error.to_string()))?;
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
        let mut options = database_options();
        let direct_writes = takes_direct_writes(&path);
        options.set_use_direct_io_for_flush_and_compaction(direct_writes);
        let columns =
            Column::ALL.map(|column| ColumnFamilyDescriptor::new(column.name(), column_options(column, &cache)));
        let (opening, folder) = (options.clone(), path.clone());
        let database = open_within(&path, move || DB::open_cf_descriptors(&opening, folder, columns))?;
        if let Err(error) = fs::write(path.join(OWNER_FILE), std::process::id().to_string()) {
            tracing::warn!(path = %path.display(), %error, "the owner's process id could not be noted");
        }
        let wal_cache = WalCache::start(&path).map_err(|error| open_error(&path, error.to_string()))?;
        note_open_here(&path, true);
        tracing::info!(path = %path.display(), direct_writes, "store opened");
        Ok(RocksStore::of(database, options, path, Some(wal_cache)))
    }

    /// Opens the store in `path` for reading only: nothing in the folder is written, created or locked, so that a
    /// folder kept as evidence stays as it is, even on a read-only mount. The write-ahead log that a crash left is read
    /// into memory. Every write to the store fails.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if a node has it open, which would change the data being read; [`StoreError::Open`] for
    /// anything else, including damaged files.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_path_buf();
        if is_locked(&path) {
            return Err(open_error(&path, LOCKED.to_owned()));
        }
        // RocksDB would create the folder, even to read it.
        if !path.join("CURRENT").is_file() {
            return Err(open_error(&path, "expected a store's files in the folder, found none".to_owned()));
        }
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
        let mut options = database_options();
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        let columns =
            Column::ALL.map(|column| ColumnFamilyDescriptor::new(column.name(), column_options(column, &cache)));
        let (opening, folder) = (options.clone(), path.clone());
        let read_only = move || DB::open_cf_descriptors_read_only(&opening, folder, columns, false);
        let database = open_within(&path, read_only)?;
        tracing::info!(path = %path.display(), "store opened for reading only");
        Ok(RocksStore::of(database, options, path, None))
    }

    fn of(database: DB, options: Options, path: PathBuf, wal_cache: Option<WalCache>) -> RocksStore {
        RocksStore {
            database: RwLock::new(Some(Arc::new(database))),
            options,
            path,
            wal_cache,
            syncs: AtomicU64::new(0),
            unflushed: [const { AtomicBool::new(false) }; Column::ALL.len()],
            poisoned: Mutex::new(None),
        }
    }

    /// The store's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// RocksDB's own count of write-ahead log syncs (`rocksdb.wal.synced`) since the store was opened, to compare with
    /// [`Store::sync_count`]. It is smaller if writers in several threads shared one sync, and larger by the syncs that
    /// RocksDB makes by itself when it switches to a new write-ahead log.
    pub fn wal_syncs_by_rocksdb(&self) -> u64 {
        self.options.get_ticker_count(Ticker::WalFileSynced)
    }

    /// Bytes of the store's files as RocksDB counts them: tables and blob files, without the write-ahead log.
    pub fn disk_bytes(&self) -> u64 {
        let counted = ["rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size"];
        let Ok(database) = self.database() else { return 0 };
        let sizes = Column::ALL.iter().flat_map(|column| {
            counted.map(|property| {
                database.property_int_value_cf(family(&database, *column), property).ok().flatten().unwrap_or(0)
            })
        });
        sizes.sum()
    }

    fn database(&self) -> Result<Arc<DB>, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or_else(|| StoreError::Closed { path: self.path.clone() })
    }

    /// The write-ahead log's cache, if this store may be written to.
    fn writable(&self) -> Result<&WalCache, StoreError> {
        let read_only = || StoreError::ReadOnly { path: self.path.clone() };
        let wal_cache = self.wal_cache.as_ref().ok_or_else(read_only)?;
        match self.poisoned_by() {
            Some(first) => Err(StoreError::Poisoned { first: Box::new(first) }),
            None => Ok(wal_cache),
        }
    }

    /// Records a failed write, so that no other follows.
    fn poison(&self, doing: &str, error: rocksdb::Error) -> StoreError {
        let error = self.io_error(doing, error);
        tracing::error!(path = %self.path.display(), %error, "a write failed; the store accepts no more");
        self.poisoned.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        error
    }

    fn io_error(&self, doing: &str, error: rocksdb::Error) -> StoreError {
        let (path, reason) = (self.path.clone(), error.into_string());
        if says_disk_full(&reason) {
            StoreError::DiskFull { path, reason }
        } else {
            StoreError::Io { path, doing: doing.to_owned(), reason }
        }
    }

    fn read_error(&self, column: Column, key: &[u8], error: rocksdb::Error) -> StoreError {
        if error.kind() == ErrorKind::Corruption {
            StoreError::Damaged { column, key: hex(key), reason: error.into_string() }
        } else {
            self.io_error(&format!("reading column {column}"), error)
        }
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        let is_open = self.database.get_mut().unwrap_or_else(PoisonError::into_inner).is_some();
        if is_open && self.wal_cache.is_some() {
            note_open_here(&self.path, false);
        }
    }
}

fn family(database: &DB, column: Column) -> &ColumnFamily {
    database.cf_handle(column.name()).expect("every column is opened in `open`, and none is ever dropped")
}

impl Store for RocksStore {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let database = self.database()?;
        match database.get_cf(family(&database, column), key) {
            Ok(value) => Ok(value.map(Bytes::from)),
            Err(error) => Err(self.read_error(column, key, error)),
        }
    }

    fn multi_get(&self, column: Column, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let database = self.database()?;
        let values = database.batched_multi_get_cf(family(&database, column), keys.iter().copied(), false);
        let found = values.into_iter().zip(keys).map(|(value, key)| match value {
            Ok(value) => Ok(value.map(|value| Bytes::copy_from_slice(&value))),
            Err(error) => Err(self.read_error(column, key, error)),
        });
        found.collect()
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
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_iterate_lower_bound(range.from.clone());
        if let Some(to) = &range.to {
            options.set_iterate_upper_bound(to.clone());
        }
        let database = self.database()?;
        let mut records = database.raw_iterator_cf_opt(family(&database, column), options);
        match direction {
            Direction::Forward => records.seek_to_first(),
            Direction::Reverse => records.seek_to_last(),
        }
        let mut last_key = range.from.clone();
        while let Some((key, value)) = records.item() {
            if visit(key, value).is_break() {
                return Ok(());
            }
            last_key.clear();
            last_key.extend_from_slice(key);
            match direction {
                Direction::Forward => records.next(),
                Direction::Reverse => records.prev(),
            }
        }
        // RocksDB does not name the record that it could not read: it is the one after the last key.
        records.status().map_err(|error| self.read_error(column, &last_key, error))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
        let wal_cache = self.writable()?;
        let database = self.database()?;
        let bytes: usize = batch.operations().iter().map(Operation::bytes_max).sum();
        let mut changes = rocksdb::WriteBatch::with_capacity_bytes(BATCH_HEAD_BYTES + bytes);
        let mut bulk_columns = [false; Column::ALL.len()];
        for operation in batch.operations() {
            let column = match operation {
                Operation::Put { column, key, value } => {
                    changes.put_cf(family(&database, *column), key, value);
                    column
                }
                Operation::Delete { column, key } => {
                    changes.delete_cf(family(&database, *column), key);
                    column
                }
                Operation::DeleteRange { column, from, to } => {
                    changes.delete_range_cf(family(&database, *column), from, to);
                    column
                }
            };
            bulk_columns[*column as usize] = true;
        }
        let mut options = WriteOptions::default();
        match durability {
            Durability::Synced => options.set_sync(true),
            Durability::Buffered => {}
            Durability::Bulk => options.disable_wal(true),
        }
        let bytes = changes.size_in_bytes();
        database.write_opt(changes, &options).map_err(|error| self.poison("writing", error))?;
        match durability {
            Durability::Synced => {
                self.syncs.fetch_add(1, Ordering::Relaxed);
                wal_cache.wrote(bytes);
            }
            Durability::Buffered => wal_cache.wrote(bytes),
            Durability::Bulk => {
                for (unflushed, _) in self.unflushed.iter().zip(bulk_columns).filter(|(_, touched)| *touched) {
                    unflushed.store(true, Ordering::Release);
                }
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.writable()?;
        let database = self.database()?;
        for (column, unflushed) in Column::ALL.into_iter().zip(&self.unflushed) {
            if unflushed.swap(false, Ordering::AcqRel) {
                database.flush_cf(family(&database, column)).map_err(|error| self.poison("flushing", error))?;
            }
        }
        database.flush_wal(true).map_err(|error| self.poison("syncing the write-ahead log", error))?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn reclaim(&self, column: Column, range: &KeyRange) -> Result<(), StoreError> {
        self.writable()?;
        let database = self.database()?;
        database.flush_cf(family(&database, column)).map_err(|error| self.poison("flushing", error))?;
        database.compact_range_cf(family(&database, column), Some(&range.from), range.to.as_ref());
        Ok(())
    }

    fn close(&self) {
        let taken = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut database) = taken else { return };
        // Each call in flight holds a clone; the last one to end closes the database.
        for _ in 0..CLOSE_WAITS {
            match Arc::try_unwrap(database) {
                Ok(last) => {
                    drop(last);
                    note_open_here(&self.path, false);
                    tracing::info!(path = %self.path.display(), "store closed");
                    return;
                }
                Err(shared) => database = shared,
            }
            std::thread::sleep(CLOSE_WAIT);
        }
        tracing::warn!(path = %self.path.display(), "the store is still in use; it closes when that ends");
    }

    fn sync_count(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    fn poisoned_by(&self) -> Option<StoreError> {
        self.poisoned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// RocksDB's message if another process has the folder open.
const LOCKED: &str = "While lock file";

/// The folders of the stores that this process has open for writing. Its own locks tell a process nothing, and looking
/// at them gives them back.
static OPEN_HERE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Notes that this process has a store open, or has it no longer.
fn note_open_here(folder: &Path, is_open: bool) {
    let Ok(folder) = folder.canonicalize() else { return };
    let mut open_here = OPEN_HERE.lock().unwrap_or_else(PoisonError::into_inner);
    if is_open {
        open_here.insert(folder)
    } else {
        open_here.remove(&folder)
    };
}

/// Opens a database on a thread of its own, and says what is being read when it takes long.
///
/// # Errors
/// [`StoreError::Open`] before RocksDB sees logs that it would never come to the end of, and after a bounded time in
/// any case; the thread then ends with the process.
fn open_within(
    path: &Path,
    open: impl FnOnce() -> Result<DB, rocksdb::Error> + Send + 'static,
) -> Result<DB, StoreError> {
    let failed = |error: std::io::Error| open_error(path, error.to_string());
    let logs = log_framing::logs(path).map_err(failed)?;
    for (log, _) in &logs {
        if let Some(what) = log_framing::foreign_record(log).map_err(failed)? {
            return Err(open_error(path, what));
        }
    }
    let log_mib = logs.iter().map(|(_, bytes)| bytes).sum::<u64>() / MIB as u64;
    let (opened, result) = std::sync::mpsc::channel();
    let open = move || drop(opened.send(open()));
    std::thread::Builder::new().name("store-open".to_owned()).spawn(open).map_err(failed)?;
    let (mut waited, longest) = (Duration::ZERO, OPENING_MAX + Duration::from_secs(log_mib));
    loop {
        match result.recv_timeout(OPENING_WORD) {
            Ok(opened) => return opened.map_err(|error| open_error(path, error.into_string())),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(open_error(path, "the thread that opened it ended early".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => waited += OPENING_WORD,
        }
        let seconds = waited.as_secs();
        if waited >= longest {
            let names: Vec<String> = logs.iter().map(|(log, _)| log.display().to_string()).collect();
            let names = names.join(", ");
            return Err(open_error(
                path,
                format!("reading {log_mib} MiB of logs has not ended in {seconds} s: {names}"),
            ));
        }
        tracing::warn!(path = %path.display(), log_mib, seconds, "the store is still being opened: its logs are read");
    }
}

/// Whether a process has the store in a folder open for writing, as its lock file says.
pub fn is_locked(folder: &Path) -> bool {
    let open_here = OPEN_HERE.lock().unwrap_or_else(PoisonError::into_inner);
    if folder.canonicalize().is_ok_and(|folder| open_here.contains(&folder)) {
        return true;
    }
    let Ok(lock) = fs::File::open(folder.join("LOCK")) else { return false };
    // A shared lock needs no write permission; it is released when the file is closed.
    let tried = rustix::fs::fcntl_lock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared);
    matches!(tried, Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS))
}

/// The process that opened the store in a folder last, as it noted itself there: the one that [`is_locked`] notices.
pub fn locked_by(folder: &Path) -> Option<u32> {
    fs::read_to_string(folder.join(OWNER_FILE)).ok()?.trim().parse().ok()
}

/// Whether files in a folder can be written past the page cache; some in-memory file systems refuse it.
fn takes_direct_writes(folder: &Path) -> bool {
    let probe = folder.join("DIRECT_WRITES");
    let opened =
        fs::OpenOptions::new().write(true).create(true).custom_flags(OFlags::DIRECT.bits() as i32).open(&probe);
    drop(fs::remove_file(probe));
    opened.is_ok()
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(BACKGROUND_JOBS_MAX);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    // Unsynced bytes reach the disk a MiB at a time, so that no block proposal's fsync waits for a backlog of them:
    // before a flush RocksDB syncs the write-ahead log, which held 60 ms of writing at 75,000 payments a second. (The
    // first setting is for file systems without direct writes.)
    options.set_bytes_per_sync(MIB as u64);
    options.set_wal_bytes_per_sync(MIB as u64);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.enable_statistics();
    options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
    options
}

fn column_options(column: Column, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::None);
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_format_version(5);
    match column {
        Column::Deposits | Column::Outbox | Column::History => table.set_bloom_filter(10.0, false),
        _ => {}
    }
    options.set_block_based_table_factory(&table);

    let (write_buffer_bytes, write_buffers) = match column {
        Column::Log => (64 * MIB, 4),
        // As many as eight: when the last is full, RocksDB stops every write, including the log's, until one is
        // flushed.
        Column::Checkpoint => (16 * MIB, 8),
        Column::FilteredBlocks => (32 * MIB, 2),
        _ => (16 * MIB, 2),
    };
    options.set_write_buffer_size(write_buffer_bytes);
    options.set_max_write_buffer_number(write_buffers);

    if matches!(column, Column::Log | Column::FilteredBlocks | Column::Checkpoint) {
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_blob_file_size(BLOB_FILE_BYTES);
        options.set_blob_compression_type(DBCompressionType::None);
        options.set_enable_blob_gc(false);
        // Tables hold only keys here, a few KiB each: merge them rarely, and never stall the log for it.
        options.set_level_zero_file_num_compaction_trigger(16);
        options.set_level_zero_slowdown_writes_trigger(200);
        options.set_level_zero_stop_writes_trigger(400);
    }
    options
}

fn says_disk_full(reason: &str) -> bool {
    reason.contains("No space left on device") || reason.contains("Disk quota exceeded") || reason.contains("NoSpace")
}

fn open_error(path: &Path, reason: String) -> StoreError {
    let path = path.to_path_buf();
    // RocksDB: "IO error: While lock file: …/LOCK: Resource temporarily unavailable" for another process, "IO error:
    // lock hold by current process, …" for this one.
    if reason.contains(LOCKED) || reason.contains("lock hold by current process") {
        let owner = locked_by(&path).map_or("unknown process".to_owned(), |process| format!("process id {process}"));
        return StoreError::Locked { path, owner };
    }
    if says_disk_full(&reason) {
        return StoreError::DiskFull { path, reason };
    }
    StoreError::Open { path, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{CHUNK_BYTES_MAX, CheckpointStore, CheckpointWriter, LogPosition};
    use crate::headers::{HeaderStore, StoredHeader};
    use std::io::{BufRead, BufReader};
    use std::ops::ControlFlow;
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tempfile::TempDir;

    fn put(store: &RocksStore, column: Column, key: impl AsRef<[u8]>, value: impl Into<Bytes>, durability: Durability) {
        let mut batch = WriteBatch::new();
        batch.put(column, key, value);
        store.write(batch, durability).unwrap();
    }

    #[test]
    fn a_store_opened_again_holds_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..3u8 {
            let store = RocksStore::open(folder.path()).unwrap();
            for earlier in 0..round {
                assert_eq!(store.get(Column::Log, &[earlier]).unwrap().unwrap().len(), 100_000);
            }
            put(&store, Column::Log, [round], vec![round; 100_000], Durability::Synced);
        }
    }

    #[test]
    fn opening_twice_names_who_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let _first = RocksStore::open(folder.path()).unwrap();
        let error = RocksStore::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        assert!(error.to_string().contains(&format!("process id {}", std::process::id())), "{error}");
    }

    /// All files of a folder, with their bytes.
    fn folder_bytes(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    #[test]
    fn reading_only_changes_no_file_and_sees_what_only_the_write_ahead_log_has() {
        let folder = tempfile::tempdir().unwrap();
        let store = RocksStore::open(folder.path()).unwrap();
        put(&store, Column::Log, [1], vec![1; 100_000], Durability::Synced);
        store.flush().unwrap();
        put(&store, Column::Headers, [2], "header", Durability::Synced);
        store.close();
        drop(store);

        let before = folder_bytes(folder.path());
        for _ in 0..2 {
            let store = RocksStore::open_read_only(folder.path()).unwrap();
            assert_eq!(store.get(Column::Log, &[1]).unwrap().unwrap().len(), 100_000);
            assert_eq!(store.get(Column::Headers, &[2]).unwrap().unwrap(), "header");
            let mut batch = WriteBatch::new();
            batch.put(Column::Meta, [1], "no");
            let refused = store.write(batch, Durability::Synced).unwrap_err();
            assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
            assert!(matches!(store.flush(), Err(StoreError::ReadOnly { .. })));
        }
        assert!(folder_bytes(folder.path()) == before, "the folder is as it was");
    }

    #[test]
    fn what_is_no_store_is_not_made_one_by_reading_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = RocksStore::open_read_only(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Open { .. }), "{error}");
        assert!(folder_bytes(folder.path()).is_empty());
        assert!(RocksStore::open_read_only(folder.path().join("none")).is_err());
        assert!(!folder.path().join("none").exists());
    }

    #[test]
    fn our_count_of_syncs_equals_rocksdbs() {
        let folder = tempfile::tempdir().unwrap();
        let store = RocksStore::open(folder.path()).unwrap();
        let (ours, theirs) = (store.sync_count(), store.wal_syncs_by_rocksdb());
        for number in 0..50u8 {
            put(&store, Column::Log, [number], vec![0; 10_000], Durability::Synced);
            put(&store, Column::Headers, [number], "header", Durability::Buffered);
        }
        store.flush().unwrap();
        assert_eq!(store.sync_count() - ours, 51);
        assert_eq!(store.wal_syncs_by_rocksdb() - theirs, 51);
    }

    fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    }

    fn flip_middle_bit(file: &Path) {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(file, bytes).unwrap();
    }

    #[test]
    fn a_bit_flipped_on_disk_is_found_and_names_the_record() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(RocksStore::open(folder.path()).unwrap());
        put(&store, Column::Log, [7], vec![1; 100_000], Durability::Bulk);
        store.flush().unwrap();
        let mut writer = CheckpointWriter::begin(store.clone(), 3).unwrap();
        writer.chunk(&[5; 100_000]).unwrap();
        let manifest = writer.finish(LogPosition { term: 1, index: 1 }, [0; 32], b"").unwrap();
        drop(store);
        let blobs = files(folder.path(), "blob");
        assert_eq!(blobs.len(), 2, "one blob file a column");
        blobs.iter().for_each(|blob| flip_middle_bit(blob));

        let store = Arc::new(RocksStore::open(folder.path()).unwrap());
        let error = store.get(Column::Log, &[7]).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { column: Column::Log, key, .. } if key == "07"), "{error}");
        let scanned =
            store.scan(Column::Log, &KeyRange::all(), Direction::Forward, &mut |_, _| ControlFlow::Continue(()));
        assert!(scanned.unwrap_err().is_damage());
        let error = CheckpointStore::new(store).read_chunks(&manifest, |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(error, StoreError::DamagedChunk { height: 3, chunk: 0, .. }), "{error}");
    }

    #[test]
    fn a_bit_flipped_in_a_table_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(RocksStore::open(folder.path()).unwrap());
        let mut batch = WriteBatch::new();
        for height in 1..200 {
            HeaderStore::put(&mut batch, &StoredHeader { height, log_index: height, header: vec![9; 300].into() });
        }
        store.write(batch, Durability::Bulk).unwrap();
        store.flush().unwrap();
        drop(store);
        files(folder.path(), "sst").iter().for_each(|table| flip_middle_bit(table));

        let headers = HeaderStore::new(Arc::new(RocksStore::open(folder.path()).unwrap()));
        let damaged: Vec<u64> = (1..200)
            .filter(|height| match headers.get(*height) {
                Ok(found) => {
                    assert_eq!(found.unwrap().header, vec![9; 300]);
                    false
                }
                Err(StoreError::DamagedHeader { height: named, .. }) => {
                    assert_eq!(named, *height);
                    true
                }
                Err(other) => panic!("{other}"),
            })
            .collect();
        assert!(!damaged.is_empty());
    }

    #[test]
    fn a_bit_flipped_in_the_write_ahead_log_refuses_to_open_rather_than_forget() {
        let folder = tempfile::tempdir().unwrap();
        let store = RocksStore::open(folder.path()).unwrap();
        for number in 0..20u8 {
            put(&store, Column::Log, [number], vec![number; 5_000], Durability::Synced);
        }
        drop(store);
        files(folder.path(), "log")
            .iter()
            .filter(|file| fs::metadata(file).unwrap().len() > 0)
            .for_each(|file| flip_middle_bit(file));
        let error = RocksStore::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Open { .. }), "{error}");
    }

    #[test]
    fn a_record_of_a_type_that_is_never_written_ends_the_opening_with_its_place() {
        for kind in log_framing::RECYCLED_TYPES {
            let folder = tempfile::tempdir().unwrap();
            let store = RocksStore::open(folder.path()).unwrap();
            for number in 0..20u8 {
                put(&store, Column::Log, [number], vec![number; 5_000], Durability::Synced);
            }
            drop(store);
            let logs = files(folder.path(), "log");
            let log = logs.iter().find(|file| fs::metadata(file).unwrap().len() > 0).unwrap();
            let mut bytes = fs::read(log).unwrap();
            assert_eq!(bytes[6], 1, "a whole record");
            bytes[6] = kind;
            fs::write(log, bytes).unwrap();
            for error in [RocksStore::open(folder.path()), RocksStore::open_read_only(folder.path())] {
                let error = error.unwrap_err();
                assert!(matches!(error, StoreError::Open { .. }), "{error}");
                let said = error.to_string();
                assert!(said.contains("byte 0") && said.contains(&format!("type {kind}")), "{said}");
            }
        }
    }

    #[test]
    fn a_folder_is_locked_while_this_process_has_it_open() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_locked(folder.path()));
        let store = RocksStore::open(folder.path()).unwrap();
        assert!(is_locked(folder.path()));
        store.close();
        assert!(!is_locked(folder.path()));
        let store = RocksStore::open(folder.path()).unwrap();
        assert!(is_locked(folder.path()) && is_locked(&folder.path().join(".")));
        drop(store);
        assert!(!is_locked(folder.path()));
    }

    #[test]
    fn a_torn_tail_of_the_write_ahead_log_is_what_a_crash_leaves_and_opens() {
        let folder = tempfile::tempdir().unwrap();
        let store = RocksStore::open(folder.path()).unwrap();
        for number in 0..20u8 {
            put(&store, Column::Log, [number], vec![number; 5_000], Durability::Buffered);
        }
        drop(store);
        for file in files(folder.path(), "log") {
            let length = fs::metadata(&file).unwrap().len();
            fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length.saturating_sub(100)).unwrap();
        }
        let store = RocksStore::open(folder.path()).unwrap();
        assert_eq!(store.get(Column::Log, &[18]).unwrap().unwrap().len(), 5_000);
        assert_eq!(store.get(Column::Log, &[19]).unwrap(), None);
    }

    #[test]
    fn the_page_cache_forgets_what_the_write_ahead_log_no_longer_needs() {
        let folder = TempDir::new().unwrap();
        if !takes_direct_writes(folder.path()) {
            // A file system in memory: its files are the page cache.
            return;
        }
        let store = RocksStore::open(folder.path()).unwrap();
        for number in 0..16 {
            // Synced: data on its way to the disk cannot be dropped from the cache yet.
            put(&store, Column::Log, [number], vec![7; MIB], Durability::Synced);
        }
        let log = fs::File::open(&files(folder.path(), "log")[0]).unwrap();
        let began = Instant::now();
        loop {
            let mut page = [0; 4096];
            let into = &mut [std::io::IoSliceMut::new(&mut page)];
            let read = rustix::io::preadv2(&log, into, 64 * 1024, rustix::io::ReadWriteFlags::NOWAIT);
            if read == Err(rustix::io::Errno::AGAIN) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "the beginning of the log is still in the page cache");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn removed_checkpoints_give_their_space_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(RocksStore::open(folder.path()).unwrap());
        let checkpoint_bytes = 10 * CHUNK_BYTES_MAX as u64;
        for height in 1..=6 {
            let mut writer = CheckpointWriter::begin(store.clone(), height).unwrap();
            for _ in 0..10 {
                writer.chunk(&vec![height as u8; CHUNK_BYTES_MAX]).unwrap();
            }
            writer.finish(LogPosition { term: 1, index: height }, [0; 32], b"").unwrap();
        }
        let kept = store.disk_bytes();
        assert!(kept >= 2 * checkpoint_bytes, "{kept} bytes");
        assert!(kept < 3 * checkpoint_bytes, "{kept} bytes for two checkpoints of {checkpoint_bytes}");
    }

    const CHILD_FOLDER: &str = "CBDC_STORAGE_TEST_CHILD_FOLDER";

    /// Not a test of its own: the process that the next test kills.
    #[test]
    #[ignore = "the child process of a_killed_process_loses_nothing_it_acknowledged"]
    fn child_writes_until_killed() {
        let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
        let store = RocksStore::open(folder).unwrap();
        let next = store.collect(Column::Log, &KeyRange::all(), Direction::Reverse, 1).unwrap();
        let first = next.first().map_or(0, |(key, _)| u64::from_be_bytes(key[..].try_into().unwrap()) + 1);
        for number in first.. {
            let mut batch = WriteBatch::new();
            batch.put(Column::Log, number.to_be_bytes(), vec![number as u8; 2_000]);
            batch.put(Column::Meta, "last", number.to_be_bytes().to_vec());
            store.write(batch, Durability::Synced).unwrap();
            println!("acknowledged {number}");
        }
    }

    #[test]
    fn a_killed_process_loses_nothing_it_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let mut acknowledged = None;
        for round in 0..8 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["rocks::tests::child_writes_until_killed", "--exact", "--ignored", "--nocapture"])
                .env(CHILD_FOLDER, folder.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let deadline = Instant::now() + Duration::from_millis(150 + 37 * round);
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let number_in =
                |line: String| line.split_once("acknowledged ").and_then(|(_, number)| number.parse::<u64>().ok());
            while let Some(Ok(line)) = lines.next() {
                acknowledged = number_in(line).or(acknowledged);
                if Instant::now() > deadline && acknowledged.is_some() {
                    break;
                }
            }
            child.kill().unwrap();
            child.wait().unwrap();
            acknowledged = lines.map_while(Result::ok).filter_map(number_in).last().or(acknowledged);

            let store = RocksStore::open(folder.path()).unwrap();
            let acknowledged = acknowledged.expect("the child acknowledged at least one write");
            for number in 0..=acknowledged {
                let value = store.get(Column::Log, &number.to_be_bytes()).unwrap();
                assert_eq!(value.as_deref(), Some(&vec![number as u8; 2_000][..]), "write {number} of round {round}");
            }
            let last = store.collect(Column::Log, &KeyRange::all(), Direction::Reverse, 1).unwrap();
            let noted = store.get(Column::Meta, b"last").unwrap().unwrap();
            assert_eq!(last[0].0, noted, "both columns hold the same last write");
        }
        assert!(acknowledged.unwrap() > 8, "the child did real work");
    }

    /// Fills a tiny file system: run as root with `CBDC_STORAGE_TEST_SMALL_DISK=/path/of/a/tmpfs`.
    #[test]
    #[ignore = "needs a small file system in CBDC_STORAGE_TEST_SMALL_DISK"]
    fn a_full_disk_is_named_and_poisons_the_store() {
        let Some(disk) = std::env::var_os("CBDC_STORAGE_TEST_SMALL_DISK") else { return };
        let store = RocksStore::open(Path::new(&disk).join("store")).unwrap();
        let mut failed = None;
        for number in 0..100_000u64 {
            let mut batch = WriteBatch::new();
            batch.put(Column::Log, number.to_be_bytes(), vec![7; 1 << 20]);
            if let Err(error) = store.write(batch, Durability::Synced) {
                failed = Some(error);
                break;
            }
        }
        let error = failed.expect("the disk is full at last");
        assert!(error.is_disk_full(), "{error}");
        let later = store.write(WriteBatch::new(), Durability::Buffered).unwrap_err();
        assert!(matches!(later, StoreError::Poisoned { .. }), "{later}");
        assert!(store.get(Column::Log, &0u64.to_be_bytes()).unwrap().is_some(), "reads go on");
    }
}
