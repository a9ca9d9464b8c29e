//! The calling side: this member's connections to the others, as openraft's network.
//!
//! 1. A [`Peer`] is shared by all that call one member. It has at most one append stream open, which is opened by the
//!    first append and again after it broke.
//! 2. An append gets a request id and waits for its answer, up to its deadline. Answers to requests that nobody waits
//!    for are dropped. When the stream breaks, all its requests fail at once, and openraft sends their entries again.
//! 3. Heartbeats go over the same stream while it is open, without waiting.
//! 4. What a member has acknowledged to a leader it must keep. One that no longer has it, because its disk was lost or
//!    replaced by an older copy, is not served: openraft would panic, and the leader with it.
//! 5. After a deadline has passed, the next call connects anew: a connection that was cut for a while may wait long
//!    before it sends again.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering as MemoryOrdering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cbdc_environment::thread;
use cbdc_proto::internal as wire;
use cbdc_proto::internal::ordering_client::OrderingClient;
use cbdc_proto::transport::refuses_certificate;
use openraft::error::{
    Fatal, InstallSnapshotError, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, SnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{BasicNode, RaftNetwork, RaftNetworkFactory, Snapshot};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::{Channels, Deadlines, Flaw, Members, wire as convert};
use crate::environment::{self, Environment};
use crate::snapshot;
use crate::types::{LogId, MemberId, Types, Vote};

/// Requests of one stream that may wait to be sent.
const STREAM_REQUESTS_MAX: usize = 64;
/// The pauses between attempts to reach a member that cannot be reached; the last one repeats.
const BACKOFF_MS: [u64; 5] = [10, 20, 50, 100, 200];

/// The reason why a call to another member failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    #[error("member {member} cannot be reached: {reason}")]
    Unreachable { member: MemberId, reason: String },
    #[error("member {member} knows no member with this one's certificate: it was dismissed, or is not admitted yet")]
    NotKnown { member: MemberId },
    #[error("member {member} did not answer within {waited_ms} ms")]
    Deadline { member: MemberId, waited_ms: u128 },
    #[error("member {member} answered: {reason}")]
    Refused { member: MemberId, reason: String },
    #[error(
        "member {member} has lost log entries that it had acknowledged, up to {acknowledged}; dismiss it, and admit it \
         under another number"
    )]
    LostLog { member: MemberId, acknowledged: LogId },
}

impl<E: std::error::Error> From<CallError> for RPCError<MemberId, BasicNode, E> {
    fn from(error: CallError) -> Self {
        match error {
            // All of them are tried again with pauses.
            CallError::Unreachable { .. } | CallError::NotKnown { .. } | CallError::LostLog { .. } => {
                RPCError::Unreachable(Unreachable::new(&error))
            }
            _ => RPCError::Network(NetworkError::new(&error)),
        }
    }
}

/// All other members, as far as they were called.
#[derive(Clone)]
pub(crate) struct Peers {
    shared: Arc<Shared>,
}

struct Shared {
    own: MemberId,
    channels: Arc<dyn Channels>,
    deadlines: Deadlines,
    acknowledged_unanswered: Option<Duration>,
    environment: Arc<dyn Environment>,
    peers: Mutex<BTreeMap<MemberId, Arc<Peer>>>,
}

impl Peers {
    pub(crate) fn new(own: MemberId, members: &Members) -> Self {
        let Members { channels, deadlines, flaw, environment, .. } = members.clone();
        let acknowledged_unanswered = match flaw {
            Some(Flaw::AcknowledgesUnanswered(within)) => Some(within),
            _ => None,
        };
        let peers = Mutex::default();
        Peers { shared: Arc::new(Shared { own, channels, deadlines, acknowledged_unanswered, environment, peers }) }
    }

    /// The member at `address`.
    pub(crate) fn peer(&self, member: MemberId, address: &str) -> Result<Arc<Peer>, CallError> {
        let mut peers = self.shared.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get(&member)
            && peer.address == address
        {
            return Ok(peer.clone());
        }
        let channel = self.shared.channels.channel(member, address);
        let channel = channel.map_err(|reason| CallError::Unreachable { member, reason })?;
        let peer = Arc::new(Peer {
            member,
            address: address.to_owned(),
            channels: self.shared.channels.clone(),
            deadlines: self.shared.deadlines,
            acknowledged_unanswered: self.shared.acknowledged_unanswered,
            environment: self.shared.environment.clone(),
            channel: Mutex::new(channel),
            opening: tokio::sync::Mutex::new(()),
            open: Mutex::new(None),
            is_away: AtomicBool::new(false),
            acknowledged: Mutex::new(None),
            next_request: AtomicU64::new(1),
        });
        peers.insert(member, peer.clone());
        Ok(peer)
    }

