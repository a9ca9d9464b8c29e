//! The committee's proposals: what is under vote, how the votes stand, and when a proposal falls due.

pub mod proposal;
pub mod vote;

pub use proposal::{GovernanceProposals, ProposalRecord, ProposalStatus};
pub use vote::Ballots;
