//! Work per block: how much the ledger does by itself in one block.

/// A bound on the work that the ledger does by itself in one block, so that payments never wait long behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkPerBlock(pub u32);

impl WorkPerBlock {
    /// The largest bound.
    pub const MAX: u32 = 65_536;

    /// Whether the bound is from 1 to [`WorkPerBlock::MAX`].
    pub fn is_sound(self) -> bool {
        (1..=WorkPerBlock::MAX).contains(&self.0)
    }
}

impl Default for WorkPerBlock {
    fn default() -> Self {
        WorkPerBlock(4_096)
    }
}
