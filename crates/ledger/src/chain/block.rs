//! A block: an ordered block proposal, the outcome of each of its commands, and a header. The height counts them.

use crate::codec::merkle::Hash;
use crate::types::outcome::Outcome;

pub use super::command_leaf::{command_leaf, command_leaves};
pub use super::receipt::Receipt;
pub use super::signed_header::{ProofError, SignedHeader};
pub use crate::state::header::{HEADER_BYTES, Header, SupplyTerms};
pub use crate::transition::changes::{Changes, DepositDirection, DepositMovement, KeyChange, Work};
pub use crate::transition::entry::{Cause, Entry, entries_of, ordinal_of};

/// The result of applying a block proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The outcome of each command, in order.
    pub outcomes: Vec<Outcome>,
    /// The leaf hash of each command, for receipts.
    pub leaves: Vec<Hash>,
    /// The leaf hash of each bank's changed accounts, in bank order, for filtered blocks.
    pub effect_leaves: Vec<Hash>,
    /// The block's other changes.
    pub changes: Changes,
}
