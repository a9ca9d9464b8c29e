//! The search for the central bank's leader: every node is tried, each at its own pace, until one takes a stream of
//! commands.
//!
//! 1. The node that is taken for the leader is tried at once, the others a moment later ([`HEAD_START`]). No attempt
//!    waits for another: a host that is dead or frozen holds up nobody but itself.
//! 2. An attempt asks the node whether it leads, and opens the stream if it does. A node that leads in an older term
//!    than the newest one that this bank has seen has been deposed, and does not count; unless no other is found for a
//!    while ([`OLDER_AFTER`]), since a central bank that was restored counts its terms anew.
//! 3. A node that fails is tried again after a pause. Pauses are short at first, since a leader is replaced within a
//!    fraction of a second, and grow with the time that the search has taken, up to 2 s ([`pause_after`]).
//! 4. A node that another one names as the leader is tried out of turn, at most once between two turns of its own, so
//!    that two nodes that name each other are not asked without end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cbdc_proto::status::{leader_named_by, not_leader, refusal_of};
use cbdc_proto::transport::MESSAGE_BYTES_MAX;
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::central_bank_nodes::{CentralBankNodes, Claim, LeaderTerm};

/// The time after which the other nodes are tried as well.
const HEAD_START: Duration = Duration::from_millis(15);
/// The shortest and the longest pause before a node is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(15), Duration::from_secs(2));
/// A pause is this part of the time that the search has taken.
const PAUSE_PART: u32 = 20;
/// The time that a search takes before a leader of an older term counts as well.
const OLDER_AFTER: Duration = Duration::from_secs(10);
/// The longest time that opening a stream may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Batches handed to the transport and not yet taken by it.
pub const OUTGOING_MAX: usize = 16;

/// A stream of commands to a node that takes them.
pub struct OpenStream {
    pub address: Arc<str>,
    /// The term in which the node leads, if it was asked.
    pub term: Option<LeaderTerm>,
    pub channel: Channel,
    pub batches: mpsc::Sender<v1::CommandBatch>,
    pub answers: Streaming<v1::OutcomeBatch>,
}

/// Opens a stream to a node, whether it leads or not.
pub async fn open(nodes: &CentralBankNodes, address: &Arc<str>) -> Result<OpenStream, Status> {
    let channel = nodes.channel(address).map_err(|error| Status::unavailable(error.to_string()))?;
    open_over(channel, address, None).await
}

async fn open_over(channel: Channel, address: &Arc<str>, term: Option<LeaderTerm>) -> Result<OpenStream, Status> {
    let mut client = SettlementClient::new(channel.clone())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (batches, outgoing) = mpsc::channel(OUTGOING_MAX);
    let opening = client.submit(ReceiverStream::new(outgoing));
    let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await;
    let answers = opened.map_err(|_| Status::deadline_exceeded("no stream could be opened within 5 s"))??.into_inner();
    Ok(OpenStream { address: address.clone(), term, channel, batches, answers })
}

/// Opens a stream to a node if it leads, in the term `newest` or a later one.
async fn open_if_leading(
    nodes: Arc<CentralBankNodes>,
    address: Arc<str>,
    newest: LeaderTerm,
) -> Result<OpenStream, Status> {
    let term = match nodes.claim_of(&address).await? {
        Claim::Leads(term) => term,
        Claim::Follows(leader) => return Err(not_leader(leader.as_deref())),
    };
    if let Some(term) = term.filter(|term| *term < newest) {
        let (own, later) = (term.term, newest.term);
        return Err(Status::unavailable(format!(
            "it leads in term {own}, and another node was elected after it, in term {later}"
        )));
    }
    let opened = open_over(nodes.kept_channel(&address)?, &address, term).await;
    if opened.as_ref().is_err_and(|status| refusal_of(status).is_none()) {
        nodes.forget_channel(&address);
    }
    opened
}

/// The pause before a node is tried again, after a search of this length.
fn pause_after(searched: Duration) -> Duration {
    (searched / PAUSE_PART).clamp(PAUSE.0, PAUSE.1)
}

