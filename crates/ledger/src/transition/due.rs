//! The time at which the ledger next has something to do without a command, and what falls due until some time.

use crate::command::GovernanceProposal;
use crate::governance::ProposalRecord;
use crate::ledger::Ledger;
use crate::state::programme::Purpose;
use crate::types::amount::Amount;
use crate::types::time::Timestamp;

/// The work that falls due from the newest block to a later time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DueUntil {
    /// Ends of ledger days.
    pub days: u32,
    /// Interest on wallets that is not posted yet, in minor units, by the rates in force.
    pub interest: u128,
    /// Demurrage that is not collected yet, in minor units, by the rates in force.
    pub demurrage: u128,
    /// Holds that expire.
    pub holds: u64,
    /// Purpose-bound money that expires.
    pub purpose_bound: Amount,
    /// Proposals that take effect or expire.
    pub proposals: u32,
}

impl Ledger {
    /// The time at which the ledger next has something to do by itself: a block is due then even without commands.
    pub fn next_due(&self) -> Option<Timestamp> {
        let proposals = self.proposals.next_due(|proposed| self.is_approved(proposed));
        let expiries = [self.holds.next_expiry(), self.programmes.next_expiry()];
        let work = [self.next_remuneration_due(), self.next_day_end_due()];
        let is_handed_over = self.positions.banks().any(|(_, position)| position.handover.is_some());
        let handover = is_handed_over.then_some(self.tip.time);
        let paying = self.programmes.next_paying().map(|_| self.tip.time);
        [proposals, paying, handover].into_iter().chain(expiries).chain(work).flatten().min()
    }

    /// The work that falls due until `time`. Linear in the number of wallets and of open holds.
    pub fn due_until(&self, time: Timestamp) -> DueUntil {
        let day = time.max(self.tip.time).ledger_day(self.genesis.day_offset_minutes);
        let (interest, demurrage) = self.interest_until(day);
        let expires = |purpose: &Option<Purpose>| purpose.as_ref().is_some_and(|purpose| purpose.expires_at <= time);
        let programmes = (1..).zip(self.programmes.all()).filter(|(_, programme)| expires(&programme.grant.purpose));
        let purpose_bound = programmes.fold(Amount::ZERO, |sum, (number, _)| {
            sum.plus(self.programmes.outstanding(number)).expect("earmarks are a part of all CBDC, which fits")
        });
        let is_due = |proposed: &&ProposalRecord| {
            let &GovernanceProposal { effective_at, expires_at, .. } = &proposed.proposal;
            let due = if self.is_approved(proposed) { effective_at } else { expires_at };
            due <= time
        };
        DueUntil {
            days: day.0.saturating_sub(self.today().0),
            interest,
            demurrage,
            holds: self.holds.open().filter(|(_, hold)| hold.expires_at <= time).count() as u64,
            purpose_bound,
            proposals: self.proposals.open().filter(is_due).count() as u32,
        }
    }
}
