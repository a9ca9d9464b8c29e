//! The called side: `cbdc.internal.v1.Ordering`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cbdc_environment::thread;
use cbdc_proto::internal as wire;
use cbdc_proto::internal::ordering_server::{Ordering as OrderingService, OrderingServer};
use futures::stream::{FuturesOrdered, Stream, StreamExt};
use openraft::error::{Fatal, RaftError};
use openraft::raft::VoteResponse;
use openraft::{ServerState, Snapshot, SnapshotMeta};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::{MESSAGE_BYTES_MAX, Members, wire as convert};
use crate::elections::StandRequests;
use crate::environment::{self, Environment};
use crate::hearing::Hearing;
use crate::snapshot::{ReceivingFile, SnapshotSource, SnapshotStream};
use crate::types::{MemberId, Raft, Vote};

/// Appends of one stream that may be worked on at once; beyond that, the stream is not read.
const APPENDS_MAX: usize = 16;
/// Added to the rest of the lease that a vote for the successor waits for.
const LEASE_MARGIN: Duration = Duration::from_millis(1);

/// The service for the server's routes.
pub type MembersServer = OrderingServer<MembersService>;

/// The called side of one member. Clones share it.
#[derive(Clone)]
pub struct MembersService {
    serving: Arc<Serving>,
}

/// The parts of a member that its service uses.
pub(crate) struct Serving {
    pub member: MemberId,
    pub members: Members,
    pub raft: Raft,
    pub hearing: Arc<Hearing>,
    pub stand_requests: StandRequests,
    pub source: Arc<dyn SnapshotSource>,
    /// openraft's lease: it refuses votes for so long after it has heard the leader.
    pub lease: Duration,
    /// Held while a snapshot is received: one at a time.
    pub receiving: tokio::sync::Mutex<()>,
    /// Changes, or closes, when the member stops: every stream ends.
    pub stopping: watch::Receiver<()>,
}

impl MembersService {
    pub(crate) fn server(serving: Serving) -> MembersServer {
        OrderingServer::new(MembersService { serving: Arc::new(serving) })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The calling member.
    fn admit<T>(&self, request: &Request<T>) -> Result<MemberId, Status> {
        self.serving.members.admission.member(request.extensions())
    }

    /// The calling member, which wants to lead this one.
    fn admit_leader<T>(&self, request: &Request<T>) -> Result<MemberId, Status> {
        let caller = self.admit(request)?;
        if self.serving.hearing.abstains() {
            return Err(Status::unavailable("this member does not know yet whether it may vote"));
        }
        Ok(caller)
    }
}

/// Refuses a call in the name of another member than the one that makes it.
fn check_caller(caller: MemberId, vote: &Vote) -> Result<(), Status> {
    let claimed = vote.leader_id.node_id;
    if claimed == caller {
        return Ok(());
    }
    Err(Status::permission_denied(format!("expected a call in the name of member {caller}, found member {claimed}")))
}

fn fatal(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("ordering has stopped on this member: {error}"))
}

impl Serving {
    fn environment(&self) -> &dyn Environment {
        self.members.environment.as_ref()
    }

    /// Whether this member has moved on from `vote`.
    fn has_newer_than(&self, vote: &Vote) -> bool {
        self.raft.server_metrics().borrow().vote > *vote
    }

    /// Works off one stream of a leader.
    async fn appends(
        self: Arc<Self>,
        (caller, extensions): (MemberId, Extensions),
        mut requests: Streaming<wire::AppendRequest>,
        answers: mpsc::Sender<Result<wire::AppendResponse, Status>>,
    ) {
        let mut working = FuturesOrdered::new();
        let mut stopping = self.stopping.clone();
        loop {
            tokio::select! {
                biased;
                _ = stopping.changed() => return,
                Some(answer) = working.next() => {
                    let answer: Result<wire::AppendResponse, Status> = answer;
                    let failed = answer.is_err();
                    if answers.send(answer).await.is_err() || failed {
                        return;
                    }
                }
                request = requests.message(), if working.len() < APPENDS_MAX => match request {
                    // A leader that may call no more is silent from then on.
                    Ok(Some(_)) if self.members.admission.member(&extensions).is_err() => return,
                    Ok(Some(request)) if request.heartbeat => {
                        if let Err(status) = self.heartbeat(caller, request) {
                            let _ = answers.send(Err(status)).await;
                            return;
                        }
                    }
                    Ok(Some(request)) => {
                        // Polled once here, so that Raft gets the requests in their order.
                        let mut append = Box::pin(self.clone().append(caller, request));
                        working.push_back(match futures::poll!(&mut append) {
                            std::task::Poll::Ready(answer) => Box::pin(std::future::ready(answer)) as Append,
                            std::task::Poll::Pending => append,
                        });
                    }
                    Ok(None) | Err(_) => return,
                }
            }
        }
    }

