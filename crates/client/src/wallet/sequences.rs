//! The sequence numbers of a wallet: taken for one command each, and settled by that command's status.
//!
//! A number whose command was refused without finality is *contested*: it is taken again for the next command, and at
//! most one of the two settles.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cbdc_ledger::Reason;
use cbdc_ledger::sequence::WALLET_WINDOW;

use crate::sequence::SequenceAllocator;
use crate::submission::SubmissionStatus;

/// The wallet's numbers, shared by its clones.
#[derive(Default)]
pub(super) struct WalletSequences(Mutex<Numbers>);

#[derive(Default)]
struct Numbers {
    /// `None` before the bank has reported the lowest unused number.
    allocator: Option<SequenceAllocator>,
    /// Numbers with which a record was signed that was refused and may still settle.
    contested: BTreeSet<u64>,
    /// Numbers that are not taken: records of an earlier run of the program have them.
    set_aside: BTreeSet<u64>,
}

impl WalletSequences {
    /// The next unused number; `None` before the first [`observe`](WalletSequences::observe), and while the whole
    /// window is in flight.
    pub fn take(&self) -> Option<u64> {
        let Numbers { allocator, set_aside, .. } = &mut *self.lock();
        let allocator = allocator.as_mut()?;
        std::iter::from_fn(|| allocator.take()).find(|sequence| !set_aside.contains(sequence))
    }

    /// Adopts the lowest unused number in the bank's replica.
    pub fn observe(&self, lowest_unused: u64) {
        let Numbers { allocator, contested, set_aside } = &mut *self.lock();
        allocator.get_or_insert_with(|| SequenceAllocator::new(WALLET_WINDOW, lowest_unused)).observe(lowest_unused);
        // The conflict of a contested number may be reported after the number was used.
        *contested = contested.split_off(&lowest_unused.saturating_sub(WALLET_WINDOW));
        *set_aside = set_aside.split_off(&lowest_unused);
    }

    /// Never takes a number.
    pub fn set_aside(&self, sequence: u64) {
        self.lock().set_aside.insert(sequence);
    }

    /// Whether an earlier record with this number was refused and might still settle.
    pub fn is_contested(&self, sequence: u64) -> bool {
        self.lock().contested.contains(&sequence)
    }

    /// Marks a number used or gives it back, as the status of its command says; no status means that nothing was sent.
    pub fn settle(&self, sequence: u64, status: Option<&SubmissionStatus>) {
        let Numbers { allocator, contested, .. } = &mut *self.lock();
        let Some(allocator) = allocator.as_mut() else { return };
        match status {
            Some(SubmissionStatus::Accepted | SubmissionStatus::Unknown { .. }) => {}
            Some(SubmissionStatus::Settled { .. }) => allocator.mark_used(sequence),
            Some(status @ SubmissionStatus::Refused(refusal)) => match refusal.reason() {
                _ if refusal.position.is_some() => allocator.mark_used(sequence),
                reason if reason.says_sequence_used() => allocator.mark_used(sequence),
                // It is still free, but whoever has the record can send it again, so it is not reused.
                Reason::SequenceOutOfWindow => {}
                _ => {
                    if !status.is_final() {
                        contested.insert(sequence);
                    }
                    allocator.give_back(sequence);
                }
            },
            None => allocator.give_back(sequence),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
