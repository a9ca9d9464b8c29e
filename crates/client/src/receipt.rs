//! Verified receipts, in memory and as files.
//!
//! A receipt proves the position and outcome of one command in a block that the central bank signed. It needs no
//! server: saved as bytes (the message `cbdc.v1.Receipt`), it can be checked years later against genesis alone.

use std::path::Path;

use bytes::Bytes;
use cbdc_ledger::command::Signer;
use cbdc_ledger::{AccountId, Command, MemberId, Outcome, Receipt, Timestamp};
use cbdc_proto::convert::{receipt_from_message, receipt_to_message};
use cbdc_proto::v1;
use prost::Message;

use crate::anchor::Anchor;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::position::BlockPosition;

/// A receipt whose path and signatures were verified. Only [`VerifiedReceipt::check`] makes one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedReceipt {
    receipt: Receipt,
    command: Command,
}

impl VerifiedReceipt {
    /// Checks a receipt: its path, its header's signatures and its command.
    ///
    /// # Errors
    /// [`ClientError::Proof`] if any of them does not verify under the keys in genesis.
    pub fn check(receipt: Receipt, anchor: &Anchor) -> Result<VerifiedReceipt, ClientError> {
        let command = anchor.check_proof(&receipt)?;
        Ok(VerifiedReceipt { receipt, command })
    }

    /// Reads the bytes of a saved receipt and checks it.
    ///
    /// # Errors
    /// [`ClientError::Usage`] if they are not a receipt, [`ClientError::Proof`] if it does not verify.
    pub fn from_bytes(bytes: &[u8], anchor: &Anchor) -> Result<VerifiedReceipt, ClientError> {
        let message =
            v1::Receipt::decode(bytes).map_err(|error| ClientError::Usage(format!("this is no receipt: {error}")))?;
        let receipt = receipt_from_message(&message)
            .map_err(|status| ClientError::Usage(format!("this is no receipt: {}", status.message())))?;
        VerifiedReceipt::check(receipt, anchor)
    }

    /// Reads a saved receipt from a file and checks it.
    ///
    /// # Errors
    /// [`ClientError::File`] if it cannot be read; otherwise as [`VerifiedReceipt::from_bytes`].
    pub fn load(path: &Path, anchor: &Anchor) -> Result<VerifiedReceipt, ClientError> {
        let bytes = cbdc_proto::bounded_file::read(path)
            .map_err(|error| ClientError::File { path: path.to_owned(), reason: error.to_string() })?;
        VerifiedReceipt::from_bytes(&bytes, anchor)
    }

    /// Fetches the receipt of the command at a position from a bank, by the command's hash: whoever has both needs
    /// neither a certificate nor a session.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such command there; [`ClientError::Proof`] and
    /// [`ClientError::OtherReceipt`] if the answer does not prove it.
    pub async fn fetch(
        bank: &Connection,
        anchor: &Anchor,
        position: BlockPosition,
        command_hash: [u8; 32],
    ) -> Result<VerifiedReceipt, ClientError> {
        use v1::get_bank_receipt_request::{BlockPosition, Command};
        let wanted = BlockPosition { height: position.height.0, index: position.index };
        let command_hash = Bytes::copy_from_slice(&command_hash);
        let request =
            v1::GetBankReceiptRequest { command: Some(Command::Position(wanted)), command_hash: command_hash.clone() };
        let message = bank.ask(bank.bank().get_receipt(bank.request(request))).await?;
        let receipt = receipt_from_message(&message).map_err(|status| bank.unreadable(status))?;
        let check = || VerifiedReceipt::check(receipt.clone(), anchor);
        let receipt = anchor.check(bank, check).await?.expect_position(position)?;
        if receipt.command_hash() == command_hash[..] {
            return Ok(receipt);
        }
        let [expected, found] = [&command_hash[..], &receipt.command_hash()].map(cbdc_ledger::encoding::hex);
        Err(ClientError::OtherReceipt {
            expected: format!("the command with the hash {expected}"),
            found: format!("the one with {found}"),
        })
    }

    /// BLAKE3 of the command as it was ordered, signature included. With the position it lets anybody fetch the
    /// receipt.
    pub fn command_hash(&self) -> [u8; 32] {
        blake3::hash(&self.receipt.command).into()
    }

    /// The bytes to save: the message `cbdc.v1.Receipt`.
    pub fn to_bytes(&self) -> Vec<u8> {
        receipt_to_message(&self.receipt).encode_to_vec()
    }

    /// The receipt itself.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The command that it proves, with its signature.
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// The command's outcome.
    pub fn outcome(&self) -> Outcome {
        self.receipt.outcome
    }

    /// The command's position in the chain.
    pub fn position(&self) -> BlockPosition {
        BlockPosition { height: self.receipt.header.header.height, index: self.receipt.index }
    }

    /// The block's time.
    pub fn time(&self) -> Timestamp {
        self.receipt.header.header.time
    }

    /// The version of policy under which the command was settled or refused: the one in its block's header. Governance
    /// proposals are enacted before the first command of a block.
    pub fn policy_version(&self) -> u32 {
        self.receipt.header.header.policy_version
    }

    /// The central bank's nodes that signed the block's header.
    pub fn signers(&self) -> Vec<MemberId> {
        self.receipt.header.signatures.iter().map(|(node, _)| *node).collect()
    }

    /// Checks that this is the receipt asked for: a sound receipt of another command proves nothing.
    pub(crate) fn expect_position(self, position: BlockPosition) -> Result<VerifiedReceipt, ClientError> {
        if self.position() == position {
            return Ok(self);
        }
        Err(ClientError::OtherReceipt {
            expected: format!("command {position}"),
            found: format!("command {}", self.position()),
        })
    }

    /// Like [`VerifiedReceipt::expect_position`], by the holder's account and the sequence number.
    pub(crate) fn expect_sequence(self, account: AccountId, sequence: u64) -> Result<VerifiedReceipt, ClientError> {
        // A topped-up payment is part of its bank's command, which has its own signer and sequence number.
        let found = match &self.command {
            Command::ReverseWaterfall(order) => {
                let transfer = &order.record.transfer.record;
                (transfer.signer(), transfer.head.sequence)
            }
            command => (command.signer(), command.head().sequence),
        };
        if found == (Signer::Holder(account), sequence) {
            return Ok(self);
        }
        let expected = format!("sequence number {sequence} of account {account}");
        let found = format!("sequence number {} of {:?}", self.command.head().sequence, self.command.signer());
        Err(ClientError::OtherReceipt { expected, found })
    }
}
