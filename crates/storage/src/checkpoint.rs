//! Checkpoints: the whole ledger at one height, as numbered chunks and a manifest.
//!
//! A checkpoint is opaque here: chunks of at most [`CHUNK_BYTES_MAX`] bytes, in the writer's order, and a manifest with
//! what the node needs to continue from it (height, log position, root, and extra bytes: its signature).
//!
//! # Invariant
//! At every moment, including in a crash, the newest finished checkpoint is complete on disk.
//!
//! # Algorithm
//! 1. [`CheckpointWriter::begin`] removes what an unfinished checkpoint left behind.
//! 2. [`CheckpointWriter::chunk`] writes sealed chunks past the write-ahead log ([`Durability::Bulk`]), so that a block
//!    proposal's fsync never waits for them.
//! 3. [`CheckpointWriter::finish`] makes the chunks durable ([`Store::flush`]), and only then writes the manifest,
//!    synced: from here on the checkpoint counts.
//! 4. Then all but the newest [`KEPT`] finished checkpoints are removed: manifest first, in one batch with its chunks.
//!
//! One writer at a time: two would remove each other's chunks. Reading a checkpoint that is removed meanwhile gives
//! [`StoreError::IncompleteCheckpoint`]: read the latest instead.
//!
//! # Layout of [`Column::Checkpoint`]
//! | key | value |
//! |---|---|
//! | 0, height (u64 big-endian) | manifest: version (1), height, log index, log term (u64 each), root (32), |
//! | | chunk count (u32), total bytes (u64), extra bytes; little-endian; sealed |
//! | 1, height (u64 big-endian), chunk (u32 big-endian) | the chunk's bytes; sealed |

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use crate::column::Column;
use crate::error::StoreError;
use crate::sealed;
use crate::store::{Direction, Durability, KeyRange, Store, WriteBatch};

/// The largest size of a chunk.
pub const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The number of finished checkpoints kept: the newest, and one more in case the newest cannot be read.
pub const KEPT: usize = 2;

const VERSION: u8 = 1;
const MANIFEST: u8 = 0;
const CHUNK: u8 = 1;

/// A checkpoint's id: its height.
pub type CheckpointId = u64;

/// A checkpoint's position in the log: the last entry that it includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// Term of the entry.
    pub term: u64,
    /// Index of the entry.
    pub index: u64,
}

/// The description of a finished checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointManifest {
    /// The height of the last block that it includes.
    pub height: CheckpointId,
    /// The last log entry that it includes.
    pub position: LogPosition,
    /// Root over its content, as the ledger computes it.
    pub root: [u8; 32],
    /// Number of chunks.
    pub chunk_count: u32,
    /// Bytes of all chunks, without seals.
    pub total_bytes: u64,
    /// Opaque here: the signature of the node that wrote it.
    pub extra: Bytes,
}

impl CheckpointManifest {
    /// The manifest as bytes, for the store and for the wire. Layout: see the module header.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.height.to_le_bytes());
        bytes.extend_from_slice(&self.position.index.to_le_bytes());
        bytes.extend_from_slice(&self.position.term.to_le_bytes());
        bytes.extend_from_slice(&self.root);
        bytes.extend_from_slice(&self.chunk_count.to_le_bytes());
        bytes.extend_from_slice(&self.total_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.extra);
        bytes
    }

    /// The manifest in `bytes`, or their fault.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let mut rest = bytes;
        let [version] = take_field::<1>(&mut rest)?;
        if version != VERSION {
            return Err(format!("its format is version {version}, this program reads version {VERSION}"));
        }
        let height = u64::from_le_bytes(take_field(&mut rest)?);
        let index = u64::from_le_bytes(take_field(&mut rest)?);
        let term = u64::from_le_bytes(take_field(&mut rest)?);
        Ok(CheckpointManifest {
            height,
            position: LogPosition { term, index },
            root: take_field(&mut rest)?,
            chunk_count: u32::from_le_bytes(take_field(&mut rest)?),
            total_bytes: u64::from_le_bytes(take_field(&mut rest)?),
            extra: Bytes::copy_from_slice(rest),
        })
    }
}

