//! The exchange of seals between the central bank's nodes: each follows the seals of all others.
//!
//! On another header than its own, a node
//! - that follows the leader who shows it stops: its ledger is not the network's, and whatever it answered or signed
//!   from now on would be wrong;
//! - in any other case raises an alarm and goes on: the other one stops.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cbdc_environment::thread;
use cbdc_ledger::encoding::hex;
use cbdc_ledger::member::Role;
use cbdc_ledger::merkle::Hash;
use cbdc_ledger::{Height, Ledger, MemberId, Signature};
use cbdc_node::{Archive, LedgerHandle};
use cbdc_ordering::Ordering;
use cbdc_ordering::members::Admission as OrderingCallers;
use cbdc_proto::internal as wire;
use cbdc_proto::internal::sealing_client::SealingClient;
use cbdc_proto::internal::sealing_server::Sealing;
use cbdc_proto::status::{invalid, unavailable};
use cbdc_proto::transport::refuses_certificate;
use futures::Stream;
use metrics::counter;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::admission::Admission;
use super::connections::Connections;
use super::seals::{AHEAD_MAX, Seal, Seals};
use super::{kept_requests, member_id};
use crate::issuance_queue::IssuanceQueue;
use crate::leading::{Leading, Standing};
use crate::metrics::SECURITY;

/// Seals that are sent in one message.
const SEALS_AT_ONCE: usize = 256;
/// The interval at which the list of the other nodes is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pauses between attempts to follow a node that cannot be reached.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// The longest time for opening a stream.
const OPEN_MAX: Duration = Duration::from_secs(1);

/// Two nodes have different headers at one height.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct OtherHeader {
    pub height: Height,
    /// The node that shows the other header.
    pub member: MemberId,
    pub theirs: Hash,
    pub own: Hash,
}

impl fmt::Display for OtherHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OtherHeader { height, member, theirs, own } = self;
        write!(
            f,
            "block {height} came out other than at central-bank {member}, which leads: its header has hash {}, and the \
             one here {}. This node stops, since its ledger is not the network's. Keep its data folder for an \
             investigation; then start it on an empty folder, as a new node",
            hex(theirs),
            hex(own)
        )
    }
}

/// The comparison of this node's headers with the others'.
#[derive(Clone)]
pub struct Comparison {
    pub seals: Arc<Seals>,
    pub leading: Arc<Leading>,
    /// The header of the leader that differs from this node's, once there is one.
    pub differs: watch::Sender<Option<OtherHeader>>,
}

impl Comparison {
    /// Adds this node's own seal, before its block is published.
    ///
    /// # Errors
    /// The leader has another header.
    pub fn push_own(&self, seal: Seal) -> Result<(), OtherHeader> {
        let (height, own) = (seal.height, seal.hash);
        for (member, theirs) in self.seals.push_own(seal) {
            self.found(OtherHeader { height, member, theirs, own })?;
        }
        Ok(())
    }

    fn hear(&self, member: MemberId, seal: Seal) -> Result<(), OtherHeader> {
        let (height, theirs) = (seal.height, seal.hash);
        match self.seals.hear(member, seal) {
            Some(own) => self.found(OtherHeader { height, member, theirs, own }),
            None => Ok(()),
        }
    }

    fn found(&self, other: OtherHeader) -> Result<(), OtherHeader> {
        counter!(SECURITY, "kind" => "other_header").increment(1);
        let is_leader =
            matches!(&*self.leading.watch().borrow(), Standing::Follows(Some(leader)) if leader.member == other.member);
        let OtherHeader { height, member, .. } = other;
        if is_leader {
            tracing::error!(target: "security", "{other}");
            self.differs.send_replace(Some(other.clone()));
            return Err(other);
        }
        tracing::error!(
            target: "security", %height, %member, theirs = %hex(&other.theirs), own = %hex(&other.own),
            "another node of the central bank has another header; one of the two ledgers is wrong"
        );
        Ok(())
    }
}

/// The called side.
pub struct SealingService {
    pub connections: Arc<Connections>,
    pub seals: Arc<Seals>,
    pub archive: Arc<Archive>,
    pub ledger: LedgerHandle,
    pub admission: Admission,
    pub issuance_queue: IssuanceQueue,
}

