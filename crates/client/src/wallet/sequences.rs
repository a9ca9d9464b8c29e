//! The sequence numbers of a wallet: taken for one command each, and settled by that command's status.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cbdc_ledger::Reason;
use cbdc_ledger::sequence::WALLET_WINDOW;

use crate::sequence::SequenceAllocator;
use crate::submission::SubmissionStatus;

/// The wallet's allocator; `None` before the bank has reported the lowest unused number.
#[derive(Default)]
pub(super) struct WalletSequences(Mutex<Option<SequenceAllocator>>);

impl WalletSequences {
    /// The next unused number; `None` before the first [`observe`](WalletSequences::observe), and while the whole
    /// window is in flight.
    pub fn take(&self) -> Option<u64> {
        self.lock().as_mut().and_then(SequenceAllocator::take)
    }

    /// Adopts the lowest unused number in the bank's replica.
    pub fn observe(&self, lowest_unused: u64) {
        self.lock().get_or_insert_with(|| SequenceAllocator::new(WALLET_WINDOW, lowest_unused)).observe(lowest_unused);
    }

    /// Marks a number used or gives it back, as the status of its command says; no status means that nothing was sent.
    pub fn settle(&self, sequence: u64, status: Option<&SubmissionStatus>) {
        let mut allocator = self.lock();
        let Some(allocator) = allocator.as_mut() else { return };
        match status {
            Some(SubmissionStatus::Accepted | SubmissionStatus::Unknown { .. }) => {}
            Some(SubmissionStatus::Settled { .. }) => allocator.mark_used(sequence),
            Some(SubmissionStatus::Refused(refusal)) => match refusal.reason() {
                _ if refusal.position.is_some() => allocator.mark_used(sequence),
                reason if reason.says_sequence_used() => allocator.mark_used(sequence),
                // It is still free, but whoever has the record can send it again, so it is not reused.
                Reason::SequenceOutOfWindow => {}
                _ => allocator.give_back(sequence),
            },
            None => allocator.give_back(sequence),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<SequenceAllocator>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
