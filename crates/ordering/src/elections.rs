//! Elections: who stands for leadership, and when. The vote itself is openraft's; its own timers are switched off.
//!
//! # A leader
//! sends a heartbeat to every other member at a fixed interval, as long as openraft's core is alive and it is not
//! handing over.
//!
//! # Any other voter
//! 1. Wait for the alarm ([`crate::failure_detector`]). A member that was itself held up, so that this timer ended far
//!    too late, gives the leader one more time: what it did not hear may be waiting to be read.
//! 2. Back off: the first time by its place among the voters that are left, so that one stands before the others ask;
//!    after a failed attempt by a random time.
//! 3. If the alarm is still on, ask all voters for a pre-vote. Without a majority, go back to 1. A member to whom
//!    nobody answers asks less often by and by, and seldom if the others know no member with its certificate: it was
//!    dismissed. One that knows so itself votes, as long as its vote counts, and does not stand.
//! 4. Stand: openraft raises the term and asks for votes. If no leader follows, go back to 1.
//!
//! # The successor of a leader that hands over
//! waits until its log has everything, and stands at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use openraft::ServerState;
use openraft::metrics::RaftServerMetrics;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::environment::{self, Environment, Timer};
use crate::hand_over::Pause;
use crate::hearing::Hearing;
use crate::members::{CallError, Flaw, Peers, Watching};
use crate::types::{LogId, MemberId, Raft, Vote};

/// The longest time that a successor waits for the last entries of its predecessor.
const CATCH_UP_MAX: Duration = Duration::from_millis(500);
/// The longest time that a candidate waits for the outcome of its election.
const ELECTION_MAX: Duration = Duration::from_millis(150);
/// The longest pause between the pre-votes of a member to whom nobody answers.
const UNANSWERED_PAUSE_MAX: Duration = Duration::from_millis(200);
/// The pause between the pre-votes of a member that nobody knows.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(2);
/// Added to the time of the alarm, since the alarm is on only after that time.
const AFTER: Duration = Duration::from_millis(1);

type ServerMetrics = RaftServerMetrics<MemberId, openraft::BasicNode>;

/// What the others have said to a pre-vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PreVotes {
    /// A majority says that this member should stand.
    Majority,
    /// Some have answered.
    Refused,
    /// Nobody has.
    Unanswered,
    /// Nobody has, and one or more know no member with this one's certificate.
    Unknown,
}

/// Requests to a member to stand for election.
#[derive(Debug, Clone)]
pub(crate) struct StandRequests(mpsc::Sender<Option<LogId>>);

impl StandRequests {
    pub(crate) fn new() -> (StandRequests, mpsc::Receiver<Option<LogId>>) {
        let (sender, receiver) = mpsc::channel(1);
        (StandRequests(sender), receiver)
    }

    /// Stands as soon as the log reaches `last`. Does nothing if the member is standing already.
    pub(crate) fn stand(&self, last: Option<LogId>) {
        let _ = self.0.try_send(last);
    }
}

/// How a wait has ended.
enum Waited {
    TimeIsUp,
    /// The leader handed over, and this member has stood meanwhile.
    HasStood,
    /// The member stops.
    Stops,
}

/// The elections of one member.
pub(crate) struct Elections {
    pub raft: Raft,
    pub peers: Peers,
    pub hearing: Arc<Hearing>,
    pub environment: Arc<dyn Environment>,
    pub watching: Watching,
    pub stand: mpsc::Receiver<Option<LogId>>,
    pub flaw: Option<Flaw>,
    pub stopping: watch::Receiver<()>,
}

impl Elections {
    /// Waits for a timer, and stands meanwhile if the leader hands over to this member.
    async fn wait(&mut self, timer: Timer) -> Waited {
        tokio::select! {
            biased;
            _ = self.stopping.changed() => Waited::Stops,
            Some(last) = self.stand.recv() => {
                self.succeed(last).await;
                Waited::HasStood
            }
            () = timer => Waited::TimeIsUp,
        }
    }