    fn heartbeat(&self, caller: MemberId, request: wire::AppendRequest) -> Result<(), Status> {
        let vote = convert::vote_from(request.vote)?;
        check_caller(caller, &vote)?;
        if vote.committed && !self.has_newer_than(&vote) {
            self.hearing.heartbeat(&vote);
        }
        Ok(())
    }

    async fn append(
        self: Arc<Self>,
        caller: MemberId,
        request: wire::AppendRequest,
    ) -> Result<wire::AppendResponse, Status> {
        let request_id = request.request_id;
        let request = convert::append_from(request)?;
        check_caller(caller, &request.vote)?;
        let is_current = request.vote.committed && !self.has_newer_than(&request.vote);
        let _working = if is_current { self.hearing.working_for(&request.vote) } else { None };
        let answer = self.raft.append_entries(request).await.map_err(fatal)?;
        Ok(convert::appended_to(request_id, answer))
    }

    /// Votes; for the successor that the leader has named, after the rest of the lease.
    async fn vote(&self, caller: MemberId, request: wire::VoteRequest) -> Result<VoteResponse<MemberId>, Status> {
        let request = convert::vote_request_from(request)?;
        check_caller(caller, &request.vote)?;
        if self.hearing.only_learns() {
            return Err(Status::unavailable("this member does not vote before the leader has let it learn"));
        }
        if self.hearing.is_successor(caller) {
            let lease_ends = self.hearing.last_heard() + self.lease + LEASE_MARGIN;
            self.environment().sleep_until(lease_ends).await;
        }
        self.raft.vote(request).await.map_err(|error| match error {
            RaftError::APIError(never) => match never {},
            RaftError::Fatal(error) => fatal(error),
        })
    }

    fn pre_vote(&self, caller: MemberId, request: wire::PreVoteRequest) -> Result<wire::PreVoteResponse, Status> {
        let vote = convert::vote_from(request.vote)?;
        let last = request.last.map(convert::log_id_from);
        let metrics = self.raft.metrics();
        let (leads, leader) = {
            let metrics = metrics.borrow();
            (metrics.state == ServerState::Leader, metrics.current_leader)
        };
        let own_last = self.raft.data_metrics().borrow().last_log;
        let granted = self.hearing.grants_pre_vote((caller, last), own_last, leads);
        tracing::debug!(member = self.member, caller, %vote, granted, "a pre-vote was asked for");
        Ok(wire::PreVoteResponse { granted, leader })
    }

    fn hand_over(&self, caller: MemberId, request: wire::HandOverRequest) -> Result<(), Status> {
        let vote = convert::vote_from(request.vote)?;
        check_caller(caller, &vote)?;
        if !vote.committed {
            return Err(Status::failed_precondition("expected a leader, found a candidate that nobody has elected"));
        }
        if self.has_newer_than(&vote) || !self.hearing.lease_ends(&vote, request.successor) {
            return Err(Status::failed_precondition("another member leads by now"));
        }
        if request.successor == self.member {
            if self.hearing.only_learns() {
                return Err(Status::failed_precondition(
                    "this member does not stand before the leader has let it learn",
                ));
            }
            self.stand_requests.stand(request.last.map(convert::log_id_from));
        }
        Ok(())
    }

