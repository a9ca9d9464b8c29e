//! The committee's governance proposals: which are open, their votes, and when they fall due.

pub mod proposal;
pub mod vote;

pub use proposal::{GovernanceProposals, ProposalRecord, ProposalStatus};
pub use vote::Ballots;
