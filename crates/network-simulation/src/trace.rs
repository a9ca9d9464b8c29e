//! The trace of a run: everything that happened, in order, with its time. Two runs of one seed have equal traces.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::machine;

/// The trace. Clones share it.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<Inner>>);

struct Inner {
    hash: blake3::Hasher,
    lines: u64,
    /// The lines themselves, if somebody wants to read them.
    kept: Option<String>,
}

impl Trace {
    /// An empty trace, whose lines are kept or only hashed.
    pub fn new(keeps_lines: bool) -> Trace {
        let inner = Inner { hash: blake3::Hasher::new(), lines: 0, kept: keeps_lines.then(String::new) };
        Trace(Arc::new(Mutex::new(inner)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let line = format!("{} {}\n", machine::now_ns() / 1_000_000, line());
        let mut inner = self.lock();
        inner.hash.update(line.as_bytes());
        inner.lines += 1;
        if let Some(kept) = &mut inner.kept {
            kept.push_str(&line);
        }
    }

    /// The number of lines, and their hash.
    pub fn digest(&self) -> (u64, String) {
        let inner = self.lock();
        let mut hex = String::new();
        for byte in &inner.hash.finalize().as_bytes()[..16] {
            let _ = write!(hex, "{byte:02x}");
        }
        (inner.lines, hex)
    }

    /// The lines, if they were kept.
    pub fn take_lines(&self) -> Option<String> {
        self.lock().kept.take()
    }
}
