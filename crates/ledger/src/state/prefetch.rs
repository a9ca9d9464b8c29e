//! Prefetching of records: the memory of many is asked for at once, before they are worked on one by one.

use std::hint::black_box;

use super::account::Account;

/// How many commands' records are prefetched before they are worked on: so many fit the processor's nearest cache.
pub const PREFETCH_BATCH: usize = 64;

/// Reads a word of both cache lines of each account; no read waits for another.
pub(crate) fn prefetch_accounts(accounts: &[&Account]) {
    black_box(accounts.iter().fold(0, |read, account| read ^ account.prefetch()));
}
