//! Reading files up to a size: a path that was meant for another file, an endless device or an ever-growing file is an
//! error, not a full memory.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// The most bytes of a file written by an operator or by one of our programs: keys, configurations, genesis, receipts.
/// The largest are some hundred kilobytes.
pub const SIZE_MAX: u64 = 8 << 20;

/// Reads a whole file.
///
/// # Errors
/// Those of the file system; `InvalidData` for more than [`SIZE_MAX`] bytes.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(Error::new(ErrorKind::InvalidData, format!("expected at most {SIZE_MAX} bytes, found more")));
    }
    Ok(bytes)
}

/// Reads a whole file as UTF-8.
///
/// # Errors
/// Those of [`read`]; `InvalidData` for bytes that are not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::new(ErrorKind::InvalidData, format!("expected UTF-8 text, found another byte at position {at}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_never_ends_is_an_error() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "expected at most 8388608 bytes, found more");
    }

    #[test]
    fn what_is_no_text_is_an_error_with_its_position() {
        let error = read_text(&std::env::current_exe().unwrap()).unwrap_err().to_string();
        assert!(error.contains("expected"), "{error}");
        assert_eq!(read_text(Path::new("/dev/null")).unwrap(), "");
    }
}
