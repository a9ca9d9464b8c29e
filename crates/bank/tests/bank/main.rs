//! A bank's node against a central bank's, both in this process: what customers, other nodes and operators see.

mod answers;
mod audit;
mod callers;
mod customers;
mod damaged_checkpoints;
mod folders;
mod leader;
mod lost_blocks;
mod network;
mod older_deposits;
mod replicas;
mod running;
mod strangers;
mod trust;