fn take_field<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], String> {
    let (field, after) = rest.split_first_chunk::<N>().ok_or("it is too short for a manifest")?;
    *rest = after;
    Ok(*field)
}

/// A writer of one checkpoint. If it is dropped unfinished, it leaves nothing that counts.
#[derive(Debug)]
pub struct CheckpointWriter {
    store: Arc<dyn Store>,
    height: CheckpointId,
    chunk_count: u32,
    total_bytes: u64,
}

impl CheckpointWriter {
    /// Begins the checkpoint at `height` and removes the chunks of unfinished ones.
    ///
    /// # Errors
    /// [`StoreError::CheckpointExists`] if there is a finished one at this height.
    pub fn begin(store: Arc<dyn Store>, height: CheckpointId) -> Result<Self, StoreError> {
        let finished = CheckpointStore::new(store.clone()).heights()?;
        if finished.contains(&height) {
            return Err(StoreError::CheckpointExists { height });
        }
        remove_all_but(store.as_ref(), &finished)?;
        Ok(CheckpointWriter { store, height, chunk_count: 0, total_bytes: 0 })
    }

    /// Writes the next chunk.
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > CHUNK_BYTES_MAX {
            return Err(StoreError::ChunkTooLarge { bytes: bytes.len(), max_bytes: CHUNK_BYTES_MAX });
        }
        let key = chunk_key(self.height, self.chunk_count);
        let mut batch = WriteBatch::new();
        batch.put(Column::Checkpoint, key, sealed::seal(&key, bytes));
        self.store.write(batch, Durability::Bulk)?;
        self.chunk_count += 1;
        self.total_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Finishes the checkpoint: when this returns, it is durable and the latest. Then removes older ones; a failure to
    /// remove is logged, and the next checkpoint tries again.
    pub fn finish(self, position: LogPosition, root: [u8; 32], extra: &[u8]) -> Result<CheckpointManifest, StoreError> {
        self.store.flush()?;
        let manifest = CheckpointManifest {
            height: self.height,
            position,
            root,
            chunk_count: self.chunk_count,
            total_bytes: self.total_bytes,
            extra: Bytes::copy_from_slice(extra),
        };
        let key = manifest_key(self.height);
        let mut batch = WriteBatch::new();
        batch.put(Column::Checkpoint, key, sealed::seal(&key, &manifest.to_bytes()));
        self.store.write(batch, Durability::Synced)?;

        if let Err(error) = self.remove_old() {
            tracing::warn!(
                height = self.height, %error,
                "older checkpoints were not removed; the next checkpoint tries again"
            );
        }
        Ok(manifest)
    }

    fn remove_old(&self) -> Result<(), StoreError> {
        let finished = CheckpointStore::new(self.store.clone()).heights()?;
        let newest = &finished[finished.len().saturating_sub(KEPT)..];
        remove_all_but(self.store.as_ref(), newest)?;
        self.store.reclaim(Column::Checkpoint, &KeyRange::all())
    }
}

/// The checkpoints of one store.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    store: Arc<dyn Store>,
}

