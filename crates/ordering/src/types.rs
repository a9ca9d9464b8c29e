//! The types with which openraft is configured, and our names for them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use openraft::BasicNode;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::snapshot::SnapshotStream;

/// The number of a member of the network.
pub type MemberId = u64;

/// A log entry's position: its term and its index. Indexes also count blanks and memberships, so those of proposals
/// ascend with gaps.
pub type Position = cbdc_storage::LogPosition;

pub(crate) type LogId = openraft::LogId<MemberId>;
pub(crate) type Vote = openraft::Vote<MemberId>;
pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type Membership = openraft::Membership<MemberId, BasicNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<MemberId, BasicNode>;
pub(crate) type RaftStorageError = openraft::StorageError<MemberId>;
pub(crate) type RaftIoError = openraft::StorageIOError<MemberId>;

/// A proposal's bytes: opaque, reference counted, never encoded anew.
#[derive(Clone)]
pub(crate) struct Proposal {
    pub bytes: Bytes,
    /// The log record that the bytes lie in, if it is at hand: other members get it as it is.
    pub record: Option<Bytes>,
    /// Set when the entry is passed to this member's log; asked by whoever waits for the answer.
    pub appended: Option<Arc<AtomicBool>>,
}

impl Proposal {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Proposal { bytes, record: None, appended: None }
    }
}

impl PartialEq for Proposal {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Proposal {}

impl fmt::Debug for Proposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proposal({} bytes)", self.bytes.len())
    }
}

// openraft requires serde of everything that may be transferred; the log's own encoding is `log_record`.
impl Serialize for Proposal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<u8>::deserialize(deserializer).map(|bytes| Proposal::new(bytes.into()))
    }
}

openraft::declare_raft_types!(
    /// openraft's configuration.
    pub(crate) Types:
        D = Proposal,
        R = (),
        NodeId = MemberId,
        Node = BasicNode,
        Entry = openraft::Entry<Types>,
        SnapshotData = SnapshotStream,
        AsyncRuntime = crate::runtime::Runtime,
        Responder = openraft::impls::OneshotResponder<Types>,
);

pub(crate) type Raft = openraft::Raft<Types>;

pub(crate) fn position_of(log_id: &LogId) -> Position {
    Position { term: log_id.leader_id.term, index: log_id.index }
}
