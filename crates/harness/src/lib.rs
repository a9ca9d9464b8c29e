//! The load harness: real networks under a chosen load, measured from the moment each payment was due.
//!
//! Modules, from low to high:
//! - [`scenario`]: a run's description, read from a TOML file and checked to the line and column;
//! - [`workload`]: a scenario's payments in order of their due times, the same for the same seed;
//! - [`measure`]: clocks and counters: latency, outcomes by the second, machine, CPU time;
//! - [`result`]: the result of a run, with stable keys (`summary.json`, `cbdc bench --json`);
//! - [`report`]: the same for people: a terminal summary and one self-contained HTML page.
//! - [`history`]: what clients were answered, and the checker that compares it with the chain.
//!
//! None of these touches a network. [`run`] does: it takes a scenario from the start of its network (`cbdc-devnet`) to
//! its result. [`faults`] disturbs a network while clients note everything they are answered. Independent of both is
//! [`settlement_core`]: ordering, fsync and the ledger alone, without signatures and network.

#![forbid(unsafe_code)]

pub mod faults;
pub mod history;
pub mod measure;
pub mod report;
pub mod result;
pub mod run;
pub mod scenario;
pub mod settlement_core;
pub mod workload;