/// A node, and when it is tried next.
struct Candidate {
    address: Arc<str>,
    /// Its next turn.
    next: Instant,
    /// The time at which it is tried out of turn.
    early: Option<Instant>,
    is_tried: bool,
    /// Whether another node has named it since its last turn.
    was_named: bool,
    /// What came of the last attempt.
    said: Option<String>,
}

impl Candidate {
    /// The time at which it is tried next.
    fn at(&self) -> Instant {
        self.early.map_or(self.next, |early| early.min(self.next))
    }

    fn new(address: Arc<str>, next: Instant) -> Candidate {
        Candidate { address, next, early: None, is_tried: false, was_named: false, said: None }
    }
}

/// The nodes in the order and at the times in which they are tried.
struct Turns {
    began: Instant,
    candidates: Vec<Candidate>,
}

impl Turns {
    fn new(addresses: Vec<Arc<str>>, now: Instant) -> Turns {
        let at = |place: usize| if place == 0 { now } else { now + HEAD_START };
        let candidates = addresses.into_iter().enumerate();
        let candidates = candidates.map(|(place, address)| Candidate::new(address, at(place))).collect();
        Turns { began: now, candidates }
    }

    /// The nodes whose turn it is.
    fn due(&mut self, now: Instant) -> Vec<Arc<str>> {
        let due = self.candidates.iter_mut().filter(|candidate| !candidate.is_tried && candidate.at() <= now);
        due.map(|candidate| {
            (candidate.is_tried, candidate.early) = (true, None);
            candidate.address.clone()
        })
        .collect()
    }

    /// The next turn; `None` while all are being tried.
    fn next(&self) -> Option<Instant> {
        self.candidates.iter().filter(|candidate| !candidate.is_tried).map(Candidate::at).min()
    }

    /// Notes that the attempt at a node failed.
    fn failed(&mut self, address: &Arc<str>, status: &Status, now: Instant) {
        let pause = pause_after(now - self.began);
        if let Some(candidate) = self.candidates.iter_mut().find(|candidate| candidate.address == *address) {
            candidate.is_tried = false;
            candidate.said = Some(status.message().to_owned());
            // An attempt out of turn leaves its next turn where it was.
            if candidate.next <= now {
                (candidate.next, candidate.was_named) = (now + pause, false);
            }
        }
        if let Some(Some(named)) = leader_named_by(status) {
            self.named(&named.into(), now);
        }
    }

    /// Has a named node tried out of turn, unless that was done since its last turn.
    fn named(&mut self, address: &Arc<str>, now: Instant) {
        match self.candidates.iter_mut().find(|candidate| candidate.address == *address) {
            None => self.candidates.push(Candidate::new(address.clone(), now)),
            Some(candidate) if !candidate.is_tried && !candidate.was_named => {
                (candidate.early, candidate.was_named) = (Some(now), true);
            }
            Some(_) => {}
        }
    }

    /// What each node said last, for the operator.
    fn said(&self) -> String {
        let said = self.candidates.iter().map(|candidate| {
            format!("{}: {}", candidate.address, candidate.said.as_deref().unwrap_or("has not answered"))
        });
        said.collect::<Vec<_>>().join("; ")
    }
}

/// An attempt at the node at an address.
type Attempt = Pin<Box<dyn Future<Output = (Arc<str>, Result<OpenStream, Status>)> + Send>>;

/// A search among several nodes.
pub struct Search {
    nodes: Arc<CentralBankNodes>,
    turns: Turns,
    trying: FuturesUnordered<Attempt>,
}

impl Search {
    /// Begins with the node at `first`, if that is given, and otherwise with the present one.
    pub fn new(nodes: Arc<CentralBankNodes>, first: Option<&Arc<str>>) -> Search {
        let mut addresses = nodes.in_order();
        if let Some(first) = first {
            addresses.retain(|address| address != first);
            addresses.insert(0, first.clone());
        }
        Search { nodes, turns: Turns::new(addresses, Instant::now()), trying: FuturesUnordered::new() }
    }

