//! Receipts: proof of one command's position and outcome in a signed block.

use cbdc_signatures::PublicKey;

use super::command_leaf::command_leaf;
use super::signed_header::{ProofError, SignedHeader};
use crate::codec::merkle;
use crate::codec::merkle::Hash;
use crate::command::Command;
use crate::types::identity::{MemberId, NetworkId};
use crate::types::outcome::Outcome;

/// Proves one command's position and outcome in a signed block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The block's header with its signatures.
    pub header: SignedHeader,
    /// The command's index in the block.
    pub index: u32,
    /// The command as it was ordered, signature included.
    pub command: Vec<u8>,
    /// The command's outcome.
    pub outcome: Outcome,
    /// The audit path from the command's leaf to the commands root.
    pub path: Vec<Hash>,
}

impl Receipt {
    /// Builds the receipt of the command at `index` from its block's leaves. `None` if there is no such command.
    pub fn build(
        header: SignedHeader,
        leaves: &[Hash],
        index: u32,
        command: Vec<u8>,
        outcome: Outcome,
    ) -> Option<Receipt> {
        let path = merkle::path(leaves, index as usize)?;
        Some(Receipt { header, index, command, outcome, path })
    }

    /// Checks the path and the header's signatures, and returns the command.
    pub fn check(
        &self,
        network: NetworkId,
        required: u16,
        key_of: impl Fn(MemberId) -> Option<PublicKey>,
    ) -> Result<Command, ProofError> {
        let header = &self.header.header;
        let leaf = command_leaf(self.index, &self.command, &self.outcome);
        let root = merkle::root_from_path(leaf, self.index as usize, header.command_count as usize, &self.path);
        if root != Some(header.commands_root) {
            return Err(ProofError::PathElsewhere { height: header.height });
        }
        self.header.check(network, required, key_of)?;
        Ok(Command::from_bytes(&self.command)?)
    }
}