impl CheckpointStore {
    /// The checkpoints kept in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        CheckpointStore { store }
    }

    /// The heights of all finished checkpoints, oldest first.
    pub fn heights(&self) -> Result<Vec<CheckpointId>, StoreError> {
        let mut heights = Vec::new();
        let mut damage = None;
        self.store.scan(
            Column::Checkpoint,
            &KeyRange::with_prefix([MANIFEST]),
            Direction::Forward,
            &mut |key, _| {
                match <[u8; 8]>::try_from(&key[1..]) {
                    Ok(height) => heights.push(u64::from_be_bytes(height)),
                    Err(_) => {
                        damage = Some(StoreError::Damaged {
                            column: Column::Checkpoint,
                            key: crate::error::hex(key),
                            reason: format!("its key has {} bytes, and a manifest's key has 9", key.len()),
                        });
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            },
        )?;
        damage.map_or(Ok(heights), Err)
    }

    /// The manifest of the checkpoint at `height`, or `None`.
    ///
    /// # Errors
    /// [`StoreError::DamagedManifest`] naming the height.
    pub fn manifest(&self, height: CheckpointId) -> Result<Option<CheckpointManifest>, StoreError> {
        let key = manifest_key(height);
        let damaged = |reason: String| StoreError::DamagedManifest { height, reason };
        let record = match self.store.get(Column::Checkpoint, &key) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.damage_reason().map(|reason| damaged(reason.to_owned())).unwrap_or(error)),
        };
        let bytes = sealed::open(&key, &record).map_err(|damage| damaged(damage.to_string()))?;
        let manifest = CheckpointManifest::from_bytes(bytes).map_err(damaged)?;
        if manifest.height != height {
            return Err(damaged(format!("it says height {}", manifest.height)));
        }
        Ok(Some(manifest))
    }

    /// The newest finished checkpoint whose manifest can be read, or `None` if there is none.
    pub fn latest(&self) -> Result<Option<CheckpointManifest>, StoreError> {
        for height in self.heights()?.into_iter().rev() {
            match self.manifest(height) {
                Err(StoreError::DamagedManifest { .. }) => {}
                read => return read,
            }
        }
        Ok(None)
    }

    /// One chunk.
    ///
    /// # Errors
    /// [`StoreError::DamagedChunk`] naming height and chunk, if it is missing or a bit flipped.
    pub fn read_chunk(&self, height: CheckpointId, chunk: u32) -> Result<Bytes, StoreError> {
        let key = chunk_key(height, chunk);
        let damaged = |reason: String| StoreError::DamagedChunk { height, chunk, reason };
        let record = match self.store.get(Column::Checkpoint, &key) {
            Ok(Some(record)) => record,
            Ok(None) => return Err(damaged("it is missing".into())),
            Err(error) => return Err(error.damage_reason().map(|reason| damaged(reason.to_owned())).unwrap_or(error)),
        };
        let length = sealed::open(&key, &record).map_err(|damage| damaged(damage.to_string()))?.len();
        Ok(record.slice(..length))
    }

    /// Calls `visit` with each chunk of the checkpoint, in order, until it breaks.
    ///
    /// # Errors
    /// [`StoreError::DamagedChunk`], or [`StoreError::IncompleteCheckpoint`] if the chunks do not add up to the
    /// manifest.
    pub fn read_chunks(
        &self,
        manifest: &CheckpointManifest,
        mut visit: impl FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut bytes_found = 0;
        for chunk in 0..manifest.chunk_count {
            let bytes = self.read_chunk(manifest.height, chunk)?;
            bytes_found += bytes.len() as u64;
            if visit(bytes).is_break() {
                return Ok(());
            }
        }
        if bytes_found != manifest.total_bytes {
            return Err(StoreError::IncompleteCheckpoint {
                height: manifest.height,
                expected: format!("{} bytes", manifest.total_bytes),
                found: format!("{bytes_found} bytes"),
            });
        }
        Ok(())
    }
}

/// Removes the manifests and chunks of every checkpoint, finished or not, whose height is not in `kept` (ascending).
fn remove_all_but(store: &dyn Store, kept: &[CheckpointId]) -> Result<(), StoreError> {
    let mut batch = WriteBatch::new();
    for kind in [MANIFEST, CHUNK] {
        let mut from = vec![kind];
        for height in kept {
            batch.delete_range(Column::Checkpoint, &from, prefix(kind, *height));
            // The first key after all of this height's.
            from = match height.checked_add(1) {
                Some(next) => prefix(kind, next).to_vec(),
                None => vec![kind + 1],
            };
        }
        batch.delete_range(Column::Checkpoint, &from, [kind + 1]);
    }
    store.write(batch, Durability::Buffered)
}

fn prefix(kind: u8, height: CheckpointId) -> [u8; 9] {
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&height.to_be_bytes());
    key
}

fn manifest_key(height: CheckpointId) -> [u8; 9] {
    prefix(MANIFEST, height)
}

