//! [`Ordering`]: one member's part in agreeing on the order of proposals.
//!
//! # Start
//! 1. Open the log and determine what is known to be committed: what was recorded, and what the caller's checkpoint
//!    holds; if this member is the only voter, the whole log, because what is durable here is durable on a majority.
//! 2. Begin to replay that to the caller, from after `resume_after`.
//! 3. Start openraft. Every member begins a new network's log with the same list of members. A single member elects
//!    itself at once, and `start` returns when it leads; replay may still be in progress.
//! 4. Among several ([`Ordering::start_among`]): start the elections, and return; who leads is to be watched
//!    ([`Ordering::leadership`]).
//!
//! # A proposal among several
//! openraft 0.9 may never answer a proposal whose leader was deposed: an entry that a snapshot overtakes, for one. And
//! when another leader's entry takes its place it says "forward to the leader", although a third member may still have
//! the entry and make it count. So each proposal has a time limit and watches the leader, and every outcome but one is
//! *unknown*: only a proposal that never reached this member's log was certainly not ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering as MemoryOrdering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cbdc_storage::Store;
use openraft::error::{CheckIsLeaderError, ClientWriteError, Fatal, InitializeError, RaftError};
use openraft::{BasicNode, Config, RaftNetworkFactory, ServerState, SnapshotPolicy};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::delivery::{self, CommittedReceiver};
use crate::elections::{Elections, Heartbeats, StandRequests};
use crate::environment::{self, Environment, SystemEnvironment};
use crate::error::{Failure, OrderingError, ProposeError};
use crate::failure_detector::Bounds;
use crate::hand_over::{HandOver, HandOverError, HandedOver, Pause};
use crate::hearing::Hearing;
use crate::leadership::{Leadership, LeadershipWatch, Role};
use crate::log_store::{LogStore, UseAmong};
use crate::members::{Members, MembersServer, MembersService, Peers, Serving};
use crate::membership::{self, Change, MemberState, MembershipError};
use crate::network::NoPeers;
use crate::snapshot::{CheckpointSnapshots, SnapshotSource};
use crate::state_machine::StateMachine;
use crate::types::{LogId, MemberId, Position, Proposal, Raft, Types, position_of};

/// The longest time in which a single member must elect itself.
const SELF_ELECTION_MS_MAX: u64 = 10_000;
/// The pause before a majority is asked again whether this member leads.
const CONFIRM_AGAIN: Duration = Duration::from_millis(20);
/// The longest time that openraft's tasks may take to end.
const STOP_MS_MAX: u64 = 10_000;

/// The configuration of a member.
#[derive(Debug, Clone)]
pub struct OrderingConfig {
    /// This member.
    pub member: MemberId,
    /// All members of a new network with their addresses, the same on each; ignored once the network exists. Just this
    /// member by default. Empty for a member that joins a network: it waits until it is admitted.
    pub members: BTreeMap<MemberId, String>,
    /// Committed proposals that may wait for the caller; beyond that, applying waits.
    pub delivery_capacity: usize,
    /// Proposals that may be in flight at once; beyond that, proposing waits.
    pub in_flight_max: usize,
    /// Time between the heartbeats of openraft's leader. Several members have [`Members::watching`] instead.
    pub heartbeat_ms: u64,
    /// Shortest and longest silence of openraft's leader before a member stands for election. Several members have
    /// [`Members::watching`] instead.
    pub election_timeout_ms: (u64, u64),
    /// Log entries before the checkpoint that may still be sent to followers instead of the whole checkpoint.
    pub entries_kept_for_followers: u64,
    /// Whether this member, among several, neither votes nor stands, nor follows a leader, before
    /// [`Ordering::begin_to_vote`].
    pub abstains: bool,
    /// Whether this member, among several, only learns, whatever the log says of it, before [`Ordering::vote_again`]:
    /// it may have voted before, with a log that is lost.
    pub only_learns: bool,
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
            abstains: false,
            only_learns: false,
        }
    }
}

