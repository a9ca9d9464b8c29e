//! Issuance requests that the nodes keep for each other ([`crate::issuance_queue`]).
//!
//! - The leader has a majority of the nodes, itself included, keep each request and each rejection before it answers.
//! - A new leader collects what a majority keeps before it takes commands.
//!
//! Nothing gets lost between two leaders: a node refuses to keep for a leader of an older term than it knows, and does
//! not tell a new leader what it keeps before it knows that leader's term, which is durable by then; a leader answers
//! only if it leads in the same term still once it has kept the request itself. So of two majorities the node in common
//! has either kept before it told, or refused.

use std::sync::Arc;
use std::time::Duration;

use cbdc_ledger::command::Signed;
use cbdc_ledger::{MemberId, Outcome, Reason};
use cbdc_ordering::{Leadership, Ordering};
use cbdc_proto::internal as wire;
use cbdc_proto::internal::sealing_client::SealingClient;
use cbdc_proto::status::{invalid, unavailable};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::connections::Connections;
use super::member_id;
use crate::issuance_queue::{IssuanceQueue, Keepers, Kept};

/// The longest time that another node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The requests that a new leader has the others keep at once.
const KEPT_AT_ONCE: usize = 32;
/// The pause of a new leader that cannot collect from a majority, before it tries again.
const COLLECT_AGAIN: Duration = Duration::from_millis(20);

/// The other nodes, as the leader asks them.
pub struct OtherNodes {
    pub member: MemberId,
    pub ordering: Arc<Ordering>,
    pub connections: Arc<Connections>,
}

impl OtherNodes {
    /// The addresses of the other voters, and the number of them that make a majority with this node.
    fn voters(&self) -> (Vec<(MemberId, String)>, usize) {
        let voters = self.ordering.members().into_iter().filter(|state| state.votes);
        let voters: Vec<_> = voters.filter_map(|state| Some((member_id(state.member)?, state.address))).collect();
        let enough = voters.len() / 2;
        let others = voters.into_iter().filter(|(member, _)| *member != self.member).collect();
        (others, enough)
    }

    /// Asks all other voters at once; returns the first answers, as many as make a majority with this node.
    async fn ask<R, F>(&self, ask: impl Fn(SealingClient<Channel>) -> F) -> Result<Vec<R>, String>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let (others, enough) = self.voters();
        let ask = &ask;
        let mut asked: FuturesUnordered<_> = others
            .iter()
            .map(|(member, address)| async move {
                let channel = self.connections.to(*member, address)?;
                let answered = tokio::time::timeout(ANSWER_MAX, ask(SealingClient::new(channel))).await;
                let late = format!("central-bank {member} gave no answer within {} s", ANSWER_MAX.as_secs());
                answered.map_err(|_| late)?.map(Response::into_inner).map_err(|status| status.message().to_owned())
            })
            .collect();
        let (mut answers, mut failure) = (Vec::new(), "no other node votes".to_owned());
        while answers.len() < enough {
            match asked.next().await {
                Some(Ok(answer)) => answers.push(answer),
                Some(Err(reason)) => failure = reason,
                None => return Err(failure),
            }
        }
        Ok(answers)
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
                Ok(()) => return,
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
        for answer in self.ask(list).await? {
            for kept in &answer.kept {
                match from_message(kept) {
                    Ok(kept) => match queue.take_over(kept, false).await {
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
        let keeping = futures::stream::iter(queue.kept()).map(Ok);
        keeping.try_for_each_concurrent(KEPT_AT_ONCE, |kept| self.keep(kept, term)).await
    }
}

#[tonic::async_trait]
impl Keepers for OtherNodes {
    fn term(&self) -> Option<u64> {
        let known = *self.ordering.leadership().borrow();
        known.is_leader().then_some(known.term)
    }

    async fn keep(&self, kept: Kept, term: u64) -> Result<(), String> {
        let request = wire::KeepIssuanceRequestRequest { term, kept: Some(to_message(&kept)) };
        let keep = |mut client: SealingClient<Channel>| {
            let request = request.clone();
            async move { client.keep_issuance_request(request).await }
        };
        self.ask(keep).await.map(drop)
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
    queue.take_over(from_message(kept)?, true).await.map_err(refused)?;
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
    wire::KeptIssuanceRequest { request: kept.request.to_bytes().into(), rejected: kept.rejected }
}

fn from_message(kept: &wire::KeptIssuanceRequest) -> Result<Kept, Status> {
    let request = Signed::from_bytes(&kept.request).map_err(|error| invalid("request", error))?;
    Ok(Kept { request, rejected: kept.rejected })
}