    /// This member.
    pub(crate) fn own(&self) -> MemberId {
        self.shared.own
    }
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<wire::AppendResponse>>>>;

/// An open append stream.
#[derive(Clone)]
struct Stream {
    requests: mpsc::Sender<wire::AppendRequest>,
    waiting: Waiting,
    /// The stream ends when nobody holds it any more.
    _held: Arc<watch::Sender<()>>,
}

fn lock(waiting: &Waiting) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<wire::AppendResponse>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One other member.
pub(crate) struct Peer {
    member: MemberId,
    address: String,
    channels: Arc<dyn Channels>,
    deadlines: Deadlines,
    /// Of a protocol that is broken on purpose.
    acknowledged_unanswered: Option<Duration>,
    environment: Arc<dyn Environment>,
    channel: Mutex<Channel>,
    /// Held while a stream is opened.
    opening: tokio::sync::Mutex<()>,
    open: Mutex<Option<Stream>>,
    /// Whether the last append went unanswered: what is known then is logged at a change alone.
    is_away: AtomicBool,
    /// The newest entry that the member has acknowledged to this leader.
    acknowledged: Mutex<Option<(Vote, LogId)>>,
    next_request: AtomicU64,
}

impl Peer {
    fn client(&self) -> OrderingClient<Channel> {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone();
        OrderingClient::new(channel)
            .max_decoding_message_size(super::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(super::MESSAGE_BYTES_MAX)
    }

    /// The answer to `call`, within `deadline`.
    async fn answer<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, CallError> {
        match environment::within(self.environment.as_ref(), deadline, call).await {
            Some(Ok(response)) => Ok(response.into_inner()),
            Some(Err(status)) => Err(self.failed(&status)),
            None => Err(self.overdue(deadline)),
        }
    }

    /// The error of a call whose deadline has passed; the next one connects anew.
    fn overdue(&self, deadline: Duration) -> CallError {
        self.connect_anew();
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
        CallError::Deadline { member: self.member, waited_ms: deadline.as_millis() }
    }

    /// Makes the next call connect anew, with the member's key of today.
    fn connect_anew(&self) {
        match self.channels.channel(self.member, &self.address) {
            Ok(channel) => *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = channel,
            Err(reason) => tracing::warn!(member = self.member, reason, "no channel can be had"),
        }
    }

    fn failed(&self, status: &tonic::Status) -> CallError {
        let (member, reason) = (self.member, status.message().to_owned());
        if refuses_certificate(status) {
            self.connect_anew();
            return CallError::NotKnown { member };
        }
        match status.code() {
            tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::Unknown => {
                self.connect_anew();
                CallError::Unreachable { member, reason }
            }
            _ => CallError::Refused { member, reason },
        }
    }

    /// Whether this member would have the votes of the peer.
    pub(crate) async fn pre_vote(&self, vote: &Vote, last: Option<&LogId>) -> Result<wire::PreVoteResponse, CallError> {
        let request = wire::PreVoteRequest { vote: Some(convert::vote_to(vote)), last: last.map(convert::log_id_to) };
        self.answer(self.deadlines.vote, self.client().pre_vote(request)).await
    }

    /// Tells the peer that the lease of `leader` ends in favour of `successor`, whose log must reach `last`.
    pub(crate) async fn hand_over(
        &self,
        leader: &Vote,
        successor: MemberId,
        last: Option<&LogId>,
    ) -> Result<(), CallError> {
        let request = wire::HandOverRequest {
            vote: Some(convert::vote_to(leader)),
            successor,
            last: last.map(convert::log_id_to),
        };
        self.answer(self.deadlines.vote, self.client().hand_over(request)).await.map(|_| ())
    }

    async fn vote(&self, request: &VoteRequest<MemberId>) -> Result<VoteResponse<MemberId>, CallError> {
        let response = self.answer(self.deadlines.vote, self.client().vote(convert::vote_request_to(request))).await?;
        convert::vote_response_from(response).map_err(|status| self.failed(&status))
    }

    /// Sends a sign of life, if a stream is open and has room.
    pub(crate) fn heartbeat(&self, leader: &Vote) {
        if let Some(stream) = self.open_stream() {
            let vote = Some(convert::vote_to(leader));
            let _ = stream.requests.try_send(wire::AppendRequest { vote, heartbeat: true, ..Default::default() });
        }
    }

    async fn append(
        &self,
        request: &AppendEntriesRequest<Types>,
    ) -> Result<AppendEntriesResponse<MemberId>, CallError> {
        let answer = self.append_unnoted(request).await;
        let (member, address) = (self.member, &self.address);
        match &answer {
            Ok(_) if self.is_away.swap(false, MemoryOrdering::Relaxed) => {
                tracing::info!(member, address, "a member answers this leader again");
            }
            Err(error) if !self.is_away.swap(true, MemoryOrdering::Relaxed) => {
                tracing::warn!(member, address, %error, "a member does not answer this leader, which tries again");
            }
            _ => {}
        }
        answer
    }

    async fn append_unnoted(
        &self,
        request: &AppendEntriesRequest<Types>,
    ) -> Result<AppendEntriesResponse<MemberId>, CallError> {
        let deadline = self.deadlines.append.min(self.acknowledged_unanswered.unwrap_or(Duration::MAX));
        let answered = async {
            let stream = self.stream().await?;
            let request_id = self.next_request.fetch_add(1, MemoryOrdering::Relaxed);
            let (answer, answered) = oneshot::channel();
            lock(&stream.waiting).insert(request_id, answer);
            let _forget = Forget { waiting: &stream.waiting, request_id };
            let gone = || CallError::Unreachable { member: self.member, reason: "the stream has ended".into() };
            stream.requests.send(convert::append_to(request_id, request)).await.map_err(|_| gone())?;
            let response = answered.await.map_err(|_| gone())?;
            convert::appended_from(response).map_err(|status| self.failed(&status))
        };
        match environment::within(self.environment.as_ref(), deadline, answered).await {
            Some(Ok(AppendEntriesResponse::Success)) => {
                let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
                self.note_acknowledged(&request.vote, last);
                Ok(AppendEntriesResponse::Success)
            }
            Some(Ok(AppendEntriesResponse::Conflict)) => {
                self.check_conflict(request)?;
                Ok(AppendEntriesResponse::Conflict)
            }
            Some(answer) => answer,
            None if self.acknowledged_unanswered.is_some() => Ok(AppendEntriesResponse::Success),
            None => Err(self.overdue(deadline)),
        }
    }

    fn note_acknowledged(&self, leader: &Vote, last: Option<LogId>) {
        let Some(last) = last else { return };
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *acknowledged {
            Some((to, known)) if to == leader => *known = last.max(*known),
            other => *other = Some((*leader, last)),
        }
    }

    /// Refuses a conflict at an entry that the member has acknowledged to the same leader.
    fn check_conflict(&self, request: &AppendEntriesRequest<Types>) -> Result<(), CallError> {
        let acknowledged = *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        match acknowledged {
            Some((to, acknowledged)) if to == request.vote && request.prev_log_id <= Some(acknowledged) => {
                Err(CallError::LostLog { member: self.member, acknowledged })
            }
            _ => Ok(()),
        }
    }

    fn open_stream(&self) -> Option<Stream> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        open.filter(|stream| !stream.requests.is_closed())
    }

