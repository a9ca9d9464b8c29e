//! The confirmation that a node leads, and that its ledger has everything that was ordered.
//!
//! A node may have fewer blocks than a bank shows for many good reasons: it lags, it learns, it has just been elected
//! and applies its log, or it was deposed and has not heard of it. In one case it is a loss: a majority confirms, after
//! the bank has shown its block, that this node leads, and the node has applied whatever was committed by then. Then
//! that majority does not know the block at all. Either its disks were replaced, or the nodes began a history of their
//! own.

use std::sync::Arc;
use std::time::Duration;

use cbdc_ordering::{Ordering, Position};
use tokio::sync::watch;

use crate::leading::Leading;

/// The time that a majority has to confirm that this node leads.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(1);
/// The time that this node has to apply what was committed by then.
const APPLIED_WITHIN: Duration = Duration::from_secs(3);

/// What a confirmation takes.
pub struct Confirmation {
    pub ordering: Arc<Ordering>,
    pub leading: Arc<Leading>,
    /// The last log entry that was applied.
    pub applied: watch::Receiver<Option<Position>>,
}

impl Confirmation {
    /// Whether this node leads by the word of a majority, asked now, and has applied all that was committed by then.
    /// False if that takes too long: a bank that is refused shows its block again.
    pub async fn leads_with_all(&self) -> bool {
        if !self.leading.leads() {
            return false;
        }
        let Some(lead) = self.ordering.confirm_leads(CONFIRMED_WITHIN).await else { return false };
        let Some(last) = lead.last_proposal else { return true };
        let mut applied = self.applied.clone();
        let has_all = applied.wait_for(|applied| applied.is_some_and(|applied| applied.index >= last.index));
        matches!(tokio::time::timeout(APPLIED_WITHIN, has_all).await, Ok(Ok(_)))
    }
}
