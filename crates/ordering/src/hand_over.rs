//! The planned hand-over of leadership.
//!
//! 1. Take no more proposals: they are answered [`ProposeError::NotLeader`](crate::ProposeError) and were not ordered.
//! 2. Wait until every proposal in flight is answered, so that nothing that was taken is in doubt.
//! 3. Choose the successor: the member that was asked for, or the voter whose log is furthest; wait until its log is as
//!    long as this one.
//! 4. Stop the heartbeats, and tell all voters that the lease ends: first to the others, then to the
//!    successor, which stands at once.
//! 5. Done when another member leads. Otherwise this member goes on leading.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Semaphore, watch};

use crate::environment;
use crate::leadership::Leadership;
use crate::members::{Members, Peers};
use crate::types::{LogId, MemberId, Raft};

/// The longest time for telling the voters that are not to succeed.
const WORD_MAX: Duration = Duration::from_millis(50);
/// The longest time until the successor leads.
pub(crate) const SUCCESSION_MAX: Duration = Duration::from_secs(1);

/// The reason why leadership was not handed over. This member leads on, if it led.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// Another member leads.
    #[error("this member does not lead, so it has nothing to hand over; the leader is {}", match .leader {
        Some(member) => format!("member {member}"),
        None => "not known".to_owned(),
    })]
    NotLeader {
        /// The leader, if one is known.
        leader: Option<MemberId>,
    },
    /// No other member votes, or not the one that was asked for.
    #[error("there is nobody to hand over to: {0}")]
    NoSuccessor(String),
    /// Something took too long.
    #[error("the hand-over was given up, because {what} within {waited_ms} ms")]
    Timeout {
        /// The thing that did not happen.
        what: String,
        /// Time waited.
        waited_ms: u64,
    },
}

/// A hand-over that was completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandedOver {
    /// The member that leads now.
    pub successor: MemberId,
    /// Its term.
    pub term: u64,
}

/// The parts of a member that a hand-over uses.
pub(crate) struct HandOver<'a> {
    pub member: MemberId,
    pub raft: &'a Raft,
    pub peers: &'a Peers,
    pub members: &'a Members,
    pub in_flight: &'a Arc<Semaphore>,
    pub in_flight_max: u32,
    pub leadership: watch::Receiver<Leadership>,
    /// Set while this member hands over: no more proposals, no more heartbeats.
    pub pausing: &'a watch::Sender<Pause>,
}

/// How far a member has stopped leading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pause {
    pub takes_no_proposals: bool,
    pub sends_no_heartbeats: bool,
}

/// Ends the pause, however the hand-over ended.
struct Resume<'a>(&'a HandOver<'a>);

impl Drop for Resume<'_> {
    fn drop(&mut self) {
        self.0.raft.runtime_config().heartbeat(true);
        self.0.pausing.send_replace(Pause::default());
    }
}

