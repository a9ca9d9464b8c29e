//! [`Ordering`]: one member's part in agreeing on the order of proposals.
//!
//! # Start
//! 1. Open the log and determine what is known to be committed: what was recorded, and what the caller's checkpoint
//!    holds; if this member is the only voter, the whole log, because what is durable here is durable on a majority.
//! 2. Begin to replay that to the caller, from after `resume_after`.
//! 3. Start openraft. Every member initialises a new network with the same list. A single member elects itself at once,
//!    and `start` returns when it leads; replay may still be in progress.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cbdc_storage::Store;
use openraft::error::{ClientWriteError, Fatal, InitializeError, RaftError};
use openraft::{BasicNode, Config, RaftNetworkFactory, ServerState, SnapshotPolicy};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::delivery::{self, CommittedReceiver};
use crate::error::{Failure, OrderingError, ProposeError};
use crate::log_store::LogStore;
use crate::network::NoPeers;
use crate::snapshot::{CheckpointSnapshots, SnapshotSource};
use crate::state_machine::StateMachine;
use crate::types::{LogId, MemberId, Position, Proposal, Raft, Types, position_of};

/// The longest time in which a single member must elect itself.
const SELF_ELECTION_MS_MAX: u64 = 10_000;
/// The longest time that openraft's tasks may take to end.
const STOP_MS_MAX: u64 = 10_000;

/// The configuration of a member.
#[derive(Debug, Clone)]
pub struct OrderingConfig {
    /// This member.
    pub member: MemberId,
    /// All members of a new network with their addresses, the same on each; ignored once the network exists. Just this
    /// member by default.
    pub members: BTreeMap<MemberId, String>,
    /// Committed proposals that may wait for the caller; beyond that, applying waits.
    pub delivery_capacity: usize,
    /// Proposals that may be in flight at once; beyond that, proposing waits.
    pub in_flight_max: usize,
    /// Time between a leader's heartbeats.
    pub heartbeat_ms: u64,
    /// Shortest and longest silence of a leader before a member stands for election.
    pub election_timeout_ms: (u64, u64),
    /// Log entries before the checkpoint that may still be sent to followers instead of the whole checkpoint.
    pub entries_kept_for_followers: u64,
}

impl Default for OrderingConfig {
    /// One member, number 1.
    fn default() -> Self {
        OrderingConfig {
            member: 1,
            members: BTreeMap::from([(1, String::new())]),
            delivery_capacity: 64,
            in_flight_max: 64,
            heartbeat_ms: 100,
            election_timeout_ms: (400, 800),
            entries_kept_for_followers: 1_000,
        }
    }
}

/// A member's view of itself and the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderingState {
    /// This member.
    pub member: MemberId,
    /// The leader, if known.
    pub leader: Option<MemberId>,
    /// Whether this member leads.
    pub is_leader: bool,
    /// The current term.
    pub term: u64,
    /// Index of the last entry of the log.
    pub last_index: Option<u64>,
    /// The last entry handed to delivery.
    pub applied: Option<Position>,
    /// The last entry that the newest known checkpoint includes.
    pub checkpoint: Option<Position>,
    /// The members that vote.
    pub voters: Vec<MemberId>,
    /// The reason why this member stopped, if it did.
    pub failure: Option<String>,
}

/// One member. Cheap to share behind an `Arc`.
pub struct Ordering {
    raft: Raft,
    log: LogStore,
    failure: Failure,
    in_flight: Arc<Semaphore>,
    last_position: Option<Position>,
    replay: Option<tokio::task::JoinHandle<()>>,
    /// Dropped to stop delivery.
    stop: watch::Sender<()>,
}

impl Ordering {
    /// Starts this member on `store`. The caller's state (its checkpoint) already includes everything up to the
    /// position `resume_after`; committed proposals after it are delivered again, in order.
    ///
    /// # Errors
    /// [`OrderingError::CheckpointNotInLog`] if state and log do not belong together; damage, by name; the store's
    /// failures.
    pub async fn start(
        config: OrderingConfig,
        store: Arc<dyn Store>,
        resume_after: Option<Position>,
    ) -> Result<(Ordering, CommittedReceiver), OrderingError> {
        if config.members.keys().any(|member| *member != config.member) {
            let reason = "it lists other members, and this program has no network between members yet; list one member";
            return Err(OrderingError::Configuration(reason.into()));
        }
        let source = Arc::new(CheckpointSnapshots::new(store.clone()));
        Ordering::start_with(config, store, resume_after, NoPeers, source).await
    }

