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
//! 7. Every proposal is kept under the state root. So a seat makes at most [`OF_SEAT_A_DAY_MAX`] a ledger day, and
//!    [`RESERVED_OF_SEAT_A_DAY`] more that only dismiss members or replace keys. Snapshots share proposals, and a block
//!    hashes those that it changed: closed ones cost neither anything.

use std::collections::{BTreeMap, BTreeSet};

use cbdc_signatures::Signature;

use super::vote::Ballots;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::command::{Command, GovernanceAction, GovernanceProposal, Record};
use crate::state::merkle_map::{Encoded, MerkleMap};
use crate::state::sections::digest;
use crate::types::identity::MemberId;
use crate::types::time::{LedgerDay, Timestamp};

/// The number of proposals that may be open at once.
pub const OPEN_MAX: usize = 64;
/// The number of these that one seat may have open.
pub const OPEN_OF_SEAT_MAX: usize = 8;
/// The number of additional open proposals that only dismiss members or replace keys.
pub const RESERVED: usize = 32;
/// The number of these that one seat may have open.
pub const RESERVED_OF_SEAT: usize = 2;
/// The number of proposals that a seat may make in a ledger day.
pub const OF_SEAT_A_DAY_MAX: usize = 64;
/// The number of additional ones that only dismiss members or replace keys.
pub const RESERVED_OF_SEAT_A_DAY: usize = 16;
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

impl ProposalRecord {
    fn is_policy_version(&self) -> bool {
        let changes_policy = |action: &GovernanceAction| matches!(action, GovernanceAction::Policy(_));
        self.status == ProposalStatus::Enacted && self.proposal.actions.iter().any(changes_policy)
    }
}

impl Encoded for ProposalRecord {
    fn encode(&self, out: &mut Writer) {
        let proposal = self.proposal.to_bytes();
        out.u32(proposal.len() as u32).raw(&proposal);
        out.u8(self.status as u8).u64(self.closed_at.0).u16(self.ballots.len() as u16);
        for (member, approve) in &self.ballots {
            out.u16(member.0).u8(u8::from(*approve));
        }
    }
}

/// All proposals ever made, by number from 1.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GovernanceProposals {
    records: MerkleMap<8, ProposalRecord>,
    open: BTreeSet<u64>,
    /// Those that brought policy's versions, from version 2.
    policy_versions: Vec<u64>,
    made_on_day: MadeOnDay,
}

/// The number of proposals that each seat has made on the last day on which there was one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct MadeOnDay {
    day: LedgerDay,
    of_seats: BTreeMap<MemberId, u32>,
}

