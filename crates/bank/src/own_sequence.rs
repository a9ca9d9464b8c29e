//! The bank's own sequence numbers, for the commands that it signs itself.
//!
//! A sequence number is *free* if the replica's window says so and nothing of this bank is in flight with it.
//! [`OwnSequence::take`] returns the lowest free one, which comes back in one of three ways:
//!
//! * [`OwnSequence::used`]: the chain has used it; the replica's window keeps it from being taken again.
//! * [`OwnSequence::never_sent`]: no record with it left this node, or can ever be ordered; it is free again.
//! * [`OwnSequence::unknown`]: its status is not known. It stays unused until the chain's time has passed the record's
//!   valid-until: from then on the record can only be refused, and the number is free again unless the window says
//!   otherwise.
//!
//! After a crash the numbers of commands outside the outbox are forgotten. If one is taken again although an earlier
//! command used it, the answer is `SEQUENCE_USED` or `SEQUENCE_CONFLICT`, and the caller takes another
//! ([`cbdc_node::re_sign`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cbdc_ledger::Timestamp;
use cbdc_ledger::sequence::{MEMBER_WINDOW, SequenceStatus, WideWindow};

#[derive(Default)]
pub struct OwnSequence(Mutex<Numbers>);

#[derive(Default)]
struct Numbers {
    in_flight: BTreeSet<u64>,
    /// The valid-until of the record with each resting number.
    resting: BTreeMap<u64, Timestamp>,
    /// All numbers below it are in flight, resting or used.
    hint: u64,
}

impl OwnSequence {
    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lowest free number of the window, in flight from now on. `now` is the chain's time.
    pub fn take(&self, window: &WideWindow, now: Timestamp) -> Option<u64> {
        let mut numbers = self.lock();
        numbers.wake(window, now);
        let lowest = window.lowest_unused();
        let mut candidate = numbers.hint.max(lowest);
        while candidate < lowest.saturating_add(MEMBER_WINDOW) {
            let is_busy = numbers.in_flight.contains(&candidate) || numbers.resting.contains_key(&candidate);
            if !is_busy && window.status(candidate) == SequenceStatus::Free {
                numbers.in_flight.insert(candidate);
                numbers.hint = candidate + 1;
                return Some(candidate);
            }
            candidate += 1;
        }
        None
    }

    /// Reserves the number of a command that is already in the outbox.
    pub fn reserve(&self, sequence: u64) {
        self.lock().in_flight.insert(sequence);
    }

    /// Records that the chain has used the number, and that the replica has seen it.
    pub fn used(&self, sequence: u64) {
        let mut numbers = self.lock();
        numbers.in_flight.remove(&sequence);
        numbers.resting.remove(&sequence);
    }

    /// Records that no record with the number can be ordered any more.
    pub fn never_sent(&self, sequence: u64) {
        let mut numbers = self.lock();
        numbers.in_flight.remove(&sequence);
        numbers.hint = numbers.hint.min(sequence);
    }

    /// Records that the status of the record with this number is unknown; it is valid until `valid_until`.
    pub fn unknown(&self, sequence: u64, valid_until: Timestamp) {
        let mut numbers = self.lock();
        numbers.in_flight.remove(&sequence);
        numbers.resting.insert(sequence, valid_until);
    }
}

/// A number taken for a command. If it is dropped without being settled (the caller hung up), its status is unknown.
pub struct Taken {
    own: Arc<OwnSequence>,
    sequence: u64,
    valid_until: Timestamp,
    is_settled: bool,
}

impl Taken {
    pub fn new(own: Arc<OwnSequence>, sequence: u64, valid_until: Timestamp) -> Taken {
        Taken { own, sequence, valid_until, is_settled: false }
    }

    /// Notes that the chain has used the number, and the replica has seen it.
    pub fn used(mut self) {
        self.is_settled = true;
        self.own.used(self.sequence);
    }

    /// Frees the number: no record with it can be ordered any more.
    pub fn never_sent(mut self) {
        self.is_settled = true;
        self.own.never_sent(self.sequence);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_settled {
            self.own.unknown(self.sequence, self.valid_until);
        }
    }
}

impl Numbers {
    /// Frees resting numbers whose record has expired on the chain, and drops those below the window.
    fn wake(&mut self, window: &WideWindow, now: Timestamp) {
        let mut lowest_woken = u64::MAX;
        self.resting.retain(|sequence, valid_until| {
            let keep = *sequence >= window.lowest_unused() && *valid_until >= now;
            if !keep {
                lowest_woken = lowest_woken.min(*sequence);
            }
            keep
        });
        self.hint = self.hint.min(lowest_woken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    #[test]
    fn numbers_in_flight_are_not_taken_twice_and_come_back_when_never_sent() {
        let (own, window) = (OwnSequence::default(), WideWindow::default());
        own.reserve(2);
        let taken: Vec<_> = (0..3).map(|_| own.take(&window, NOW).unwrap()).collect();
        assert_eq!(taken, [1, 3, 4]);
        own.never_sent(3);
        assert_eq!(own.take(&window, NOW), Some(3));
        assert_eq!(own.take(&window, NOW), Some(5));
    }

    #[test]
    fn a_number_of_unknown_status_rests_until_its_record_has_expired_on_the_chain() {
        let (own, window) = (OwnSequence::default(), WideWindow::default());
        assert_eq!(own.take(&window, NOW), Some(1));
        own.unknown(1, Timestamp(1_000));
        assert_eq!(own.take(&window, NOW), Some(2));
        assert_eq!(own.take(&window, Timestamp(1_001)), Some(1));
    }

    #[test]
    fn a_full_window_gives_no_number() {
        let (own, window) = (OwnSequence::default(), WideWindow::default());
        for expected in 1..=MEMBER_WINDOW {
            assert_eq!(own.take(&window, NOW), Some(expected));
        }
        assert_eq!(own.take(&window, NOW), None);
        own.never_sent(77);
        assert_eq!(own.take(&window, NOW), Some(77));
    }
}
