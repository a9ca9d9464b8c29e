//! Errors: what the caller can know and do.

use std::sync::{Arc, OnceLock};

use cbdc_storage::StoreError;

use crate::types::{MemberId, Position};

/// The first failure of this member: set once, read by everyone who must report why it stopped.
pub(crate) type Failure = Arc<OnceLock<OrderingError>>;

/// The reason why a proposal was not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProposeError {
    /// Another member leads, or is about to. The proposal was not ordered, and never will be.
    #[error(
        "this member does not lead the network (term {term}), so the proposal was not ordered; propose to {}",
        leader_text(*.leader)
    )]
    NotLeader {
        /// The leader, as far as this member knows.
        leader: Option<MemberId>,
        /// The current term, as far as this member knows.
        term: u64,
    },

    /// The proposal may or may not be ordered; nobody knows.
    #[error(
        "the proposal may or may not have been ordered ({reason}); watch what is delivered before proposing it again"
    )]
    Unknown {
        /// The error that interrupted the answer.
        reason: String,
    },

    /// This member has stopped. The proposal may or may not have been ordered, if it was in flight.
    #[error("ordering has stopped on this member; start the node again")]
    Stopped,

    /// The disk failed and this member has stopped. The proposal was not delivered; after a restart it may turn out to
    /// be in the log.
    #[error("ordering has stopped, because its store failed: {0}")]
    Storage(#[from] StoreError),
}

impl ProposeError {
    /// Whether it is certain that the proposal was not ordered, so that proposing it again cannot order it twice.
    pub fn is_certainly_not_ordered(&self) -> bool {
        matches!(self, ProposeError::NotLeader { .. })
    }
}

fn leader_text(leader: Option<MemberId>) -> String {
    match leader {
        Some(member) => format!("member {member}"),
        None => "the leader, once there is one".to_owned(),
    }
}

/// The reason why ordering could not start, or had to stop.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OrderingError {
    /// The store failed.
    #[error("ordering cannot use its store: {0}")]
    Storage(#[from] StoreError),

    /// A log entry does not match what was written.
    #[error("log entry {index} is damaged: {reason}; restore it from a peer")]
    DamagedEntry {
        /// Index of the entry.
        index: u64,
        /// Expected and found.
        reason: String,
    },

    /// A required log entry is missing.
    #[error(
        "the log has no entry {expected}, and replay needs it; restore it from a peer, or start from a newer checkpoint"
    )]
    MissingEntry {
        /// Index of the entry.
        expected: u64,
    },

    /// The vote, the marker or a membership does not match what was written.
    #[error("ordering's own record `{record}` is damaged: {reason}; restore this node from its peers")]
    DamagedRecord {
        /// The damaged record.
        record: &'static str,
        /// Expected and found.
        reason: String,
    },

    /// The caller's state does not belong to this log.
    #[error(
        "the checkpoint was taken at log entry {} of term {}, but the log {found}; this checkpoint and this log do not \
        belong together",
        expected.index, expected.term
    )]
    CheckpointNotInLog {
        /// The caller's `resume_after`.
        expected: Position,
        /// The entry found there.
        found: String,
    },

    /// The leader's checkpoint was installed, and the receiver does not take checkpoints.
    #[error(
        "the leader's checkpoint of height {height} was installed instead of log entries; start the node again, which \
        loads it"
    )]
    CheckpointInstalled {
        /// The height of the checkpoint.
        height: u64,
    },

    /// The configuration is inconsistent.
    #[error("the ordering configuration is wrong: {0}")]
    Configuration(String),

    /// openraft stopped.
    #[error("ordering stopped: {0}; start the node again")]
    Stopped(String),

    /// No leader was found in time.
    #[error(
        "no member became the leader within {waited_ms} ms; check that a majority of the members can reach each other"
    )]
    NoLeader {
        /// Time waited.
        waited_ms: u64,
    },
}

impl OrderingError {
    /// The store's failure as it was, for [`ProposeError::Storage`].
    pub(crate) fn to_propose_error(&self) -> ProposeError {
        match self {
            OrderingError::Storage(error) => ProposeError::Storage(error.clone()),
            other => ProposeError::Unknown { reason: other.to_string() },
        }
    }
}