    /// [`Self::start`] with a given network and source of snapshots.
    pub(crate) async fn start_with(
        config: OrderingConfig,
        store: Arc<dyn Store>,
        resume_after: Option<Position>,
        network: impl RaftNetworkFactory<Types>,
        source: Arc<dyn SnapshotSource>,
    ) -> Result<(Ordering, CommittedReceiver), OrderingError> {
        let raft_config = raft_config(&config)?;
        let failure: Failure = Arc::new(OnceLock::new());
        let log = LogStore::open(store, failure.clone())?;

        let committed = known_committed(&log, config.member, resume_after)?;
        let membership = match committed {
            Some(committed) => log.membership_at(committed.index)?,
            None => Default::default(),
        };

        let (stop, stopping) = watch::channel(());
        let (delivery, receiver) = delivery::channel(config.delivery_capacity, failure.clone(), stopping);
        let first = resume_after.map_or(0, |position| position.index + 1);
        let (mut replay, mut last_position) = (None, None);
        if let Some(committed) = committed.filter(|committed| committed.index >= first) {
            last_position = log.last_proposal(first, committed.index)?;
            replay = Some(delivery.replay(log.clone(), first, committed.index, failure.clone()).await);
        }

        let machine = StateMachine::new(delivery, log.clone(), source, committed, membership);
        let raft = Raft::new(config.member, raft_config, network, log.clone(), machine)
            .await
            .map_err(|error| failure.get().cloned().unwrap_or_else(|| OrderingError::Stopped(error.to_string())))?;
        let in_flight = Arc::new(Semaphore::new(config.in_flight_max.max(1)));
        let ordering = Ordering { raft, log, failure, in_flight, last_position, replay, stop };
        ordering.join(&config).await?;
        let state = ordering.state();
        tracing::info!(member = state.member, term = state.term, last_index = ?state.last_index, ?resume_after, "ordering started");
        Ok((ordering, receiver))
    }

