//! Governance proposals: from proposed to enacted, rejected, withdrawn, expired or void.
//!
//! 1. A committee member proposes actions; that is also the member's vote for them. Both dates of a proposal lie within
//!    [`HORIZON_MS_MAX`]. A seat has at most [`OPEN_OF_SEAT_MAX`] open proposals, the committee [`OPEN_MAX`]; beside
//!    these, [`RESERVED_OF_SEAT`] and [`RESERVED`] are kept for proposals that only dismiss members or replace keys, so
//!    that no seat can keep the others from dismissing it.
//! 2. Members vote; a later vote of the same member replaces the earlier one. The proposer may withdraw the proposal.
//! 3. A proposal is *approved* while at least `threshold` active members approve.
//! 4. A proposal that can no longer be approved, since too many active members reject it, is rejected at once.
//! 5. The first block at or after the effective time enacts an approved proposal. A proposal that is not approved by
//!    `expires_at` expires; one that became impossible through a proposal enacted before it is void, and so are all
//!    open ones of a seat that is dismissed.
//! 6. A dismissed seat's votes on open proposals no longer count, and are removed once a proposal is closed. Votes on
//!    proposals closed before stay as they were counted.

use std::collections::BTreeSet;

use cbdc_signatures::Signature;

use super::vote::Ballots;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::command::{Command, GovernanceProposal, Record};
use crate::state::sections::{Kept, digest};
use crate::types::identity::MemberId;
use crate::types::time::Timestamp;

/// The number of proposals that may be open at once.
pub const OPEN_MAX: usize = 64;
/// The number of these that one seat may have open.
pub const OPEN_OF_SEAT_MAX: usize = 8;
/// The number of additional open proposals that only dismiss members or replace keys.
pub const RESERVED: usize = 32;
/// The number of these that one seat may have open.
pub const RESERVED_OF_SEAT: usize = 2;
/// The longest time from its block to a proposal's effect or expiry: 366 days.
pub const HORIZON_MS_MAX: u64 = 366 * 86_400_000;

/// A proposal's status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ProposalStatus {
    /// Open for votes.
    Open = 1,
    /// In force.
    Enacted = 2,
    /// Not approved in time.
    Expired = 3,
    /// Approved, but an action could no longer be enacted (such as admitting a member that exists by then).
    Void = 4,
    /// Rejected by so many members that it could no longer be approved.
    Rejected = 5,
    /// Withdrawn by the member that proposed it.
    Withdrawn = 6,
}

impl ProposalStatus {
    /// The status's name in answers and texts.
    pub fn name(self) -> &'static str {
        match self {
            ProposalStatus::Open => "open",
            ProposalStatus::Enacted => "enacted",
            ProposalStatus::Expired => "expired",
            ProposalStatus::Void => "void",
            ProposalStatus::Rejected => "rejected",
            ProposalStatus::Withdrawn => "withdrawn",
        }
    }
}

/// A proposal, its votes and its status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposalRecord {
    /// The number that it got when it was ordered, from 1.
    pub number: u64,
    /// The actions proposed.
    pub proposal: GovernanceProposal,
    /// The votes so far; for a closed proposal, those that counted.
    pub ballots: Ballots,
    /// The proposal's status.
    pub status: ProposalStatus,
    /// The time at which it was closed.
    pub closed_at: Timestamp,
}

/// All proposals ever made, by number from 1, and which of them are open.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GovernanceProposals {
    all: Vec<ProposalRecord>,
    open: BTreeSet<u64>,
    digest: Kept<Hash>,
}

impl GovernanceProposals {
    /// Every proposal, in order of number.
    pub fn all(&self) -> &[ProposalRecord] {
        &self.all
    }