impl OrderingConfig {
    fn nodes(&self) -> BTreeMap<MemberId, BasicNode> {
        self.members.iter().map(|(member, address)| (*member, BasicNode::new(address))).collect()
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
    /// Index of the last entry that agreement needs no more: a follower without it gets the checkpoint instead.
    pub purged: Option<u64>,
    /// The members that vote.
    pub voters: Vec<MemberId>,
    /// On a leader among several: the time since a majority was last known to follow it.
    pub majority_silent_ms: Option<u64>,
    /// On a member among several that does not lead: the time for which it has heard nothing of a leader.
    pub leader_silent_ms: Option<u64>,
    /// The reason why this member stopped, if it did.
    pub failure: Option<String>,
}

/// The word of a majority that a member leads still ([`Ordering::confirm_leads`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmedLead {
    /// The last proposal that was committed; `None` if there was none, as far as the log goes back.
    pub last_proposal: Option<Position>,
}

/// One member. Cheap to share behind an `Arc`.
pub struct Ordering {
    raft: Raft,
    log: LogStore,
    failure: Failure,
    in_flight: Arc<Semaphore>,
    last_position: Option<Position>,
    replay: Option<tokio::task::JoinHandle<()>>,
    leadership: watch::Receiver<Leadership>,
    /// What is known from hearing the leader; `None` for a member that orders alone.
    hearing: Option<Arc<Hearing>>,
    /// `None` for a member that orders alone.
    among: Option<Among>,
    /// Dropped to stop delivery and the tasks of this member.
    stop: watch::Sender<()>,
}

/// How a member starts.
struct Start {
    config: OrderingConfig,
    use_among: UseAmong,
    /// What is known from hearing the leader; `None` if openraft's own elections are used.
    hearing: Option<Arc<Hearing>>,
    environment: Arc<dyn Environment>,
}

