//! The support of the ledger's tests: a network with deterministic keys, a plain reference model, random histories.

// Each test file is a crate of its own and uses a part of this folder.
#![allow(dead_code)]

pub mod followers;
pub mod history;
pub mod network;
pub mod reference;
pub mod samples;
