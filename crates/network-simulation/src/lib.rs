//! The whole network on one thread and one clock, from one seed: `cbdc-simulate-network`.
//!
//! The nodes, the banks and the SDK are those of production, from the gRPC services down to the log, with their TLS and
//! signatures. What they take from a machine comes from here:
//!
//! | taken | from |
//! |---|---|
//! | time | each host's paused clock, moved a tick at a time ([`hosts`]); the C library's clock ([`machine`]) |
//! | randomness | the C library's, answered from the seed ([`machine`]) |
//! | threads | tasks on the host's runtime (`cbdc_environment::thread`) |
//! | network | a queue of messages over links that fail ([`links`]) |
//! | disk | a store in memory that loses what was not synced ([`disk`]) |
//!
//! A run ([`run`]) follows its plan ([`plan`]): the network's shape, its clients and its faults ([`faults`]). What
//! happens goes into a trace that two runs of a seed share to the byte ([`trace`]). A run that breaks a promise is
//! shortened ([`shrink`]) and drawn ([`picture`]). Faults of the program itself, put in on purpose ([`canary`]), show
//! that it would be found.

pub mod canary;
mod clients;
pub mod committee;
pub mod disk;
pub mod faults;
mod handshakes;
pub mod hosts;
mod leadership;
mod life;
pub mod links;
mod logging;
pub mod machine;
mod newcomer;
pub mod picture;
pub mod plan;
pub mod processes;
mod quorum;
pub mod run;
pub mod shrink;
pub mod totals;
pub mod trace;
