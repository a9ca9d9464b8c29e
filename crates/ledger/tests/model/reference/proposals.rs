//! The committee: proposals, votes, and what becomes of a proposal that is due.

use std::collections::{BTreeMap, BTreeSet};

use cbdc_ledger::PublicKey;
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::command::{GovernanceAction, GovernanceProposal};
use cbdc_ledger::governance::ProposalStatus;
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::outcome::Reason;
use cbdc_ledger::policy::PolicyChange;
use cbdc_ledger::programme::Grant;

use super::banks::Position;
use super::policy::Policy;
use super::{Answer, Enacted, Model, Seat, UNSOUND_KEYS, done, no};

#[derive(Clone, PartialEq, Debug)]
pub struct Proposal {
    pub proposal: GovernanceProposal,
    pub ballots: BTreeMap<u16, bool>,
    pub status: ProposalStatus,
    pub closed_at: u64,
}

impl Model {
    pub(super) fn propose(&mut self, proposal: &GovernanceProposal) -> Answer {
        if proposal.expires_at.0 < self.time || proposal.expires_at < proposal.effective_at {
            return no(Reason::Expired, proposal.expires_at.0.into(), self.time.into());
        }
        let open = self.proposals.iter().filter(|proposal| proposal.status == ProposalStatus::Open).count() as i128;
        if open >= 64 {
            return no(Reason::TooManyProposals, 64, open + 1);
        }
        if let Some(place) = self.first_unacceptable(&proposal.actions) {
            return no(Reason::ActionUnacceptable, 0, place as i128);
        }
        let ballots = BTreeMap::from([(proposal.member.0, true)]);
        self.proposals.push(Proposal {
            proposal: proposal.clone(),
            ballots,
            status: ProposalStatus::Open,
            closed_at: 0,
        });
        done(self.proposals.len() as i128)
    }

    pub(super) fn vote(&mut self, number: u64, seat: u16, approve: bool) -> Answer {
        let place = (number as usize).wrapping_sub(1);
        let Some(proposal) = self.proposals.get_mut(place) else { return no(Reason::UnknownProposal, 0, 0) };
        if proposal.status != ProposalStatus::Open {
            return no(Reason::ProposalClosed, 0, 0);
        }
        proposal.ballots.insert(seat, approve);
        done(0)
    }

    pub(super) fn close_due_proposals(&mut self) {
        for place in 0..self.proposals.len() {
            let proposal = self.proposals[place].clone();
            if proposal.status != ProposalStatus::Open {
                continue;
            }
            let due = proposal.proposal.effective_at.0 <= self.time;
            let expired = proposal.proposal.expires_at.0 <= self.time;
            let status = match (self.approved(&proposal), due, expired) {
                (true, true, _) if self.first_unacceptable(&proposal.proposal.actions).is_some() => {
                    ProposalStatus::Void
                }
                (true, true, _) => ProposalStatus::Enacted,
                (false, _, true) => ProposalStatus::Expired,
                _ => continue,
            };
            if status == ProposalStatus::Enacted {
                self.enact(&proposal.proposal.actions);
            }
            self.proposals[place].status = status;
            self.proposals[place].closed_at = self.time;
            self.closed_now.push(place as u64 + 1);
        }
    }

    pub fn approved(&self, proposal: &Proposal) -> bool {
        let in_favour = |(seat, approve): &(&u16, &bool)| **approve && self.active(Role::Committee, **seat);
        proposal.ballots.iter().filter(in_favour).count() >= self.threshold
    }

    fn enact(&mut self, actions: &[GovernanceAction]) {
        let mut policy = self.policy().clone();
        let mut changed = false;
        for action in actions {
            match action {
                GovernanceAction::Policy(change) => {
                    changed = true;
                    policy.change(change);
                }
                GovernanceAction::AdmitMember(member) => self.admit_member(member),
                GovernanceAction::ReplaceKeys { role, id, signing_key, node_key } => {
                    let seat = self.seats.get_mut(&(*role, id.0)).unwrap();
                    (seat.key, seat.node_key) = (*signing_key, *node_key);
                    seat.key_version += 1;
                }
                GovernanceAction::DismissMember { role, id } => {
                    self.seats.get_mut(&(*role, id.0)).unwrap().active = false
                }
                GovernanceAction::Threshold(found) => self.threshold = *found as usize,
                GovernanceAction::Grant(grant) => self.found_programme(*grant),
                GovernanceAction::BankStatus { bank, status } => {
                    self.positions.get_mut(&bank.0).unwrap().status = *status
                }
            }
        }
        if changed {
            self.policies.push(Enacted { enacted_on: self.today(), policy });
        }
    }