    /// Runs until the member stops.
    pub(crate) async fn run(mut self) {
        let (mut attempts, mut unanswered) = (0, 0u32);
        let mut is_known = true;
        loop {
            let wake_at = (self.hearing.alarm_at() + AFTER).max(self.environment.now() + self.watching.heartbeat / 2);
            let timer = self.environment.sleep_until(wake_at);
            match self.wait(timer).await {
                Waited::TimeIsUp => {}
                Waited::HasStood => continue,
                Waited::Stops => return,
            }
            if !self.may_stand() {
                self.hearing.start_anew();
                attempts = 0;
                continue;
            }
            if !self.hearing.is_alarmed() {
                attempts = 0;
                continue;
            }
            if self.environment.now() > wake_at + self.watching.silence.0 / 2 {
                tracing::info!("this member was held up, and gives its leader more time");
                self.hearing.start_anew();
                continue;
            }
            let longer = match is_known {
                true => (self.watching.back_off * unanswered / 2).min(UNANSWERED_PAUSE_MAX),
                false => UNKNOWN_PAUSE,
            };
            let pause = self.back_off(attempts) + longer;
            attempts += 1;
            let timer = environment::sleep(self.environment.as_ref(), pause);
            match self.wait(timer).await {
                Waited::TimeIsUp => {}
                Waited::HasStood => continue,
                Waited::Stops => return,
            }
            if !self.hearing.is_alarmed() {
                continue;
            }
            let said = self.pre_votes().await;
            unanswered = if said == PreVotes::Unanswered { unanswered.saturating_add(1) } else { 0 };
            is_known = said != PreVotes::Unknown;
            if said == PreVotes::Majority && self.hearing.is_alarmed() {
                self.elect().await;
            }
        }
    }

    fn metrics(&self) -> ServerMetrics {
        self.raft.server_metrics().borrow().clone()
    }

    fn may_stand(&self) -> bool {
        let metrics = self.metrics();
        let is_voter = metrics.membership_config.voter_ids().any(|voter| voter == metrics.id);
        let may_vote = !self.hearing.abstains() && !self.hearing.only_learns();
        is_voter && metrics.state != ServerState::Leader && may_vote && self.hearing.stands()
    }

    fn back_off(&self, attempts: u32) -> Duration {
        let metrics = self.metrics();
        let back_off = self.watching.back_off;
        if attempts > 0 {
            let us = u64::try_from(back_off.as_micros()).unwrap_or(u64::MAX).max(1);
            return Duration::from_micros(self.environment.random() % us);
        }
        let left: BTreeSet<MemberId> = metrics.membership_config.voter_ids().collect();
        let lost = metrics.current_leader;
        let place = left.iter().filter(|voter| Some(**voter) != lost && **voter < metrics.id).count();
        back_off * u32::try_from(place).unwrap_or(u32::MAX) / u32::try_from(left.len().max(1)).unwrap_or(u32::MAX)
    }

    /// Asks whether this member should stand. It should if a majority of the voters says so, and of those to come if
    /// they are changing.
    async fn pre_votes(&self) -> PreVotes {
        if self.flaw == Some(Flaw::SkipsPreVotes) {
            return PreVotes::Majority;
        }
        let metrics = self.metrics();
        let last = self.raft.data_metrics().borrow().last_log;
        let membership = metrics.membership_config.membership();
        let mut asked = FuturesUnordered::new();
        for (member, node) in membership.nodes().filter(|(member, _)| **member != metrics.id) {
            let (member, peer, vote) = (*member, self.peers.peer(*member, &node.addr), metrics.vote);
            asked.push(async move {
                let answer = match peer {
                    Ok(peer) => peer.pre_vote(&vote, last.as_ref()).await.map(|response| response.granted),
                    Err(error) => Err(error),
                };
                (member, answer)
            });
        }
        let mut granted = BTreeSet::from([metrics.id]);
        let has_majority = |granted: &BTreeSet<MemberId>| {
            membership.get_joint_config().iter().all(|voters| voters.intersection(granted).count() > voters.len() / 2)
        };
        // Each answer comes within its deadline. After a first no, silent members are not waited for much longer: the
        // one that said no may not have been alarmed yet, and is asked again in the next attempt.
        let mut given_up: Timer = Box::pin(std::future::pending());
        let (mut has_answer, mut was_refused, mut is_unknown) = (false, false, false);
        while !has_majority(&granted) {
            let answer = tokio::select! {
                answer = asked.next() => answer,
                () = &mut given_up => {
                    // Those who are left may answer yet.
                    has_answer = true;
                    break;
                }
            };
            let Some((member, answer)) = answer else { break };
            has_answer |= answer.is_ok();
            match answer {
                Ok(true) => drop(granted.insert(member)),
                Err(CallError::NotKnown { .. }) => is_unknown = true,
                _ if was_refused => {}
                _ => {
                    was_refused = true;
                    given_up = environment::sleep(self.environment.as_ref(), self.watching.back_off);
                }
            }
        }
        match has_answer {
            _ if has_majority(&granted) => PreVotes::Majority,
            true => PreVotes::Refused,
            false if is_unknown => PreVotes::Unknown,
            false => PreVotes::Unanswered,
        }
    }

