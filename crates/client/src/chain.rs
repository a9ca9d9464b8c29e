//! The chain as a member reads it from the central bank or from a bank's replica, checking it as it is read.
//!
//! A header is accepted if enough of the central bank's nodes signed it; a block, if its commands and outcomes hash to
//! its header's root. It therefore does not matter who served them.

use std::sync::Arc;

use bytes::Bytes;
use cbdc_ledger::block::command_leaves;
use cbdc_ledger::{BlockProposal, Genesis, Height, Outcome, SignedHeader, merkle};
use cbdc_proto::convert;
use cbdc_proto::v1;
use tonic::Streaming;

use crate::anchor::Anchor;
use crate::connection::Connection;
use crate::error::{ClientError, of_status};
use crate::position::BlockPosition;
use crate::receipt::VerifiedReceipt;

/// A block whose header, commands and outcomes agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainBlock {
    /// The header with the signatures of the central bank's nodes.
    pub header: SignedHeader,
    /// The block proposal as it was ordered; [`BlockProposal::decode`] reads it.
    pub proposal: Bytes,
    /// The outcome of each command, in order.
    pub outcomes: Vec<Outcome>,
}

impl ChainBlock {
    /// The block's height.
    pub fn height(&self) -> Height {
        self.header.header.height
    }

    /// The commands, in order: all of them for a block that this crate has checked, none if the proposal cannot be
    /// read.
    pub fn commands(&self) -> Vec<cbdc_ledger::Command> {
        BlockProposal::decode(&self.proposal).map(|proposal| proposal.commands.into_owned()).unwrap_or_default()
    }
}

/// A reader of the chain.
#[derive(Clone, Debug)]
pub struct Chain {
    connection: Connection,
    anchor: Arc<Anchor>,
}

impl Chain {
    /// A reader over a connection that leads to the central bank or a bank and shows a member's node certificate.
    pub fn new(connection: Connection, anchor: Arc<Anchor>) -> Chain {
        Chain { connection, anchor }
    }

    /// The genesis that the node serves.
    ///
    /// # Errors
    /// [`ClientError::OtherNetwork`] if it is not the trusted one.
    pub async fn genesis(&self) -> Result<Genesis, ClientError> {
        let request = self.connection.request(v1::GetGenesisRequest {});
        let answer = self.connection.ask(self.connection.chain().get_genesis(request)).await?;
        let genesis = Genesis::from_bytes(&answer.genesis)?;
        if genesis.network() != self.anchor.network() {
            let (expected, found) = (self.anchor.network().to_string(), genesis.network().to_string());
            return Err(ClientError::OtherNetwork { expected, found });
        }
        Ok(genesis)
    }

    /// A header; the newest one if no height is given.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] before the first block, and above the newest one; [`ClientError::Proof`] if it is not
    /// signed by enough nodes.
    pub async fn header(&self, height: Option<Height>) -> Result<SignedHeader, ClientError> {
        let request = self.connection.request(v1::GetHeaderRequest { height: height.map(|height| height.0) });
        let answer = self.connection.ask(self.connection.chain().get_header(request)).await?;
        let header = convert::header_from_message(&answer).map_err(|status| self.connection.unreadable(status))?;
        self.check_height(height, header.header.height)?;
        self.check_header(&header).await?;
        Ok(header)
    }

    /// Finds out whether the node serves its chain. A central bank that has lost blocks still shows its headers, and
    /// nothing else.
    ///
    /// # Errors
    /// The node's refusal, which names the blocks that it lacks.
    pub async fn check_serves(&self) -> Result<(), ClientError> {
        // Of all calls that are refused then, the one that costs least.
        let above_height = self.anchor.membership().height().0;
        let request = self.connection.request(v1::GetMembershipChangesRequest { above_height });
        self.connection.ask(self.connection.chain().get_membership_changes(request)).await.map(drop)
    }

