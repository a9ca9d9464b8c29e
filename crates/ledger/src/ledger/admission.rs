//! Admission: the checks on a command's signer, key, sequence number and validity, before any of its own rules.
//!
//! In this order:
//!
//! 1. The signer is known: an open wallet, or an active member in its role.
//! 2. The record names the version of the signer's key that is in force.
//! 3. The sequence number is free.
//! 4. The record is valid at the block's time, and not for longer than genesis allows.
//!
//! A command that fails one of the first three uses no sequence number; one that fails the fourth uses it.

use crate::command::{Head, Signer};
use crate::ledger::Ledger;
use crate::state::sequence::SequenceStatus;
use crate::types::outcome::{Outcome, Reason};
use crate::types::time::Timestamp;

/// An admitted command. Its sequence number is used even if the command is then refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Admission {
    /// The refusal of a command that is admitted but expired, or valid for too long.
    pub validity: Result<(), Outcome>,
}

impl Ledger {
    /// Checks a command's head against its signer's state at `time`. It changes nothing, so that a node can ask before
    /// it submits a command; the transition makes the same checks in two steps, and uses the sequence number between
    /// them.
    ///
    /// # Errors
    /// The refusal of a command that uses no sequence number: `UNKNOWN_ACCOUNT`, `UNKNOWN_MEMBER`, `KEY_CHANGED`,
    /// `SEQUENCE_USED` or `SEQUENCE_OUT_OF_WINDOW`.
    pub fn check_admission(&self, signer: Signer, head: &Head, time: Timestamp) -> Result<Admission, Outcome> {
        self.check_signer(signer, head)?;
        Ok(Admission { validity: self.check_validity(head, time) })
    }

    /// Checks that the signer is known, its key in force and the sequence number free: steps 1 to 3 alone.
    ///
    /// # Errors
    /// As [`Ledger::check_admission`].
    #[inline(always)]
    pub(crate) fn check_signer(&self, signer: Signer, head: &Head) -> Result<(), Outcome> {
        let state = self.signer_state(signer, head.sequence)?;
        if state.key_version != head.key_version {
            let (in_force, named) = (u64::from(state.key_version), u64::from(head.key_version));
            return Err(Outcome::refused(Reason::KeyChanged, in_force, named));
        }
        state.check_sequence(head.sequence)
    }

    /// Checks that the signer is known and the sequence number free: steps 1 and 3 alone, for a node that has not
    /// looked at keys yet.
    ///
    /// # Errors
    /// `UNKNOWN_ACCOUNT`, `UNKNOWN_MEMBER`, `SEQUENCE_USED` or `SEQUENCE_OUT_OF_WINDOW`.
    pub fn check_sequence(&self, signer: Signer, sequence: u64) -> Result<(), Outcome> {
        self.signer_state(signer, sequence)?.check_sequence(sequence)
    }

    /// Checks that a record is valid at `time`, and not for longer than genesis allows: step 4 alone.
    ///
    /// # Errors
    /// `EXPIRED` or `VALIDITY_TOO_LONG`.
    #[inline(always)]
    pub fn check_validity(&self, head: &Head, time: Timestamp) -> Result<(), Outcome> {
        if head.valid_until < time {
            return Err(Outcome::refused(Reason::Expired, head.valid_until.0, time.0));
        }
        let latest = time.plus_ms(self.genesis.validity_ms_max);
        if head.valid_until > latest {
            return Err(Outcome::refused(Reason::ValidityTooLong, latest.0, head.valid_until.0));
        }
        Ok(())
    }

    #[inline(always)]
    fn signer_state(&self, signer: Signer, sequence: u64) -> Result<SignerState, Outcome> {
        let unknown = |reason| Outcome::refused(reason, 0, 0);
        Ok(match signer {
            Signer::Holder(id) => {
                let account = self.open_wallet(id).ok_or(unknown(Reason::UnknownAccount))?;
                let (status, lowest_unused) = (account.window.status(sequence), account.window.lowest_unused());
                SignerState { key_version: account.key_version, status, lowest_unused }
            }
            Signer::Member(role, id) => {
                let seat = self.members.active(role, id).ok_or(unknown(Reason::UnknownMember))?;
                let (status, lowest_unused) = (seat.window.status(sequence), seat.window.lowest_unused());
                SignerState { key_version: seat.key_version, status, lowest_unused }
            }
        })
    }
}

/// A known signer's key, and the status of a sequence number in its window.
struct SignerState {
    key_version: u32,
    status: SequenceStatus,
    lowest_unused: u64,
}

impl SignerState {
    #[inline(always)]
    fn check_sequence(&self, sequence: u64) -> Result<(), Outcome> {
        match self.status {
            SequenceStatus::Free => Ok(()),
            SequenceStatus::Used => Err(Outcome::refused(Reason::SequenceUsed, 0, 0)),
            SequenceStatus::OutOfWindow => {
                Err(Outcome::refused(Reason::SequenceOutOfWindow, self.lowest_unused, sequence))
            }
        }
    }
}
