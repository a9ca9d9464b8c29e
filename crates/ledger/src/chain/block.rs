//! A block: an ordered block proposal, the outcome of each of its commands, and a header. The height counts them.

use super::block_proposal::BlockProposal;
use crate::codec::merkle::{self, Hash};
use crate::types::outcome::Outcome;
use crate::types::time::Timestamp;

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

impl Header {
    /// Whether a proposal and outcomes are the content of this block, as far as that shows before they are applied: the
    /// commands root and the time. `parent_time` is the time of the block before.
    pub fn describes(&self, proposal: &BlockProposal<'_>, outcomes: &[Outcome], parent_time: Timestamp) -> bool {
        proposal.commands.len() == outcomes.len()
            && proposal.time.max(parent_time) == self.time
            && merkle::root(&command_leaves(proposal.encoded_commands().zip(outcomes))) == self.commands_root
    }
}