    /// A whole block.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] above the newest block; [`ClientError::Proof`] or [`ClientError::BadAnswer`] if it
    /// does not verify.
    pub async fn block(&self, height: Height) -> Result<ChainBlock, ClientError> {
        let request = self.connection.request(v1::GetBlockRequest { height: height.0 });
        let answer = self.connection.ask(self.connection.chain().get_block(request)).await?;
        let block = self.checked(answer).await?;
        self.check_height(Some(height), block.height())?;
        Ok(block)
    }

    /// The receipt of the command at a position.
    pub async fn receipt(&self, position: BlockPosition) -> Result<VerifiedReceipt, ClientError> {
        let request =
            self.connection.request(v1::GetReceiptRequest { height: position.height.0, index: position.index });
        let answer = self.connection.ask(self.connection.chain().get_receipt(request)).await?;
        let receipt = convert::receipt_from_message(&answer).map_err(|status| self.connection.unreadable(status))?;
        let check = || VerifiedReceipt::check(receipt.clone(), &self.anchor);
        self.anchor.check(&self.connection, check).await?.expect_position(position)
    }

    /// Streams the blocks from a height on, then each new one as it is sealed. The stream has no deadline: it waits for
    /// blocks.
    pub async fn follow(&self, from: Height) -> Result<Follower, ClientError> {
        let call =
            async { self.connection.chain().follow(v1::FollowRequest { from_height: from.0, testimony: None }).await };
        let blocks = self.connection.ask(call).await?;
        Ok(Follower { chain: self.clone(), blocks, next: from.0.max(1) })
    }

    /// Checks a header's signatures, with keys that replaced those that are known as well.
    async fn check_header(&self, header: &SignedHeader) -> Result<(), ClientError> {
        self.anchor.check(&self.connection, || Ok(self.anchor.check_header(header)?)).await
    }

    async fn checked(&self, message: v1::Block) -> Result<ChainBlock, ClientError> {
        let header = message.header.as_ref().ok_or_else(|| self.connection.bad_answer("the block has no header"))?;
        let header = convert::header_from_message(header).map_err(|status| self.connection.unreadable(status))?;
        let outcomes =
            convert::outcomes_from_bytes(&message.outcomes).map_err(|status| self.connection.unreadable(status))?;
        self.check_header(&header).await?;
        let block = ChainBlock { header, proposal: message.proposal, outcomes };
        check_content(&block).map_err(|reason| self.connection.bad_answer(reason))?;
        Ok(block)
    }

    fn check_height(&self, expected: Option<Height>, found: Height) -> Result<(), ClientError> {
        match expected {
            Some(height) if height != found => {
                Err(self.connection.bad_answer(format!("expected height {height}, found height {found}")))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that commands and outcomes hash to the header's root.
fn check_content(block: &ChainBlock) -> Result<(), String> {
    let header = &block.header.header;
    let proposal =
        BlockProposal::decode(&block.proposal).map_err(|error| format!("block {}: {error}", header.height))?;
    let (commands, outcomes) = (proposal.commands.len(), block.outcomes.len());
    if commands != outcomes || header.command_count as usize != commands {
        let expected = header.command_count;
        return Err(format!(
            "block {} should hold {expected} commands, found {commands} with {outcomes} outcomes",
            header.height
        ));
    }
    let leaves = command_leaves(proposal.encoded_commands().zip(&block.outcomes));
    if merkle::root(&leaves) != header.commands_root || proposal.time != header.time {
        return Err(format!("the content of block {} does not match its header", header.height));
    }
    Ok(())
}

/// A stream of blocks, in order and without a gap.
pub struct Follower {
    chain: Chain,
    blocks: Streaming<v1::Block>,
    next: u64,
}

impl Follower {
    /// The next block; `None` if the node ended the stream.
    ///
    /// # Errors
    /// Like [`Chain::block`]; a height out of order is [`ClientError::BadAnswer`].
    pub async fn next(&mut self) -> Result<Option<ChainBlock>, ClientError> {
        let message =
            self.blocks.message().await.map_err(|status| of_status(self.chain.connection.address(), &status))?;
        let Some(message) = message else { return Ok(None) };
        let block = self.chain.checked(message).await?;
        self.chain.check_height(Some(Height(self.next)), block.height())?;
        self.next += 1;
        Ok(Some(block))
    }
}
