//! The kind of file system of a folder, since a sync to memory is not durable.

use std::path::Path;

/// The kind of file system of `folder`, from `/proc/self/mounts`; "unknown" if that cannot be read.
pub fn filesystem_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    kind_at(&mounts, &folder).unwrap_or_else(|| "unknown".to_owned())
}

/// The kind of the deepest mount above `folder`; of two at one path the later hides the earlier.
fn kind_at(mounts: &str, folder: &Path) -> Option<String> {
    let mount = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        Some((fields.next()?.replace("\\040", " "), fields.next()?.to_owned()))
    };
    let above = mounts.lines().filter_map(mount).filter(|(path, _)| folder.starts_with(path));
    above.max_by_key(|(path, _)| Path::new(path).components().count()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_latest_mount_counts() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp xfs rw 0 0\nx /tmp/a\\040b zfs rw 0 0\n";
        for (folder, kind) in [("/home", "ext4"), ("/tmp/x", "xfs"), ("/tmpfile", "ext4"), ("/tmp/a b/c", "zfs")] {
            assert_eq!(kind_at(mounts, Path::new(folder)).as_deref(), Some(kind), "{folder}");
        }
        assert_eq!(kind_at("", Path::new("/")), None);
    }
}