    pub(super) fn admit_member(&mut self, member: &Member) {
        let (key, node_key) = (member.signing_key, member.node_key);
        let seat = Seat { active: true, used: BTreeSet::new(), key, node_key, key_version: 0 };
        self.seats.insert((member.role, member.id.0), seat);
        if member.role == Role::Bank {
            self.treasuries.insert(member.id.0, 0);
            self.positions.insert(member.id.0, Position::default());
        }
    }

    /// The place of the first action that cannot be enacted, the ones before it counted as done. Parameters are
    /// judged together, at the last change.
    fn first_unacceptable(&self, actions: &[GovernanceAction]) -> Option<usize> {
        let mut trial = Trial::of(self);
        let last_change = actions.iter().rposition(|action| matches!(action, GovernanceAction::Policy(_)));
        for (place, action) in actions.iter().enumerate() {
            if !trial.accept(action) || (last_change == Some(place) && !trial.policy.is_sound()) {
                return Some(place);
            }
        }
        let active = |role| trial.seats.iter().filter(|((found, _), seat)| *found == role && seat.0).count();
        let is_able = trial.threshold >= 1
            && trial.threshold <= active(Role::Committee)
            && active(Role::CentralBank) >= self.header_signatures;
        if is_able { None } else { Some(actions.len() - 1) }
    }
}

/// What a proposal would leave behind.
struct Trial {
    now: u64,
    /// Whether the seat is active, and its node key.
    seats: BTreeMap<(Role, u16), (bool, Option<PublicKey>)>,
    resolved: BTreeSet<u16>,
    policy: Policy,
    threshold: usize,
}

impl Trial {
    fn of(model: &Model) -> Trial {
        let is_resolved = |position: &Position| position.status == BankStatus::Resolved;
        Trial {
            now: model.time,
            seats: model.seats.iter().map(|(who, seat)| (*who, (seat.active, seat.node_key))).collect(),
            resolved: model.positions.iter().filter(|(_, found)| is_resolved(found)).map(|(bank, _)| *bank).collect(),
            policy: model.policy().clone(),
            threshold: model.threshold,
        }
    }

    /// Does an action, if it can be done.
    fn accept(&mut self, action: &GovernanceAction) -> bool {
        match action {
            GovernanceAction::Policy(change) => {
                self.policy.change(change);
                match change {
                    PolicyChange::IssuanceQuotaOfBank { bank, .. } => self.has_bank(bank.0),
                    _ => true,
                }
            }
            GovernanceAction::AdmitMember(member) => {
                let who = (member.role, member.id.0);
                let can = !self.seats.contains_key(&who)
                    && who != (Role::Bank, 0)
                    && !UNSOUND_KEYS.contains(&member.signing_key)
                    && !self.is_taken(member.node_key, who);
                self.seats.insert(who, (true, member.node_key));
                can
            }
            GovernanceAction::ReplaceKeys { role, id, signing_key, node_key } => {
                let who = (*role, id.0);
                let can = self.is_active(who) && !UNSOUND_KEYS.contains(signing_key) && !self.is_taken(*node_key, who);
                self.seats.insert(who, (true, *node_key));
                can
            }
            GovernanceAction::DismissMember { role, id } => {
                let can = self.is_active((*role, id.0));
                self.seats.insert((*role, id.0), (false, None));
                can
            }
            GovernanceAction::Threshold(threshold) => {
                self.threshold = *threshold as usize;
                true
            }
            GovernanceAction::Grant(Grant { cohort, amount_each, purpose }) => {
                !amount_each.is_zero()
                    && purpose.is_none_or(|purpose| purpose.expires_at.0 > self.now && purpose.payees.0 != 0)
                    && cohort.bank.is_none_or(|bank| self.has_bank(bank.0))
            }
            GovernanceAction::BankStatus { bank, status } => {
                let can = self.has_bank(bank.0) && !self.resolved.contains(&bank.0);
                if *status == BankStatus::Resolved {
                    self.resolved.insert(bank.0);
                }
                can
            }
        }
    }

    fn has_bank(&self, bank: u16) -> bool {
        self.seats.contains_key(&(Role::Bank, bank))
    }

    fn is_active(&self, who: (Role, u16)) -> bool {
        self.seats.get(&who).is_some_and(|(active, _)| *active)
    }

    fn is_taken(&self, node_key: Option<PublicKey>, by_another_than: (Role, u16)) -> bool {
        node_key.is_some()
            && self.seats.iter().any(|(who, (active, key))| *active && *key == node_key && *who != by_another_than)
    }
}
