//! What a member knows about its leader from hearing it, and what it therefore says to candidates.
//!
//! - Everything of a leader that this member's vote does not rule out counts as heard ([`crate::failure_detector`]).
//!   While an append or a snapshot of its is being worked on, the leader is not silent, however slow the disk is.
//! - A pre-vote is refused while the leader is heard, and to whoever has the shorter log. So a member that returns, or
//!   whose own link is bad, deposes nobody.
//! - A leader's notice that it hands over ([`Hearing::lease_ends`]) holds for its successor alone, until a newer leader
//!   is heard, or a heartbeat of the same one after the time in which it gives up: it leads on then.
//! - A member that abstains grants nothing: it does not know yet whether it may vote.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::environment::Environment;
use crate::failure_detector::{Bounds, FailureDetector};
use crate::hand_over::SUCCESSION_MAX;
use crate::types::{LogId, MemberId, Vote};

pub(crate) struct Hearing {
    environment: Arc<dyn Environment>,
    state: Mutex<State>,
}

struct State {
    detector: FailureDetector,
    /// The newest leader heard.
    leader: Option<Vote>,
    /// When the one before it was last heard.
    former_heard: Option<Instant>,
    /// Appends and snapshots of the leader's that are being worked on.
    work: usize,
    /// Whether this member only learns: it grants nobody anything, and does not stand.
    only_learns: bool,
    /// The successor that the leader has named, and when.
    successor: Option<(MemberId, Instant)>,
    /// Whether this member neither votes nor stands.
    abstains: bool,
    /// Whether it stands for election.
    stands: bool,
}

impl State {
    /// Notes that `leader` leads; `false` if a newer one was heard.
    fn is_current(&mut self, leader: &Vote, now: Instant) -> bool {
        match &self.leader {
            Some(known) if known > leader => return false,
            Some(known) if known == leader => {}
            _ => {
                self.former_heard = self.leader.is_some().then(|| self.detector.last_heard());
                self.leader = Some(*leader);
                self.detector.new_leader(now);
                self.successor = None;
            }
        }
        true
    }

    fn is_successor(&self, candidate: MemberId) -> bool {
        self.successor.is_some_and(|(successor, _)| successor == candidate)
    }

    fn is_alarmed(&self, now: Instant) -> bool {
        self.work == 0 && self.detector.is_alarmed(now)
    }
}