/// The parts of a member that orders together with others.
struct Among {
    member: MemberId,
    members: Members,
    peers: Peers,
    hearing: Arc<Hearing>,
    in_flight_max: u32,
    pausing: watch::Sender<Pause>,
    /// Held while leadership is handed over or the membership changes: one at a time.
    changing: tokio::sync::Mutex<()>,
    /// Sent to, or dropped, to end the streams that other members have open to this one.
    end_streams: watch::Sender<()>,
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
            let reason = "it lists other members, and a member that orders alone has no connections to others";
            return Err(OrderingError::Configuration(reason.into()));
        }
        let source = Arc::new(CheckpointSnapshots::new(store.clone()));
        Ordering::start_with(config, store, UseAmong::One, resume_after, NoPeers, source).await
    }

    /// Starts this member together with others, as [`Self::start`] does. The service is for the routes of the node's
    /// server; `source` reads, verifies and installs checkpoints. Returns without waiting for a leader.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_among(
        config: OrderingConfig,
        members: Members,
        store: Arc<dyn Store>,
        resume_after: Option<Position>,
        source: Arc<dyn SnapshotSource>,
    ) -> Result<(Ordering, CommittedReceiver, MembersServer), OrderingError> {
        let (member, in_flight_max) = (config.member, config.in_flight_max.max(1));
        let environment = members.environment.clone();
        let peers = Peers::new(member, &members);
        let watching = members.watching;
        let config = OrderingConfig {
            heartbeat_ms: millis(watching.heartbeat),
            // Elections are ours; openraft takes the second number as the lease.
            election_timeout_ms: (millis(watching.heartbeat) + 1, millis(watching.heartbeat) + 2),
            ..config
        };
        let lease = Duration::from_millis(config.election_timeout_ms.1);
        let bounds = Bounds { min: watching.silence.0, max: watching.silence.1 };
        let hearing = Arc::new(Hearing::new(environment.clone(), bounds, watching.heartbeat));
        hearing.abstain(config.abstains);
        hearing.only_learn(config.only_learns);
        let (mut ordering, receiver) = Ordering::start_raft(
            Start {
                config,
                use_among: UseAmong::Several,
                hearing: Some(hearing.clone()),
                environment: environment.clone(),
            },
            store,
            resume_after,
            peers.clone(),
            source.clone(),
        )
        .await?;

        let (pausing, paused) = watch::channel(Pause::default());
        let (stand_requests, stand) = StandRequests::new();
        let raft = ordering.raft.clone();
        let elections = Elections {
            raft: raft.clone(),
            peers: peers.clone(),
            hearing: hearing.clone(),
            environment: environment.clone(),
            watching,
            stand,
            flaw: members.flaw,
            stopping: ordering.stop.subscribe(),
        };
        let heartbeats = Heartbeats {
            raft: raft.clone(),
            peers: peers.clone(),
            environment,
            watching,
            pausing: paused,
            stopping: ordering.stop.subscribe(),
        };
        tokio::spawn(elections.run());
        tokio::spawn(heartbeats.run());
        let (end_streams, streams_end) = watch::channel(());
        let service = MembersService::server(Serving {
            member,
            members: members.clone(),
            raft,
            hearing: hearing.clone(),
            stand_requests,
            source,
            lease,
            receiving: tokio::sync::Mutex::new(()),
            stopping: streams_end,
        });
        ordering.among = Some(Among {
            member,
            members,
            peers,
            hearing,
            in_flight_max: u32::try_from(in_flight_max).unwrap_or(u32::MAX),
            pausing,
            changing: tokio::sync::Mutex::new(()),
            end_streams,
        });
        Ok((ordering, receiver, service))
    }

    /// Makes this member the only one that votes, in a log that ends where it ends here, without asking the others: for
    /// an operator who has lost a majority of them for good. What only the others had is lost, and a member of theirs
    /// that comes back must not start on its old log. The member must not run meanwhile.
    ///
    /// # Errors
    /// Damage, by name; the store's failures; [`OrderingError::Configuration`] if the log is empty.
    pub async fn go_on_alone(store: Arc<dyn Store>, member: MemberId, address: String) -> Result<(), OrderingError> {
        let log = LogStore::open(store, Failure::default(), UseAmong::Several)?;
        let Some(last) = log.last() else {
            return Err(OrderingError::Configuration("its log is empty, so there is nothing to go on from".into()));
        };
        let log_id = log.append_only_voter(member, address).await?;
        tracing::warn!(
            target: "security", member, last_term = last.leader_id.term, last_index = last.index,
            term = log_id.leader_id.term,
            "this member votes alone from now on, by an operator's order. Its log ends at last_term and last_index: what \
            only a log with a higher term, or the same and a higher index, has is given up"
        );
        Ok(())
    }

    /// [`Self::start`] with a given network and source of snapshots.
    pub(crate) async fn start_with(
        config: OrderingConfig,
        store: Arc<dyn Store>,
        use_among: UseAmong,
        resume_after: Option<Position>,
        network: impl RaftNetworkFactory<Types>,
        source: Arc<dyn SnapshotSource>,
    ) -> Result<(Ordering, CommittedReceiver), OrderingError> {
        let environment = Arc::new(SystemEnvironment);
        let start = Start { config, use_among, hearing: None, environment };
        Ordering::start_raft(start, store, resume_after, network, source).await
    }

    async fn start_raft(
        Start { config, use_among, hearing, environment }: Start,
        store: Arc<dyn Store>,
        resume_after: Option<Position>,
        network: impl RaftNetworkFactory<Types>,
        source: Arc<dyn SnapshotSource>,
    ) -> Result<(Ordering, CommittedReceiver), OrderingError> {
        let raft_config = raft_config(&config, hearing.is_none())?;
        let failure: Failure = Arc::new(OnceLock::new());
        let log = LogStore::open(store, failure.clone(), use_among)?;
        if use_among == UseAmong::Several && !config.members.is_empty() {
            log.found(config.nodes().into()).await?;
        }

        let committed = known_committed(&log, config.member, resume_after)?;
        let membership = match committed {
            Some(committed) => log.membership_at(committed.index)?,
            None => Default::default(),
        };

        let (stop, stopping) = watch::channel(());
        let (delivery, receiver) =
            delivery::channel(config.member, config.delivery_capacity, failure.clone(), stopping);
        let first = resume_after.map_or(0, |position| position.index + 1);
        let (mut replay, mut last_position) = (None, None);
        if let Some(committed) = committed.filter(|committed| committed.index >= first) {
            last_position = log.last_proposal(first, committed.index)?;
            replay = Some(delivery.replay(log.clone(), first, committed.index, failure.clone()).await);
        }

        let (leadership_sender, leadership) = watch::channel(Leadership::unknown());
        let leadership_sender = Arc::new(leadership_sender);
        let machine =
            StateMachine::new(delivery, log.clone(), source, committed, membership, leadership_sender.clone());
        let raft = Raft::new(config.member, raft_config, network, log.clone(), machine)
            .await
            .map_err(|error| failure.get().cloned().unwrap_or_else(|| OrderingError::Stopped(error.to_string())))?;
        let watch = LeadershipWatch {
            raft: raft.clone(),
            sender: leadership_sender,
            environment,
            hearing: hearing.clone(),
            failure: failure.clone(),
            stopping: stop.subscribe(),
        };
        tokio::spawn(watch.run());
        let in_flight = Arc::new(Semaphore::new(config.in_flight_max.max(1)));
        let ordering =
            Ordering { raft, log, failure, in_flight, last_position, replay, leadership, hearing, among: None, stop };
        if use_among == UseAmong::One {
            ordering.check_orders_alone(config.member).await?;
        }
        ordering.join(&config).await?;
        let state = ordering.state();
        tracing::info!(
            member = state.member,
            term = state.term,
            last_term = ?ordering.log.last().map(|last| last.leader_id.term),
            last_index = ?state.last_index,
            ?resume_after,
            "ordering started"
        );
        Ok((ordering, receiver))
    }

    /// Initialises a new network; lets a single member lead at once.
    async fn join(&self, config: &OrderingConfig) -> Result<(), OrderingError> {
        if !config.members.is_empty() && !self.raft.is_initialized().await.map_err(|error| self.stopped(error))? {
            match self.raft.initialize(config.nodes()).await {
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

    /// Refuses a log in which others vote: this member alone could order nothing.
    async fn check_orders_alone(&self, member: MemberId) -> Result<(), OrderingError> {
        let voters = self
            .raft
            .with_raft_state(|state| state.membership_state.effective().voter_ids().collect::<Vec<MemberId>>());
        let voters = voters.await.map_err(|error| self.stopped(error))?;
        if voters.iter().all(|voter| *voter == member) {
            return Ok(());
        }
        Err(OrderingError::Configuration(format!(
            "it orders alone by its configuration, and by its log {voters:?} order together"
        )))
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
        self.check_takes_proposals()?;
        let permit = self.in_flight.clone().acquire_owned().await.map_err(|_| ProposeError::Stopped)?;
        // The wait may have been for a hand-over.
        self.check_takes_proposals()?;
        metrics::counter!("cbdc_ordering_proposals_total").increment(1);
        let mut proposal = Proposal::new(proposal);
        let watched = self.among.as_ref().map(|among| {
            let appended = Arc::new(AtomicBool::new(false));
            proposal.appended = Some(appended.clone());
            Watched { appended, given_up: self.given_up(among) }
        });
        let answer = self.raft.client_write_ff(proposal).await.map_err(|error| refused(&self.failure, error))?;
        let leadership = self.leadership.clone();
        Ok(PendingProposal { answer, watched, leadership, failure: self.failure.clone(), _permit: permit })
    }

    /// Among several: refuses proposals where another member leads or is about to.
    fn check_takes_proposals(&self) -> Result<(), ProposeError> {
        let Some(among) = &self.among else { return Ok(()) };
        let leadership = *self.leadership.borrow();
        if among.pausing.borrow().takes_no_proposals {
            return Err(ProposeError::NotLeader { leader: None, term: leadership.term });
        }
        if self.failure.get().is_some() {
            return Ok(());
        }
        if leadership.is_leader() {
            // A leader that nobody follows any more takes nothing: it could only say *unknown* later.
            let silent_max = among.members.watching.unanswered_max();
            let silent_ms = self.raft.metrics().borrow().millis_since_quorum_ack.unwrap_or_default();
            if Duration::from_millis(silent_ms) > silent_max {
                return Err(ProposeError::NotLeader { leader: None, term: leadership.term });
            }
            return Ok(());
        }
        Err(ProposeError::NotLeader { leader: leadership.leader, term: leadership.term })
    }

    /// Ends when the answer to a proposal is no longer waited for, with the reason.
    fn given_up(&self, among: &Among) -> GivenUp {
        let (environment, limit) = (among.members.environment.clone(), among.members.proposal_timeout);
        let mut leadership = self.leadership.clone();
        let term = leadership.borrow().term;
        Box::pin(async move {
            let deposed = leadership.wait_for(|known| !known.is_leader() || known.term != term);
            match environment::within(environment.as_ref(), limit, deposed).await {
                Some(Ok(known)) => format!(
                    "this member led in term {term} until it was answered, and {}",
                    match known.leader {
                        Some(leader) => format!("member {leader} leads in term {}", known.term),
                        None => "nobody is known to lead now".to_owned(),
                    }
                ),
                Some(Err(_)) => "ordering stopped while the proposal was in flight".to_owned(),
                None => format!("it was not answered within {} ms", limit.as_millis()),
            }
        })
    }

    /// Votes and stands from now on ([`OrderingConfig::abstains`]).
    pub fn begin_to_vote(&self) {
        if let Some(among) = &self.among {
            among.hearing.abstain(false);
        }
    }

    /// Who leads, as this member knows it: to be looked at, and to be watched.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Has a majority confirm that this member leads still, and returns the last proposal that was committed before the
    /// call: whatever any member has delivered by then is at or before it. `None` if this member does not lead, or no
    /// majority has said so within `limit`. On the disk if the log ends with many entries that are no proposals.
    pub async fn confirm_leads(&self, limit: Duration) -> Option<ConfirmedLead> {
        let environment: Arc<dyn Environment> = match &self.among {
            Some(among) => among.members.environment.clone(),
            None => Arc::new(SystemEnvironment),
        };
        let confirmed = async {
            loop {
                match self.raft.get_read_log_id().await {
                    Ok((committed, _)) => return committed,
                    // openraft waits for the others for the time of a heartbeat only.
                    Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => {
                        environment::sleep(environment.as_ref(), CONFIRM_AGAIN).await;
                    }
                    Err(_) => return None,
                }
            }
        };
        let committed = environment::within(environment.as_ref(), limit, confirmed).await??;
        let last_proposal = self.log.last_proposal(0, committed.index).ok()?;
        Some(ConfirmedLead { last_proposal })
    }

    /// Hands leadership over to `successor`, or to the voter that is furthest. What was taken is answered first; from
    /// now on proposals are refused with [`ProposeError::NotLeader`]. Gives up, and leads on, if answering them or a
    /// successor's log takes longer than `limit`.
    ///
    /// # Errors
    /// [`HandOverError`]: this member still leads, if it led.
    pub async fn hand_over(&self, successor: Option<MemberId>, limit: Duration) -> Result<HandedOver, HandOverError> {
        let Some(among) = &self.among else {
            return Err(HandOverError::NoSuccessor("this member orders alone".into()));
        };
        let environment = among.members.environment.as_ref();
        let one_at_a_time = environment::within(environment, limit, among.changing.lock()).await;
        let Some(_one_at_a_time) = one_at_a_time else {
            return Err(HandOverError::Timeout {
                what: "the members were being changed".into(),
                waited_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            });
        };
        let hand_over = HandOver {
            member: among.member,
            raft: &self.raft,
            peers: &among.peers,
            members: &among.members,
            in_flight: &self.in_flight,
            in_flight_max: among.in_flight_max,
            leadership: self.leadership.clone(),
            pausing: &among.pausing,
        };
        let outcome = hand_over.run(successor, limit).await;
        match &outcome {
            Ok(done) => tracing::info!(successor = done.successor, term = done.term, "leadership was handed over"),
            Err(error) => tracing::warn!(%error, "leadership was not handed over"),
        }
        outcome
    }

    /// The members, their parts, and on the leader how far each of them is behind.
    pub fn members(&self) -> Vec<MemberState> {
        membership::states(&self.raft)
    }

    /// Admits a member: it learns, and votes once it has caught up, for which this waits up to `limit`. On the leader
    /// only; safe to repeat.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn admit(&self, member: MemberId, address: String, limit: Duration) -> Result<(), MembershipError> {
        match self.learn(member, address, limit).await? {
            true => Ok(()),
            false => self.give_vote(member).await,
        }
    }

    /// The first part of [`Self::admit`]: the member learns, and has caught up when this returns. Returns whether it
    /// votes already.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn learn(&self, member: MemberId, address: String, limit: Duration) -> Result<bool, MembershipError> {
        {
            let (change, _one_at_a_time) = self.change().await?;
            if change.make_learner(member, address).await? {
                return Ok(true);
            }
        }
        // Meanwhile leadership may be handed over.
        let Some(among) = &self.among else { return Ok(true) };
        membership::catch_up(&self.raft, among.members.environment.as_ref(), member, limit).await?;
        Ok(false)
    }

    /// The second part of [`Self::admit`]: the member, who learns, votes.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn give_vote(&self, member: MemberId) -> Result<(), MembershipError> {
        let (change, _one_at_a_time) = self.change().await?;
        change.make_voter(member).await
    }

    /// Votes from now on, if the log says so ([`OrderingConfig::only_learns`]).
    pub fn vote_again(&self) {
        if let Some(among) = &self.among {
            among.hearing.only_learn(false);
        }
    }

    /// Votes from now on as before, and does not stand for election any more: for a member whose vote is going to be
    /// taken.
    pub fn stand_no_more(&self) {
        if let Some(among) = &self.among {
            among.hearing.stand_no_more();
        }
    }

    /// Lets a member learn, and returns as soon as that is agreed on. On the leader only; safe to repeat.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn let_learn(&self, member: MemberId, address: String) -> Result<(), MembershipError> {
        let (change, _one_at_a_time) = self.change().await?;
        change.make_learner(member, address).await.map(drop)
    }

    /// The sets of members of each of which a majority has to agree: one, and two while the members are changing.
    pub fn voter_sets(&self) -> Vec<BTreeSet<MemberId>> {
        membership::voter_sets(&self.raft)
    }

    /// Dismisses a member, other than the leader. On the leader only; safe to repeat.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn dismiss(&self, member: MemberId) -> Result<(), MembershipError> {
        let (change, _one_at_a_time) = self.change().await?;
        change.dismiss(member).await
    }

    async fn change(&self) -> Result<(Change<'_>, tokio::sync::MutexGuard<'_, ()>), MembershipError> {
        let Some(among) = &self.among else {
            return Err(MembershipError::Refused("this member orders alone".into()));
        };
        let one_at_a_time = among.changing.lock().await;
        let leadership = *self.leadership.borrow();
        Ok((Change { member: among.member, raft: &self.raft, members: &among.members, leadership }, one_at_a_time))
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
            openraft::EntryPayload::Normal(proposal) => Some(proposal.bytes),
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
            is_leader: metrics.state == ServerState::Leader
                && metrics.running_state.is_ok()
                && self.leadership.borrow().role != Role::Stopped,
            term: metrics.current_term,
            last_index: metrics.last_log_index,
            applied: metrics.last_applied.as_ref().map(position_of),
            checkpoint: metrics.snapshot.as_ref().map(position_of),
            purged: metrics.purged.map(|purged| purged.index),
            voters: metrics.membership_config.voter_ids().collect(),
            majority_silent_ms: metrics.millis_since_quorum_ack,
            leader_silent_ms: self
                .hearing
                .as_ref()
                .filter(|_| metrics.state != ServerState::Leader)
                .and_then(|hearing| u64::try_from(hearing.silence().as_millis()).ok()),
            failure,
        }
    }

    /// Ends the streams that other members have open to this one, which never end by themselves: for a server that
    /// waits for its calls before it stops. What this member has proposed is still answered.
    pub fn end_streams(&self) {
        if let Some(among) = &self.among {
            among.end_streams.send_replace(());
        }
    }

    /// Stops this member while others still hold it: proposals in flight are answered or fail with
    /// [`ProposeError::Unknown`], the receiver ends, and the log is no longer written.
    pub async fn stop(&self) -> Result<(), OrderingError> {
        if let Some(replay) = &self.replay {
            replay.abort();
        }
        let stopped = self.raft.shutdown().await;
        if self.among.is_some() {
            // The streams of other members end, and the elections.
            self.end_streams();
            self.stop.send_replace(());
        }
        let hint = if self.failure.get().is_none() { self.log.store_committed().await } else { Ok(()) };
        stopped.map_err(|error| OrderingError::Stopped(error.to_string()))?;
        hint
    }

    /// Stops this member: proposals in flight are answered or fail with [`ProposeError::Unknown`], the receiver ends.
    /// When this returns, the store is no longer in use here.
    pub async fn shutdown(self) -> Result<(), OrderingError> {
        let Ordering { raft, log, failure, replay, stop, among, .. } = self;
        drop(among);
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

type GivenUp = Pin<Box<dyn Future<Output = String> + Send>>;

/// The watch over a proposal among several members.
struct Watched {
    /// Whether the proposal reached this member's log.
    appended: Arc<AtomicBool>,
    given_up: GivenUp,
}

/// The answer to a proposal, as a future.
pub struct PendingProposal {
    answer: oneshot::Receiver<WriteAnswer>,
    watched: Option<Watched>,
    leadership: watch::Receiver<Leadership>,
    failure: Failure,
    _permit: OwnedSemaphorePermit,
}

impl PendingProposal {
    /// The meaning of "forward to the leader".
    fn forwarded(&self, leader: Option<MemberId>) -> ProposeError {
        let term = self.leadership.borrow().term;
        match &self.watched {
            Some(watched) if watched.appended.load(MemoryOrdering::Acquire) => {
                let reason = format!("another leader's entry took its place in this member's log, by term {term}");
                ProposeError::Unknown { reason }
            }
            _ => ProposeError::NotLeader { leader, term },
        }
    }
}

impl Future for PendingProposal {
    type Output = Result<Position, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(answer) = Pin::new(&mut self.answer).poll(context) else {
            let Some(watched) = &mut self.watched else { return Poll::Pending };
            return watched.given_up.as_mut().poll(context).map(|reason| Err(ProposeError::Unknown { reason }));
        };
        Poll::Ready(match answer {
            Ok(Ok(written)) => Ok(position_of(&written.log_id)),
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => Err(self.forwarded(forward.leader_id)),
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
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
        // The note may be of a later snapshot, whose installation broke off.
        let known = [log.snapshot_note()?.map(|(log_id, _)| log_id), log.purged()];
        let noted = known.into_iter().flatten().find(|log_id| log_id.index == expected.index);
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

/// openraft's configuration; `elects` if its own elections are wanted.
fn raft_config(config: &OrderingConfig, elects: bool) -> Result<Arc<Config>, OrderingError> {
    let joins = config.members.is_empty() && !elects;
    if !joins && !config.members.contains_key(&config.member) {
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
        enable_elect: elects,
        ..Config::default()
    };
    raft_config.validate().map(Arc::new).map_err(|error| OrderingError::Configuration(error.to_string()))
}