impl GovernanceProposals {
    /// Every proposal, in order of number.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &ProposalRecord> {
        (1..=self.count()).filter_map(|number| self.get(number))
    }

    /// The number of proposals so far, which is the highest number.
    pub fn count(&self) -> u64 {
        self.records.len() as u64
    }

    /// The proposal with a number.
    pub fn get(&self, number: u64) -> Option<&ProposalRecord> {
        self.records.get(&number.to_be_bytes())
    }

    /// The proposal that brought a version of policy; `None` for genesis' and for a version that there is not.
    pub fn of_policy_version(&self, version: u32) -> Option<&ProposalRecord> {
        self.get(*self.policy_versions.get((version as usize).checked_sub(2)?)?)
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut ProposalRecord)) {
        if let Some(mut record) = self.get(number).cloned() {
            change(&mut record);
            self.records.insert(number.to_be_bytes(), record);
        }
    }

    /// Notes a member's vote on an open proposal.
    pub(crate) fn vote(&mut self, number: u64, member: MemberId, approve: bool) {
        self.change(number, |proposed| {
            proposed.ballots.insert(member, approve);
        });
    }

    /// Closes an open proposal with a status, and drops the votes that do not count.
    pub(crate) fn close(
        &mut self,
        number: u64,
        status: ProposalStatus,
        closed_at: Timestamp,
        counts: impl Fn(MemberId) -> bool,
    ) {
        self.change(number, |proposed| {
            (proposed.status, proposed.closed_at) = (status, closed_at);
            proposed.ballots.retain(|seat, _| counts(*seat));
        });
        self.open.remove(&number);
        if self.get(number).is_some_and(ProposalRecord::is_policy_version) {
            self.policy_versions.push(number);
        }
    }

    /// The open proposals, in order of number.
    pub fn open(&self) -> impl Iterator<Item = &ProposalRecord> {
        self.open.iter().filter_map(|number| self.get(*number))
    }

    /// The number of open proposals, and of those of one seat.
    pub(crate) fn open_counts(&self, member: MemberId) -> (usize, usize) {
        (self.open.len(), self.open().filter(|proposed| proposed.proposal.member == member).count())
    }

    /// The number of proposals that a seat has made on a day, which is none before the latest that had one.
    pub(crate) fn made_on(&self, day: LedgerDay, member: MemberId) -> usize {
        let MadeOnDay { day: latest, of_seats } = &self.made_on_day;
        if day == *latest { of_seats.get(&member).map_or(0, |made| *made as usize) } else { 0 }
    }

    /// Takes a proposal up with its proposer's vote, and returns its number.
    pub(crate) fn take_up(&mut self, proposal: GovernanceProposal, today: LedgerDay) -> u64 {
        let number = self.count() + 1;
        let ballots = Ballots::from([(proposal.member, true)]);
        if self.made_on_day.day != today {
            self.made_on_day = MadeOnDay { day: today, of_seats: BTreeMap::new() };
        }
        *self.made_on_day.of_seats.entry(proposal.member).or_default() += 1;
        self.open.insert(number);
        self.insert(ProposalRecord {
            number,
            proposal,
            ballots,
            status: ProposalStatus::Open,
            closed_at: Timestamp(0),
        });
        number
    }

    fn insert(&mut self, record: ProposalRecord) {
        self.records.insert(record.number.to_be_bytes(), record);
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
        digest(|out| {
            out.u64(self.count()).raw(&self.records.root());
            self.made_on_day.encode(out);
        })
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u64(self.count());
        for proposed in self.all() {
            proposed.encode(out);
        }
        self.made_on_day.encode(out);
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<GovernanceProposals, DecodeError> {
        let mut proposals = GovernanceProposals::default();
        let mut versions = Vec::new();
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
            let record = ProposalRecord { number, proposal, ballots, status, closed_at };
            if record.is_policy_version() {
                versions.push((closed_at, number));
            }
            if status == ProposalStatus::Open {
                proposals.open.insert(number);
            }
            proposals.insert(record);
        }
        // A block enacts what is due in the order of its numbers.
        versions.sort_unstable();
        proposals.policy_versions = versions.into_iter().map(|(_, number)| number).collect();
        proposals.made_on_day = MadeOnDay::decode(input)?;
        Ok(proposals)
    }
}

impl MadeOnDay {
    fn encode(&self, out: &mut Writer) {
        out.u32(self.day.0).u16(self.of_seats.len() as u16);
        for (member, made) in &self.of_seats {
            out.u16(member.0).u32(*made);
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<MadeOnDay, DecodeError> {
        let mut made = MadeOnDay { day: LedgerDay(input.u32()?), of_seats: BTreeMap::new() };
        for _ in 0..input.u16()? {
            made.of_seats.insert(MemberId(input.u16()?), input.u32()?);
        }
        Ok(made)
    }
}

/// Reads an unsigned proposal by giving it a signature of zeros.
fn decode_proposal(bytes: &[u8]) -> Result<GovernanceProposal, DecodeError> {
    let padded = [bytes, &Signature([0; 64]).0].concat();
    match Command::from_bytes(&padded)? {
        Command::Propose(signed) => Ok(signed.record),
        other => Err(DecodeError::Value { what: "proposal", expected: "a proposal", found: other.kind() as u64 }),
    }
}
