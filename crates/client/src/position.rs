//! The position of a command in the chain.

use std::fmt;

use cbdc_ledger::Height;

/// The position of a command in the chain. Shown and typed as `height:index`: `17:3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockPosition {
    /// The block's height.
    pub height: Height,
    /// The command's index in the block, from 0.
    pub index: u32,
}

impl fmt::Display for BlockPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, self.index)
    }
}
