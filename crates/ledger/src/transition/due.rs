//! The time at which the ledger next has something to do without a command.

use crate::ledger::Ledger;
use crate::types::time::Timestamp;

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
}
