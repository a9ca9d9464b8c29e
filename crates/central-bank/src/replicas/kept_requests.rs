//! Issuance requests that the nodes keep for each other ([`crate::issuance_queue`]).
//!
//! - The leader has a majority of the nodes, itself included, keep each request and each rejection before it answers.
//! - A new leader collects what a majority keeps before it takes commands.
//!
//! - Before a node gets a vote, or loses it, a majority of those that will vote keeps everything. Until the change is
//!   known to be made, or not to be, what comes new is kept by a majority of both.
//!
//! Nothing gets lost between two leaders: a node refuses to keep for a leader of an older term than it knows, and does
//! not tell a new leader what it keeps before it knows that leader's term, which is durable by then; a leader answers
//! only if it leads in the same term still once it has kept the request itself. So of two majorities the node in common
//! has either kept before it told, or refused.
//!
//! Nodes that are slower than a majority keep it as well: their calls go on when the majority has answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering as MemoryOrdering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cbdc_ledger::command::Signed;
use cbdc_ledger::{MemberId, Outcome, Reason};
use cbdc_ordering::{Leadership, MembershipError, Ordering};
use cbdc_proto::internal as wire;
use cbdc_proto::internal::sealing_client::SealingClient;
use cbdc_proto::status::{invalid, unavailable};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::connections::Connections;
use super::member_id;
use crate::issuance_queue::{IssuanceQueue, Keepers, Kept};

/// The longest time that another node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The pause of a new leader that cannot collect from a majority, before it tries again.
const COLLECT_AGAIN: Duration = Duration::from_millis(20);

/// A set of nodes, by their numbers in ordering.
type Voters = BTreeSet<u64>;

/// The reason why the nodes that vote were not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    #[error(
        "a majority of the nodes that would vote does not keep the banks' issuance requests and rejections yet: {0}"
    )]
    NotKept(String),
    #[error(transparent)]
    Membership(#[from] MembershipError),
}

/// Sets of voters that may come into force, by changes whose outcome is not known.
#[derive(Default)]
struct Coming {
    /// The term in which this node led when it began them.
    term: u64,
    sets: Vec<Voters>,
}

/// The other nodes, as the leader asks them.
pub struct OtherNodes {
    member: MemberId,
    ordering: Arc<Ordering>,
    connections: Arc<Connections>,
    /// The newest term in which this node leads and has collected what a majority keeps.
    collected: AtomicU64,
    coming: Mutex<Coming>,
    /// Held while the voters change: one change at a time.
    changing: tokio::sync::Mutex<()>,
}

impl OtherNodes {
    pub fn new(member: MemberId, ordering: Arc<Ordering>, connections: Arc<Connections>) -> OtherNodes {
        let (collected, coming) = (AtomicU64::new(0), Mutex::default());
        OtherNodes { member, ordering, connections, collected, coming, changing: tokio::sync::Mutex::default() }
    }

    fn coming(&self) -> MutexGuard<'_, Coming> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sets of voters of each of which a majority has to keep what a leader of a term has kept.
    fn voter_sets(&self, term: u64) -> Vec<Voters> {
        let coming = self.coming();
        let mut sets = self.ordering.voter_sets();
        if coming.term == term {
            sets.extend(coming.sets.iter().cloned());
        }
        sets
    }