impl SealingService {
    /// The seals from a height on that a node can be shown now; none if that height was not sealed here yet.
    fn from(seals: &Seals, archive: &Archive, height: Height) -> Result<Vec<Seal>, Status> {
        if let Some(found) = seals.own_from(height, SEALS_AT_ONCE) {
            return Ok(found);
        }
        let mut found = Vec::new();
        let mut next = height;
        while next <= *seals.newest().borrow() && found.len() < SEALS_AT_ONCE {
            match archive.header(next).map_err(|error| Status::data_loss(error.to_string()))? {
                Some((header, _)) => found.push(Seal::of(&header)),
                // Below a checkpoint that was installed, this node has none.
                None if found.is_empty() => return Err(Status::not_found(format!("header {height} is not kept here"))),
                None => break,
            }
            next = next.next();
        }
        Ok(found)
    }
}

#[tonic::async_trait]
impl Sealing for SealingService {
    type FollowSealsStream = Pin<Box<dyn Stream<Item = Result<wire::Seals, Status>> + Send>>;

    async fn follow_seals(
        &self,
        request: Request<wire::FollowSealsRequest>,
    ) -> Result<Response<Self::FollowSealsStream>, Status> {
        // As one that orders: a node that was dismissed needs the others' signatures while it hands over.
        self.connections.member(request.extensions())?;
        let (connections, extensions) = (self.connections.clone(), request.extensions().clone());
        let mut next = Height(request.get_ref().from_height.max(1));
        let (seals, archive, closed) = (self.seals.clone(), self.archive.clone(), self.ledger.closed().clone());
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            let mut newest = seals.newest();
            loop {
                let (of, from, wanted) = (seals.clone(), archive.clone(), next);
                newest.borrow_and_update();
                let found = match seals.own_from(next, SEALS_AT_ONCE) {
                    Some(found) => found,
                    None => thread::blocking(move || SealingService::from(&of, &from, wanted))
                        .await
                        .map_err(|_| unavailable("the node is stopping"))??,
                };
                connections.member(&extensions)?;
                if let Some(last) = found.last() {
                    next = last.height.next();
                    yield wire::Seals { seals: found.iter().map(to_message).collect() };
                    continue;
                }
                tokio::select! {
                    changed = newest.changed() => if changed.is_err() { break },
                    () = closed.cancelled() => break,
                }
            }
        })))
    }

    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<wire::JoinResponse>, Status> {
        let member = self.connections.caller(request.extensions())?;
        let wire::JoinRequest { address, is_new } = request.into_inner();
        self.admission.admit(member, address, is_new).await?;
        Ok(Response::new(wire::JoinResponse {}))
    }

    async fn keep_issuance_request(
        &self,
        request: Request<wire::KeepIssuanceRequestRequest>,
    ) -> Result<Response<wire::KeepIssuanceRequestResponse>, Status> {
        let caller = self.connections.caller(request.extensions())?;
        kept_requests::keep(&self.admission.ordering, &self.issuance_queue, caller, request.into_inner()).await?;
        Ok(Response::new(wire::KeepIssuanceRequestResponse {}))
    }

    async fn list_issuance_requests(
        &self,
        request: Request<wire::ListKeptRequest>,
    ) -> Result<Response<wire::ListKeptResponse>, Status> {
        let caller = self.connections.caller(request.extensions())?;
        let term = request.get_ref().term;
        kept_requests::list(&self.admission.ordering, &self.issuance_queue, caller, term).map(Response::new)
    }
}

fn to_message(seal: &Seal) -> wire::Seal {
    let signature = |(member, signature): &(MemberId, Signature)| wire::SealSignature {
        member: member.0.into(),
        signature: signature.0.to_vec().into(),
    };
    wire::Seal {
        height: seal.height.0,
        header_hash: seal.hash.to_vec().into(),
        signatures: seal.signatures.iter().map(signature).collect(),
    }
}

