//! The members among themselves: the internal gRPC service `cbdc.internal.v1.Ordering`, both sides of it.
//!
//! # Who may call
//! Nodes of the central bank. The caller of this crate supplies both ends: [`Channels`] connects to a member, with
//! mutual TLS; [`Admission`] names the member that makes a call, from what the server knows about the connection, or
//! refuses it. A call in the name of another member is refused here.
//!
//! # Calls
//! - **Append**, on one long-lived stream from the leader to each other member. On receiving entries: check the seal of
//!   each, hand them to Raft in the order of the requests, and answer when they are durable here, never before. Entries
//!   travel as the records that lie in the log: encoded once in their life, hashed once by each member.
//!   On receiving a heartbeat: take note that the leader is alive.
//! - **Pre-vote**: say whether the caller should stand ([`crate::hearing`]). Changes nothing.
//! - **Vote**: as Raft has it. A vote for the successor that the leader has named waits for the rest of the lease,
//!   instead of being refused.
//! - **Snapshot**: write the parts to a file as they arrive; when all are there, have the caller's
//!   [`SnapshotSource::verify`](crate::snapshot::SnapshotSource::verify) check it; only then let Raft install it. A
//!   snapshot that breaks off or is refused leaves nothing.
//! - **Hand-over**: take note that the leader's lease ends in favour of its successor, and, being that, stand.
//!
//! Every call has a deadline ([`Deadlines`]); a snapshot has one for each of its parts as well. Whatever breaks, the
//! caller sends again: every call is safe to repeat.
//!
//! # Modules
//! | file | idea |
//! |---|---|
//! | `service` | the called side |
//! | `peers` | the calling side: openraft's network |
//! | `wire` | messages to and from openraft's types |

mod peers;
mod service;
mod wire;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Extensions, Status};

pub(crate) use peers::{CallError, Peers};
pub(crate) use service::Serving;
pub use service::{MembersServer, MembersService};

use crate::environment::{Environment, SystemEnvironment};
use crate::types::MemberId;

/// The largest message between members, bytes: several block proposals, or one of the largest.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Connections to other members.
pub trait Channels: Debug + Send + Sync + 'static {
    /// A channel to `member`, which connects when it is first used and again whenever the connection was lost.
    ///
    /// # Errors
    /// The reason why there can be none: an address that is not one, or a member without a known key.
    fn channel(&self, member: MemberId, address: &str) -> Result<Channel, String>;
}

/// The members that may call.
pub trait Admission: Debug + Send + Sync + 'static {
    /// The member that makes a call, from the request's extensions, where the server puts what it knows about the
    /// connection.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` or `PERMISSION_DENIED`, for whoever is no member that orders.
    fn member(&self, extensions: &Extensions) -> Result<MemberId, Status>;
}

/// The longest times that calls may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// An append, including the other member's fsync.
    pub append: Duration,
    /// A vote, a pre-vote or a hand-over; and opening a stream.
    pub vote: Duration,
    /// A whole snapshot, including its verification.
    pub snapshot: Duration,
    /// From one part of a snapshot to the next.
    pub snapshot_part: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Deadlines {
            append: Duration::from_secs(5),
            vote: Duration::from_millis(500),
            snapshot: Duration::from_secs(3_600),
            snapshot_part: Duration::from_secs(10),
        }
    }
}

/// The times by which members watch their leader.
#[derive(Debug, Clone, Copy)]
pub struct Watching {
    /// The interval between a leader's heartbeats.
    pub heartbeat: Duration,
    /// The shortest and the longest silence of a leader that sets off the alarm; between, it is three times the mean
    /// interval of its heartbeats.
    pub silence: (Duration, Duration),
    /// The longest pause of a member between the alarm and asking whether it should stand.
    pub back_off: Duration,
}

impl Watching {
    /// The longest silence of the majority after which a leader still leads. After that it takes no more proposals and
    /// sends no more heartbeats: by then another member may lead, or should.
    pub(crate) fn unanswered_max(&self) -> Duration {
        self.silence.1 * 2
    }
}

impl Default for Watching {
    fn default() -> Self {
        Watching {
            heartbeat: Duration::from_millis(20),
            silence: (Duration::from_millis(60), Duration::from_millis(500)),
            back_off: Duration::from_millis(30),
        }
    }
}

/// What a member needs to order together with others.
#[derive(Debug, Clone)]
pub struct Members {
    /// Connections to the others.
    pub channels: Arc<dyn Channels>,
    /// Who may call.
    pub admission: Arc<dyn Admission>,
    /// Clock, timers and randomness.
    pub environment: Arc<dyn Environment>,
    /// The folder for a snapshot that is being received; on the disk of the store, so that a large one fits.
    pub snapshot_folder: PathBuf,
    /// The longest times of calls.
    pub deadlines: Deadlines,
    /// The times by which the leader is watched.
    pub watching: Watching,
    /// The longest time until a proposal is answered. What is not answered by then is unknown.
    pub proposal_timeout: Duration,
    /// Breaks the protocol, for tests that show that this is found out.
    #[doc(hidden)]
    pub flaw: Option<Flaw>,
}

/// A fault of the protocol, put in on purpose.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// An append that a member has not answered within this time counts as acknowledged, so that the leader takes for
    /// settled what the quorum does not have.
    AcknowledgesUnanswered(Duration),
    /// A member stands for election without having asked whether it could win.
    SkipsPreVotes,
}

impl Members {
    /// With the machine's clock and the default times.
    pub fn new(channels: Arc<dyn Channels>, admission: Arc<dyn Admission>, snapshot_folder: PathBuf) -> Self {
        Members {
            channels,
            admission,
            environment: Arc::new(SystemEnvironment),
            snapshot_folder,
            deadlines: Deadlines::default(),
            watching: Watching::default(),
            proposal_timeout: Duration::from_secs(5),
            flaw: None,
        }
    }
}