fn chunk_key(height: CheckpointId, chunk: u32) -> [u8; 13] {
    let mut key = [0; 13];
    key[..9].copy_from_slice(&prefix(CHUNK, height));
    key[9..].copy_from_slice(&chunk.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Fault, MemoryStore};

    fn position(height: u64) -> LogPosition {
        LogPosition { term: 2, index: height.wrapping_add(10) }
    }

    fn chunks(height: u64) -> Vec<Vec<u8>> {
        (0..4).map(|chunk| vec![height as u8 ^ chunk; 10 + chunk as usize]).collect()
    }

    fn take(store: &Arc<MemoryStore>, height: u64) -> Result<CheckpointManifest, StoreError> {
        let mut writer = CheckpointWriter::begin(store.clone(), height)?;
        for chunk in chunks(height) {
            writer.chunk(&chunk)?;
        }
        writer.finish(position(height), [height as u8; 32], b"members")
    }

    fn read(store: &Arc<MemoryStore>, manifest: &CheckpointManifest) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut found = Vec::new();
        CheckpointStore::new(store.clone()).read_chunks(manifest, |chunk| {
            found.push(chunk.to_vec());
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    fn latest(store: &Arc<MemoryStore>) -> Option<CheckpointManifest> {
        CheckpointStore::new(store.clone()).latest().unwrap()
    }

    #[test]
    fn the_newest_two_finished_checkpoints_are_kept_and_nothing_else() {
        let store = Arc::new(MemoryStore::new());
        assert_eq!(latest(&store), None);
        for height in [10, 20, 30, 40] {
            let manifest = take(&store, height).unwrap();
            assert_eq!(latest(&store), Some(manifest.clone()));
            assert_eq!(read(&store, &manifest).unwrap(), chunks(height));
        }
        let checkpoints = CheckpointStore::new(store.clone());
        assert_eq!(checkpoints.heights().unwrap(), [30, 40]);
        let older = checkpoints.manifest(30).unwrap().unwrap();
        assert_eq!(read(&store, &older).unwrap(), chunks(30));
        let left = store.collect(Column::Checkpoint, &KeyRange::all(), Direction::Forward, 1000).unwrap();
        assert_eq!(left.len(), 2 * (1 + 4), "two manifests and their chunks");
        store.crash();
        assert_eq!(read(&store, &latest(&store).unwrap()).unwrap(), chunks(40));
    }

    #[test]
    fn a_crash_at_any_step_leaves_a_usable_checkpoint() {
        // Every write and flush of a checkpoint is a step; each may fail in any way, and then the machine crashes.
        for fault in [None, Some(Fault::Io), Some(Fault::DiskFull), Some(Fault::IoAfterWriting)] {
            for step in 1..=12 {
                let store = Arc::new(MemoryStore::new());
                let first = take(&store, 10).unwrap();
                let second = take(&store, 20).unwrap();
                store.crash();
                let outcome = match fault {
                    Some(fault) => {
                        store.fail_every(step, fault);
                        take(&store, 30)
                    }
                    None => crash_after_steps(&store, step),
                };
                store.crash();
                let found = latest(&store).expect("there is always a checkpoint");
                match &outcome {
                    Ok(third) => assert_eq!(found, *third, "an acknowledged checkpoint is kept"),
                    Err(_) => assert!(found.height == 20 || found.height == 30),
                }
                assert_eq!(read(&store, &found).unwrap(), chunks(found.height), "step {step}, {fault:?}");
                let before = CheckpointStore::new(store.clone()).manifest(if found.height == 30 { 20 } else { 10 });
                if let Some(before) = before.unwrap() {
                    assert_eq!(read(&store, &before).unwrap(), chunks(before.height));
                }
                let fourth = take(&store, 40).unwrap();
                assert_eq!(read(&store, &fourth).unwrap(), chunks(40), "the next one works again");
                let _ = (&first, &second);
            }
        }
    }

    /// Runs the first `steps` calls of a checkpoint at height 30, without failures.
    fn crash_after_steps(store: &Arc<MemoryStore>, steps: u64) -> Result<CheckpointManifest, StoreError> {
        let unfinished = StoreError::CheckpointExists { height: 0 };
        let mut writer = CheckpointWriter::begin(store.clone(), 30)?;
        for chunk in chunks(30).iter().take(steps as usize) {
            writer.chunk(chunk)?;
        }
        if steps < 6 { Err(unfinished) } else { writer.finish(position(30), [30; 32], b"members") }
    }

    #[test]
    fn an_unfinished_checkpoint_leaves_nothing_in_the_next_one_of_the_same_height() {
        let store = Arc::new(MemoryStore::new());
        let mut abandoned = CheckpointWriter::begin(store.clone(), 10).unwrap();
        for _ in 0..9 {
            abandoned.chunk(b"stale").unwrap();
        }
        drop(abandoned);
        store.flush().unwrap();
        let manifest = take(&store, 10).unwrap();
        assert_eq!(read(&store, &manifest).unwrap(), chunks(10));
        let left = store.collect(Column::Checkpoint, &KeyRange::all(), Direction::Forward, 1000).unwrap();
        assert_eq!(left.len(), 1 + 4);
    }

    #[test]
    fn a_finished_checkpoint_is_not_overwritten() {
        let store = Arc::new(MemoryStore::new());
        take(&store, 10).unwrap();
        assert_eq!(take(&store, 10).unwrap_err(), StoreError::CheckpointExists { height: 10 });
        let max = take(&store, u64::MAX).unwrap();
        assert_eq!(read(&store, &max).unwrap(), chunks(u64::MAX));
        assert!(read(&store, &CheckpointStore::new(store.clone()).manifest(10).unwrap().unwrap()).is_ok());
    }

    #[test]
    fn a_flipped_bit_is_found_and_named_by_height_and_chunk() {
        let store = Arc::new(MemoryStore::new());
        let manifest = take(&store, 10).unwrap();
        let records = store.collect(Column::Checkpoint, &KeyRange::all(), Direction::Forward, 1000).unwrap();
        for (key, value) in records {
            for bit in 0..value.len() * 8 {
                store.flip_bit(Column::Checkpoint, &key, bit);
                let checkpoints = CheckpointStore::new(store.clone());
                if key[0] == MANIFEST {
                    assert!(
                        matches!(checkpoints.manifest(10), Err(StoreError::DamagedManifest { height: 10, .. })),
                        "bit {bit}"
                    );
                } else {
                    let damaged = u32::from(key[12]);
                    assert!(
                        matches!(
                            read(&store, &manifest),
                            Err(StoreError::DamagedChunk { height: 10, chunk, .. }) if chunk == damaged
                        ),
                        "bit {bit}"
                    );
                }
                store.flip_bit(Column::Checkpoint, &key, bit);
            }
        }
        assert!(read(&store, &manifest).is_ok());
    }

    #[test]
    fn a_missing_chunk_is_named() {
        let store = Arc::new(MemoryStore::new());
        let manifest = take(&store, 10).unwrap();
        let mut batch = WriteBatch::new();
        batch.delete(Column::Checkpoint, chunk_key(10, 2));
        store.write(batch, Durability::Synced).unwrap();
        assert!(matches!(read(&store, &manifest), Err(StoreError::DamagedChunk { height: 10, chunk: 2, .. })));
    }

    #[test]
    fn a_chunk_too_large_is_refused() {
        let store = Arc::new(MemoryStore::new());
        let mut writer = CheckpointWriter::begin(store, 10).unwrap();
        let refused = writer.chunk(&vec![0; CHUNK_BYTES_MAX + 1]);
        assert!(matches!(refused, Err(StoreError::ChunkTooLarge { .. })));
    }

    #[test]
    fn the_manifest_layout_is_pinned() {
        let manifest = CheckpointManifest {
            height: 1,
            position: LogPosition { term: 3, index: 2 },
            root: [0xaa; 32],
            chunk_count: 4,
            total_bytes: 5,
            extra: Bytes::from_static(b"x"),
        };
        let pinned = format!(
            "01{}{}{}{}{}{}78",
            "0100000000000000",
            "0200000000000000",
            "0300000000000000",
            "aa".repeat(32),
            "04000000",
            "0500000000000000"
        );
        assert_eq!(crate::error::hex(&manifest.to_bytes()), pinned);
        assert_eq!(CheckpointManifest::from_bytes(&manifest.to_bytes()), Ok(manifest));
    }
}