fn from_message(seal: &wire::Seal) -> Result<Seal, Status> {
    let hash = seal.header_hash[..].try_into().map_err(|_| invalid("header_hash", "expected 32 bytes"))?;
    let signature = |signature: &wire::SealSignature| {
        let member = u16::try_from(signature.member).map_err(|_| invalid("member", "expected a number up to 65535"))?;
        let bytes = signature.signature[..].try_into().map_err(|_| invalid("signature", "expected 64 bytes"))?;
        Ok((MemberId(member), Signature(bytes)))
    };
    let signatures = seal.signatures.iter().map(signature).collect::<Result<_, Status>>()?;
    Ok(Seal { height: Height(seal.height), hash, signatures })
}

/// Follows the seals of all other nodes.
pub struct FollowSeals {
    pub member: MemberId,
    pub ordering: Arc<Ordering>,
    pub connections: Arc<Connections>,
    pub comparison: Comparison,
    pub ledger: LedgerHandle,
    pub stop: CancellationToken,
}

impl FollowSeals {
    /// Runs until the node stops.
    pub async fn run(self) {
        let of = Arc::new(self);
        let unknown = Arc::new(AtomicBool::new(false));
        let mut following: BTreeMap<(MemberId, String), JoinHandle<()>> = BTreeMap::new();
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = of.stop.cancelled() => break,
            }
            let others: Vec<(MemberId, String)> = of
                .ordering
                .members()
                .into_iter()
                .filter_map(|state| {
                    let member = member_id(state.member).filter(|member| *member != of.member)?;
                    Some((member, state.address))
                })
                .collect();
            following.retain(|other, task| {
                let stays = others.contains(other);
                if !stays {
                    task.abort();
                }
                stays
            });
            for other in others {
                let (of, unknown) = (of.clone(), unknown.clone());
                following.entry(other).or_insert_with_key(|(member, address)| {
                    let (member, address) = (*member, address.clone());
                    tokio::spawn(async move { of.follow(member, &address, &unknown).await })
                });
            }
        }
        following.into_values().for_each(|task| task.abort());
    }

    /// Follows a node for ever. `is_unknown`: whether it was said that another node does not know this one.
    async fn follow(&self, member: MemberId, address: &str, is_unknown: &AtomicBool) {
        let mut pause = BACKOFF.0;
        loop {
            match self.follow_once(member, address).await {
                Ok(0) => pause = (pause * 2).min(BACKOFF.1),
                Ok(_) => pause = BACKOFF.0,
                Err(status) => {
                    tracing::debug!(%member, address, status = %status.message(), "seals cannot be followed");
                    if refuses_certificate(&status) && self.is_member() && !is_unknown.swap(true, Relaxed) {
                        let height = self.ledger.read(Ledger::height);
                        tracing::warn!(
                            target: "security", by = %member, address,
                            "central-bank {} is not known with this node's certificate: the committee has dismissed it, \
                             or replaced its keys, after block {height}, where its chain ends. It orders no more",
                            self.member
                        );
                    }
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether this node is a member, as far as its own chain says.
    fn is_member(&self) -> bool {
        self.ledger.read(|ledger| ledger.members().active(Role::CentralBank, self.member).is_some())
    }

    /// Follows one stream to its end. Returns the number of seals that came.
    async fn follow_once(&self, member: MemberId, address: &str) -> Result<usize, Status> {
        let channel = self.connections.to(member, address).map_err(Status::unavailable)?;
        let from = self.ledger.announced().borrow().next();
        let mut client = SealingClient::new(channel);
        let opening = client.follow_seals(wire::FollowSealsRequest { from_height: from.0 });
        let opened = tokio::time::timeout(OPEN_MAX, opening).await;
        let mut stream = opened.map_err(|_| Status::deadline_exceeded("no stream within 1 s"))??.into_inner();
        let mut count = 0;
        while let Some(message) = stream.message().await? {
            for seal in &message.seals {
                let seal = from_message(seal)?;
                self.wait_for_room(seal.height).await;
                if self.comparison.hear(member, seal).is_err() {
                    return Ok(count);
                }
                count += 1;
            }
        }
        Ok(count)
    }

    /// Waits while a node is too far ahead of this one.
    async fn wait_for_room(&self, height: Height) {
        let mut announced = self.ledger.announced();
        let _ = announced.wait_for(|own| height.0 <= own.0.saturating_add(AHEAD_MAX)).await;
    }
}