    /// Stands, and waits until some member leads in a later term, or the election has failed.
    async fn elect(&self) {
        if self.hearing.only_learns() {
            return;
        }
        let before = self.metrics().vote;
        tracing::info!(vote = %before, "the leader is silent, and this member stands for election");
        if self.raft.trigger().elect().await.is_err() {
            return;
        }
        let mut metrics = self.raft.server_metrics();
        let elected = metrics.wait_for(|metrics| metrics.vote.committed && is_later(&metrics.vote, &before));
        if let Some(Ok(_)) = environment::within(self.environment.as_ref(), ELECTION_MAX, elected).await {
            self.hearing.start_anew();
        }
    }

    /// Stands because the leader has named this member its successor.
    async fn succeed(&self, last: Option<LogId>) {
        let mut data = self.raft.data_metrics();
        let caught_up = data.wait_for(|metrics| metrics.last_log >= last);
        let within = environment::within(self.environment.as_ref(), CATCH_UP_MAX, caught_up).await;
        let is_up_to_date = matches!(within, Some(Ok(_)));
        drop(within);
        match is_up_to_date {
            true => self.elect().await,
            false => {
                tracing::warn!(?last, "the leader's last entries did not arrive, so this member does not succeed it")
            }
        }
    }
}

fn is_later(vote: &Vote, before: &Vote) -> bool {
    vote.leader_id.term > before.leader_id.term
}

/// The heartbeats of a member while it leads.
pub(crate) struct Heartbeats {
    pub raft: Raft,
    pub peers: Peers,
    pub environment: Arc<dyn Environment>,
    pub watching: Watching,
    /// Whether this member is handing over.
    pub pausing: watch::Receiver<Pause>,
    pub stopping: watch::Receiver<()>,
}

impl Heartbeats {
    /// Runs until the member stops.
    pub(crate) async fn run(mut self) {
        let mut core = self.raft.metrics();
        let mut core_alive: Instant = self.environment.now();
        loop {
            tokio::select! {
                biased;
                _ = self.stopping.changed() => return,
                () = environment::sleep(self.environment.as_ref(), self.watching.heartbeat) => {}
            }
            // The core sends metrics whenever it does anything, and a timer of its own wakes it.
            let now = self.environment.now();
            if core.has_changed().unwrap_or(false) {
                core.mark_unchanged();
                core_alive = now;
            }
            let is_alive = now.saturating_duration_since(core_alive) <= self.watching.silence.1;
            // A leader that others hear and that hears nobody can commit nothing, and keeps them from electing another.
            let silent_ms = core.borrow().millis_since_quorum_ack.unwrap_or_default();
            let is_answered = Duration::from_millis(silent_ms) <= self.watching.unanswered_max();
            if is_alive && is_answered && !self.pausing.borrow().sends_no_heartbeats {
                self.send();
            }
        }
    }

    fn send(&self) {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow();
        if metrics.state != ServerState::Leader || !metrics.vote.committed {
            return;
        }
        for (member, node) in metrics.membership_config.membership().nodes() {
            if *member != self.peers.own()
                && let Ok(peer) = self.peers.peer(*member, &node.addr)
            {
                peer.heartbeat(&metrics.vote);
            }
        }
    }
}
