//! The mark of an orderly stop, which counts in the folder in which it was left, and in no copy of it.
//!
//! A node that stops in an orderly way writes the file [`STOPPED`] into its data folder, and then into its store which
//! file that was: its inode number, and the time at which its inode changed last, which nobody can set. The next start
//! deletes both before anything else. The process before has stopped in this folder if they fit each other; in a copy
//! of the folder, wherever it was put, the file is another one.
//!
//! A copy of the whole disk below the file system keeps inodes, so that it is not told apart here: the central bank and
//! the peers tell it ([`crate::catching_up`]).
//!
//! # Layout of the mark in [`Column::Meta`], sealed under its key, integers little-endian
//! Inode number (8), change time: seconds (8), nanoseconds (8).

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cbdc_proto::durable_file;
use cbdc_storage::{Column, Durability, Store, StoreError, WriteBatch, sealed};

/// The name of the file.
pub const STOPPED: &str = "STOPPED";
/// The key of the mark.
const MARK: &[u8] = b"stopped_in_order";
const TEXT: &[u8] = b"This node was stopped in an orderly way. A copy of this file is worth nothing.\n";

/// Why the mark could not be left.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    #[error("the file {STOPPED}: {0}")]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Leaves the mark, durably. Nothing may be written after it.
pub fn leave(folder: &Path, store: &dyn Store) -> Result<(), LeaveError> {
    let file = folder.join(STOPPED);
    durable_file::replace(&file, TEXT, durable_file::READABLE)?;
    let mut batch = WriteBatch::new();
    batch.put(Column::Meta, MARK, sealed::seal(MARK, &identity(&file)?));
    Ok(store.write(batch, Durability::Synced)?)
}

/// Takes the mark: it is deleted, durably. Whether the process before has stopped in an orderly way in this folder.
pub fn take(folder: &Path, store: &dyn Store) -> Result<bool, StoreError> {
    let file = folder.join(STOPPED);
    let found = identity(&file).ok();
    if let Err(error) = durable_file::remove(&file) {
        tracing::debug!(%error, "the file {STOPPED} could not be removed");
    }
    let Some(record) = store.get(Column::Meta, MARK)? else { return Ok(false) };
    let mut batch = WriteBatch::new();
    batch.delete(Column::Meta, MARK);
    store.write(batch, Durability::Synced)?;
    let marked = sealed::open(MARK, &record).ok();
    Ok(marked.is_some() && marked == found.as_ref().map(|identity| &identity[..]))
}

/// What tells a file from its copies.
fn identity(file: &Path) -> std::io::Result<[u8; 24]> {
    let found = std::fs::metadata(file)?;
    let mut identity = [0; 24];
    identity[..8].copy_from_slice(&found.ino().to_le_bytes());
    identity[8..16].copy_from_slice(&found.ctime().to_le_bytes());
    identity[16..].copy_from_slice(&found.ctime_nsec().to_le_bytes());
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cbdc_storage::MemoryStore;

    use super::*;

    #[test]
    fn a_mark_is_taken_once_and_only_in_the_folder_in_which_it_was_left() {
        let (folder, store) = (tempfile::tempdir().unwrap(), MemoryStore::new());
        assert!(!take(folder.path(), &store).unwrap(), "there is none");
        leave(folder.path(), &store).unwrap();
        assert!(take(folder.path(), &store).unwrap());
        assert!(!take(folder.path(), &store).unwrap(), "it was taken");

        leave(folder.path(), &store).unwrap();
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join(STOPPED), copy.path().join(STOPPED)).unwrap();
        assert!(!take(copy.path(), &store).unwrap(), "the store as a copy holds it, beside a copy of the file");
    }

    #[test]
    fn a_copy_in_the_place_of_the_folder_is_none_with_the_mark() {
        let (folder, store) = (tempfile::tempdir().unwrap(), MemoryStore::new());
        let (file, kept) = (folder.path().join(STOPPED), folder.path().join("kept"));
        leave(folder.path(), &store).unwrap();
        std::fs::copy(&file, &kept).unwrap();
        // File systems keep change times in steps of some milliseconds.
        std::thread::sleep(Duration::from_millis(30));
        std::fs::copy(&kept, &file).unwrap();
        assert!(!take(folder.path(), &store).unwrap(), "the same inode, written again");
    }
}
