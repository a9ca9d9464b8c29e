//! Keeps the write-ahead log out of the page cache, except for a few MiB at its end.
//!
//! Only a node that starts after a crash reads a write-ahead log. Left alone, the page cache keeps all of it in memory
//! pages that nothing has used before; on a virtual machine whose host provides memory at its first use, filling such a
//! page costs ten times as much as filling a used one. So every [`STEP_BYTES`] a thread tells the system
//! (`posix_fadvise`) that earlier pages are not needed, and the next pages reuse the memory that this has freed.
//!
//! This is only advice: pages that are not on disk yet stay cached and are named again with the next step; failures are
//! ignored.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustix::fs::{Advice, fadvise};

/// Bytes written between two calls of advice.
const STEP_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes at the end of the log that are left alone: they are still on their way to the disk.
const END_BYTES: u64 = 1024 * 1024;

/// Counts the bytes written, and notifies the thread.
pub(crate) struct WalCache {
    since: AtomicU64,
    step: SyncSender<()>,
}

impl WalCache {
    /// Starts the thread for the store in `folder`. It ends when this is dropped.
    pub(crate) fn start(folder: &Path) -> io::Result<WalCache> {
        let (step, steps) = sync_channel(1);
        let folder = folder.to_path_buf();
        std::thread::Builder::new().name("wal-cache".into()).spawn(move || run(&folder, &steps))?;
        Ok(WalCache { since: AtomicU64::new(0), step })
    }

    /// Counts bytes written to the write-ahead log.
    pub(crate) fn wrote(&self, bytes: usize) {
        let bytes = bytes as u64;
        if self.since.fetch_add(bytes, Ordering::Relaxed) + bytes >= STEP_BYTES {
            self.since.store(0, Ordering::Relaxed);
            // A thread that is behind takes this step with its next one.
            let _ = self.step.try_send(());
        }
    }
}

fn run(folder: &Path, steps: &Receiver<()>) {
    // The bytes of each file that were named before.
    let mut named = BTreeMap::new();
    while steps.recv().is_ok() {
        if let Err(error) = forget(folder, &mut named) {
            tracing::debug!(folder = %folder.display(), %error, "the write-ahead log stays in the page cache");
        }
    }
}

fn forget(folder: &Path, named: &mut BTreeMap<PathBuf, u64>) -> io::Result<()> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        // RocksDB may have removed it meanwhile.
        let Ok(file) = File::open(&path) else { continue };
        let from = named.get(&path).copied().unwrap_or(0);
        let to = file.metadata()?.len().saturating_sub(END_BYTES).max(from);
        if to > from {
            // From the step before on, because some of it was not on disk then.
            let begin = from.saturating_sub(STEP_BYTES);
            fadvise(&file, begin, NonZeroU64::new(to - begin), Advice::DontNeed)?;
        }
        files.insert(path, to);
    }
    *named = files;
    Ok(())
}