impl HandOver<'_> {
    /// Hands over to `wanted`, or to whoever is furthest; gives up what takes longer than `limit`.
    pub(crate) async fn run(&self, wanted: Option<MemberId>, limit: Duration) -> Result<HandedOver, HandOverError> {
        let before = *self.leadership.borrow();
        if !before.is_leader() {
            return Err(HandOverError::NotLeader { leader: before.leader });
        }
        let _resume = Resume(self);
        self.pausing.send_replace(Pause { takes_no_proposals: true, sends_no_heartbeats: false });
        let all = self.in_flight.acquire_many(self.in_flight_max);
        let Some(_drained) = environment::within(self.members.environment.as_ref(), limit, all).await else {
            return Err(timeout("not every proposal in flight was answered", limit));
        };
        let mut unwilling = Vec::new();
        let successor = loop {
            let (successor, last) = self.up_to_date(wanted, &unwilling, limit).await?;
            self.raft.runtime_config().heartbeat(false);
            self.pausing.send_replace(Pause { takes_no_proposals: true, sends_no_heartbeats: true });
            match self.send_word(successor, last).await {
                Ok(()) => break successor,
                Err(error) if wanted.is_some() => return Err(error),
                // Another one may stand: this one has no vote yet, or is gone.
                Err(error) => tracing::info!(successor, %error, "a member does not take leadership over"),
            }
            unwilling.push(successor);
        };
        let mut leadership = self.leadership.clone();
        let succeeded = leadership.wait_for(|known| known.term > before.term && known.leader.is_some());
        let after = match environment::within(self.members.environment.as_ref(), SUCCESSION_MAX, succeeded).await {
            Some(Ok(known)) => *known,
            _ => return Err(timeout(&format!("member {successor} did not become the leader"), SUCCESSION_MAX)),
        };
        match after.leader {
            Some(leader) if leader != self.member => Ok(HandedOver { successor: leader, term: after.term }),
            _ => Err(HandOverError::NoSuccessor("this member was elected again".into())),
        }
    }

    /// The successor, once its log is as long as this one; and the last entry.
    async fn up_to_date(
        &self,
        wanted: Option<MemberId>,
        unwilling: &[MemberId],
        limit: Duration,
    ) -> Result<(MemberId, Option<LogId>), HandOverError> {
        let others: Vec<MemberId> = {
            let metrics = self.raft.server_metrics();
            let metrics = metrics.borrow();
            let others = metrics.membership_config.voter_ids().filter(|voter| *voter != self.member);
            others.filter(|voter| !unwilling.contains(voter)).collect()
        };
        if others.is_empty() {
            let none = if unwilling.is_empty() { "no other member votes" } else { "no other member stands" };
            return Err(HandOverError::NoSuccessor(none.into()));
        }
        if let Some(wanted) = wanted
            && !others.contains(&wanted)
        {
            return Err(HandOverError::NoSuccessor(format!("member {wanted} does not vote, {others:?} do")));
        }
        let mut data = self.raft.data_metrics();
        let mut chosen = None;
        let equal = data.wait_for(|metrics| {
            let last = metrics.last_log;
            let Some(replication) = &metrics.replication else { return false };
            let has_all = |member: &MemberId| replication.get(member).is_some_and(|log_id| *log_id == last);
            let found = match wanted {
                Some(wanted) => Some(wanted).filter(has_all),
                None => others.iter().copied().find(has_all),
            };
            chosen = found.map(|member| (member, last));
            chosen.is_some() && metrics.last_applied == last
        });
        match environment::within(self.members.environment.as_ref(), limit, equal).await {
            Some(Ok(_)) => chosen.ok_or_else(|| HandOverError::NoSuccessor("this member leads no more".into())),
            Some(Err(_)) => Err(HandOverError::NoSuccessor("this member has stopped".into())),
            None => Err(timeout("no other member's log was up to date", limit)),
        }
    }

    /// Tells all voters, the successor last.
    async fn send_word(&self, successor: MemberId, last: Option<LogId>) -> Result<(), HandOverError> {
        let metrics = self.raft.server_metrics().borrow().clone();
        let nodes = metrics.membership_config.membership().nodes();
        let (mut words, mut to_successor) = (Vec::new(), None);
        for (member, node) in nodes.filter(|(member, _)| **member != self.member) {
            let Ok(peer) = self.peers.peer(*member, &node.addr) else { continue };
            let word = async move { peer.hand_over(&metrics.vote, successor, last.as_ref()).await };
            if *member == successor { to_successor = Some(word) } else { words.push(word) }
        }
        environment::within(self.members.environment.as_ref(), WORD_MAX, join_all(words)).await;
        let Some(word) = to_successor else {
            return Err(HandOverError::NoSuccessor(format!("member {successor} has no address")));
        };
        word.await.map_err(|error| HandOverError::NoSuccessor(error.to_string()))
    }
}

fn timeout(what: &str, limit: Duration) -> HandOverError {
    HandOverError::Timeout { what: what.to_owned(), waited_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
}
