//! Fair shares: commands of one member do not delay those of others.
//!
//! A *source* is a member that submits commands: nearly always a bank. Everything here counts by source and by batch,
//! never by payment.
//!
//! 1. [`capacity`]: how many commands of a source may be in flight. The busier the node, the smaller the part that one
//!    source may take, so that there is always some left for the others. A stream whose batch finds no capacity is not
//!    read.
//! 2. [`round_robin`]: whose batch is next, for verification and again for sequencing. Each source has the same share,
//!    and lends what it does not use. A large batch is verified in slices, so nobody waits for the whole.
//! 3. [`cbdc_node::standing`]: who wastes work. Refused commands draw on an allowance that time and settled commands
//!    refill. A source that has used it up is *slowed*: while others are present, its batches wait until it is
//!    refilled, and only few of its commands may be in flight. A source of bad signatures is verified alone.
//!
//! [`scheduler`] combines 2 and 3; [`work_queue`] adds 1 and a lock, before verification; [`crate::verified_queue`] is
//! the second round robin, before the sequencer. [`conduct`] tells operators which source it was. All but the queues
//! are pure: they are given the time.

pub mod capacity;
pub mod conduct;
pub mod round_robin;
pub mod scheduler;
pub mod work_queue;

#[cfg(test)]
mod tests;

use cbdc_ledger::MemberId;
use cbdc_ledger::member::Role;

/// A member that submits commands.
pub type Source = (Role, MemberId);
