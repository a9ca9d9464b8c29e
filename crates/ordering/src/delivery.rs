//! Delivery of committed proposals to the caller, through a bounded channel.
//!
//! 1. At start, one task reads the log from the caller's `resume_after` to the last entry known to be committed, and
//!    sends every proposal. It holds the gate meanwhile.
//! 2. Entries that openraft applies later wait for the gate, then are sent after those. So the order is the log's, and
//!    nothing is sent twice.
//! 3. The channel is bounded: when the caller is slow, applying waits, and proposers wait with it.
//! 4. A checkpoint that was installed instead of log entries takes their place in the order.

use std::sync::Arc;

use bytes::Bytes;
use cbdc_storage::CheckpointManifest;
use openraft::EntryPayload;
use tokio::sync::{Mutex, mpsc, watch};

use crate::error::{Failure, OrderingError};
use crate::log_store::LogStore;
use crate::types::{Entry, MemberId, Position, Proposal, position_of};

/// One committed proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The proposal's position in the log.
    pub position: Position,
    /// The proposal's bytes.
    pub proposal: Bytes,
    /// Whether this member was the leader that proposed it, so that the caller who waits for its outcome is here.
    /// False for what is delivered again after a start.
    pub is_leader: bool,
}

/// The next step of the caller's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// A committed proposal, to be applied.
    Proposal(Committed),
    /// A checkpoint from the leader, which is now the newest in the store. It replaces the caller's state: the
    /// proposals between what was delivered before and its position are not delivered.
    Checkpoint(CheckpointManifest),
    /// A leader's first entry: everything of the terms before it was delivered.
    TermBegan {
        /// The entry's position.
        position: Position,
        /// Whether this member leads in that term. False for what is delivered again after a start.
        is_leader: bool,
    },
}

/// The committed proposals, in order.
#[derive(Debug)]
pub struct CommittedReceiver {
    receiver: mpsc::Receiver<Delivered>,
    failure: Failure,
}

impl CommittedReceiver {
    /// The next committed proposal; `None` when ordering was shut down.
    ///
    /// # Errors
    /// The reason why this member stopped, unless it was on purpose. Proposals received before are committed all the
    /// same. [`OrderingError::CheckpointInstalled`] at a checkpoint, which only [`Self::recv_delivered`] hands out.
    pub async fn recv(&mut self) -> Result<Option<Committed>, OrderingError> {
        loop {
            match self.recv_delivered().await? {
                Some(Delivered::TermBegan { .. }) => {}
                delivered => return proposal(delivered),
            }
        }
    }

    /// The next committed proposal or checkpoint; `None` when ordering was shut down.
    ///
    /// # Errors
    /// The reason why this member stopped, unless it was on purpose.
    pub async fn recv_delivered(&mut self) -> Result<Option<Delivered>, OrderingError> {
        match self.receiver.recv().await {
            Some(delivered) => Ok(Some(delivered)),
            None => self.end(),
        }
    }

    fn end(&self) -> Result<Option<Delivered>, OrderingError> {
        self.failure.get().map_or(Ok(None), |failure| Err(failure.clone()))
    }
}

fn proposal(delivered: Option<Delivered>) -> Result<Option<Committed>, OrderingError> {
    match delivered {
        Some(Delivered::Proposal(committed)) => Ok(Some(committed)),
        Some(Delivered::Checkpoint(manifest)) => Err(OrderingError::CheckpointInstalled { height: manifest.height }),
        Some(Delivered::TermBegan { .. }) | None => Ok(None),
    }
}

/// The sender's side.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    member: MemberId,
    /// The sender, behind the gate, which is held during replay.
    sender: Arc<Mutex<mpsc::Sender<Delivered>>>,
    /// Changes, or closes, when the member stops: from then on nothing waits for a slow caller.
    stop: watch::Receiver<()>,
}

/// The delivery of `member` and its receiver. `capacity` is the number of proposals that may wait for the caller.
pub(crate) fn channel(
    member: MemberId,
    capacity: usize,
    failure: Failure,
    stop: watch::Receiver<()>,
) -> (Delivery, CommittedReceiver) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (Delivery { member, sender: Arc::new(Mutex::new(sender)), stop }, CommittedReceiver { receiver, failure })
}

impl Delivery {
    /// Sends the proposals of `entries`; `false` if the caller no longer receives, or the member stops meanwhile.
    pub(crate) async fn send(&self, entries: Vec<Entry>) -> bool {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            sent = self.send_all(entries) => sent,
            _ = stop.changed() => false,
        }
    }

    /// Sends an installed checkpoint; `false` as above.
    pub(crate) async fn send_checkpoint(&self, manifest: CheckpointManifest) -> bool {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            sent = async { self.sender.lock().await.send(Delivered::Checkpoint(manifest)).await.is_ok() } => sent,
            _ = stop.changed() => false,
        }
    }

    async fn send_all(&self, entries: Vec<Entry>) -> bool {
        let sender = self.sender.lock().await;
        for entry in entries {
            let is_leader = entry.log_id.leader_id.node_id == self.member;
            if !send_one(&sender, entry, is_leader).await {
                return false;
            }
        }
        true
    }

    /// Starts sending the proposals of `first..=last` from the log. Returns when the gate is held, so that everything
    /// sent afterwards comes after them.
    pub(crate) async fn replay(
        &self,
        log: LogStore,
        first: u64,
        last: u64,
        failure: Failure,
    ) -> tokio::task::JoinHandle<()> {
        let sender = self.sender.clone().lock_owned().await;
        tokio::spawn(async move {
            let mut next = first;
            while next <= last {
                let entries = match log.read_archive(next, last).await {
                    Ok(entries) => entries,
                    Err(error) => {
                        tracing::error!(%error, "replay of the log stopped");
                        let _ = failure.set(error);
                        // Nothing may be sent after a gap: closing the channel tells the receiver.
                        let (closed, _) = mpsc::channel(1);
                        let mut sender = sender;
                        *sender = closed;
                        return;
                    }
                };
                next += entries.len() as u64;
                for entry in entries {
                    if !send_one(&sender, entry, false).await {
                        return;
                    }
                }
            }
            tracing::info!(first, last, "the log was replayed");
        })
    }
}

async fn send_one(sender: &mpsc::Sender<Delivered>, entry: Entry, is_leader: bool) -> bool {
    let position = position_of(&entry.log_id);
    match entry.payload {
        EntryPayload::Normal(Proposal { bytes: proposal, .. }) => {
            sender.send(Delivered::Proposal(Committed { position, proposal, is_leader })).await.is_ok()
        }
        EntryPayload::Blank => sender.send(Delivered::TermBegan { position, is_leader }).await.is_ok(),
        EntryPayload::Membership(_) => true,
    }
}
