//! Governance proposals: proposing, voting, and closing those that are due at a block's time.

use super::context::{Settled, Transition, refuse};
use crate::command::{Ballot, Choice, GovernanceAction, GovernanceProposal};
use crate::governance::proposal::{
    HORIZON_MS_MAX, OF_SEAT_A_DAY_MAX, OPEN_MAX, OPEN_OF_SEAT_MAX, RESERVED, RESERVED_OF_SEAT, RESERVED_OF_SEAT_A_DAY,
};
use crate::governance::{ProposalRecord, ProposalStatus};
use crate::ledger::Ledger;
use crate::policy::PolicyChange;
use crate::state::bank_position::{BankStatus, Handover};
use crate::state::member::Role;
use crate::types::identity::{BankId, MemberId};
use crate::types::outcome::{Outcome, Reason};

impl Transition<'_> {
    /// The result is the proposal's number.
    pub(super) fn propose(&mut self, proposal: &GovernanceProposal) -> Settled {
        if proposal.expires_at < self.time || proposal.expires_at < proposal.effective_at {
            return Err(Outcome::refused(Reason::Expired, proposal.expires_at.0, self.time.0));
        }
        let latest = self.time.plus_ms(HORIZON_MS_MAX);
        for date in [proposal.effective_at, proposal.expires_at] {
            if date > latest {
                return Err(Outcome::refused(Reason::ValidityTooLong, latest.0, date.0));
            }
        }
        self.check_number_of_proposals(proposal)?;
        if let Some(index) = self.unacceptable_action(&proposal.actions) {
            return Err(Outcome::refused(Reason::ActionUnacceptable, 0, index as u64));
        }
        let number = self.ledger.proposals.take_up(proposal.clone(), self.today);
        Ok(Outcome::settled_with(number))
    }

    /// Whether the seat may make one more proposal today, and the seat and the committee have one more open.
    fn check_number_of_proposals(&self, proposal: &GovernanceProposal) -> Result<(), Outcome> {
        let proposals = &self.ledger.proposals;
        let (open, of_seat) = proposals.open_counts(proposal.member);
        let today = proposals.made_on(self.today, proposal.member);
        let is_urgent = proposal.actions.iter().all(|action| {
            matches!(action, GovernanceAction::DismissMember { .. } | GovernanceAction::ReplaceKeys { .. })
        });
        for (count, most, reserved) in [
            (of_seat, OPEN_OF_SEAT_MAX, RESERVED_OF_SEAT),
            (open, OPEN_MAX, RESERVED),
            (today, OF_SEAT_A_DAY_MAX, RESERVED_OF_SEAT_A_DAY),
        ] {
            let most = if is_urgent { most + reserved } else { most };
            if count >= most {
                return Err(Outcome::refused(Reason::TooManyProposals, most as u64, count as u64 + 1));
            }
        }
        Ok(())
    }

    pub(super) fn vote(&mut self, ballot: &Ballot) -> Settled {
        let Some(proposed) = self.ledger.proposals.get(ballot.proposal) else {
            return refuse(Reason::UnknownProposal);
        };
        if proposed.status != ProposalStatus::Open {
            return refuse(Reason::ProposalClosed);
        }
        match ballot.choice {
            Choice::Approve | Choice::Reject => {
                self.ledger.proposals.vote(ballot.proposal, ballot.member, ballot.choice == Choice::Approve);
                self.close_hopeless_proposals();
            }
            Choice::Withdraw if proposed.proposal.member != ballot.member => return refuse(Reason::NotTheProposer),
            Choice::Withdraw => self.close_proposal(ballot.proposal, ProposalStatus::Withdrawn),
        }
        Ok(Outcome::settled())
    }

    /// Closes a proposal. Its votes stay as counted now; those of dismissed seats are dropped.
    fn close_proposal(&mut self, number: u64, status: ProposalStatus) {
        let Ledger { proposals, members, .. } = &mut *self.ledger;
        proposals.close(number, status, self.time, |seat| members.active(Role::Committee, seat).is_some());
        self.changes.proposals_closed.push(number);
    }

    /// Closes proposals that can no longer be approved, and those of dismissed seats.
    fn close_hopeless_proposals(&mut self) {
        let members = &self.ledger.members;
        let seats = members.count_active(Role::Committee);
        let status_of = |proposed: &ProposalRecord| {
            if members.active(Role::Committee, proposed.proposal.member).is_none() {
                return Some((proposed.number, ProposalStatus::Void));
            }
            let rejects =
                |(id, approve): &(&MemberId, &bool)| !**approve && members.active(Role::Committee, **id).is_some();
            let rejections = proposed.ballots.iter().filter(rejects).count();
            let is_hopeless = seats.saturating_sub(rejections) < usize::from(members.threshold());
            is_hopeless.then_some((proposed.number, ProposalStatus::Rejected))
        };
        let closed: Vec<_> = self.ledger.proposals.open().filter_map(status_of).collect();
        for (number, status) in closed {
            self.close_proposal(number, status);
        }
    }

    /// Enacts proposals that are approved and due, in order of number, and expires those not approved in time.
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
            if proposed.status != ProposalStatus::Open {
                continue;
            }
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
            self.close_proposal(number, status);
            if status == ProposalStatus::Enacted {
                self.enact(&actions);
                self.close_hopeless_proposals();
            }
        }
    }

    /// The index of the first action that could not be enacted now, assuming that the proposal's earlier actions were.
    fn unacceptable_action(&self, actions: &[GovernanceAction]) -> Option<usize> {
        let mut trial = self.ledger.members.trial();
        let mut parameters = self.ledger.parameters().clone();
        let mut resolved: Vec<BankId> = Vec::new();
        // Rates and other figures need only be sound together, so they are checked after the proposal's last change.
        let last_change = actions.iter().rposition(|action| matches!(action, GovernanceAction::Policy(_)));
        let mut acceptable = |action: &GovernanceAction, trial: &mut crate::state::member::Members| -> bool {
            match action {
                // A quota for a bank that was never a member is a mistake, and would let the set grow without bound.
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
                    let known = trial.bank(*bank).is_some() && *status != BankStatus::Dismissed;
                    let is_final =
                        resolved.contains(bank) || self.ledger.positions.status(*bank) == Some(BankStatus::Resolved);
                    if *status == BankStatus::Resolved {
                        resolved.push(*bank);
                    }
                    known && !is_final
                }
                GovernanceAction::MoveCustomers { from, to } => {
                    let is_resolved = |bank: &BankId| {
                        resolved.contains(bank) || self.ledger.positions.status(*bank) == Some(BankStatus::Resolved)
                    };
                    let status = self.ledger.positions.status(*to);
                    let takes = trial.bank(*to).is_some() && status == Some(BankStatus::Active) && !is_resolved(to);
                    let position = self.ledger.positions.bank(*from);
                    let is_idle = position.is_some_and(|position| position.handover.is_none());
                    trial.bank(*from).is_some() && is_resolved(from) && is_idle && takes
                }
                GovernanceAction::AdmitMember(member) => {
                    let is_new = trial.seat(member.role, member.id).is_none();
                    let named =
                        !member.name.is_empty() && member.name.len() <= crate::state::member::Member::NAME_BYTES_MAX;
                    let bank_zero = member.role == Role::Bank && member.id == MemberId(0);
                    let node_key_is_free = member.node_key.is_none_or(|key| trial.by_node_key(&key).is_none());
                    let sound = member.signing_key.check_for_account().is_ok();
                    let key_is_own = trial.may_sign_with(member.role, member.id, &member.signing_key);
                    trial.admit(member.clone());
                    is_new && named && !bank_zero && node_key_is_free && sound && key_is_own
                }
                GovernanceAction::ReplaceKeys { role, id, signing_key, node_key } => {
                    let holder_of_node_key = node_key.and_then(|key| trial.by_node_key(&key));
                    let node_key_is_free =
                        holder_of_node_key.is_none_or(|seat| (seat.member.role, seat.member.id) == (*role, *id));
                    let known = trial.active(*role, *id).is_some();
                    let key_is_own = trial.may_sign_with(*role, *id, signing_key);
                    if let Some(seat) = trial.seat_mut(*role, *id) {
                        (seat.member.node_key, seat.member.signing_key) = (*node_key, *signing_key);
                    }
                    known && node_key_is_free && key_is_own && signing_key.check_for_account().is_ok()
                }
                GovernanceAction::DismissMember { role, id } => {
                    let known = trial.active(*role, *id).is_some();
                    if let Some(seat) = trial.seat_mut(*role, *id) {
                        seat.active = false;
                    }
                    known && (*role != Role::Bank || self.ledger.may_leave(BankId(id.0)))
                }
                GovernanceAction::Threshold(threshold) => {
                    trial.set_threshold(*threshold);
                    true
                }
                GovernanceAction::HeaderSignatures(count) => {
                    trial.set_header_signatures(*count);
                    true
                }
                GovernanceAction::FormatVersion(version) => *version > self.ledger.format,
            }
        };
        let mut index = None;
        for (at, action) in actions.iter().enumerate() {
            if let GovernanceAction::Policy(change) = action {
                parameters.apply(change);
            }
            if !acceptable(action, &mut trial) || (last_change == Some(at) && !parameters.is_sound()) {
                index = Some(at);
                break;
            }
        }
        // The network must stay able to decide, operate and sign headers.
        let seats = trial.count_active(Role::Committee);
        let nodes = trial.count_active(Role::CentralBank);
        let stays_able = (1..=seats).contains(&usize::from(trial.threshold()))
            && (1..=nodes).contains(&usize::from(trial.header_signatures()));
        index.or((!stays_able).then(|| actions.len() - 1))
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
            let changes_no_member = matches!(
                action,
                GovernanceAction::Policy(_) | GovernanceAction::Grant(_) | GovernanceAction::FormatVersion(_)
            );
            self.changes.members |= !changes_no_member;
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
                    if *role == Role::Bank {
                        let position = self.ledger.positions.banks.get_mut(&BankId(id.0));
                        position.expect("an admitted bank has a position").status = BankStatus::Dismissed;
                    }
                }
                GovernanceAction::Threshold(threshold) => self.ledger.members.set_threshold(*threshold),
                GovernanceAction::HeaderSignatures(count) => self.ledger.members.set_header_signatures(*count),
                GovernanceAction::FormatVersion(version) => self.ledger.format = self.ledger.format.max(*version),
                GovernanceAction::Grant(grant) => {
                    let end = self.ledger.holders.len() as u32;
                    self.ledger.programmes.found(*grant, end);
                }
                GovernanceAction::MoveCustomers { from, to } => {
                    let position = self.ledger.positions.banks.get_mut(from);
                    let first_wallet = Handover { to: *to, next: 1 };
                    position.expect("the action was checked").handover = Some(first_wallet);
                }
                GovernanceAction::BankStatus { bank, status } => {
                    let position = self.ledger.positions.banks.get_mut(bank);
                    position.expect("the action was checked").status = *status;
                }
            }
        }
    }
}
