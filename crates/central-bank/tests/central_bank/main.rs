//! The central bank's node in this process: who may do what, what it tells, and what it starts from.

mod authority;
mod chain;
mod policy;
mod received_checkpoints;
mod replaced_keys;
mod replicas;
mod robustness;
mod running;
mod start_up;
