//! Ordering: the members of a network agree on one order of proposals.
//!
//! The interface is narrow, so that its users do not know how many members there are or how they agree:
//!
//! - on [`Ordering::propose`]: make the proposal durable on a majority of the members, give it a [`Position`], deliver
//!   it, answer with the position;
//! - on delivery ([`CommittedReceiver::recv`]): hand out every committed proposal exactly once in the life of a
//!   process, in order, beginning after what the caller's state already holds;
//! - on [`Ordering::checkpoint_taken`]: drop, for the purposes of agreement, what the caller's checkpoint holds. The
//!   log stays: it is the block archive ([`Ordering::read_proposal`]).
//!
//! It is built on openraft over the node's own [`cbdc_storage::Store`]. One member is the default and agrees with
//! itself, by the same code path as three or five.
//!
//! # Modules
//!
//! | file | idea |
//! |---|---|
//! | [`ordering`](Ordering) | start, propose, state, stop |
//! | [`members`] | the internal service by which several members agree, and their connections |
//! | `elections` | who stands for leadership, and when |
//! | `hearing` | what a member knows from hearing its leader, and says to candidates |
//! | `failure_detector` | whether the leader may have failed |
//! | `hand_over` | the planned hand-over of leadership |
//! | `membership` | admitting and dismissing members |
//! | `leadership` | who leads, to be watched |
//! | [`environment`] | clock, timers and randomness |
//! | `runtime` | the runtime for openraft |
//! | `delivery` | committed proposals to the caller through a bounded channel, replay first |
//! | `log_store` | openraft's log on the store: layout, one sync per proposal, the purge marker |
//! | `log_record` | the bytes of one log entry |
//! | `state_machine` | the state machine for openraft: delivery, and the ledger's checkpoint as its snapshot |
//! | [`snapshot`] | the trait that reads and installs checkpoints, and their stream |
//! | `network` | the network of a member that orders alone |
//! | [`error`] | errors |
//!
//! # Promises
//!
//! 1. A proposal that was acknowledged survives the crash of any minority of members (of one: survives a crash).
//! 2. No member delivers a proposal that is not committed, and no two members deliver different proposals at one
//!    position.
//! 3. When the disk fails, [`Ordering::propose`] fails, the member stops, and [`CommittedReceiver::recv`] says why.
//! 4. Syncs are never fewer than proposals: each proposal is a synced write of its own (`log_store`).
//!
//! # Costs
//!
//! A proposal costs one fsync, one pass of BLAKE3, two copies (record, write-ahead log) and about 0.1 ms of hand-overs
//! between openraft's tasks. Measured through [`Ordering::propose`], one at a time, on two Zen 4 cores (p50): 0.38 ms
//! for 1 KiB, 0.75 ms for 128 KiB, 2.7 ms for 1 MiB on RocksDB; 0.11, 0.21 and 0.95 ms on the store in memory. openraft
//! appends one proposal at a time, so one member's rate of proposals is bounded by its disk's fsync: batch within the
//! proposal. Replay on a restart: 1 GB/s from a warm page cache; a single member leads 5 ms after its start.

#![forbid(unsafe_code)]

pub mod environment;
pub mod error;
pub mod members;
pub mod snapshot;

mod delivery;
mod elections;
mod failure_detector;
mod hand_over;
mod hearing;
#[cfg(test)]
mod in_process;
mod leadership;
mod log_record;
mod log_store;
mod membership;
mod network;
mod ordering;
mod runtime;
mod state_machine;
#[cfg(test)]
mod tests;
mod types;

pub use delivery::{Committed, CommittedReceiver, Delivered};
pub use error::{OrderingError, ProposeError};
pub use hand_over::{HandOverError, HandedOver};
pub use leadership::{Leadership, Role};
pub use membership::{MemberState, MembershipError};
pub use ordering::{ConfirmedLead, Ordering, OrderingConfig, OrderingState, PendingProposal};
pub use types::{MemberId, Position};

/// Whether the member in `store` has taken no part in a network yet: it has not voted, and its log has at most the
/// entry with which it founds one.
///
/// # Errors
/// The store cannot be read.
pub fn is_new(store: &dyn cbdc_storage::Store) -> Result<bool, OrderingError> {
    log_store::is_new(store)
}

/// Removes what a member that [is new](is_new) wrote to found a network, since it joins one instead.
///
/// # Errors
/// The store fails.
pub fn found_nothing(store: &dyn cbdc_storage::Store) -> Result<(), OrderingError> {
    log_store::found_nothing(store)
}

/// The proposal at `index` of the log in `store`, without taking part in ordering: for an audit of a stopped member's
/// data. `None` if there is none.
///
/// # Errors
/// [`OrderingError::DamagedEntry`] naming the index.
pub fn read_logged_proposal(
    store: &dyn cbdc_storage::Store,
    index: u64,
) -> Result<Option<bytes::Bytes>, OrderingError> {
    let Some(record) = store.get(cbdc_storage::Column::Log, &log_record::key(index))? else { return Ok(None) };
    Ok(match log_record::decode(index, &record)?.payload {
        openraft::EntryPayload::Normal(proposal) => Some(proposal.bytes),
        _ => None,
    })
}
