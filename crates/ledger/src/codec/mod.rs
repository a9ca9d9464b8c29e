//! The codecs of values and digests: the fixed layout of everything signed or hashed, compact forms for bulk data, and
//! Merkle trees.

pub mod compact;
pub mod encoding;
mod format;
mod identity;
pub mod merkle;
mod outcome;
