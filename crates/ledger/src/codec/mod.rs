//! How values become bytes and digests: the fixed layout of everything signed or hashed, shorter forms for bulk, and
//! Merkle trees.

pub mod compact;
pub mod encoding;
mod format;
mod identity;
pub mod merkle;
mod outcome;
