//! The allocator: one for the program and the C++ library below it, which keeps freed memory for a while.
//!
//! A node allocates and frees buffers of a block proposal's size on many threads all the time. With mimalloc's own
//! delay of a second, and RocksDB on the system's allocator, returning their pages and faulting them in again took 8 %
//! of all CPU time at 150,000 payments a second. Freed memory therefore returns to the system only after
//! [`KEPT_FOR_MS`]; `MIMALLOC_PURGE_DELAY` (in ms; −1 for never) overrides that.

use std::ffi::c_long;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The time for which freed memory is kept, in ms.
const KEPT_FOR_MS: c_long = 60_000;
/// The index of `mi_option_purge_delay` in `mi_option_e` of mimalloc 2 and 3, which the binding does not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Makes the allocator keep freed memory. Called at the start of the program.
pub fn keep_freed_memory() {
    // SAFETY: sets a number that the allocator reads; it ignores an option that it does not know.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, KEPT_FOR_MS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The index is internal to the library: a new version may move it.
    #[test]
    fn the_option_is_the_purge_delay() {
        // SAFETY: reads and sets numbers of the allocator.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        let overridden = std::env::var_os("MIMALLOC_PURGE_DELAY").is_some();
        assert!(overridden || delay() == 1_000, "mimalloc's own default is a second, found {} ms", delay());
        keep_freed_memory();
        assert!(overridden || delay() == KEPT_FOR_MS);
    }
}
