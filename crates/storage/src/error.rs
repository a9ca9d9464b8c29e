//! The one error of this crate: full sentences that say what was expected, what was found and what to do.

use std::path::PathBuf;

use crate::column::Column;

/// The reason why the store could not do what it was asked. Cloneable, because a poisoned store repeats its first
/// failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The folder is in use by another node.
    #[error(
        "another process ({owner}) has the folder {} open; stop that node, or give this one a folder of its own",
        path.display()
    )]
    Locked {
        /// The store's folder.
        path: PathBuf,
        /// The process that has it, as far as known: `process id 4711`, or `unknown process`.
        owner: String,
    },

    /// The store was closed, because its node stops.
    #[error("the store in {} is closed, because its node is stopping", path.display())]
    Closed {
        /// The store's folder.
        path: PathBuf,
    },

    /// The store was opened for reading only.
    #[error("the store in {} was opened for reading only; nothing is written to it", path.display())]
    ReadOnly {
        /// The store's folder.
        path: PathBuf,
    },

    /// Another version of the program wrote the folder.
    #[error(
        "the data folder has format {found}, and this program reads format {expected}: go on with the version of the \
         program that wrote it, or start in an empty folder"
    )]
    OtherFormat {
        /// The format that this program reads and writes.
        expected: u8,
        /// The format found.
        found: u8,
    },

    /// The folder could not be opened or recovered.
    #[error(
        "the store in {} could not be opened: {reason}; check the folder's permissions and the disk, or restore this \
         node from its peers", path.display()
    )]
    Open {
        /// The store's folder.
        path: PathBuf,
        /// The message of the operating system or of RocksDB.
        reason: String,
    },

    /// The disk is full.
    #[error("the disk that holds {} is full: {reason}; free space, then start this node again", path.display())]
    DiskFull {
        /// The store's folder.
        path: PathBuf,
        /// The message of the operating system or of RocksDB.
        reason: String,
    },

    /// Reading or writing failed.
    #[error(
        "the store in {} failed while {doing}: {reason}; check the disk, then start this node again", path.display()
    )]
    Io {
        /// The store's folder.
        path: PathBuf,
        /// The operation, with its column if it has one: `reading column log`.
        doing: String,
        /// The message of the operating system or of RocksDB.
        reason: String,
    },

    /// An earlier write failed, so that nobody knows what the disk holds.
    #[error(
        "the store takes no more writes, because an earlier one failed ({first}); stop this node and start it again"
    )]
    Poisoned {
        /// The first failure.
        first: Box<StoreError>,
    },

    /// A stored record does not match what was written.
    #[error(
        "the record {key} in column {column} is damaged: {reason}; restore it from a peer, or this node from a \
        checkpoint"
    )]
    Damaged {
        /// The column.
        column: Column,
        /// The key in hexadecimal.
        key: String,
        /// Expected and found.
        reason: String,
    },

    /// A block header does not match what was written.
    #[error("the stored header of block {height} is damaged: {reason}; restore it from a peer")]
    DamagedHeader {
        /// The block's height.
        height: u64,
        /// Expected and found.
        reason: String,
    },

    /// A checkpoint's manifest does not match what was written.
    #[error("the manifest of the checkpoint at height {height} is damaged: {reason}")]
    DamagedManifest {
        /// The checkpoint's height.
        height: u64,
        /// Expected and found.
        reason: String,
    },

    /// A chunk of a checkpoint does not match what was written, or is missing.
    #[error("chunk {chunk} of the checkpoint at height {height} is damaged: {reason}")]
    DamagedChunk {
        /// The checkpoint's height.
        height: u64,
        /// The chunk's number, from 0.
        chunk: u32,
        /// Expected and found.
        reason: String,
    },

    /// A checkpoint's chunks do not add up to its manifest.
    #[error("the checkpoint at height {height} is incomplete: its manifest says {expected}, found {found}")]
    IncompleteCheckpoint {
        /// The checkpoint's height.
        height: u64,
        /// Chunks and bytes of the manifest.
        expected: String,
        /// Chunks and bytes found.
        found: String,
    },

    /// There is a finished checkpoint at this height already.
    #[error("there is a finished checkpoint at height {height} already; take the next one at a greater height")]
    CheckpointExists {
        /// The checkpoint's height.
        height: u64,
    },

    /// The chunk is too large.
    #[error("a checkpoint chunk may hold {max_bytes} bytes, this one has {bytes}; cut it smaller")]
    ChunkTooLarge {
        /// Size of the chunk.
        bytes: usize,
        /// Size allowed.
        max_bytes: usize,
    },
}

impl StoreError {
    /// Whether the disk is full: the one failure that an operator can fix without replacing anything.
    pub fn is_disk_full(&self) -> bool {
        match self {
            StoreError::DiskFull { .. } => true,
            StoreError::Poisoned { first } => first.is_disk_full(),
            _ => false,
        }
    }

    /// Whether stored data was found damaged (rather than the disk failing to answer).
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            StoreError::Damaged { .. }
                | StoreError::DamagedHeader { .. }
                | StoreError::DamagedManifest { .. }
                | StoreError::DamagedChunk { .. }
                | StoreError::IncompleteCheckpoint { .. }
        )
    }

    /// The reason alone, for an error that names the record more precisely.
    pub(crate) fn damage_reason(&self) -> Option<&str> {
        match self {
            StoreError::Damaged { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

/// A key as hexadecimal, for messages.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
