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
    /// Checks a command's head against its signer's state at `time`. It changes nothing: a node asks before it submits
    /// a command, and the transition before it uses the sequence number.
    ///
    /// # Errors
    /// The refusal of a command that uses no sequence number: `UNKNOWN_ACCOUNT`, `UNKNOWN_MEMBER`, `KEY_CHANGED`,
    /// `SEQUENCE_USED` or `SEQUENCE_OUT_OF_WINDOW`.
    #[inline(always)]
    pub fn check_admission(&self, signer: Signer, head: &Head, time: Timestamp) -> Result<Admission, Outcome> {
        let state = self.signer_state(signer, head.sequence)?;
        if state.key_version != head.key_version {
            let (in_force, named) = (u64::from(state.key_version), u64::from(head.key_version));
            return Err(Outcome::refused(Reason::KeyChanged, in_force, named));
        }
        state.check_sequence(head.sequence)?;
        Ok(Admission { validity: self.check_validity(head, time) })
    }

    /// The refusal that a command would get now, whatever its signature and key: for a node that has verified neither.
    /// `None` if there is none yet.
    pub fn early_refusal(&self, signer: Signer, head: &Head) -> Option<Outcome> {
        let sequence = self.signer_state(signer, head.sequence).and_then(|state| state.check_sequence(head.sequence));
        sequence.and_then(|()| check_not_expired(head, self.tip.time)).err()
    }

    /// Checks that a record is valid at `time`, and not for longer than genesis allows: step 4 alone.
    ///
    /// # Errors
    /// `EXPIRED` or `VALIDITY_TOO_LONG`.
    #[inline(always)]
    pub fn check_validity(&self, head: &Head, time: Timestamp) -> Result<(), Outcome> {
        check_not_expired(head, time)?;
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

#[inline(always)]
fn check_not_expired(head: &Head, time: Timestamp) -> Result<(), Outcome> {
    match head.valid_until < time {
        true => Err(Outcome::refused(Reason::Expired, head.valid_until.0, time.0)),
        false => Ok(()),
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
