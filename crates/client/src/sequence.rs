//! Which sequence number to sign next.
//!
//! A signer may have a window of numbers in flight at once: those from the lowest unused one upwards. The allocator
//! hands each number out once and takes it back only when it is certain that no command used it. A number whose
//! command has an unknown status stays out: signing another command with it could make one of the two a surprise.

use std::collections::BTreeSet;

/// Hands out a signer's unused numbers.
#[derive(Debug)]
pub struct SequenceAllocator {
    window: u64,
    lowest_unused: u64,
    /// The lowest number never handed out here.
    fresh: u64,
    /// Handed out and taken back.
    returned: BTreeSet<u64>,
    /// Used, above the lowest unused one.
    used: BTreeSet<u64>,
}

impl SequenceAllocator {
    /// `lowest_unused` as the ledger has it; `window` is 64 for a wallet and 65,536 for a member.
    pub fn new(window: u64, lowest_unused: u64) -> SequenceAllocator {
        SequenceAllocator {
            window,
            lowest_unused,
            fresh: lowest_unused,
            returned: BTreeSet::new(),
            used: BTreeSet::new(),
        }
    }

    pub fn window(&self) -> u64 {
        self.window
    }

    /// The next unused number, or `None` while the whole window is in flight.
    pub fn take(&mut self) -> Option<u64> {
        if let Some(number) = self.returned.pop_first() {
            return Some(number);
        }
        let number = self.fresh;
        if number >= self.lowest_unused.saturating_add(self.window) {
            return None;
        }
        self.fresh += 1;
        Some(number)
    }

    /// A command with this number was ordered.
    pub fn mark_used(&mut self, number: u64) {
        if number < self.lowest_unused {
            return;
        }
        self.returned.remove(&number);
        self.used.insert(number);
        while self.used.remove(&self.lowest_unused) {
            self.lowest_unused += 1;
        }
        self.fresh = self.fresh.max(self.lowest_unused);
    }

    /// No command with this number was ordered, nor will be: it may be handed out again.
    pub fn give_back(&mut self, number: u64) {
        if (self.lowest_unused..self.fresh).contains(&number) && !self.used.contains(&number) {
            self.returned.insert(number);
        }
    }

    /// What the ledger says is the lowest unused number. An older answer than one heard before changes nothing.
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
        let mut numbers = SequenceAllocator::new(64, 5);
        let taken: Vec<u64> = std::iter::from_fn(|| numbers.take()).collect();
        assert_eq!(taken, (5..69).collect::<Vec<_>>());
        numbers.mark_used(6);
        assert_eq!(numbers.take(), None, "the lowest number is still in flight");
        numbers.mark_used(5);
        assert_eq!((numbers.take(), numbers.take(), numbers.take()), (Some(69), Some(70), None));
    }

    #[test]
    fn a_number_comes_back_only_when_it_was_not_used() {
        let mut numbers = SequenceAllocator::new(64, 1);
        assert_eq!((numbers.take(), numbers.take(), numbers.take()), (Some(1), Some(2), Some(3)));
        numbers.give_back(2);
        numbers.mark_used(1);
        assert_eq!(numbers.take(), Some(2));
        numbers.give_back(1);
        numbers.give_back(99);
        assert_eq!(numbers.take(), Some(4), "neither a used number nor one never handed out comes back");
    }

    #[test]
    fn the_ledgers_word_moves_the_window_and_an_older_word_does_not() {
        let mut numbers = SequenceAllocator::new(64, 1);
        while numbers.take().is_some() {}
        numbers.mark_used(12);
        numbers.observe(10);
        numbers.observe(3);
        assert_eq!(numbers.take(), Some(65));
        numbers.mark_used(10);
        numbers.mark_used(11);
        assert_eq!(numbers.lowest_unused, 13);
        numbers.observe(1_000);
        assert_eq!(numbers.take(), Some(1_000));
    }
}
