//! The committee's one envelope: a proposal is proposed, voted on, and enacted by the ledger itself.
//!
//! A proposal holds actions that come into force together. The proposal's number is allotted when it is ordered; its
//! outcome carries it. Proposing counts as the proposer's vote for it.

use super::{Head, Kind, Record};
use crate::amount::Amount;
use crate::bank_position::BankStatus;
use crate::encoding::{DecodeError, Reader, Writer};
use crate::identity::{BankId, Class, MemberId};
use crate::member::{Member, Role};
use crate::policy::{
    Capitalisation, FeeSchedule, KeyRates, PolicyChange, ReserveRules, Tiers, VelocityRule, WorkPerBlock,
};
use crate::programme::Grant;
use crate::time::Timestamp;
use cbdc_signatures::PublicKey;

/// The largest number of actions in a proposal.
pub const ACTIONS_MAX: usize = 64;

/// Proposes actions: member (2), count of actions (2), reserved (4), effective at (8), expires at (8), actions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GovernanceProposal {
    pub head: Head,
    pub member: MemberId,
    /// The first block at or after this time enacts the proposal, if it is approved by then.
    pub effective_at: Timestamp,
    /// A proposal that is not approved by this time expires.
    pub expires_at: Timestamp,
    pub actions: Vec<GovernanceAction>,
}

/// What a committee member says to a proposal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Choice {
    /// A vote against it.
    Reject = 0,
    /// A vote for it.
    Approve = 1,
    /// The proposer takes it back.
    Withdraw = 2,
}

/// A vote: member (2), choice (1), reserved (5), proposal's number (8). 40 bytes in all. A later vote replaces an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ballot {
    pub head: Head,
    pub member: MemberId,
    pub choice: Choice,
    pub proposal: u64,
}

/// One thing that a proposal changes.
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
    /// How many committee members must approve.
    Threshold(u16),
    /// How many of the central bank's nodes must have signed a header.
    HeaderSignatures(u16),
    /// Money for a cohort: unbacked issuance, or targeted and bound to a purpose.
    Grant(Grant),
    /// A bank is suspended, resolved, or active again.
    BankStatus { bank: BankId, status: BankStatus },
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
                encode_optional_key(node_key, out);
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
            GovernanceAction::BankStatus { bank, status } => {
                out.u8(7).u16(bank.0).u8(*status as u8);
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
                node_key: decode_optional_key(input)?,
            },
            4 => GovernanceAction::DismissMember { role: Role::decode(input)?, id: MemberId(input.u16()?) },
            5 => GovernanceAction::Threshold(input.u16()?),
            8 => GovernanceAction::HeaderSignatures(input.u16()?),
            6 => GovernanceAction::Grant(Grant::decode(input)?),
            7 => GovernanceAction::BankStatus { bank: BankId(input.u16()?), status: BankStatus::decode(input)? },
            other => return Err(input.wrong("a known action", u64::from(other))),
        })
    }
}

impl PolicyChange {
    pub(crate) fn encode(&self, out: &mut Writer) {
        let limit = |out: &mut Writer, tag: u8, class: Class, limit: &Option<Amount>| {
            out.u8(tag).u8(class.0).optional_u64(limit.map(Amount::minor));
        };
        match self {
            PolicyChange::SupplyCap(cap) => {
                out.u8(1).optional_u64(cap.map(Amount::minor));
            }
            PolicyChange::IssuanceQuota(quota) => {
                out.u8(2).optional_u64(quota.map(Amount::minor));
            }
            PolicyChange::IssuanceQuotaOfBank { bank, quota } => {
                out.u8(3).u16(bank.0).optional_u64(quota.map(Amount::minor));
            }
            PolicyChange::HoldingLimit { class, limit: amount } => limit(out, 4, *class, amount),
            PolicyChange::PaymentLimit { class, limit: amount } => limit(out, 5, *class, amount),
            PolicyChange::DayLimit { class, limit: amount } => limit(out, 6, *class, amount),
            PolicyChange::MonthLimit { class, limit: amount } => limit(out, 7, *class, amount),
            PolicyChange::Velocity { class, rule } => {
                out.u8(8).u8(class.0);
                VelocityRule::encode(rule, out);
            }
            PolicyChange::Remuneration { class, tiers } => {
                out.u8(9).u8(class.0);
                tiers.encode(out);
            }
            PolicyChange::Capitalisation(capitalisation) => {
                out.u8(10).u8(*capitalisation as u8);
            }
            PolicyChange::PayerFee { class, schedule } => {
                out.u8(11).u8(class.0);
                schedule.encode(out);
            }
            PolicyChange::PayeeFee { class, schedule } => {
                out.u8(12).u8(class.0);
                schedule.encode(out);
            }
            PolicyChange::KeyRates(rates) => {
                out.u8(13);
                rates.encode(out);
            }
            PolicyChange::Reserves(rules) => {
                out.u8(14);
                rules.encode(out);
            }
            PolicyChange::Haircut { ppm } => {
                out.u8(15).u32(*ppm);
            }
            PolicyChange::WorkPerBlock(work) => {
                out.u8(16).u32(work.0);
            }
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<PolicyChange, DecodeError> {
        let amount = |input: &mut Reader<'_>| Ok::<_, DecodeError>(input.optional_u64()?.map(Amount::from_minor));
        Ok(match input.u8()? {
            1 => PolicyChange::SupplyCap(amount(input)?),
            2 => PolicyChange::IssuanceQuota(amount(input)?),
            3 => PolicyChange::IssuanceQuotaOfBank { bank: BankId(input.u16()?), quota: amount(input)? },
            4 => PolicyChange::HoldingLimit { class: Class::decode(input)?, limit: amount(input)? },
            5 => PolicyChange::PaymentLimit { class: Class::decode(input)?, limit: amount(input)? },
            6 => PolicyChange::DayLimit { class: Class::decode(input)?, limit: amount(input)? },
            7 => PolicyChange::MonthLimit { class: Class::decode(input)?, limit: amount(input)? },
            8 => PolicyChange::Velocity { class: Class::decode(input)?, rule: VelocityRule::decode(input)? },
            9 => PolicyChange::Remuneration { class: Class::decode(input)?, tiers: Tiers::decode(input)? },
            10 => PolicyChange::Capitalisation(Capitalisation::decode(input)?),
            11 => PolicyChange::PayerFee { class: Class::decode(input)?, schedule: FeeSchedule::decode(input)? },
            12 => PolicyChange::PayeeFee { class: Class::decode(input)?, schedule: FeeSchedule::decode(input)? },
            13 => PolicyChange::KeyRates(KeyRates::decode(input)?),
            14 => PolicyChange::Reserves(ReserveRules::decode(input)?),
            15 => PolicyChange::Haircut { ppm: input.u32()? },
            16 => PolicyChange::WorkPerBlock(WorkPerBlock(input.u32()?)),
            other => return Err(input.wrong("a known parameter of policy", u64::from(other))),
        })
    }
}

pub(crate) fn encode_optional_key(key: &Option<PublicKey>, out: &mut Writer) {
    out.u8(u8::from(key.is_some())).raw(&key.map_or([0; 32], |key| key.0));
}

pub(crate) fn decode_optional_key(input: &mut Reader<'_>) -> Result<Option<PublicKey>, DecodeError> {
    let present = input.boolean()?;
    let key: [u8; 32] = input.array()?;
    if !present && key != [0; 32] {
        return Err(input.wrong("zeros where a key is missing", 1));
    }
    Ok(present.then_some(PublicKey(key)))
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