    /// The proposal with a number.
    pub fn get(&self, number: u64) -> Option<&ProposalRecord> {
        self.all.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut ProposalRecord> {
        self.digest.forget();
        self.all.get_mut(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// Closes an open proposal with a status, and drops the votes that do not count.
    pub(crate) fn close(
        &mut self,
        number: u64,
        status: ProposalStatus,
        closed_at: Timestamp,
        counts: impl Fn(MemberId) -> bool,
    ) {
        if let Some(proposed) = self.get_mut(number) {
            (proposed.status, proposed.closed_at) = (status, closed_at);
            proposed.ballots.retain(|seat, _| counts(*seat));
        }
        self.open.remove(&number);
    }

    /// The open proposals, in order of number.
    pub fn open(&self) -> impl Iterator<Item = &ProposalRecord> {
        self.open.iter().filter_map(|number| self.get(*number))
    }

    /// The number of open proposals, and of those of one seat.
    pub(crate) fn open_counts(&self, member: MemberId) -> (usize, usize) {
        (self.open.len(), self.open().filter(|proposed| proposed.proposal.member == member).count())
    }

    /// Opens a proposal with its proposer's vote, and returns its number.
    pub(crate) fn take_up(&mut self, proposal: GovernanceProposal) -> u64 {
        let number = self.all.len() as u64 + 1;
        let ballots = Ballots::from([(proposal.member, true)]);
        self.digest.forget();
        self.open.insert(number);
        self.all.push(ProposalRecord {
            number,
            proposal,
            ballots,
            status: ProposalStatus::Open,
            closed_at: Timestamp(0),
        });
        number
    }

    /// The earliest time at which an open proposal is enacted or expires: a block is due then even without payments.
    pub fn next_due(&self, is_approved: impl Fn(&ProposalRecord) -> bool) -> Option<Timestamp> {
        self.open()
            .map(
                |proposed| {
                    if is_approved(proposed) { proposed.proposal.effective_at } else { proposed.proposal.expires_at }
                },
            )
            .min()
    }

    /// The digest of all proposals.
    pub(crate) fn digest(&self) -> Hash {
        self.digest.get(|| digest(|out| self.encode(out)))
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u64(self.all.len() as u64);
        for proposed in &self.all {
            let proposal = proposed.proposal.to_bytes();
            out.u32(proposal.len() as u32).raw(&proposal);
            out.u8(proposed.status as u8).u64(proposed.closed_at.0).u16(proposed.ballots.len() as u16);
            for (member, approve) in &proposed.ballots {
                out.u16(member.0).u8(u8::from(*approve));
            }
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<GovernanceProposals, DecodeError> {
        let mut proposals = GovernanceProposals::default();
        for number in 1..=input.u64()? {
            let length = input.u32()? as usize;
            let proposal = decode_proposal(input.raw(length)?)?;
            let status = match input.u8()? {
                1 => ProposalStatus::Open,
                2 => ProposalStatus::Enacted,
                3 => ProposalStatus::Expired,
                4 => ProposalStatus::Void,
                5 => ProposalStatus::Rejected,
                6 => ProposalStatus::Withdrawn,
                other => return Err(input.wrong("a known status of a proposal", u64::from(other))),
            };
            let closed_at = Timestamp(input.u64()?);
            let mut ballots = Ballots::new();
            for _ in 0..input.u16()? {
                ballots.insert(MemberId(input.u16()?), input.boolean()?);
            }
            if status == ProposalStatus::Open {
                proposals.open.insert(number);
            }
            proposals.all.push(ProposalRecord { number, proposal, ballots, status, closed_at });
        }
        Ok(proposals)
    }
}

/// Reads an unsigned proposal by appending a signature of zeros.
fn decode_proposal(bytes: &[u8]) -> Result<GovernanceProposal, DecodeError> {
    let padded = [bytes, &Signature([0; 64]).0].concat();
    match Command::from_bytes(&padded)? {
        Command::Propose(signed) => Ok(signed.record),
        other => Err(DecodeError::Value { what: "proposal", expected: "a proposal", found: other.kind() as u64 }),
    }
}
