//! Replacing files durably: a reader, also one after a crash, finds the old contents or the new ones, whole.
//!
//! The new contents are written beside the file and synced, then renamed over it, and the rename is synced.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The permissions of a file that only its owner may read.
pub const PRIVATE: u32 = 0o600;
/// The permissions of a file that others may read.
pub const READABLE: u32 = 0o644;

/// Replaces the file at `path`, or makes it, with these permissions less the process's umask. Of two programs that do
/// so at the same time, the contents of one stay.
///
/// # Errors
/// Those of the file system; the file then holds what it held before, or the new contents if only the sync of their
/// rename failed.
pub fn replace(path: &Path, contents: &[u8], permissions: u32) -> Result<()> {
    let beside = beside(path)?;
    let written = || {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(permissions).open(&beside)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    written().inspect_err(|_| drop(std::fs::remove_file(&beside)))?;
    sync_folder(path)
}

/// Removes the file at `path`, durably. Safe to repeat.
///
/// # Errors
/// Those of the file system, but not that there is no such file.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(path)),
    }
}

/// The path of the new contents, which no other program writes to.
fn beside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "expected the path of a file"))?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(".new-{}", std::process::id()));
    Ok(path.with_file_name(beside))
}

fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cbdc-durable-file-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_stays_beside_it() {
        let folder = folder("replaced");
        let path = folder.join("record");
        for contents in [b"a long first text".as_slice(), b"short", b""] {
            replace(&path, contents, PRIVATE).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), contents);
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, PRIVATE);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        for _ in 0..2 {
            remove(&path).unwrap();
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_replaced_stays_as_it_was() {
        let folder = folder("kept");
        let path = folder.join("taken");
        std::fs::create_dir_all(path.join("by a folder")).unwrap();
        assert!(replace(&path, b"contents", PRIVATE).is_err());
        assert!(path.join("by a folder").is_dir());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        assert!(replace(Path::new("/"), b"contents", PRIVATE).is_err());
    }
}