impl Hearing {
    pub(crate) fn new(environment: Arc<dyn Environment>, bounds: Bounds, interval: Duration) -> Self {
        let detector = FailureDetector::new(bounds, interval, environment.now());
        let (only_learns, abstains) = (false, false);
        let state = State {
            detector,
            leader: None,
            former_heard: None,
            work: 0,
            only_learns,
            successor: None,
            abstains,
            stands: true,
        };
        Hearing { environment, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A heartbeat of `leader` arrived.
    pub(crate) fn heartbeat(&self, leader: &Vote) {
        let (now, mut state) = (self.environment.now(), self.state());
        if state.is_current(leader, now) {
            state.detector.heartbeat(now);
            // Earlier ones may have been on their way when the leader named its successor.
            state.successor = state.successor.filter(|(_, since)| now < *since + SUCCESSION_MAX);
        }
    }

    /// An append or a part of a snapshot of `leader` arrived; it is not silent until what is returned is dropped.
    pub(crate) fn working_for(self: &Arc<Self>, leader: &Vote) -> Option<Working> {
        let (now, mut state) = (self.environment.now(), self.state());
        if !state.is_current(leader, now) {
            return None;
        }
        state.detector.heard(now);
        state.work += 1;
        Some(Working(self.clone()))
    }

    /// This member leads, did until now, or was itself held up: whoever leads next is given time.
    pub(crate) fn start_anew(&self) {
        let (now, mut state) = (self.environment.now(), self.state());
        state.detector.new_leader(now);
        state.successor = None;
    }

    /// The leader hands over to `successor`: `false` if it is not the newest leader heard.
    pub(crate) fn lease_ends(&self, leader: &Vote, successor: MemberId) -> bool {
        let (now, mut state) = (self.environment.now(), self.state());
        let is_current = state.is_current(leader, now);
        if is_current {
            state.successor = Some((successor, now));
        }
        is_current
    }

    /// Sets whether this member abstains: it neither votes nor stands.
    pub(crate) fn abstain(&self, abstains: bool) {
        self.state().abstains = abstains;
    }

    pub(crate) fn abstains(&self) -> bool {
        self.state().abstains
    }

    /// Sets whether this member only learns.
    pub(crate) fn only_learn(&self, only_learns: bool) {
        self.state().only_learns = only_learns;
    }

    /// This member stands for election no more; it votes as before.
    pub(crate) fn stand_no_more(&self) {
        self.state().stands = false;
    }

    pub(crate) fn stands(&self) -> bool {
        self.state().stands
    }

    pub(crate) fn only_learns(&self) -> bool {
        self.state().only_learns
    }

    pub(crate) fn is_alarmed(&self) -> bool {
        self.state().is_alarmed(self.environment.now())
    }

    /// When the alarm goes on if nothing more is heard.
    pub(crate) fn alarm_at(&self) -> Instant {
        self.state().detector.alarm_at()
    }

    /// The time for which nothing was heard of the leader.
    pub(crate) fn silence(&self) -> Duration {
        let (now, state) = (self.environment.now(), self.state());
        match state.work {
            0 => now.saturating_duration_since(state.detector.last_heard()),
            _ => Duration::ZERO,
        }
    }

    /// When the leader was last heard.
    pub(crate) fn last_heard(&self) -> Instant {
        self.state().detector.last_heard()
    }

    /// When the leader before the present one was last heard; the present one, if there was none before.
    pub(crate) fn former_heard(&self) -> Instant {
        let state = self.state();
        state.former_heard.unwrap_or_else(|| state.detector.last_heard())
    }

    /// Whether the leader has named `candidate` as its successor.
    pub(crate) fn is_successor(&self, candidate: MemberId) -> bool {
        self.state().is_successor(candidate)
    }

    /// Whether `candidate`, whose log ends with `last`, should stand, as far as this member can tell.
    pub(crate) fn grants_pre_vote(
        &self,
        (candidate, last): (MemberId, Option<LogId>),
        own_last: Option<LogId>,
        leads: bool,
    ) -> bool {
        if own_last > last {
            return false;
        }
        let state = self.state();
        if state.abstains || state.only_learns {
            return false;
        }
        state.is_successor(candidate) || (!leads && state.is_alarmed(self.environment.now()))
    }
}

/// An append or a snapshot of the leader's that is being worked on.
pub(crate) struct Working(Arc<Hearing>);

impl Drop for Working {
    fn drop(&mut self) {
        let now = self.0.environment.now();
        let mut state = self.0.state();
        state.work -= 1;
        state.detector.heard(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Timer;
    use openraft::CommittedLeaderId;

    /// A clock that the test moves.
    #[derive(Debug)]
    struct Clock(Mutex<Instant>);

    impl Environment for Clock {
        fn now(&self) -> Instant {
            *self.0.lock().unwrap()
        }
        fn sleep_until(&self, _: Instant) -> Timer {
            unreachable!("hearing waits for nothing")
        }
        fn random(&self) -> u64 {
            0
        }
    }

    fn hearing() -> (Arc<Clock>, Arc<Hearing>) {
        let bounds = Bounds { min: Duration::from_millis(60), max: Duration::from_millis(500) };
        let clock = Arc::new(Clock(Mutex::new(Instant::now())));
        (clock.clone(), Arc::new(Hearing::new(clock, bounds, Duration::from_millis(20))))
    }

    fn advance(clock: &Clock, ms: u64) {
        *clock.0.lock().unwrap() += Duration::from_millis(ms);
    }

    fn log_id(term: u64, index: u64) -> Option<LogId> {
        Some(LogId::new(CommittedLeaderId::new(term, 1), index))
    }

    #[test]
    fn a_pre_vote_needs_the_alarm_and_a_log_that_is_not_shorter() {
        let (clock, hearing) = hearing();
        let own = log_id(2, 10);
        hearing.heartbeat(&Vote::new_committed(2, 1));
        assert!(!hearing.grants_pre_vote((2, log_id(2, 10)), own, false), "the leader is heard");
        advance(&clock, 70);
        assert!(hearing.grants_pre_vote((2, log_id(2, 10)), own, false));
        assert!(hearing.grants_pre_vote((2, log_id(3, 1)), own, false));
        for shorter in [None, log_id(2, 9), log_id(1, 99)] {
            assert!(!hearing.grants_pre_vote((2, shorter), own, false), "{shorter:?}");
        }
        assert!(!hearing.grants_pre_vote((2, log_id(2, 10)), own, true), "it leads itself");
        hearing.heartbeat(&Vote::new_committed(1, 3));
        assert!(hearing.is_alarmed(), "a former leader is not heard");
    }

    #[test]
    fn a_member_that_abstains_grants_nothing() {
        let (clock, hearing) = hearing();
        advance(&clock, 70);
        hearing.abstain(true);
        assert!(!hearing.grants_pre_vote((2, log_id(2, 10)), None, false));
        hearing.abstain(false);
        assert!(hearing.grants_pre_vote((2, log_id(2, 10)), None, false));
    }

    #[test]
    fn a_leader_whose_entries_are_being_written_is_not_silent() {
        let (clock, hearing) = hearing();
        let working = hearing.working_for(&Vote::new_committed(2, 1)).unwrap();
        advance(&clock, 5_000);
        assert!(!hearing.is_alarmed());
        drop(working);
        assert!(!hearing.is_alarmed());
        advance(&clock, 70);
        assert!(hearing.is_alarmed());
    }

    #[test]
    fn the_word_of_the_leader_holds_for_its_successor_until_a_newer_leader_is_heard() {
        let (_, hearing) = hearing();
        let (leader, own) = (Vote::new_committed(2, 1), log_id(2, 10));
        hearing.heartbeat(&leader);
        assert!(hearing.lease_ends(&leader, 3));
        assert!(hearing.grants_pre_vote((3, own), own, false));
        assert!(!hearing.grants_pre_vote((2, own), own, false));
        assert!(!hearing.grants_pre_vote((3, log_id(2, 9)), own, false), "it must be up to date");
        hearing.heartbeat(&Vote::new_committed(3, 3));
        assert!(!hearing.is_successor(3));
        assert!(!hearing.lease_ends(&leader, 2), "a former leader has no say");
    }

    #[test]
    fn a_member_that_only_learns_grants_nothing() {
        let (clock, hearing) = hearing();
        advance(&clock, 70);
        hearing.only_learn(true);
        assert!(!hearing.grants_pre_vote((2, log_id(2, 10)), None, false));
        hearing.only_learn(false);
        assert!(hearing.grants_pre_vote((2, log_id(2, 10)), None, false));
    }

    #[test]
    fn a_leader_that_leads_on_after_a_hand_over_has_no_successor() {
        let (clock, hearing) = hearing();
        let (leader, own) = (Vote::new_committed(2, 1), log_id(2, 10));
        hearing.heartbeat(&leader);
        assert!(hearing.lease_ends(&leader, 3));
        // One that was sent before the word, and came after it.
        hearing.heartbeat(&leader);
        assert!(hearing.is_successor(3));
        advance(&clock, 1_000);
        hearing.heartbeat(&leader);
        assert!(!hearing.is_successor(3) && !hearing.grants_pre_vote((3, own), own, false), "the leader is heard");
    }
}
