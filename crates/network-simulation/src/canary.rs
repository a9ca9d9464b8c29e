//! Canaries: faults of the program itself, put in on purpose. A simulation that does not find one is worth nothing.

use clap::ValueEnum;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Canary {
    /// A node of the central bank acknowledges what its disk has not synced.
    AcknowledgesBeforeSync,
    /// The leader acknowledges what no other node has yet.
    AcknowledgesBeforeQuorum,
    /// A node of the central bank stands for election without having asked whether it could win.
    SkipsPreVotes,
    /// A bank says that it has accepted a payment before its outbox is synced.
    AcceptsBeforeSync,
}