    /// Receives a snapshot, has it verified and installed.
    async fn snapshot(
        self: Arc<Self>,
        caller: MemberId,
        mut parts: Streaming<wire::SnapshotPart>,
    ) -> Result<Vote, Status> {
        let head = match self.next_part(&mut parts).await? {
            Some(wire::snapshot_part::Part::Head(head)) => head,
            _ => return Err(Status::invalid_argument("expected the head of a snapshot first")),
        };
        let vote = convert::vote_from(head.vote)?;
        check_caller(caller, &vote)?;
        if self.has_newer_than(&vote) {
            return Ok(self.raft.server_metrics().borrow().vote);
        }
        let last_log_id = head.last.map(convert::log_id_from);
        let meta = SnapshotMeta {
            last_log_id,
            last_membership: convert::membership_from(&head.membership)?,
            snapshot_id: head.snapshot_id,
        };
        let proof = head.proof.unwrap_or_default();
        let one_at_a_time =
            environment::within(self.environment(), self.members.deadlines.snapshot_part, self.receiving.lock());
        let _one_at_a_time =
            one_at_a_time.await.ok_or_else(|| Status::unavailable("another snapshot is being received"))?;
        // The file goes with its handle, whatever happens.
        let mut file = ReceivingFile::create(&self.members.snapshot_folder).await.map_err(disk)?;
        loop {
            match self.next_part(&mut parts).await? {
                Some(wire::snapshot_part::Part::Frame(frame)) => {
                    // Not while it waits for the next part: a leader that is lost meanwhile is silent.
                    let _working = self.hearing.working_for(&vote);
                    file.frame(&frame).await.map_err(|error| Status::invalid_argument(error.to_string()))?;
                }
                Some(wire::snapshot_part::Part::Head(_)) => {
                    return Err(Status::invalid_argument("expected a frame of the snapshot, found another head"));
                }
                None => break,
            }
        }
        let _working = self.hearing.working_for(&vote);
        let received = file.finish().map_err(|error| Status::invalid_argument(error.to_string()))?;
        if last_log_id.as_ref().map(crate::types::position_of) != Some(received.manifest().position) {
            return Err(Status::invalid_argument("the snapshot's head and its manifest name different entries"));
        }
        let source = self.source.clone();
        let _forget = ForgetUnlessInstalled(source.clone());
        let verified = thread::blocking(move || received.verify(source.as_ref(), &proof).map(|()| received));
        let received = verified.await.map_err(|error| Status::internal(error.to_string()))?.map_err(|reason| {
            tracing::error!(target: "security", leader = caller, %reason, "a snapshot was refused");
            Status::data_loss(format!("the snapshot was refused: {reason}"))
        })?;
        let snapshot = Snapshot { meta, snapshot: Box::new(SnapshotStream::received(received)) };
        let installed: Result<_, Fatal<MemberId>> = self.raft.install_full_snapshot(vote, snapshot).await;
        Ok(installed.map_err(fatal)?.vote)
    }

    async fn next_part(
        &self,
        parts: &mut Streaming<wire::SnapshotPart>,
    ) -> Result<Option<wire::snapshot_part::Part>, Status> {
        let mut stopping = self.stopping.clone();
        let deadline = self.members.deadlines.snapshot_part;
        let next = tokio::select! {
            next = environment::within(self.environment(), deadline, parts.message()) => next,
            _ = stopping.changed() => return Err(Status::unavailable("the member stops")),
        };
        match next {
            Some(Ok(Some(part))) => Ok(Some(part.part.ok_or_else(|| Status::invalid_argument("an empty part"))?)),
            Some(Ok(None)) => Ok(None),
            Some(Err(status)) => Err(status),
            None => Err(Status::deadline_exceeded(format!("no part came within {} ms", deadline.as_millis()))),
        }
    }
}

/// Lets go of a snapshot that was verified, however its installation ended.
struct ForgetUnlessInstalled(Arc<dyn SnapshotSource>);

impl Drop for ForgetUnlessInstalled {
    fn drop(&mut self) {
        self.0.forget_unless_installed();
    }
}

type Append = Pin<Box<dyn Future<Output = Result<wire::AppendResponse, Status>> + Send>>;

fn disk(error: std::io::Error) -> Status {
    Status::unavailable(format!("the snapshot cannot be kept: {error}"))
}

#[tonic::async_trait]
impl OrderingService for MembersService {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<wire::AppendResponse, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<wire::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let caller = self.admit_leader(&request)?;
        let (answers, stream) = mpsc::channel(APPENDS_MAX);
        let extensions = request.extensions().clone();
        tokio::spawn(self.serving.clone().appends((caller, extensions), request.into_inner(), answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn pre_vote(
        &self,
        request: Request<wire::PreVoteRequest>,
    ) -> Result<Response<wire::PreVoteResponse>, Status> {
        let caller = self.admit(&request)?;
        self.serving.pre_vote(caller, request.into_inner()).map(Response::new)
    }

    async fn vote(&self, request: Request<wire::VoteRequest>) -> Result<Response<wire::VoteResponse>, Status> {
        let caller = self.admit_leader(&request)?;
        let response = self.serving.vote(caller, request.into_inner()).await?;
        Ok(Response::new(convert::vote_response_to(&response)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<wire::SnapshotPart>>,
    ) -> Result<Response<wire::SnapshotResponse>, Status> {
        let caller = self.admit_leader(&request)?;
        let vote = self.serving.clone().snapshot(caller, request.into_inner()).await?;
        Ok(Response::new(wire::SnapshotResponse { vote: Some(convert::vote_to(&vote)) }))
    }

    async fn hand_over(
        &self,
        request: Request<wire::HandOverRequest>,
    ) -> Result<Response<wire::HandOverResponse>, Status> {
        let caller = self.admit(&request)?;
        self.serving.hand_over(caller, request.into_inner())?;
        Ok(Response::new(wire::HandOverResponse {}))
    }
}
