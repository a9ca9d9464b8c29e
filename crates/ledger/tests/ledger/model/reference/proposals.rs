//! The committee: proposals, votes, and what becomes of a proposal that is due.

use std::collections::{BTreeMap, BTreeSet};

use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::command::{Choice, GovernanceAction, GovernanceProposal};
use cbdc_ledger::governance::ProposalStatus;
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::outcome::Reason;
use cbdc_ledger::policy::PolicyChange;
use cbdc_ledger::programme::Grant;
use cbdc_ledger::{FormatVersion, PublicKey};

use super::banks::Position;
use super::policy::Policy;
use super::{Answer, DAY_MS, Enacted, Model, Seat, UNSOUND_KEYS, done, no};

#[derive(Clone, PartialEq, Debug)]
pub struct Proposal {
    pub proposal: GovernanceProposal,
    pub ballots: BTreeMap<u16, bool>,
    pub status: ProposalStatus,
    pub closed_at: u64,
    /// The ledger day of its block.
    pub made_on: i128,
}

impl Model {
    pub(super) fn propose(&mut self, proposal: &GovernanceProposal) -> Answer {
        if proposal.expires_at.0 < self.time || proposal.expires_at < proposal.effective_at {
            return no(Reason::Expired, proposal.expires_at.0.into(), self.time.into());
        }
        let latest = i128::from(self.time) + 366 * DAY_MS;
        for date in [proposal.effective_at.0, proposal.expires_at.0] {
            if i128::from(date) > latest {
                return no(Reason::ValidityTooLong, latest, date.into());
            }
        }
        let open = self.proposals.iter().filter(|proposal| proposal.status == ProposalStatus::Open);
        let of_seat = open.clone().filter(|open| open.proposal.member == proposal.member).count() as i128;
        let open = open.count() as i128;
        let is_urgent = |action: &GovernanceAction| {
            matches!(action, GovernanceAction::DismissMember { .. } | GovernanceAction::ReplaceKeys { .. })
        };
        let is_urgent = proposal.actions.iter().all(is_urgent);
        let (of_seat_max, open_max, day_max) = if is_urgent { (10, 96, 80) } else { (8, 64, 64) };
        if of_seat >= of_seat_max {
            return no(Reason::TooManyProposals, of_seat_max, of_seat + 1);
        }
        if open >= open_max {
            return no(Reason::TooManyProposals, open_max, open + 1);
        }
        let made = |made: &&Proposal| made.made_on == self.today() && made.proposal.member == proposal.member;
        let made = self.proposals.iter().filter(made).count() as i128;
        if made >= day_max {
            return no(Reason::TooManyProposals, day_max, made + 1);
        }
        if let Some(index) = self.first_unacceptable(&proposal.actions) {
            return no(Reason::ActionUnacceptable, 0, index as i128);
        }
        let ballots = BTreeMap::from([(proposal.member.0, true)]);
        self.proposals.push(Proposal {
            proposal: proposal.clone(),
            ballots,
            status: ProposalStatus::Open,
            closed_at: 0,
            made_on: self.today(),
        });
        done(self.proposals.len() as i128)
    }

    pub(super) fn vote(&mut self, number: u64, seat: u16, choice: Choice) -> Answer {
        let index = (number as usize).wrapping_sub(1);
        let Some(proposal) = self.proposals.get_mut(index) else { return no(Reason::UnknownProposal, 0, 0) };
        if proposal.status != ProposalStatus::Open {
            return no(Reason::ProposalClosed, 0, 0);
        }
        if choice == Choice::Withdraw {
            if proposal.proposal.member.0 != seat {
                return no(Reason::NotTheProposer, 0, 0);
            }
            self.close_proposal(index, ProposalStatus::Withdrawn);
            return done(0);
        }
        proposal.ballots.insert(seat, choice == Choice::Approve);
        self.close_hopeless();
        done(0)
    }

    fn close_proposal(&mut self, index: usize, status: ProposalStatus) {
        let seats = &self.seats;
        let is_seat = |seat: &u16| seats.get(&(Role::Committee, *seat)).is_some_and(|found| found.active);
        self.proposals[index].ballots.retain(|seat, _| is_seat(seat));
        self.proposals[index].status = status;
        self.proposals[index].closed_at = self.time;
        self.closed_now.push(index as u64 + 1);
    }

    /// Closes what a dismissed seat proposed, and what even all seats that have not rejected it could not approve.
    fn close_hopeless(&mut self) {
        for index in 0..self.proposals.len() {
            let proposal = &self.proposals[index];
            if proposal.status != ProposalStatus::Open {
                continue;
            }
            let active: Vec<u16> = self
                .seats
                .iter()
                .filter(|(who, seat)| who.0 == Role::Committee && seat.active)
                .map(|(who, _)| who.1)
                .collect();
            if !active.contains(&proposal.proposal.member.0) {
                self.close_proposal(index, ProposalStatus::Void);
                continue;
            }
            let may_approve = active.iter().filter(|seat| proposal.ballots.get(seat) != Some(&false)).count();
            if may_approve < self.threshold {
                self.close_proposal(index, ProposalStatus::Rejected);
            }
        }
    }

