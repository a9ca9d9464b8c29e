//! The central bank's node: it takes commands in, verifies their signatures, orders and settles them, publishes the
//! chain, and serves policy.
//!
//! # The path of a command
//! 1. [`service`] receives a batch from a member and [`intake`] admits it: well-formed, from a member who may submit
//!    it, within its sender's share of the capacity ([`shares`]). Beyond that the batch waits, and its stream with it.
//! 2. [`verification`] checks the signatures of several batches together, a slice of each sender's in turn, on its own
//!    threads.
//! 3. [`sequencer`] cuts a block proposal every few milliseconds or every few thousand commands, stamps its time
//!    ([`clock`]) and passes it to ordering, without waiting for earlier ones.
//! 4. Ordering makes the block proposal durable on a majority.
//! 5. [`settlement`] applies block proposals in order on one thread, seals and signs the blocks, writes them to the
//!    archive, and answers. A command that was ordered before is answered with its first outcome ([`reply_cache`],
//!    [`repetition`]).
//!
//! An answer is given only after 4 and 5, so whatever was answered survives any crash. A [`batch`] stays whole all the
//! way: nothing is looked up, locked or allocated per command to route an answer back.

#![forbid(unsafe_code)]

pub mod batch;
pub mod clock;
pub mod config;
mod configured;
pub mod intake;
pub mod issuance_queue;
pub mod leading;
pub mod metrics;
pub mod node;
pub mod publication;
pub mod recovery;
pub mod rejections;
pub mod repetition;
pub mod replicas;
pub mod reply_cache;
pub mod sequencer;
pub mod service;
pub mod settlement;
pub mod shares;
pub mod verification;
pub mod verified_queue;
pub mod witnesses;

pub use config::Config;
pub use node::{Environment, Node, NodeError, StartError, adopt_data_folder, prepare_data_folder, start, start_on};
