//! Signing keys in files: 64 hexadecimal digits, the Ed25519 seed, readable by their owner alone.
//!
//! A key file that others may read is refused, not repaired: whoever could read it may have copied it. Files are
//! created with mode 0600, and an existing file is never overwritten.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cbdc_ledger::SigningKey;
use cbdc_ledger::encoding::{hex, hex_decode};

use crate::bounded_file;

use super::identity::{IdentityError, check_private};

/// Reads a signing key.
///
/// # Errors
/// The file cannot be read, may be read by others, or holds anything other than 64 hexadecimal digits. No message
/// repeats the file's contents.
pub fn read_signing_key(path: &Path) -> Result<SigningKey, IdentityError> {
    check_private(path)?;
    let wrong = |reason: String| IdentityError::Read { path: path.to_owned(), reason };
    let text = bounded_file::read_text(path).map_err(|error| wrong(error.to_string()))?;
    let digits = text.trim();
    let seed = hex_decode(digits).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let expected = "expected a signing key of 64 hexadecimal digits";
    let seed = seed.ok_or_else(|| {
        wrong(format!("{expected}, found {} characters that are no such key", digits.chars().count()))
    })?;
    Ok(SigningKey::from_seed(seed))
}

/// Writes a signing key's seed into a new file that only its owner may read.
///
/// # Errors
/// Those of the file system; `AlreadyExists` where there is a file already.
pub fn write_signing_key(path: &Path, seed: &[u8; 32]) -> io::Result<()> {
    write_private(path, format!("{}\n", hex(seed)).as_bytes())
}

/// Writes a secret into a new file that only its owner may read, and makes it durable.
///
/// # Errors
/// Those of the file system; `AlreadyExists` if there is a file already.
pub fn write_private(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A new folder for one test.
    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("cbdc-key-file-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        std::fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn a_key_survives_its_file_and_only_the_owner_may_read_it() {
        let path = folder("round-trip").join("signing.key");
        write_signing_key(&path, &[7; 32]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let key = read_signing_key(&path).unwrap();
        assert_eq!(key.public_key(), SigningKey::from_seed([7; 32]).public_key());
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused_with_the_command_that_helps() {
        let path = folder("readable").join("signing.key");
        write_signing_key(&path, &[7; 32]).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = read_signing_key(&path).unwrap_err();
            assert!(matches!(error, IdentityError::ReadableByOthers { mode: found, .. } if found == mode));
            assert!(error.to_string().contains("chmod 600"));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        let folder = folder("malformed");
        for (name, text) in
            [("short", "abcd"), ("letters", &"zz".repeat(32)[..]), ("long", &"00".repeat(33)), ("empty", "")]
        {
            let path = folder.join(name);
            write_private(&path, text.as_bytes()).unwrap();
            let message = read_signing_key(&path).unwrap_err().to_string();
            assert!(message.contains("64 hexadecimal digits"), "{message}");
            assert!(text.is_empty() || !message.contains(text), "{message}");
        }
    }

    #[test]
    fn a_key_file_is_never_written_over() {
        let path = folder("twice").join("signing.key");
        write_signing_key(&path, &[1; 32]).unwrap();
        assert_eq!(write_signing_key(&path, &[2; 32]).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_signing_key(&path).unwrap().public_key(), SigningKey::from_seed([1; 32]).public_key());
    }
}
