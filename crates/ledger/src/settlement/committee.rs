//! Motions: proposing, voting, and what falls due at a block's time.

use super::{Settled, Settlement, refuse};
use crate::bank_position::BankStatus;
use crate::command::{Ballot, Measure, Motion};
use crate::identity::{BankId, MemberId};
use crate::member::Role;
use crate::outcome::{Outcome, Reason};
use crate::policy::motions::{OPEN_MAX, policy_changes};
use crate::policy::{Fate, PolicyChange, Proposed};

impl Settlement<'_> {
    /// The result is the proposal's number.
    pub(super) fn propose(&mut self, motion: &Motion) -> Settled {
        if motion.lapses_at < self.time || motion.lapses_at < motion.effective_at {
            return Err(Outcome::refused(Reason::Expired, motion.lapses_at.0, self.time.0));
        }
        if self.ledger.motions.open().count() >= OPEN_MAX {
            return Err(Outcome::refused(Reason::TooManyProposals, OPEN_MAX as u64, OPEN_MAX as u64 + 1));
        }
        if let Some(place) = self.unacceptable_measure(&motion.measures) {
            return Err(Outcome::refused(Reason::MeasureUnacceptable, 0, place as u64));
        }
        let number = self.ledger.motions.take_up(motion.clone());
        Ok(Outcome::settled_with(number))
    }

    pub(super) fn vote(&mut self, ballot: &Ballot) -> Settled {
        let Some(proposed) = self.ledger.motions.get_mut(ballot.proposal) else {
            return refuse(Reason::UnknownProposal);
        };
        if proposed.fate != Fate::Open {
            return refuse(Reason::ProposalClosed);
        }
        proposed.ballots.insert(ballot.member, ballot.approve);
        Ok(Outcome::settled())
    }

    /// Enacts what is carried and due, in order of number, and lets lapse what was not carried in time.
    pub(super) fn close_due_motions(&mut self) {
        let next_due = self.ledger.motions.next_due(|proposed| self.ledger.is_carried(proposed));
        if next_due.is_none_or(|due| due > self.time) {
            return;
        }
        let due = |proposed: &&Proposed| {
            let motion = &proposed.motion;
            motion.effective_at <= self.time || motion.lapses_at <= self.time
        };
        let numbers: Vec<u64> = self.ledger.motions.open().filter(due).map(|proposed| proposed.number).collect();
        for number in numbers {
            let proposed = self.ledger.motions.get(number).expect("the proposal was just listed");
            let measures = proposed.motion.measures.clone();
            let fate = if self.ledger.is_carried(proposed) {
                if proposed.motion.effective_at > self.time {
                    continue;
                }
                if self.unacceptable_measure(&measures).is_some() { Fate::Void } else { Fate::Enacted }
            } else if proposed.motion.lapses_at <= self.time {
                Fate::Lapsed
            } else {
                continue;
            };
            if fate == Fate::Enacted {
                self.enact(&measures);
            }
            self.ledger.motions.close(number, fate, self.time);
            self.changes.motions_closed.push(number);
        }
    }

    /// The place of the first measure that could not be enacted now, earlier ones of the same motion counted as done.
    fn unacceptable_measure(&self, measures: &[Measure]) -> Option<usize> {
        let members = &self.ledger.members;
        let mut trial = members.clone();
        let mut parameters = self.ledger.parameters().clone();
        let mut resolved: Vec<BankId> = Vec::new();
        // Rates and other figures may only be sound together, so they are judged after the last change of the motion.
        let last_change = measures.iter().rposition(|measure| matches!(measure, Measure::Policy(_)));
        let mut acceptable = |measure: &Measure, trial: &mut crate::member::Members| -> bool {
            match measure {
                // A quota for a bank that never was a member is a mistake, and would let the set grow without bound.
                Measure::Policy(PolicyChange::IssuanceQuotaOfBank { bank, .. }) => {
                    trial.seat(Role::Bank, MemberId(bank.0)).is_some()
                }
                Measure::Policy(_) => true,
                Measure::Grant(grant) => {
                    let purpose = grant.purpose;
                    !grant.amount_each.is_zero()
                        && purpose.is_none_or(|purpose| purpose.expires_at > self.time && purpose.payees.0 != 0)
                        && grant.cohort.bank.is_none_or(|bank| trial.seat(Role::Bank, MemberId(bank.0)).is_some())
                }
                Measure::BankStatus { bank, status } => {
                    let known = trial.seat(Role::Bank, MemberId(bank.0)).is_some();
                    let is_final =
                        resolved.contains(bank) || self.ledger.positions.status(*bank) == Some(BankStatus::Resolved);
                    if *status == BankStatus::Resolved {
                        resolved.push(*bank);
                    }
                    known && !is_final
                }
                Measure::AdmitMember(member) => {
                    let is_new = trial.seat(member.role, member.id).is_none();
                    let named = !member.name.is_empty() && member.name.len() <= crate::member::Member::NAME_BYTES_MAX;
                    let bank_zero = member.role == Role::Bank && member.id == MemberId(0);
                    let node_key_is_free = member.node_key.is_none_or(|key| trial.by_node_key(&key).is_none());
                    let sound = member.signing_key.check_for_account().is_ok();
                    trial.admit(member.clone());
                    is_new && named && !bank_zero && node_key_is_free && sound
                }
                Measure::ReplaceKeys { role, id, signing_key, node_key } => {
                    let holder_of_node_key = node_key.and_then(|key| trial.by_node_key(&key));
                    let node_key_is_free =
                        holder_of_node_key.is_none_or(|seat| (seat.member.role, seat.member.id) == (*role, *id));
                    let known = trial.active(*role, *id).is_some();
                    if let Some(seat) = trial.seat_mut(*role, *id) {
                        seat.member.node_key = *node_key;
                    }
                    known && node_key_is_free && signing_key.check_for_account().is_ok()
                }
                Measure::DismissMember { role, id } => {
                    let known = trial.active(*role, *id).is_some();
                    if let Some(seat) = trial.seat_mut(*role, *id) {
                        seat.active = false;
                    }
                    known
                }
                Measure::Threshold(threshold) => {
                    trial.set_threshold(*threshold);
                    true
                }
            }
        };
        let mut place = None;
        for (at, measure) in measures.iter().enumerate() {
            if let Measure::Policy(change) = measure {
                parameters.apply(change);
            }
            if !acceptable(measure, &mut trial) || (last_change == Some(at) && !parameters.is_sound()) {
                place = Some(at);
                break;
            }
        }
        // The network must stay able to decide, operate and sign headers.
        let seats = trial.count_active(Role::Committee);
        let stays_able = (1..=seats).contains(&usize::from(trial.threshold()))
            && trial.count_active(Role::CentralBank) >= usize::from(self.ledger.genesis.header_signatures);
        place.or((!stays_able).then(|| measures.len() - 1))
    }

    fn enact(&mut self, measures: &[Measure]) {
        let changes = policy_changes(measures);
        if !changes.is_empty() {
            self.ledger.policy.enact(&changes, self.time, self.today);
        }
        for measure in measures {
            self.changes.members |= !matches!(measure, Measure::Policy(_) | Measure::Grant(_));
            match measure {
                Measure::Policy(_) => {}
                Measure::AdmitMember(member) => self.ledger.admit_member(member.clone()),
                Measure::ReplaceKeys { role, id, signing_key, node_key } => {
                    let seat = self.ledger.members.seat_mut(*role, *id).expect("the measure was checked");
                    seat.member.signing_key = *signing_key;
                    seat.member.node_key = *node_key;
                    seat.key_version += 1;
                }
                Measure::DismissMember { role, id } => {
                    self.ledger.members.seat_mut(*role, *id).expect("the measure was checked").active = false;
                }
                Measure::Threshold(threshold) => self.ledger.members.set_threshold(*threshold),
                Measure::Grant(grant) => {
                    let end = self.ledger.holders.len() as u32;
                    self.ledger.programmes.found(*grant, end);
                }
                Measure::BankStatus { bank, status } => {
                    let position = self.ledger.positions.banks.get_mut(bank);
                    position.expect("the measure was checked").status = *status;
                }
            }
        }
    }
}