    /// Asks all other voters at once, as the leader of a term; returns the first answers, as soon as they are, with
    /// this node, a majority. The other calls go on.
    async fn ask<R, F>(&self, term: u64, ask: impl Fn(SealingClient<Channel>) -> F) -> Result<Vec<R>, String>
    where
        R: Send + 'static,
        F: Future<Output = Result<Response<R>, Status>> + Send + 'static,
    {
        let own = u64::from(self.member.0);
        let sets = self.voter_sets(term);
        let addresses: BTreeMap<u64, String> =
            self.ordering.members().into_iter().map(|state| (state.member, state.address)).collect();
        let others: Voters = sets.iter().flatten().copied().filter(|member| *member != own).collect();
        let (mut asked, mut failure) = (FuturesUnordered::new(), "no other node votes".to_owned());
        for number in others {
            let channel = match (member_id(number), addresses.get(&number)) {
                (Some(member), Some(address)) => self.connections.to_voter(member, address),
                _ => Err(format!("central-bank {number} has no address")),
            };
            match channel {
                Ok(channel) => {
                    let call = ask(SealingClient::new(channel));
                    let call = tokio::spawn(async move { tokio::time::timeout(ANSWER_MAX, call).await });
                    asked.push(async move { (number, call.await) });
                }
                Err(reason) => failure = reason,
            }
        }
        let (mut answers, mut have) = (Vec::new(), Voters::from([own]));
        let is_majority = |have: &Voters| sets.iter().all(|set| set.intersection(have).count() > set.len() / 2);
        while !is_majority(&have) {
            match asked.next().await {
                Some((number, Ok(Ok(Ok(answer))))) => {
                    have.insert(number);
                    answers.push(answer.into_inner());
                }
                Some((number, Ok(Ok(Err(status))))) => {
                    failure = format!("central-bank {number}: {}", status.message());
                }
                Some((number, Ok(Err(_)))) => {
                    failure = format!("central-bank {number} gave no answer within {} s", ANSWER_MAX.as_secs());
                }
                Some((number, Err(broken))) => failure = format!("the call to central-bank {number}: {broken}"),
                None => return Err(failure),
            }
        }
        Ok(answers)
    }

    /// Gives a node that learns a vote, once a majority with it keeps everything.
    ///
    /// # Errors
    /// [`NotChanged`].
    pub async fn give_vote(&self, member: u64, queue: &IssuanceQueue) -> Result<(), NotChanged> {
        self.change(queue, |voters| voters.insert(member), self.ordering.give_vote(member)).await
    }

    /// Takes a node's vote, once a majority without it keeps everything.
    ///
    /// # Errors
    /// [`NotChanged`].
    pub async fn dismiss(&self, member: u64, queue: &IssuanceQueue) -> Result<(), NotChanged> {
        self.change(queue, |voters| voters.remove(&member), self.ordering.dismiss(member)).await
    }

    async fn change(
        &self,
        queue: &IssuanceQueue,
        to: impl FnOnce(&mut Voters) -> bool,
        change: impl Future<Output = Result<(), MembershipError>>,
    ) -> Result<(), NotChanged> {
        let _one_at_a_time = self.changing.lock().await;
        let mut voters = self.ordering.voter_sets().pop().unwrap_or_default();
        if !to(&mut voters) {
            return Ok(change.await?);
        }
        let Some(term) = self.term() else {
            return Err(MembershipError::NotLeader { leader: self.ordering.leadership().borrow().leader }.into());
        };
        let was_coming = self.coming().sets.contains(&voters);
        if let Err(why) = queue.keep_again(term, || self.note_coming(term, voters.clone())).await {
            // Ordering was not asked: only a change whose end is not known is still coming.
            if !was_coming {
                self.coming().sets.retain(|coming| *coming != voters);
            }
            return Err(NotChanged::NotKept(why));
        }
        let changed = change.await;
        if !matches!(changed, Err(MembershipError::Unknown(_))) {
            self.coming().sets.clear();
        }
        Ok(changed?)
    }

    fn note_coming(&self, term: u64, voters: Voters) {
        let mut coming = self.coming();
        if coming.term != term {
            *coming = Coming { term, sets: Vec::new() };
        }
        if !coming.sets.contains(&voters) {
            coming.sets.push(voters);
        }
    }

