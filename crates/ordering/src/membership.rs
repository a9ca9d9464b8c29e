//! Changes of the membership: one member at a time, one change at a time.
//!
//! - **Admit**: the member learns, without a vote, until its log is as good as the leader's; then it votes. If it does
//!   not catch up in time it stays a learner, which harms nobody, and admitting it again goes on from there. One that
//!   is a member already and is reached elsewhere now gets its new address.
//! - **Dismiss**: the member votes no more and gets no more of the log. The leader is not dismissed: it hands over
//!   first. A member that has lost its disk is dismissed and admitted under a new number: under its old one it would
//!   vote as if it had never voted before.
//!
//! Each change is an entry of the log, and takes effect as openraft's joint consensus has it. A change whose time runs
//! out may still happen: look at the members before trying again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError};
use openraft::raft::ClientWriteResponse;
use openraft::{BasicNode, ChangeMembers};

use crate::environment::{self, Environment};
use crate::leadership::Leadership;
use crate::members::Members;
use crate::types::{MemberId, Raft, Types};

/// Entries that a learner may lack when it becomes a voter: it gets them with its first appends.
const LAG_MAX: u64 = 16;

/// The reason why the membership was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Another member leads: changes are made there.
    #[error("this member does not lead the network, so it cannot change the members; the leader is {}", match .leader {
        Some(member) => format!("member {member}"),
        None => "not known".to_owned(),
    })]
    NotLeader {
        /// The leader, if one is known.
        leader: Option<MemberId>,
    },
    /// The change makes no sense, or another is under way.
    #[error("the members were not changed: {0}")]
    Refused(String),
    /// The member that was admitted has not caught up. It goes on learning.
    #[error("member {member} has not caught up within {waited_ms} ms; it learns on, and can be admitted again")]
    Behind {
        /// The member.
        member: MemberId,
        /// Time waited.
        waited_ms: u64,
    },
    /// The change may or may not happen.
    #[error("the members may or may not have been changed ({0}); look at them before trying again")]
    Unknown(String),
}

/// A member of the network and its part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    /// Its number.
    pub member: MemberId,
    /// Where it is reached.
    pub address: String,
    /// Whether it votes.
    pub votes: bool,
    /// Entries of the leader's log that it is not known to have; `None` on a member that does not lead.
    pub lag: Option<u64>,
}

/// The members as `raft` knows them.
pub(crate) fn states(raft: &Raft) -> Vec<MemberState> {
    let metrics = raft.metrics();
    let metrics = metrics.borrow();
    let voters: BTreeSet<MemberId> = metrics.membership_config.voter_ids().collect();
    let last = metrics.last_log_index.map_or(0, |last| last + 1);
    let lag = |member: &MemberId| {
        let matched = metrics.replication.as_ref()?.get(member)?.map_or(0, |log_id| log_id.index + 1);
        Some(last.saturating_sub(matched))
    };
    let nodes = metrics.membership_config.membership().nodes();
    nodes
        .map(|(member, node)| MemberState {
            member: *member,
            address: node.addr.clone(),
            votes: voters.contains(member),
            lag: if *member == metrics.id { metrics.replication.as_ref().map(|_| 0) } else { lag(member) },
        })
        .collect()
}

/// The sets of voters that have to agree, by the newest membership in the log.
pub(crate) fn voter_sets(raft: &Raft) -> Vec<BTreeSet<MemberId>> {
    raft.server_metrics().borrow().membership_config.membership().get_joint_config().clone()
}

/// The parts of a member that a change uses.
pub(crate) struct Change<'a> {
    pub member: MemberId,
    pub raft: &'a Raft,
    pub members: &'a Members,
    pub leadership: Leadership,
}

/// Waits up to `limit` until the log of `member` is nearly as long as the leader's.
pub(crate) async fn catch_up(
    raft: &Raft,
    environment: &dyn Environment,
    member: MemberId,
    limit: Duration,
) -> Result<(), MembershipError> {
    let mut metrics = raft.metrics();
    let caught_up = metrics.wait_for(|metrics| {
        let Some(replication) = &metrics.replication else { return true };
        let matched = replication.get(&member).copied().flatten();
        let last = metrics.last_log_index.unwrap_or_default();
        matched.is_some_and(|matched| matched.index + LAG_MAX >= last)
    });
    match environment::within(environment, limit, caught_up).await {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) => Err(MembershipError::Unknown("this member has stopped".into())),
        None => {
            let waited_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            Err(MembershipError::Behind { member, waited_ms })
        }
    }
}

type Written = Result<ClientWriteResponse<Types>, RaftError<MemberId, ClientWriteError<MemberId, BasicNode>>>;

impl Change<'_> {
    fn check_leads(&self) -> Result<(), MembershipError> {
        if self.leadership.is_leader() {
            return Ok(());
        }
        Err(MembershipError::NotLeader { leader: self.leadership.leader })
    }

    /// The change's outcome, within the time for a proposal.
    async fn write(&self, changes: ChangeMembers<MemberId, BasicNode>) -> Result<(), MembershipError> {
        let limit = self.members.proposal_timeout;
        let written = self.raft.change_membership(changes, false);
        let written: Option<Written> = environment::within(self.members.environment.as_ref(), limit, written).await;
        match written {
            Some(Ok(_)) => Ok(()),
            Some(Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error)))) => {
                Err(MembershipError::Refused(error.to_string()))
            }
            Some(Err(error)) => Err(MembershipError::Unknown(error.to_string())),
            None => Err(MembershipError::Unknown(format!("no answer within {} ms", limit.as_millis()))),
        }
    }

    /// Lets `member`, who is reached at `address`, learn. Returns whether it votes already.
    pub(crate) async fn make_learner(&self, member: MemberId, address: String) -> Result<bool, MembershipError> {
        self.check_leads()?;
        let known = states(self.raft).into_iter().find(|state| state.member == member);
        let node = BTreeMap::from([(member, BasicNode::new(&address))]);
        match &known {
            Some(state) if state.address == address => {}
            // Whoever answers there proves by its key that it is this member.
            Some(_) => self.write(ChangeMembers::SetNodes(node)).await?,
            None => self.write(ChangeMembers::AddNodes(node)).await?,
        }
        Ok(known.is_some_and(|state| state.votes))
    }

    /// Lets `member`, who learns, vote.
    pub(crate) async fn make_voter(&self, member: MemberId) -> Result<(), MembershipError> {
        self.check_leads()?;
        self.write(ChangeMembers::AddVoterIds(BTreeSet::from([member]))).await
    }

    /// Dismisses `member`, whether it votes or learns.
    pub(crate) async fn dismiss(&self, member: MemberId) -> Result<(), MembershipError> {
        self.check_leads()?;
        if member == self.member {
            return Err(MembershipError::Refused("the leader is not dismissed; hand over first".into()));
        }
        let states = states(self.raft);
        match states.iter().find(|state| state.member == member) {
            None => Ok(()),
            Some(state) if state.votes => self.write(ChangeMembers::RemoveVoters(BTreeSet::from([member]))).await,
            Some(_) => self.write(ChangeMembers::RemoveNodes(BTreeSet::from([member]))).await,
        }
    }
}
