//! [`Leadership`]: who leads, as one member knows it, to be watched.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::environment::Environment;
use crate::error::{Failure, OrderingError};
use crate::hearing::Hearing;
use crate::types::{MemberId, Raft};

/// The part that a member plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It leads: proposals go to it.
    Leader,
    /// It votes, and follows the leader.
    Follower,
    /// It votes, and stands for election.
    Candidate,
    /// It receives the log and does not vote.
    Learner,
    /// It has stopped.
    Stopped,
}

/// Who leads, as one member knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leadership {
    /// This member's part.
    pub role: Role,
    /// The current term.
    pub term: u64,
    /// The leader, if one is known.
    pub leader: Option<MemberId>,
    /// Index of the newest entry that this member knows to be committed and has delivered. It is current whenever it is
    /// looked at; its changes alone wake nobody who waits for one.
    pub committed: Option<u64>,
    /// The time without a leader at the last change from one to another, as this member saw it: from when it last heard
    /// the former to when it knew the new one.
    pub hand_over_ms: Option<u64>,
}

impl Leadership {
    /// The leadership before anything is known.
    pub(crate) fn unknown() -> Self {
        Leadership { role: Role::Follower, term: 0, leader: None, committed: None, hand_over_ms: None }
    }

    /// Whether this member leads.
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }
}

/// Keeps a member's [`Leadership`] up to date.
pub(crate) struct LeadershipWatch {
    pub raft: Raft,
    pub sender: Arc<watch::Sender<Leadership>>,
    pub environment: Arc<dyn Environment>,
    /// `None` for a member that orders alone.
    pub hearing: Option<Arc<Hearing>>,
    pub failure: Failure,
    pub stopping: watch::Receiver<()>,
}

impl LeadershipWatch {
    /// Runs until the member stops.
    pub(crate) async fn run(mut self) {
        let mut metrics = self.raft.server_metrics();
        // Since when there has been no leader; and whether there ever was one.
        let (mut since, mut former) = (None, None);
        loop {
            let (state, vote, leader) = {
                let metrics = metrics.borrow_and_update();
                (metrics.state, metrics.vote, metrics.current_leader)
            };
            let role = match state {
                ServerState::Leader => Role::Leader,
                ServerState::Follower => Role::Follower,
                ServerState::Candidate => Role::Candidate,
                ServerState::Learner => Role::Learner,
                ServerState::Shutdown => Role::Stopped,
            };
            let mut hand_over_ms = None;
            match leader {
                None if since.is_none() => since = Some(self.last_heard(former, Hearing::last_heard)),
                None => {}
                Some(leader) => {
                    if former.is_some_and(|former| former != (leader, vote.leader_id.term)) {
                        let began = since.unwrap_or_else(|| self.last_heard(former, Hearing::former_heard));
                        let gap: Duration = self.environment.now().saturating_duration_since(began);
                        hand_over_ms = u64::try_from(gap.as_millis()).ok();
                    }
                    (since, former) = (None, Some((leader, vote.leader_id.term)));
                }
            }
            self.sender.send_if_modified(|known| {
                let new = Leadership {
                    role,
                    term: vote.leader_id.term,
                    leader,
                    committed: known.committed,
                    hand_over_ms: hand_over_ms.or(known.hand_over_ms),
                };
                let is_new = *known != new;
                *known = new;
                is_new
            });
            tokio::select! {
                biased;
                _ = self.stopping.changed() => break,
                changed = metrics.changed() => if changed.is_err() {
                    self.note_end();
                    break;
                },
            }
        }
        self.sender.send_modify(|known| known.role = Role::Stopped);
    }

    /// openraft has ended. If it has not said why, it broke off.
    fn note_end(&self) {
        if self.raft.metrics().borrow().running_state.is_ok() {
            let reason = "openraft broke off; the reason is in the log before this";
            tracing::error!(reason, "ordering has stopped");
            let _ = self.failure.set(OrderingError::Stopped(reason.into()));
        }
    }

    /// When the leader that is gone was last heard: now, if that was this member.
    fn last_heard(&self, former: Option<(MemberId, u64)>, of_hearing: fn(&Hearing) -> Instant) -> Instant {
        let own = self.raft.server_metrics().borrow().id;
        match &self.hearing {
            Some(hearing) if former.is_some_and(|(leader, _)| leader != own) => of_hearing(hearing),
            _ => self.environment.now(),
        }
    }
}
