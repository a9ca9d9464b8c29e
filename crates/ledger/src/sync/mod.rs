//! Saving a whole ledger, and following one bank's part of it.

pub mod checkpoint;
pub mod checkpoint_signature;
mod entry_sums;
pub mod filtered_block;
pub mod membership_change;
