//! Fair shares: what one member submits does not hold up what others submit.
//!
//! A *source* is a member that submits commands: nearly always a bank. Everything here counts by source and by batch,
//! never by payment.
//!
//! 1. [`capacity`]: how many commands of a source may be in flight. The busier the node, the smaller the part that one
//!    source may take, so that there is always some left for the others. A stream whose batch finds none is not read
//!    on.
//! 2. [`round_robin`]: whose batch is next, for verification and again for sequencing. Each source has the same share;
//!    one that does not use its share lends it. A large batch is verified in slices, so nobody waits for the whole.
//! 3. [`cbdc_node::standing`]: who wastes work. Refused commands draw on an allowance that time and settled commands
//!    refill. A source that has used it up is *slowed*: while others are there, its batches wait until it is refilled,
//!    and only few of its commands may be in flight. A source of bad signatures is verified alone.
//!
//! [`scheduler`] puts 2 and 3 together; [`work_queue`] is that with 1 behind a lock, before verification, and
//! [`crate::verified_queue`] the second round robin, before the sequencer. [`conduct`] tells operators who it was. All
//! but the queues are pure: time is handed in.

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
