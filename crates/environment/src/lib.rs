//! What a node takes from the machine it runs on, apart from its store: threads, sockets and fine timers.
//!
//! On a machine they are those of the operating system. A simulation of many nodes on one thread installs itself on
//! that thread ([`simulate`]); whatever a node asks for there is the simulation's:
//!
//! | asked for | machine | simulation |
//! |---|---|---|
//! | [`thread`](thread::thread), a loop that would keep a task's worker | a thread | a task |
//! | [`thread::blocking`], one piece of such work | a thread of tokio's pool | a task |
//! | [`network::Listener`], [`network::connect`] | TCP | the simulation's network |
//! | [`timer::until`], finer than tokio's milliseconds | a timer of the kernel | tokio's |
//!
//! Time is tokio's everywhere, which a simulation pauses and moves. It stands in for the C library's clock and
//! randomness, so nothing here hands those out.

#![forbid(unsafe_code)]

pub mod network;
mod simulation;
pub mod thread;
pub mod timer;

pub use simulation::{Simulation, simulate};
