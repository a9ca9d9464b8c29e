//! A file of a program's data in flight: written before it is sent, and removed once its answer was shown.
//!
//! A program that is killed in between finds the same record or id again, and sending *that* again is safe: it takes
//! effect once. For this the file is replaced as a whole and durably, and carries a checksum, so that a damaged one is
//! noticed: treating it as empty could pay twice. A second program waits until the first has ended, so that no two have
//! something in flight for one wallet.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cbdc_proto::durable_file;

use crate::error::ClientError;

/// The first bytes of a file, with the version of its layout.
const MAGIC: &[u8; 8] = b"CBDCifl1";
/// BLAKE3 of magic and contents.
const CHECKSUM_BYTES: usize = 32;

/// A file of data in flight. While it is open, no other program has the same one.
#[derive(Debug)]
pub struct InFlightFile {
    path: PathBuf,
    /// A lock on a separate file, since the file itself is replaced. The lock ends with the program, however that ends.
    _lock: File,
}

impl InFlightFile {
    /// Opens the file at `path`, which need not exist yet. If another program has it open, calls `waits` and waits
    /// until that has ended.
    ///
    /// # Errors
    /// The lock file cannot be made or locked.
    pub fn open(path: PathBuf, waits: impl FnOnce()) -> Result<InFlightFile, ClientError> {
        let lock_path = path.with_extension("lock");
        let locked = || {
            let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock_path)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    waits();
                    lock.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            Ok(lock)
        };
        let lock = locked().map_err(|error: io::Error| of_file(&lock_path, error.to_string()))?;
        Ok(InFlightFile { path, _lock: lock })
    }

    /// The data in flight, if there is any.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn read(&self) -> Result<Option<Vec<u8>>, ClientError> {
        let bytes = match cbdc_proto::bounded_file::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| of_file(&self.path, error.to_string()))?,
        };
        contents(&bytes).map(|contents| Some(contents.to_vec())).ok_or_else(|| self.damaged())
    }

    /// The error for a file that does not hold what was written.
    pub fn damaged(&self) -> ClientError {
        let reason = "it is damaged, so whether a payment is in flight is not known; see in the wallet's history \
                      whether the newest payment is there, then remove the file";
        of_file(&self.path, reason.to_owned())
    }

    /// Keeps `contents` durably, replacing what was there.
    ///
    /// # Errors
    /// The file cannot be written; it holds what it held before.
    pub fn keep(&self, contents: &[u8]) -> Result<(), ClientError> {
        let written = durable_file::replace(&self.path, &sealed(contents), durable_file::PRIVATE);
        written.map_err(|error| of_file(&self.path, error.to_string()))
    }

    /// Removes the file, durably. Safe to repeat.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget(&self) -> Result<(), ClientError> {
        durable_file::remove(&self.path).map_err(|error| of_file(&self.path, error.to_string()))
    }
}

fn of_file(path: &Path, reason: String) -> ClientError {
    ClientError::File { path: path.to_owned(), reason }
}

fn sealed(contents: &[u8]) -> Vec<u8> {
    let mut bytes = [MAGIC.as_slice(), contents].concat();
    bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
    bytes
}

fn contents(bytes: &[u8]) -> Option<&[u8]> {
    let (sealed, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    let is_whole = blake3::hash(sealed) == *checksum;
    sealed.strip_prefix(MAGIC.as_slice()).filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn path(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cbdc-in-flight-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("alice.pending")
    }

    #[test]
    fn what_was_kept_is_found_until_it_is_forgotten() {
        let path = path("kept");
        let file = InFlightFile::open(path.clone(), || panic!("nobody else has it")).unwrap();
        assert_eq!(file.read().unwrap(), None);
        file.keep(b"one").unwrap();
        file.keep(b"two").unwrap();
        drop(file);
        let file = InFlightFile::open(path, || panic!("it was closed")).unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(b"two".as_slice()));
        file.forget().unwrap();
        file.forget().unwrap();
        assert_eq!(file.read().unwrap(), None);
    }

    #[test]
    fn every_kind_of_damage_is_an_error_and_never_an_empty_file() {
        let path = path("damage");
        let file = InFlightFile::open(path.clone(), || {}).unwrap();
        file.keep(b"a record").unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            damaged.push(flipped);
        }
        for bytes in damaged {
            std::fs::write(&path, &bytes).unwrap();
            let error = file.read().unwrap_err().to_string();
            assert!(error.contains("alice.pending") && error.contains("then remove the file"), "{error}");
        }
    }

    #[test]
    fn a_second_program_waits_for_the_first() {
        let path = path("lock");
        let first = InFlightFile::open(path.clone(), || panic!("nobody else has it")).unwrap();
        first.keep(b"one").unwrap();
        let (waits, is_waiting) = channel();
        let second = std::thread::spawn(move || {
            let file = InFlightFile::open(path, || waits.send(()).unwrap()).unwrap();
            file.read().unwrap()
        });
        is_waiting.recv().unwrap();
        first.forget().unwrap();
        drop(first);
        assert_eq!(second.join().unwrap(), None);
    }
}
