//! A look at the framing of RocksDB's logs before RocksDB reads them.
//!
//! Its write-ahead logs and manifests are blocks of 32 KiB with records in them: checksum (4), length (2), type (1),
//! bytes. RocksDB has types of its own for files that it writes again from the start, which this store never has it do.
//! Where a record turned into one by damage, RocksDB waits for ever for a file that would explain it. So every record's
//! type is examined first; RocksDB itself finds all other damage, by its checksums.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const BLOCK_BYTES: u64 = 32 * 1024;
const HEAD_BYTES: u64 = 7;
/// The types of records in files that are written again from the start.
pub(crate) const RECYCLED_TYPES: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// The logs of the store in a folder, with their sizes.
pub(crate) fn logs(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if is_log || name.to_string_lossy().starts_with("MANIFEST-") {
            found.push((path, entry.metadata()?.len()));
        }
    }
    found.sort();
    Ok(found)
}

/// The first record of a log that cannot be one of this store's, in words.
pub(crate) fn foreign_record(log: &Path) -> io::Result<Option<String>> {
    let file = File::open(log)?;
    let bytes = file.metadata()?.len();
    let mut at = 0;
    while at + HEAD_BYTES <= bytes {
        let left = BLOCK_BYTES - at % BLOCK_BYTES;
        if left < HEAD_BYTES {
            at += left;
            continue;
        }
        let mut head = [0; HEAD_BYTES as usize];
        file.read_exact_at(&mut head, at)?;
        let (length, kind) = (u64::from(u16::from_le_bytes([head[4], head[5]])), head[6]);
        if RECYCLED_TYPES.contains(&kind) {
            return Ok(Some(format!(
                "the record at byte {at} of {} has type {kind}, which is never written",
                log.display()
            )));
        }
        // Space that was reserved and not used, or a length that RocksDB will find to be wrong: to the next block.
        at += if (kind, length) == (0, 0) || HEAD_BYTES + length > left { left } else { HEAD_BYTES + length };
    }
    Ok(None)
}
