//! The newest blocks in memory, so that followers who keep up never touch the disk.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use cbdc_ledger::Height;
use cbdc_proto::v1;

/// Blocks kept in memory.
const RECENT_BLOCKS: usize = 512;
/// Bytes of blocks kept in memory.
pub(crate) const RECENT_BYTES: usize = 64 * 1024 * 1024;

/// The newest blocks, or filtered blocks, as messages in the order of heights.
pub(crate) struct Ring<M> {
    entries: VecDeque<(Height, M, usize)>,
    bytes: usize,
}

impl<M> Default for Ring<M> {
    fn default() -> Self {
        Ring { entries: VecDeque::new(), bytes: 0 }
    }
}

impl<M: Clone> Ring<M> {
    /// Adds the next message, of `bytes` bytes; the oldest give way when the total exceeds `bytes_max`.
    pub(crate) fn push(&mut self, height: Height, message: M, bytes: usize, bytes_max: usize) {
        self.bytes += bytes;
        self.entries.push_back((height, message, bytes));
        while self.entries.len() > RECENT_BLOCKS || self.bytes > bytes_max && self.entries.len() > 1 {
            if let Some((_, _, bytes)) = self.entries.pop_front() {
                self.bytes -= bytes;
            }
        }
    }

    pub(crate) fn get(&self, height: Height) -> Option<M> {
        let (first, ..) = self.entries.front()?;
        let at = usize::try_from(height.0.checked_sub(first.0)?).ok()?;
        self.entries.get(at).map(|(_, message, _)| message.clone())
    }

    /// Forgets all of them: the next message does not follow on the last.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= RECENT_BLOCKS
    }
}

/// The newest blocks as messages.
#[derive(Clone, Default)]
pub struct RecentBlocks(Arc<RwLock<Ring<v1::Block>>>);

impl RecentBlocks {
    /// Adds the next block.
    pub fn push(&self, height: Height, block: v1::Block) {
        let bytes = block.proposal.len() + block.outcomes.len();
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(height, block, bytes, RECENT_BYTES);
    }

    /// Forgets all of them: the next block does not follow on the last.
    pub fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn get(&self, height: Height) -> Option<v1::Block> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(height)
    }
}