    /// The append stream, opened if there is none.
    async fn stream(&self) -> Result<Stream, CallError> {
        let _one_at_a_time = self.opening.lock().await;
        if let Some(stream) = self.open_stream() {
            return Ok(stream);
        }
        let (requests, queue) = mpsc::channel(STREAM_REQUESTS_MAX);
        let mut client = self.client();
        let mut answers = self.answer(self.deadlines.vote, client.append(ReceiverStream::new(queue))).await?;
        let waiting = Waiting::default();
        let (held, mut still_held) = watch::channel(());
        let stream = Stream { requests: requests.clone(), waiting: waiting.clone(), _held: Arc::new(held) };
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    answer = answers.message() => match answer {
                        Ok(Some(answer)) => {
                            if let Some(waiter) = lock(&waiting).remove(&answer.request_id) {
                                let _ = waiter.send(answer);
                            }
                        }
                        Ok(None) | Err(_) => break,
                    },
                    () = requests.closed() => break,
                    _ = still_held.changed() => break,
                }
            }
            // Those who wait are told that the stream has ended.
            drop(answers);
            lock(&waiting).clear();
        });
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream.clone());
        Ok(stream)
    }

    async fn install_snapshot(&self, vote: &Vote, snapshot: Snapshot<Types>) -> Result<Vote, CallError> {
        let (stream, proof) = thread::blocking(move || {
            let stream = *snapshot.snapshot;
            let proof = stream.proof();
            (stream, proof)
        })
        .await
        .map_err(|error| CallError::Unreachable { member: self.member, reason: error.to_string() })?;
        let proof = proof.map_err(|reason| {
            tracing::error!(member = self.member, reason, "a checkpoint cannot be proved, so it is not sent");
            CallError::Unreachable { member: self.member, reason }
        })?;
        let head = wire::SnapshotHead {
            vote: Some(convert::vote_to(vote)),
            last: snapshot.meta.last_log_id.as_ref().map(convert::log_id_to),
            membership: convert::membership_to(&snapshot.meta.last_membership),
            snapshot_id: snapshot.meta.snapshot_id.clone(),
            proof: Some(proof),
        };
        let parts = snapshot::parts(head, stream);
        let response = self.answer(self.deadlines.snapshot, self.client().install_snapshot(parts)).await?;
        let answered = convert::vote_from(response.vote).map_err(|status| self.failed(&status))?;
        if answered <= *vote {
            self.note_acknowledged(vote, snapshot.meta.last_log_id);
        }
        Ok(answered)
    }
}

