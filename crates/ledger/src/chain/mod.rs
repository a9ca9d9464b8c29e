//! From bytes to sealed blocks and proofs: batches, block proposals, their verification, blocks and receipts.

mod apply;
pub(crate) mod bank_leaf;
pub mod block;
pub mod block_proposal;
pub mod command_batch;
pub mod command_leaf;
pub mod directory;
pub mod receipt;
pub mod signed_header;
pub mod slice_verification;
pub mod verification;
pub mod virtual_time;