    /// Collects what a majority keeps, for a leader of a term. Tries until it can, or leads no more.
    pub async fn collect(&self, term: u64, queue: &IssuanceQueue) {
        let still_leads = || {
            let known = *self.ordering.leadership().borrow();
            known.is_leader() && known.term == term
        };
        let mut has_said = false;
        while still_leads() {
            match self.collect_once(term, queue).await {
                Ok(()) => {
                    self.collected.store(term, MemoryOrdering::Release);
                    return;
                }
                Err(reason) if !has_said => {
                    tracing::warn!(%reason, "issuance requests cannot be collected from a majority yet");
                    has_said = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(COLLECT_AGAIN).await;
        }
    }

    async fn collect_once(&self, term: u64, queue: &IssuanceQueue) -> Result<(), String> {
        let list = |mut client: SealingClient<Channel>| async move {
            client.list_issuance_requests(wire::ListKeptRequest { term }).await
        };
        for answer in self.ask(term, list).await? {
            for kept in &answer.kept {
                match from_message(kept) {
                    Ok(kept) => match queue.take_over(kept).await {
                        Err(refusal) if refusal.reason != Reason::BadSignature => return Err(refusal.to_string()),
                        // It could not settle, under whichever node.
                        _ => {}
                    },
                    Err(status) => {
                        tracing::error!(status = %status.message(), "another node keeps what cannot be read");
                    }
                }
            }
        }
        // What one of them has may not be kept by a majority yet.
        queue.keep_again(term, || {}).await
    }
}

#[tonic::async_trait]
impl Keepers for OtherNodes {
    fn term(&self) -> Option<u64> {
        let known = *self.ordering.leadership().borrow();
        let has_collected = self.collected.load(MemoryOrdering::Acquire) == known.term;
        (known.is_leader() && has_collected).then_some(known.term)
    }

    async fn keep(&self, kept: Kept) -> Result<(), String> {
        let request = wire::KeepIssuanceRequestRequest { term: kept.term, kept: Some(to_message(&kept)) };
        let keep = |mut client: SealingClient<Channel>| {
            let request = request.clone();
            async move { client.keep_issuance_request(request).await }
        };
        self.ask(kept.term, keep).await.map(drop)
    }
}

/// The called side: keeps a request for the leader of a term, which calls.
pub async fn keep(
    ordering: &Ordering,
    queue: &IssuanceQueue,
    caller: MemberId,
    request: wire::KeepIssuanceRequestRequest,
) -> Result<(), Status> {
    let check = || {
        let known = *ordering.leadership().borrow();
        if known.term > request.term {
            return Err(Status::failed_precondition(format!("expected the leader of term {} or newer", known.term)));
        }
        check_leads(&known, caller, request.term)
    };
    check()?;
    let kept = request.kept.as_ref().ok_or_else(|| invalid("kept", "expected a request, found none"))?;
    let refused = |refusal: Outcome| match refusal.reason {
        Reason::BadSignature => unavailable("its bank has not signed it, as far as this node knows"),
        _ => unavailable("the request could not be made durable"),
    };
    let kept = Kept { term: request.term, ..from_message(kept)? };
    queue.take_over(kept).await.map_err(refused)?;
    // Whoever leads in a newer term may have been told what is kept here before this was.
    check()
}

/// Refuses a caller that leads in no term that this node knows.
fn check_leads(known: &Leadership, caller: MemberId, term: u64) -> Result<(), Status> {
    match known.leader.filter(|_| known.term == term) {
        Some(leader) if member_id(leader) == Some(caller) => Ok(()),
        Some(leader) => Err(Status::permission_denied(format!(
            "expected a call of member {leader}, which leads in term {term}, found one of member {caller}"
        ))),
        None => Err(unavailable(format!("this node knows no leader of term {term} yet"))),
    }
}

/// The called side: tells the leader of a term, which calls, what is kept here.
pub fn list(
    ordering: &Ordering,
    queue: &IssuanceQueue,
    caller: MemberId,
    term: u64,
) -> Result<wire::ListKeptResponse, Status> {
    let known = *ordering.leadership().borrow();
    if known.term < term {
        return Err(unavailable(format!("this node knows term {}, and not yet term {term}", known.term)));
    }
    check_leads(&known, caller, term)?;
    Ok(wire::ListKeptResponse { kept: queue.kept().iter().map(to_message).collect() })
}

fn to_message(kept: &Kept) -> wire::KeptIssuanceRequest {
    wire::KeptIssuanceRequest { request: kept.request.to_bytes().into(), rejected: kept.rejected, term: kept.term }
}

fn from_message(kept: &wire::KeptIssuanceRequest) -> Result<Kept, Status> {
    let request = Signed::from_bytes(&kept.request).map_err(|error| invalid("request", error))?;
    Ok(Kept { request, rejected: kept.rejected, term: kept.term })
}
