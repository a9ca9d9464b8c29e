//! The support of the ledger's tests: a network with deterministic keys, a plain reference model, random histories.

pub mod followers;
pub mod history;
pub mod network;
pub mod reference;
pub mod samples;
