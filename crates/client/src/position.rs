//! The position of a command in the chain.

use std::fmt;

use cbdc_ledger::Height;

/// Where a command stands in the chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockPosition {
    pub height: Height,
    pub index: u32,
}

impl fmt::Display for BlockPosition {
    /// As `receipt` commands take it: `17:3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, self.index)
    }
}
