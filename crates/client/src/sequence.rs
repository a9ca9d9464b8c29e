//! The allocator of sequence numbers.
//!
//! A signer may have a window of sequence numbers in flight at once, from the lowest unused one upwards. The allocator
//! hands each number out once, and takes it back only when it is certain that no command used it. A number whose
//! command has an unknown status is not reused: of two commands signed with it either might settle.

use std::collections::BTreeSet;

/// An allocator of a signer's unused sequence numbers.
#[derive(Debug)]
pub struct SequenceAllocator {
    window: u64,
    lowest_unused: u64,
    /// The lowest number that was never handed out.
    fresh: u64,
    /// Numbers that were handed out and given back.
    returned: BTreeSet<u64>,
    /// Used numbers above the lowest unused one.
    used: BTreeSet<u64>,
}

impl SequenceAllocator {
    /// An allocator from the lowest unused number in the ledger; `window` is 64 for a wallet and 65,536 for a member.
    pub fn new(window: u64, lowest_unused: u64) -> SequenceAllocator {
        SequenceAllocator {
            window,
            lowest_unused,
            fresh: lowest_unused,
            returned: BTreeSet::new(),
            used: BTreeSet::new(),
        }
    }

    /// The number of sequence numbers that may be in flight at once.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// The next unused number, or `None` while the whole window is in flight.
    pub fn take(&mut self) -> Option<u64> {
        if let Some(sequence) = self.returned.pop_first() {
            return Some(sequence);
        }
        let sequence = self.fresh;
        if sequence >= self.lowest_unused.saturating_add(self.window) {
            return None;
        }
        self.fresh += 1;
        Some(sequence)
    }

    /// Records that a command with this number was ordered.
    pub fn mark_used(&mut self, sequence: u64) {
        if sequence < self.lowest_unused {
            return;
        }
        self.returned.remove(&sequence);
        self.used.insert(sequence);
        while self.used.remove(&self.lowest_unused) {
            self.lowest_unused += 1;
        }
        self.fresh = self.fresh.max(self.lowest_unused);
    }

    /// Takes back a number with which no command was or ever will be ordered: it may be handed out again.
    pub fn give_back(&mut self, sequence: u64) {
        if (self.lowest_unused..self.fresh).contains(&sequence) && !self.used.contains(&sequence) {
            self.returned.insert(sequence);
        }
    }

    /// Moves the window to the lowest unused number that the ledger reports. A report older than the last one changes
    /// nothing.
    pub fn observe(&mut self, lowest_unused: u64) {
        if lowest_unused <= self.lowest_unused {
            return;
        }
        self.lowest_unused = lowest_unused;
        self.fresh = self.fresh.max(lowest_unused);
        self.returned = self.returned.split_off(&lowest_unused);
        self.used = self.used.split_off(&lowest_unused);
        while self.used.remove(&self.lowest_unused) {
            self.lowest_unused += 1;
        }
        self.fresh = self.fresh.max(self.lowest_unused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_handed_out_once_and_no_more_than_a_window_ahead() {
        let mut allocator = SequenceAllocator::new(64, 5);
        let taken: Vec<u64> = std::iter::from_fn(|| allocator.take()).collect();
        assert_eq!(taken, (5..69).collect::<Vec<_>>());
        allocator.mark_used(6);
        assert_eq!(allocator.take(), None, "the lowest number is still in flight");
        allocator.mark_used(5);
        assert_eq!((allocator.take(), allocator.take(), allocator.take()), (Some(69), Some(70), None));
    }

    #[test]
    fn a_number_comes_back_only_when_it_was_not_used() {
        let mut allocator = SequenceAllocator::new(64, 1);
        assert_eq!((allocator.take(), allocator.take(), allocator.take()), (Some(1), Some(2), Some(3)));
        allocator.give_back(2);
        allocator.mark_used(1);
        assert_eq!(allocator.take(), Some(2));
        allocator.give_back(1);
        allocator.give_back(99);
        assert_eq!(allocator.take(), Some(4), "neither a used number nor one never handed out comes back");
    }

    #[test]
    fn the_ledgers_statement_moves_the_window_and_an_older_one_does_not() {
        let mut allocator = SequenceAllocator::new(64, 1);
        while allocator.take().is_some() {}
        allocator.mark_used(12);
        allocator.observe(10);
        allocator.observe(3);
        assert_eq!(allocator.take(), Some(65));
        allocator.mark_used(10);
        allocator.mark_used(11);
        assert_eq!(allocator.lowest_unused, 13);
        allocator.observe(1_000);
        assert_eq!(allocator.take(), Some(1_000));
    }
}
