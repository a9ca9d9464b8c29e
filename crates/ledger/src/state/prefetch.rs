//! Prefetching of records: the memory of many is requested at once, before they are processed one by one.

use std::hint::black_box;

use super::account::Account;

/// The number of commands whose records are prefetched together: as many as fit the processor's nearest cache.
pub const PREFETCH_BATCH: usize = 64;

/// Reads a word of both cache lines of each account; no read waits for another.
pub(crate) fn prefetch_accounts(accounts: &[&Account]) {
    black_box(accounts.iter().fold(0, |read, account| read ^ account.prefetch()));
}