    /// Initialises a new network; lets a single member lead at once.
    async fn join(&self, config: &OrderingConfig) -> Result<(), OrderingError> {
        if !self.raft.is_initialized().await.map_err(|error| self.stopped(error))? {
            let members: BTreeMap<MemberId, BasicNode> =
                config.members.iter().map(|(member, address)| (*member, BasicNode::new(address))).collect();
            match self.raft.initialize(members).await {
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(RaftError::APIError(error)) => return Err(OrderingError::Configuration(error.to_string())),
                Err(RaftError::Fatal(error)) => return Err(self.stopped(error)),
            }
        }
        // This asks the engine itself: right after the start, its published metrics may still be the previous ones.
        if !self.is_only_voter(config.member).await? {
            return Ok(());
        }
        if !matches!(self.server_state().await?, ServerState::Leader | ServerState::Candidate) {
            self.raft.trigger().elect().await.map_err(|error| self.stopped(error))?;
        }
        let deadline = tokio::time::Instant::now() + Duration::from_millis(SELF_ELECTION_MS_MAX);
        while !(self.server_state().await? == ServerState::Leader && self.state().is_leader) {
            if tokio::time::Instant::now() > deadline {
                return Err(OrderingError::NoLeader { waited_ms: SELF_ELECTION_MS_MAX });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    async fn is_only_voter(&self, member: MemberId) -> Result<bool, OrderingError> {
        let voters =
            self.raft.with_raft_state(move |state| state.membership_state.effective().voter_ids().eq([member]));
        voters.await.map_err(|error| self.stopped(error))
    }

    async fn server_state(&self) -> Result<ServerState, OrderingError> {
        self.raft.with_raft_state(|state| state.server_state).await.map_err(|error| self.stopped(error))
    }

    /// Proposes, and waits until the proposal is durable on a majority and handed to delivery. Returns its position.
    ///
    /// Not safe to repeat blindly: see [`ProposeError::is_certainly_not_ordered`]. Waits while the caller of
    /// [`CommittedReceiver::recv`] is slow, so do not propose and receive in one task.
    pub async fn propose(&self, proposal: Bytes) -> Result<Position, ProposeError> {
        self.propose_pipelined(proposal).await?.await
    }

    /// Proposes, and returns as soon as the proposal is queued: proposals of one task are ordered as they were
    /// proposed, without waiting for one another's fsync. The returned future resolves to the answer; dropping it does
    /// not withdraw the proposal.
    pub async fn propose_pipelined(&self, proposal: Bytes) -> Result<PendingProposal, ProposeError> {
        let permit = self.in_flight.clone().acquire_owned().await.map_err(|_| ProposeError::Stopped)?;
        metrics::counter!("cbdc_ordering_proposals_total").increment(1);
        let answer =
            self.raft.client_write_ff(Proposal(proposal)).await.map_err(|error| refused(&self.failure, error))?;
        Ok(PendingProposal { answer, failure: self.failure.clone(), _permit: permit })
    }

    /// The last proposal that replay delivers: the caller serves once it has applied it. `None` if there is nothing to
    /// replay.
    ///
    /// With several members, later proposals may be committed too; they are delivered once a leader confirms it.
    pub fn last_position(&self) -> Option<Position> {
        self.last_position
    }

    /// Reports that the caller's checkpoint, which includes everything up to `at`, is complete in the checkpoint store.
    /// Agreement no longer needs the log before it; the log stays, as the block archive. Returns at once: openraft
    /// moves its marker in the background. Safe to repeat.
    pub async fn checkpoint_taken(&self, at: Position) -> Result<(), OrderingError> {
        if let Some(failure) = self.failure.get() {
            return Err(failure.clone());
        }
        match self.log.entry(at.index)? {
            Some(entry) if position_of(&entry.log_id) == at => {}
            found => {
                return Err(OrderingError::CheckpointNotInLog {
                    expected: at,
                    found: found_text(found.map(|entry| entry.log_id)),
                });
            }
        }
        self.raft.trigger().snapshot().await.map_err(|error| self.stopped(error))
    }

    /// The proposal at `index`, from the block archive; `None` if there is none: a blank, a membership, beyond the end,
    /// or no longer kept. Includes entries that are not committed yet. Blocks on the disk.
    ///
    /// # Errors
    /// [`OrderingError::DamagedEntry`] naming the index.
    pub fn read_proposal(&self, index: u64) -> Result<Option<Bytes>, OrderingError> {
        Ok(self.log.entry(index)?.and_then(|entry| match entry.payload {
            openraft::EntryPayload::Normal(Proposal(bytes)) => Some(bytes),
            _ => None,
        }))
    }

    /// The state as this member knows it now.
    pub fn state(&self) -> OrderingState {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let failure = match (self.failure.get(), &metrics.running_state) {
            (Some(failure), _) => Some(failure.to_string()),
            (None, Err(stopped)) => Some(stopped.to_string()),
            (None, Ok(())) => None,
        };
        OrderingState {
            member: metrics.id,
            leader: metrics.current_leader,
            is_leader: metrics.state == ServerState::Leader && metrics.running_state.is_ok(),
            term: metrics.current_term,
            last_index: metrics.last_log_index,
            applied: metrics.last_applied.as_ref().map(position_of),
            checkpoint: metrics.snapshot.as_ref().map(position_of),
            voters: metrics.membership_config.voter_ids().collect(),
            failure,
        }
    }

    /// Stops this member while others still hold it: proposals in flight are answered or fail with
    /// [`ProposeError::Unknown`], the receiver ends, and the log is no longer written.
    pub async fn stop(&self) -> Result<(), OrderingError> {
        if let Some(replay) = &self.replay {
            replay.abort();
        }
        let stopped = self.raft.shutdown().await;
        let hint = if self.failure.get().is_none() { self.log.store_committed().await } else { Ok(()) };
        stopped.map_err(|error| OrderingError::Stopped(error.to_string()))?;
        hint
    }

    /// Stops this member: proposals in flight are answered or fail with [`ProposeError::Unknown`], the receiver ends.
    /// When this returns, the store is no longer in use here.
    pub async fn shutdown(self) -> Result<(), OrderingError> {
        let Ordering { raft, log, failure, replay, stop, .. } = self;
        if let Some(replay) = replay {
            replay.abort();
        }
        let stopped = raft.shutdown().await;
        drop(raft);
        drop(stop);
        let hint = if failure.get().is_none() { log.store_committed().await } else { Ok(()) };
        // openraft's state machine ends by itself, a moment after its core.
        let deadline = tokio::time::Instant::now() + Duration::from_millis(STOP_MS_MAX);
        while log.holders() > 1 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stopped.map_err(|error| OrderingError::Stopped(error.to_string()))?;
        hint
    }

    fn stopped(&self, error: Fatal<MemberId>) -> OrderingError {
        self.failure.get().cloned().unwrap_or_else(|| OrderingError::Stopped(error.to_string()))
    }

    #[cfg(test)]
    pub(crate) fn raft(&self) -> Raft {
        self.raft.clone()
    }
}

type WriteAnswer = Result<openraft::raft::ClientWriteResponse<Types>, ClientWriteError<MemberId, BasicNode>>;

/// The answer to a proposal, as a future.
pub struct PendingProposal {
    answer: oneshot::Receiver<WriteAnswer>,
    failure: Failure,
    _permit: OwnedSemaphorePermit,
}

impl Future for PendingProposal {
    type Output = Result<Position, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| match answer {
            Ok(Ok(written)) => Ok(position_of(&written.log_id)),
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ProposeError::NotLeader { leader: forward.leader_id })
            }
            Ok(Err(ClientWriteError::ChangeMembershipError(error))) => {
                Err(ProposeError::Unknown { reason: error.to_string() })
            }
            Err(_) => Err(match self.failure.get() {
                Some(failure) => failure.to_propose_error(),
                None => ProposeError::Unknown { reason: "ordering stopped while the proposal was in flight".into() },
            }),
        })
    }
}