    /// Goes on until a stream is open or an attempt has failed. Cancelling it loses no attempt.
    pub async fn step(&mut self) -> Result<OpenStream, Status> {
        loop {
            for address in self.turns.due(Instant::now()) {
                let nodes = self.nodes.clone();
                let newest = if self.took() < OLDER_AFTER { nodes.newest_term() } else { LeaderTerm::default() };
                let attempt = async move {
                    let opened = open_if_leading(nodes, address.clone(), newest).await;
                    (address, opened)
                };
                self.trying.push(Box::pin(attempt));
            }
            let next = self.turns.next();
            let (address, opened) = tokio::select! {
                Some(tried) = self.trying.next() => tried,
                () = async { tokio::time::sleep_until(next.expect("is set")).await }, if next.is_some() => continue,
            };
            let status = match opened {
                Ok(opened) => return Ok(opened),
                Err(status) => status,
            };
            if let Some(Some(named)) = leader_named_by(&status) {
                self.nodes.remember(&named);
            }
            self.turns.failed(&address, &status, Instant::now());
            return Err(status);
        }
    }

    /// The time that the search has taken.
    pub fn took(&self) -> Duration {
        self.turns.began.elapsed()
    }

    /// What each node said last, for the operator.
    pub fn said(&self) -> String {
        self.turns.said()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn turns(began: Instant) -> Turns {
        Turns::new(["a:1", "b:2", "c:3"].map(Arc::from).to_vec(), began)
    }

    /// The number of attempts at each node within a time, where each fails at once as `answer` says.
    fn attempts(within: Duration, answer: impl Fn(&str) -> Status) -> Vec<(String, usize)> {
        let began = Instant::now();
        let (mut turns, mut now) = (turns(began), began);
        let mut counts = std::collections::BTreeMap::new();
        while now < began + within {
            for address in turns.due(now) {
                *counts.entry(address.to_string()).or_insert(0) += 1;
                turns.failed(&address, &answer(&address), now);
            }
            now += MS;
        }
        counts.into_iter().collect()
    }

    #[test]
    fn the_present_node_comes_first_and_the_others_a_moment_later() {
        let began = Instant::now();
        let mut turns = turns(began);
        assert_eq!(turns.due(began), ["a:1".into()]);
        assert_eq!(turns.due(began + HEAD_START), ["b:2".into(), "c:3".into()]);
        assert_eq!(turns.next(), None, "all are being tried");
    }

    #[test]
    fn a_node_that_hangs_holds_up_no_other() {
        let began = Instant::now();
        let mut turns = turns(began);
        turns.due(began);
        for address in turns.due(began + HEAD_START) {
            turns.failed(&address, &not_leader(None), began + HEAD_START);
        }
        assert_eq!(turns.due(began + HEAD_START + PAUSE.0).len(), 2);
    }

    #[test]
    fn pauses_grow_with_the_time_that_the_search_takes() {
        let at_first = attempts(Duration::from_millis(300), |_| Status::unavailable("gone"));
        assert!(at_first.iter().all(|(_, count)| (15..=25).contains(count)), "{at_first:?}");
        let all = attempts(Duration::from_secs(120), |_| Status::unavailable("gone"));
        assert!(all.iter().all(|(_, count)| *count < 200), "{all:?}");
        assert_eq!((pause_after(Duration::ZERO), pause_after(Duration::from_secs(3600))), PAUSE);
    }

    #[test]
    fn nodes_that_name_each_other_are_tried_at_most_twice_as_often() {
        let names_other = |at: &str| not_leader(Some(if at == "a:1" { "b:2" } else { "a:1" }));
        let (within, alone) = (Duration::from_secs(20), |_: &str| Status::unavailable("gone"));
        let (named, alone) = (attempts(within, names_other), attempts(within, alone));
        for ((address, named), (_, alone)) in named.iter().zip(&alone) {
            assert!(*named <= 2 * alone + 2, "{address}: {named} attempts, {alone} without names");
        }
    }

    #[test]
    fn a_named_node_that_was_not_tried_yet_is_tried_at_once() {
        let began = Instant::now();
        let mut turns = turns(began);
        let first = turns.due(began);
        turns.failed(&first[0], &not_leader(Some("c:3")), began + MS);
        assert_eq!(turns.due(began + MS), ["c:3".into()]);
        turns.failed(&"c:3".into(), &not_leader(Some("d:4")), began + 2 * MS);
        assert_eq!(turns.due(began + 2 * MS), ["d:4".into()], "a node that only a hint names");
    }
}
