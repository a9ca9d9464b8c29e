//! Proposals: proposing, voting, and what falls due at a block's time.

use super::context::{Settled, Transition, refuse};
use crate::command::{Ballot, GovernanceAction, GovernanceProposal};
use crate::governance::proposal::OPEN_MAX;
use crate::governance::{ProposalRecord, ProposalStatus};
use crate::policy::PolicyChange;
use crate::state::bank_position::BankStatus;
use crate::state::member::Role;
use crate::types::identity::{BankId, MemberId};
use crate::types::outcome::{Outcome, Reason};

impl Transition<'_> {
    /// The result is the proposal's number.
    pub(super) fn propose(&mut self, proposal: &GovernanceProposal) -> Settled {
        if proposal.expires_at < self.time || proposal.expires_at < proposal.effective_at {
            return Err(Outcome::refused(Reason::Expired, proposal.expires_at.0, self.time.0));
        }
        if self.ledger.proposals.open().count() >= OPEN_MAX {
            return Err(Outcome::refused(Reason::TooManyProposals, OPEN_MAX as u64, OPEN_MAX as u64 + 1));
        }
        if let Some(place) = self.unacceptable_action(&proposal.actions) {
            return Err(Outcome::refused(Reason::ActionUnacceptable, 0, place as u64));
        }
        let number = self.ledger.proposals.take_up(proposal.clone());
        Ok(Outcome::settled_with(number))
    }

    pub(super) fn vote(&mut self, ballot: &Ballot) -> Settled {
        let Some(proposed) = self.ledger.proposals.get_mut(ballot.proposal) else {
            return refuse(Reason::UnknownProposal);
        };
        if proposed.status != ProposalStatus::Open {
            return refuse(Reason::ProposalClosed);
        }
        proposed.ballots.insert(ballot.member, ballot.approve);
        Ok(Outcome::settled())
    }

    /// Enacts what is approved and due, in order of number, and lets expire what was not approved in time.
    pub(super) fn close_due_proposals(&mut self) {
        let next_due = self.ledger.proposals.next_due(|proposed| self.ledger.is_approved(proposed));
        if next_due.is_none_or(|due| due > self.time) {
            return;
        }
        let due = |proposed: &&ProposalRecord| {
            let proposal = &proposed.proposal;
            proposal.effective_at <= self.time || proposal.expires_at <= self.time
        };
        let numbers: Vec<u64> = self.ledger.proposals.open().filter(due).map(|proposed| proposed.number).collect();
        for number in numbers {
            let proposed = self.ledger.proposals.get(number).expect("the proposal was just listed");
            let actions = proposed.proposal.actions.clone();
            let status = if self.ledger.is_approved(proposed) {
                if proposed.proposal.effective_at > self.time {
                    continue;
                }
                if self.unacceptable_action(&actions).is_some() {
                    ProposalStatus::Void
                } else {
                    ProposalStatus::Enacted
                }
            } else if proposed.proposal.expires_at <= self.time {
                ProposalStatus::Expired
            } else {
                continue;
            };
            if status == ProposalStatus::Enacted {
                self.enact(&actions);
            }
            self.ledger.proposals.close(number, status, self.time);
            self.changes.proposals_closed.push(number);
        }
    }

    /// The place of the first action that could not be enacted now, earlier ones of the same proposal counted as done.
    fn unacceptable_action(&self, actions: &[GovernanceAction]) -> Option<usize> {
        let members = &self.ledger.members;
        let mut trial = members.clone();
        let mut parameters = self.ledger.parameters().clone();
        let mut resolved: Vec<BankId> = Vec::new();
        // Rates and other figures may only be sound together, so they are judged after the last change of the proposal.
        let last_change = actions.iter().rposition(|action| matches!(action, GovernanceAction::Policy(_)));
        let mut acceptable = |action: &GovernanceAction, trial: &mut crate::state::member::Members| -> bool {
            match action {
                // A quota for a bank that never was a member is a mistake, and would let the set grow without bound.
                GovernanceAction::Policy(PolicyChange::IssuanceQuotaOfBank { bank, .. }) => {
                    trial.seat(Role::Bank, MemberId(bank.0)).is_some()
                }
                GovernanceAction::Policy(_) => true,
                GovernanceAction::Grant(grant) => {
                    let purpose = grant.purpose;
                    !grant.amount_each.is_zero()
                        && purpose.is_none_or(|purpose| purpose.expires_at > self.time && purpose.payees.0 != 0)
                        && grant.cohort.bank.is_none_or(|bank| trial.seat(Role::Bank, MemberId(bank.0)).is_some())
                }
                GovernanceAction::BankStatus { bank, status } => {
                    let known = trial.seat(Role::Bank, MemberId(bank.0)).is_some();
                    let is_final =
                        resolved.contains(bank) || self.ledger.positions.status(*bank) == Some(BankStatus::Resolved);
                    if *status == BankStatus::Resolved {
                        resolved.push(*bank);
                    }
                    known && !is_final
                }
                GovernanceAction::AdmitMember(member) => {
                    let is_new = trial.seat(member.role, member.id).is_none();
                    let named =
                        !member.name.is_empty() && member.name.len() <= crate::state::member::Member::NAME_BYTES_MAX;
                    let bank_zero = member.role == Role::Bank && member.id == MemberId(0);
                    let node_key_is_free = member.node_key.is_none_or(|key| trial.by_node_key(&key).is_none());
                    let sound = member.signing_key.check_for_account().is_ok();
                    trial.admit(member.clone());
                    is_new && named && !bank_zero && node_key_is_free && sound
                }
                GovernanceAction::ReplaceKeys { role, id, signing_key, node_key } => {
                    let holder_of_node_key = node_key.and_then(|key| trial.by_node_key(&key));
                    let node_key_is_free =
                        holder_of_node_key.is_none_or(|seat| (seat.member.role, seat.member.id) == (*role, *id));
                    let known = trial.active(*role, *id).is_some();
                    if let Some(seat) = trial.seat_mut(*role, *id) {
                        seat.member.node_key = *node_key;
                    }
                    known && node_key_is_free && signing_key.check_for_account().is_ok()
                }
                GovernanceAction::DismissMember { role, id } => {
                    let known = trial.active(*role, *id).is_some();
                    if let Some(seat) = trial.seat_mut(*role, *id) {
                        seat.active = false;
                    }
                    known
                }
                GovernanceAction::Threshold(threshold) => {
                    trial.set_threshold(*threshold);
                    true
                }
            }
        };
        let mut place = None;
        for (at, action) in actions.iter().enumerate() {
            if let GovernanceAction::Policy(change) = action {
                parameters.apply(change);
            }
            if !acceptable(action, &mut trial) || (last_change == Some(at) && !parameters.is_sound()) {
                place = Some(at);
                break;
            }
        }
        // The network must stay able to decide, operate and sign headers.
        let seats = trial.count_active(Role::Committee);
        let stays_able = (1..=seats).contains(&usize::from(trial.threshold()))
            && trial.count_active(Role::CentralBank) >= usize::from(self.ledger.genesis.header_signatures);
        place.or((!stays_able).then(|| actions.len() - 1))
    }

    fn enact(&mut self, actions: &[GovernanceAction]) {
        let changes: Vec<PolicyChange> = actions
            .iter()
            .filter_map(|action| match action {
                GovernanceAction::Policy(change) => Some(*change),
                _ => None,
            })
            .collect();
        if !changes.is_empty() {
            self.ledger.policy.enact(&changes, self.time, self.today);
        }
        for action in actions {
            self.changes.members |= !matches!(action, GovernanceAction::Policy(_) | GovernanceAction::Grant(_));
            match action {
                GovernanceAction::Policy(_) => {}
                GovernanceAction::AdmitMember(member) => self.ledger.admit_member(member.clone()),
                GovernanceAction::ReplaceKeys { role, id, signing_key, node_key } => {
                    let seat = self.ledger.members.seat_mut(*role, *id).expect("the action was checked");
                    seat.member.signing_key = *signing_key;
                    seat.member.node_key = *node_key;
                    seat.key_version += 1;
                }
                GovernanceAction::DismissMember { role, id } => {
                    self.ledger.members.seat_mut(*role, *id).expect("the action was checked").active = false;
                }
                GovernanceAction::Threshold(threshold) => self.ledger.members.set_threshold(*threshold),
                GovernanceAction::Grant(grant) => {
                    let end = self.ledger.holders.len() as u32;
                    self.ledger.programmes.found(*grant, end);
                }
                GovernanceAction::BankStatus { bank, status } => {
                    let position = self.ledger.positions.banks.get_mut(bank);
                    position.expect("the action was checked").status = *status;
                }
            }
        }
    }
}