/// Forgets a request when nobody waits for its answer any more.
struct Forget<'a> {
    waiting: &'a Waiting,
    request_id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(self.waiting).remove(&self.request_id);
    }
}

/// A peer as openraft calls it.
pub(crate) struct PeerCalls {
    peers: Peers,
    member: MemberId,
    address: String,
    /// `None` as long as there was no channel to it: its key may become known later.
    found: Option<Arc<Peer>>,
}

impl PeerCalls {
    fn peer(&mut self) -> Result<Arc<Peer>, CallError> {
        match &self.found {
            Some(peer) => Ok(peer.clone()),
            None => Ok(self.found.insert(self.peers.peer(self.member, &self.address)?).clone()),
        }
    }
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = PeerCalls;

    async fn new_client(&mut self, target: MemberId, node: &BasicNode) -> PeerCalls {
        let mut calls = PeerCalls { peers: self.clone(), member: target, address: node.addr.clone(), found: None };
        // The first channel is opened now; a failure is told when it is used.
        drop(calls.peer());
        calls
    }
}

type CallResult<T, E> = Result<T, RPCError<MemberId, BasicNode, E>>;

impl RaftNetwork<Types> for PeerCalls {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> CallResult<AppendEntriesResponse<MemberId>, RaftError<MemberId>> {
        let peer = self.peer()?;
        Ok(peer.append(&request).await?)
    }

    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> CallResult<InstallSnapshotResponse<MemberId>, RaftError<MemberId, InstallSnapshotError>> {
        unreachable!("openraft calls it only from its own `full_snapshot`, which is replaced below")
    }

    async fn vote(
        &mut self,
        request: VoteRequest<MemberId>,
        _: RPCOption,
    ) -> CallResult<VoteResponse<MemberId>, RaftError<MemberId>> {
        let peer = self.peer()?;
        Ok(peer.vote(&request).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<Types>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<MemberId>, StreamingError<Types, Fatal<MemberId>>> {
        let failed = |error: CallError| StreamingError::Unreachable(Unreachable::new(&error));
        let peer = self.peer().map_err(failed)?;
        tokio::select! {
            installed = peer.install_snapshot(&vote, snapshot) => {
                installed.map(|vote| SnapshotResponse { vote }).map_err(failed)
            }
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    fn backoff(&self) -> Backoff {
        let last = BACKOFF_MS[BACKOFF_MS.len() - 1];
        Backoff::new(BACKOFF_MS.into_iter().chain(std::iter::repeat(last)).map(Duration::from_millis))
    }
}