    pub(super) fn close_due_proposals(&mut self) {
        for index in 0..self.proposals.len() {
            let proposal = self.proposals[index].clone();
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
            self.close_proposal(index, status);
            if status == ProposalStatus::Enacted {
                self.enact(&proposal.proposal.actions);
                self.close_hopeless();
            }
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
                    self.seats.get_mut(&(*role, id.0)).unwrap().active = false;
                    if *role == Role::Bank {
                        self.positions.get_mut(&id.0).unwrap().status = BankStatus::Dismissed;
                    }
                }
                GovernanceAction::Threshold(found) => self.threshold = *found as usize,
                GovernanceAction::HeaderSignatures(found) => self.header_signatures = *found as usize,
                GovernanceAction::FormatVersion(found) => self.format = self.format.max(*found),
                GovernanceAction::Grant(grant) => self.found_programme(*grant),
                GovernanceAction::MoveCustomers { from, to } => self.handovers.push((from.0, to.0)),
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

    /// The index of the first action that cannot be enacted, the ones before it counted as done. Parameters are
    /// judged together, at the last change.
    fn first_unacceptable(&self, actions: &[GovernanceAction]) -> Option<usize> {
        let mut trial = Trial::of(self);
        let last_change = actions.iter().rposition(|action| matches!(action, GovernanceAction::Policy(_)));
        for (index, action) in actions.iter().enumerate() {
            if !trial.accept(action) || (last_change == Some(index) && !trial.policy.is_sound()) {
                return Some(index);
            }
        }
        let active = |role| trial.seats.iter().filter(|((found, _), seat)| *found == role && seat.0).count();
        let is_able = trial.threshold >= 1
            && trial.threshold <= active(Role::Committee)
            && trial.header_signatures >= 1
            && trial.header_signatures <= active(Role::CentralBank);
        if is_able { None } else { Some(actions.len() - 1) }
    }
}

/// The parameters and members that a proposal would leave behind.
struct Trial {
    now: u64,
    /// Whether the seat is active, its node key and its signing key.
    seats: BTreeMap<(Role, u16), (bool, Option<PublicKey>, PublicKey)>,
    /// Banks with something on the ledger that their dismissal would strand.
    stranding: BTreeSet<u16>,
    resolved: BTreeSet<u16>,
    /// Neither suspended nor resolved before the proposal.
    in_good_standing: BTreeSet<u16>,
    /// Whose customers an earlier proposal moves in this block.
    handed_over: BTreeSet<u16>,
    policy: Policy,
    threshold: usize,
    header_signatures: usize,
    format: FormatVersion,
}

impl Trial {
    fn of(model: &Model) -> Trial {
        let is_resolved = |position: &Position| position.status == BankStatus::Resolved;
        Trial {
            now: model.time,
            seats: model.seats.iter().map(|(who, seat)| (*who, (seat.active, seat.node_key, seat.key))).collect(),
            stranding: model.positions.keys().copied().filter(|bank| model.would_strand(*bank)).collect(),
            resolved: model.positions.iter().filter(|(_, found)| is_resolved(found)).map(|(bank, _)| *bank).collect(),
            in_good_standing: {
                let active = model.positions.iter().filter(|(_, found)| found.status == BankStatus::Active);
                active.map(|(bank, _)| *bank).collect()
            },
            handed_over: model.handovers.iter().map(|(from, _)| *from).collect(),
            policy: model.policy().clone(),
            threshold: model.threshold,
            header_signatures: model.header_signatures,
            format: model.format,
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
                    && !self.is_taken(member.node_key, who)
                    && !self.signs_already(member.signing_key, who);
                self.seats.insert(who, (true, member.node_key, member.signing_key));
                can
            }
            GovernanceAction::ReplaceKeys { role, id, signing_key, node_key } => {
                let who = (*role, id.0);
                let can = self.is_active(who)
                    && !UNSOUND_KEYS.contains(signing_key)
                    && !self.is_taken(*node_key, who)
                    && !self.signs_already(*signing_key, who);
                self.seats.insert(who, (true, *node_key, *signing_key));
                can
            }
            GovernanceAction::DismissMember { role, id } => {
                let can = self.is_active((*role, id.0)) && (*role != Role::Bank || !self.stranding.contains(&id.0));
                if let Some((active, ..)) = self.seats.get_mut(&(*role, id.0)) {
                    *active = false;
                }
                can
            }
            GovernanceAction::Threshold(threshold) => {
                self.threshold = *threshold as usize;
                true
            }
            GovernanceAction::HeaderSignatures(count) => {
                self.header_signatures = *count as usize;
                true
            }
            GovernanceAction::FormatVersion(version) => *version > self.format,
            GovernanceAction::Grant(Grant { cohort, amount_each, purpose }) => {
                !amount_each.is_zero()
                    && purpose.is_none_or(|purpose| purpose.expires_at.0 > self.now && purpose.payees.0 != 0)
                    && cohort.bank.is_none_or(|bank| self.has_bank(bank.0))
            }
            GovernanceAction::MoveCustomers { from, to } => {
                let takes = self.is_active((Role::Bank, to.0))
                    && self.in_good_standing.contains(&to.0)
                    && !self.resolved.contains(&to.0);
                self.is_active((Role::Bank, from.0)) && self.resolved.contains(&from.0) && takes && {
                    // Not two at once.
                    !self.handed_over.contains(&from.0)
                }
            }
            GovernanceAction::BankStatus { bank, status } => {
                let can = self.is_active((Role::Bank, bank.0))
                    && !self.resolved.contains(&bank.0)
                    && *status != BankStatus::Dismissed;
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
        self.seats.get(&who).is_some_and(|(active, ..)| *active)
    }

    fn is_taken(&self, node_key: Option<PublicKey>, by_another_than: (Role, u16)) -> bool {
        node_key.is_some()
            && self.seats.iter().any(|(who, (active, key, _))| *active && *key == node_key && *who != by_another_than)
    }

    /// Whether another node of the central bank has the signing key.
    fn signs_already(&self, key: PublicKey, who: (Role, u16)) -> bool {
        let mut others = self.seats.iter().filter(|(other, _)| other.0 == who.0 && other.1 != who.1);
        who.0 == Role::CentralBank && others.any(|(_, (active, _, found))| *active && *found == key)
    }
}
