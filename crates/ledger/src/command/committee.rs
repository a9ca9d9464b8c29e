//! The committee's commands: governance proposals, which the ledger itself enacts, and votes.
//!
//! A governance proposal holds actions that take effect together. Its number is allotted when it is ordered, and
//! carried by its outcome. Proposing counts as the proposer's vote for it.

use cbdc_signatures::PublicKey;

use super::kind::Kind;
use super::record::{Head, Record};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::policy::PolicyChange;
use crate::state::bank_position::BankStatus;
use crate::state::member::{Member, Role};
use crate::state::programme::Grant;
use crate::types::format::FormatVersion;
use crate::types::identity::{BankId, MemberId};
use crate::types::time::Timestamp;

/// The largest number of actions in a proposal.
pub const ACTIONS_MAX: usize = 64;

/// Proposes actions: member (2), count of actions (2), reserved (4), effective at (8), expires at (8), actions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GovernanceProposal {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The committee member who signs.
    pub member: MemberId,
    /// The first block at or after this time enacts the proposal, if it is approved by then.
    pub effective_at: Timestamp,
    /// A proposal that is not approved by this time expires.
    pub expires_at: Timestamp,
    /// The changes proposed, in order; at most [`ACTIONS_MAX`].
    pub actions: Vec<GovernanceAction>,
}

/// A committee member's vote on a proposal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Choice {
    /// A vote against it.
    Reject = 0,
    /// A vote for it.
    Approve = 1,
    /// The proposer withdraws it.
    Withdraw = 2,
}

/// A vote: member (2), choice (1), reserved (5), proposal's number (8). 40 bytes in all. A later vote replaces an
/// earlier one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ballot {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The committee member who signs.
    pub member: MemberId,
    /// The vote.
    pub choice: Choice,
    /// The proposal's number.
    pub proposal: u64,
}

/// One change that a governance proposal makes.
#[allow(missing_docs, reason = "a field is named for what it holds")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GovernanceAction {
    /// A parameter of policy.
    Policy(PolicyChange),
    /// A bank, or another member, joins.
    AdmitMember(Member),
    /// A member's keys are replaced.
    ReplaceKeys { role: Role, id: MemberId, signing_key: PublicKey, node_key: Option<PublicKey> },
    /// A member leaves: its commands are refused from then on.
    DismissMember { role: Role, id: MemberId },
    /// The number of committee members who must approve.
    Threshold(u16),
    /// The number of the central bank's nodes that must have signed a header.
    HeaderSignatures(u16),
    /// Money for a cohort: unbacked issuance, or targeted and bound to a purpose.
    Grant(Grant),
    /// A bank is suspended, resolved, or active again.
    BankStatus { bank: BankId, status: BankStatus },
    /// The chain's formats change to a later version, from the block that enacts this.
    FormatVersion(FormatVersion),
    /// The customers of a resolved bank move to another bank, with the failed one's remaining money.
    MoveCustomers { from: BankId, to: BankId },
}

impl GovernanceAction {
    fn encode(&self, out: &mut Writer) {
        match self {
            GovernanceAction::Policy(change) => {
                out.u8(1);
                change.encode(out);
            }
            GovernanceAction::AdmitMember(member) => {
                out.u8(2);
                member.encode(out);
            }
            GovernanceAction::ReplaceKeys { role, id, signing_key, node_key } => {
                out.u8(3).u8(*role as u8).u16(id.0).raw(&signing_key.0);
                out.optional_key(node_key);
            }
            GovernanceAction::DismissMember { role, id } => {
                out.u8(4).u8(*role as u8).u16(id.0);
            }
            GovernanceAction::Threshold(threshold) => {
                out.u8(5).u16(*threshold);
            }
            GovernanceAction::HeaderSignatures(count) => {
                out.u8(8).u16(*count);
            }
            GovernanceAction::Grant(grant) => {
                out.u8(6);
                grant.encode(out);
            }
            GovernanceAction::MoveCustomers { from, to } => {
                out.u8(10).u16(from.0).u16(to.0);
            }
            GovernanceAction::BankStatus { bank, status } => {
                out.u8(7).u16(bank.0).u8(*status as u8);
            }
            GovernanceAction::FormatVersion(version) => {
                out.u8(9).u8(*version as u8);
            }
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<GovernanceAction, DecodeError> {
        Ok(match input.u8()? {
            1 => GovernanceAction::Policy(PolicyChange::decode(input)?),
            2 => GovernanceAction::AdmitMember(Member::decode(input)?),
            3 => GovernanceAction::ReplaceKeys {
                role: Role::decode(input)?,
                id: MemberId(input.u16()?),
                signing_key: PublicKey(input.array()?),
                node_key: input.optional_key()?,
            },
            4 => GovernanceAction::DismissMember { role: Role::decode(input)?, id: MemberId(input.u16()?) },
            5 => GovernanceAction::Threshold(input.u16()?),
            8 => GovernanceAction::HeaderSignatures(input.u16()?),
            6 => GovernanceAction::Grant(Grant::decode(input)?),
            7 => GovernanceAction::BankStatus { bank: BankId(input.u16()?), status: BankStatus::decode(input)? },
            9 => GovernanceAction::FormatVersion(FormatVersion::decode(input)?),
            10 => GovernanceAction::MoveCustomers { from: BankId(input.u16()?), to: BankId(input.u16()?) },
            other => return Err(input.wrong("a known action", u64::from(other))),
        })
    }
}

impl Record for GovernanceProposal {
    fn kind(&self) -> Kind {
        Kind::Propose
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        let count = u16::try_from(self.actions.len()).expect("a proposal holds at most 64 actions");
        out.u16(self.member.0).u16(count).reserved(4).u64(self.effective_at.0).u64(self.expires_at.0);
        self.actions.iter().for_each(|action| action.encode(out));
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let member = MemberId(input.u16()?);
        let count = usize::from(input.u16()?);
        if count == 0 || count > ACTIONS_MAX {
            return Err(input.wrong("1 to 64 actions", count as u64));
        }
        input.reserved(4)?;
        let effective_at = Timestamp(input.u64()?);
        let expires_at = Timestamp(input.u64()?);
        let actions = (0..count).map(|_| GovernanceAction::decode(input)).collect::<Result<_, _>>()?;
        Ok(GovernanceProposal { head, member, effective_at, expires_at, actions })
    }
}

impl Record for Ballot {
    fn kind(&self) -> Kind {
        Kind::Vote
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.member.0).u8(self.choice as u8).reserved(5).u64(self.proposal);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let member = MemberId(input.u16()?);
        let choice = match input.u8()? {
            0 => Choice::Reject,
            1 => Choice::Approve,
            2 => Choice::Withdraw,
            other => return Err(input.wrong("0 (reject), 1 (approve) or 2 (withdraw)", u64::from(other))),
        };
        input.reserved(5)?;
        Ok(Ballot { head, member, choice, proposal: input.u64()? })
    }
}