fn refused(failure: &Failure, error: Fatal<MemberId>) -> ProposeError {
    match (failure.get(), error) {
        (Some(failure), _) => failure.to_propose_error(),
        (None, Fatal::Stopped) => ProposeError::Stopped,
        (None, other) => ProposeError::Unknown { reason: other.to_string() },
    }
}

/// The last entry that is known to be committed, and in the log, before openraft starts.
fn known_committed(
    log: &LogStore,
    member: MemberId,
    resume_after: Option<Position>,
) -> Result<Option<LogId>, OrderingError> {
    let mut committed = log.committed();
    if let Some(last) = log.last()
        && log.membership_at(last.index)?.membership().voter_ids().eq([member])
    {
        committed = committed.max(Some(last));
    }
    if let Some(expected) = resume_after {
        let noted = log.snapshot_note()?.map(|(log_id, _)| log_id).filter(|log_id| log_id.index == expected.index);
        let found = match log.entry(expected.index)? {
            Some(entry) => Some(entry.log_id),
            None => noted,
        };
        match found {
            Some(log_id) if position_of(&log_id) == expected => committed = committed.max(Some(log_id)),
            _ => return Err(OrderingError::CheckpointNotInLog { expected, found: found_text(found) }),
        }
    }
    // The hint may name an entry that a snapshot brought and the log never had: then the snapshot's record is as good.
    Ok(committed)
}

fn found_text(found: Option<LogId>) -> String {
    match found {
        Some(log_id) => format!("has one of term {} there", log_id.leader_id.term),
        None => "has no such entry".to_owned(),
    }
}

fn raft_config(config: &OrderingConfig) -> Result<Arc<Config>, OrderingError> {
    if !config.members.contains_key(&config.member) {
        return Err(OrderingError::Configuration(format!(
            "member {} is not in its own list of members",
            config.member
        )));
    }
    let raft_config = Config {
        cluster_name: "cbdc".into(),
        heartbeat_interval: config.heartbeat_ms,
        election_timeout_min: config.election_timeout_ms.0,
        election_timeout_max: config.election_timeout_ms.1,
        // The caller takes checkpoints: see `checkpoint_taken`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: config.entries_kept_for_followers,
        ..Config::default()
    };
    raft_config.validate().map(Arc::new).map_err(|error| OrderingError::Configuration(error.to_string()))
}
