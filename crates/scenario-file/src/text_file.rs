//! Reading a scenario's text: bounded, and with the file that was probably meant where there is none.

use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

use crate::error::ScenarioError;
use crate::suggestion::nearest;

/// Bytes of a scenario file at most, far above any real one; a device such as `/dev/zero` never ends.
pub const SIZE_MAX: u64 = 1 << 20;

/// Reads a scenario file. If there is none of that name, a similar one is looked for next to it and in `folder`, where
/// such scenarios usually are.
///
/// # Errors
/// The file cannot be read, is larger than [`SIZE_MAX`], or is not UTF-8.
pub fn read(path: &Path, folder: &Path) -> Result<String, ScenarioError> {
    bounded(path).map_err(|source| ScenarioError::Unreadable {
        path: path.to_owned(),
        suggestion: similar(path, folder).filter(|_| source.kind() == ErrorKind::NotFound),
        source,
    })
}

fn bounded(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    File::open(path)?.take(SIZE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SIZE_MAX {
        return Err(Error::new(ErrorKind::InvalidData, format!("expected at most {SIZE_MAX} bytes, found more")));
    }
    Ok(text)
}

/// A file with the same name in `folder`, or with a similar name next to `path` or there.
fn similar(path: &Path, folder: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    [beside, folder].into_iter().find_map(|folder| {
        let names = names(folder);
        let exact = names.iter().find(|name| **name == wanted || name.strip_suffix(".toml") == Some(&wanted));
        let near = exact.map(String::as_str).or_else(|| nearest(&wanted, names.iter().map(String::as_str)));
        near.map(|name| folder.join(name).display().to_string())
    })
}

/// The TOML files of a folder; none where it cannot be read.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".toml")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_end_is_an_error() {
        let error = read(Path::new("/dev/zero"), Path::new(".")).unwrap_err().to_string();
        assert!(error.contains("expected at most 1048576 bytes, found more"), "{error}");
    }

    #[test]
    fn a_name_that_is_nearly_right_is_proposed() {
        let error = read(Path::new("none/Cargo.tmol"), Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_err().to_string();
        assert!(error.contains("Did you mean `") && error.contains("/Cargo.toml`?"), "{error}");
    }
}
