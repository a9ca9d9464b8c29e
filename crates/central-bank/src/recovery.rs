//! Recovery of blocks that this node has lost, from a bank that keeps whole blocks.
//!
//! An operator names the bank. Before the node serves, each block above its own chain is fetched, checked (its parent
//! is this node's newest block, enough nodes of the central bank signed its header, its block proposal and outcomes are
//! those that the header describes), ordered again with the same block proposal, and settled. The block that comes out
//! must be the one that was fetched, to the byte; it keeps the signatures that it was sealed with, since this node's
//! key may have been replaced above its chain. A node stopped in the middle resumes where it was.

use std::sync::Arc;

use cbdc_ledger::block::ProofError;
use cbdc_ledger::member::Role;
use cbdc_ledger::{BlockProposal, Height, Ledger, SignedHeader};
use cbdc_node::archive::decode_outcomes;
use cbdc_node::{LedgerHandle, RoleKeys};
use cbdc_ordering::{Ordering, Position, ProposeError};
use cbdc_proto::convert::{header_from_message, required};
use cbdc_proto::transport::{MESSAGE_BYTES_MAX, NodeIdentity, ServerTrust, connect};
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;
use tokio::sync::watch;
use tonic::Status;

/// The interval between two lines of progress in the log, in blocks.
const LINE_EVERY: u64 = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("cannot recover from the bank at {address}: {reason}")]
    Peer { address: String, reason: String },
    #[error("cannot recover from the bank at {address}: its chain ends at block {theirs}, and this node's at {own}")]
    NothingThere { address: String, theirs: Height, own: Height },
    #[error(
        "cannot recover from the bank at {address}: its block {height} does not continue this node's chain. Start on \
         an empty folder with --new, or on an older copy, to take the bank's chain over"
    )]
    OtherChain { address: String, height: Height },
    #[error("cannot recover from the bank at {address}: block {height}: {reason}")]
    Bad { address: String, height: Height, reason: String },
    #[error("block {height} came out other than the bank at {address} has it; restore the data folder from a backup")]
    Diverged { address: String, height: Height },
    #[error("the node stopped while it recovered block {height}: {reason}")]
    Stopped { height: Height, reason: String },
}

/// The parts of the node that recovery uses.
pub(crate) struct Recovery<'a> {
    pub address: &'a str,
    pub identity: &'a NodeIdentity,
    pub ledger: &'a LedgerHandle,
    pub ordering: &'a Ordering,
    pub applied: watch::Receiver<Option<Position>>,
    /// Tells settlement the block that comes next; none once all are recovered.
    pub recovered: watch::Sender<Option<SignedHeader>>,
}

impl Recovery<'_> {
    /// Recovers the bank's blocks above this node's chain.
    pub async fn run(mut self) -> Result<(), RecoveryError> {
        let mut client = self.connect()?;
        let peer = |status: Status| RecoveryError::Peer {
            address: self.address.to_owned(),
            reason: format!("{:?}: {}", status.code(), status.message()),
        };
        let newest = client.get_header(v1::GetHeaderRequest { height: None }).await.map_err(peer)?.into_inner();
        let (own, theirs) = (self.height(), header_from_message(&newest).map_err(peer)?.header.height);
        if theirs <= own {
            let address = self.address.to_owned();
            return Err(RecoveryError::NothingThere { address, theirs, own });
        }
        tracing::warn!(
            target: "security", address = self.address, from = %own.next(), to = %theirs,
            "recovering blocks from a bank"
        );
        let request = v1::FollowRequest { from_height: own.next().0, testimony: None };
        let mut blocks = client.follow(request).await.map_err(peer)?.into_inner();
        while self.height() < theirs {
            let ended = || Status::unavailable("it ended the stream");
            let block = blocks.message().await.map_err(peer)?.ok_or_else(|| peer(ended()))?;
            self.take(block).await?;
            let height = self.height();
            if height.0.is_multiple_of(LINE_EVERY) {
                tracing::info!(%height, to = %theirs, "recovering");
            }
        }
        self.recovered.send_replace(None);
        tracing::warn!(
            target: "security", address = self.address, from = %own.next(), to = %theirs,
            "recovered blocks from a bank"
        );
        Ok(())
    }

    fn connect(&self) -> Result<ChainClient<tonic::transport::Channel>, RecoveryError> {
        // The bank's key may have been replaced above this node's chain.
        let keys = Arc::new(RoleKeys::new(self.ledger.clone(), Role::Bank, None));
        let channel = connect(self.address, Some(self.identity), &ServerTrust::Followed(keys));
        let channel = channel
            .map_err(|error| RecoveryError::Peer { address: self.address.to_owned(), reason: error.to_string() })?;
        Ok(ChainClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    fn height(&self) -> Height {
        self.ledger.read(Ledger::height)
    }

    /// Checks a block, orders its block proposal and waits until it is settled.
    async fn take(&mut self, block: v1::Block) -> Result<(), RecoveryError> {
        let height = self.height().next();
        let address = self.address.to_owned();
        let header = self.check(&block, height)?;
        self.recovered.send_replace(Some(header.clone()));
        let stopped = |reason: String| RecoveryError::Stopped { height, reason };
        let position =
            self.ordering.propose(block.proposal).await.map_err(|error: ProposeError| stopped(error.to_string()))?;
        let settled = self.applied.wait_for(|applied| applied.is_some_and(|applied| applied.index >= position.index));
        settled.await.map_err(|_| stopped("settlement ended; see the log".to_owned()))?;
        let is_same = self.ledger.read(|ledger| *ledger.tip() == header.header);
        if is_same { Ok(()) } else { Err(RecoveryError::Diverged { address, height }) }
    }

    fn check(&self, block: &v1::Block, height: Height) -> Result<SignedHeader, RecoveryError> {
        let bad = |reason: String| RecoveryError::Bad { address: self.address.to_owned(), height, reason };
        let header = required("header", block.header.as_ref()).and_then(header_from_message);
        let header = header.map_err(|status| bad(status.message().to_owned()))?;
        if header.header.height != height {
            return Err(bad(format!("expected this block, found block {}", header.header.height)));
        }
        let (parent, parent_time) = self.ledger.read(|ledger| (ledger.tip_hash(), ledger.tip().time));
        if header.header.parent != parent {
            return Err(RecoveryError::OtherChain { address: self.address.to_owned(), height });
        }
        let signed: Result<(), ProofError> = self.ledger.read(|ledger| {
            let members = ledger.members();
            header.check_by_members(ledger.network(), members.header_signatures(), members)
        });
        signed.map_err(|error| bad(error.to_string()))?;
        let proposal = BlockProposal::decode(&block.proposal).map_err(|error| bad(error.to_string()))?;
        let outcomes = decode_outcomes(&block.outcomes).map_err(|error| bad(error.to_string()))?;
        if !header.header.describes(&proposal, &outcomes, parent_time) {
            return Err(bad("its proposal or outcomes are not those that its header describes".to_owned()));
        }
        Ok(header)
    }
}
