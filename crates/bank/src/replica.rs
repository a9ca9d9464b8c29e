//! The replica: the bank's own ledger, which one thread keeps up with the chain.
//!
//! # On receiving a block
//! 1. A block that the replica already has is skipped; one that leaves a gap is refused.
//! 2. Its parent must be the replica's tip, and enough nodes of the central bank must have signed its header.
//! 3. For a block from a peer, or if the bank is set to verify blocks, block proposal and outcomes must lead to the
//!    header's commands root, and every signature is verified. (For blocks from the central bank itself, whose node key
//!    the connection proved, its own verdict on signatures is enough: crash faults, not lies.)
//! 4. The block proposal is applied. Header and outcomes must equal those of the block, to the byte.
//! 5. Header, outcomes, block proposal, history, deposit entries and outbox releases are written in one batch. It needs
//!    no fsync: after a crash the block is fetched and applied again. Its height is the cursor for all of them.
//! 6. The block is announced, and at intervals a checkpoint is written in the background.
//!
//! A partial replica follows filtered blocks instead: [`crate::partial_replica`].
//!
//! A failure before 4 leaves the replica unchanged; a peer that sent the block is dropped. A block of the central bank
//! that fails anywhere, or that its own signed header does not describe, stops the node, naming the height.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cbdc_ledger::block::{Changes, ProofError};
use cbdc_ledger::block_proposal::PROPOSAL_HEAD_BYTES;
use cbdc_ledger::command::Record;
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::encoding::DecodeError;
use cbdc_ledger::filtered_block::FilteredBlockError;
use cbdc_ledger::membership_change::MembershipChange;
use cbdc_ledger::prefetch::PREFETCH_BATCH;
use cbdc_ledger::verification::VerificationError;
use cbdc_ledger::{
    BankId, Block, BlockProposal, Command, Genesis, Header, Height, Ledger, SignedHeader, VerifiedProposal,
};
use cbdc_node::archive::{ProposalsByHeight, decode_outcomes};
use cbdc_node::recent_blocks::RecentBlocks;
use cbdc_node::{Archive, ArchiveError, Checkpoints, LedgerHandle, Membership, audit, recovery};
use cbdc_proto::convert::{header_from_message, required};
use cbdc_proto::v1;
use cbdc_signatures::BatchSeed;
use cbdc_storage::{LogPosition, Store, WriteBatch};
use rand::rngs::SysRng;
use tokio::sync::{mpsc, oneshot};

use crate::deposit_service::{DepositService, DepositServiceError, Effect, arrivals_of, effects_of};
use crate::deposits::OrderedOutcome;
use crate::history::{History, HistoryUpdate};
use crate::last_alive::went_through;
use crate::metrics::Metrics;

/// The reason why a block was not applied.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    #[error("block {height} cannot be read: {reason}")]
    Unreadable { height: Height, reason: String },
    #[error("expected block {expected}, found block {found}")]
    OutOfOrder { expected: Height, found: Height },
    #[error("block {height} does not continue this chain: its parent is another block")]
    OtherParent { height: Height },
    #[error(transparent)]
    Header(#[from] ProofError),
    #[error("the block proposal or the outcomes of block {height} are not those that its signed header describes")]
    OtherContent { height: Height },
    #[error("block {height} has a command that nobody signed: {error}")]
    Signature { height: Height, error: VerificationError },
    #[error(
        "block {height}, applied here, is not the one that the central bank signed: {what}; audit the chain before \
        this node is started again"
    )]
    Diverged { height: Height, what: String },
    #[error("block {height} cannot be followed: {error}")]
    FilteredBlock { height: Height, error: FilteredBlockError },
    #[error("block {height} cannot be booked: {error}")]
    Books { height: Height, error: DepositServiceError },
}

impl BlockError {
    /// Whether the node must stop, whoever sent the block.
    fn is_fatal(&self) -> bool {
        matches!(self, BlockError::Diverged { .. } | BlockError::Books { .. })
    }
}

/// The reason why the node cannot continue from its own archive.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(
        "block {height} is missing from this node's archive, which ends at {newest}; restore its data folder from a \
        backup, or remove it to fetch the chain anew"
    )]
    Missing { height: Height, newest: Height },
    #[error("block {height} of this node's archive cannot be read: {error}")]
    Unreadable { height: Height, error: DecodeError },
    #[error(
        "block {height} of this node's archive does not verify: applied again, it gives another header or other \
        outcomes than were stored; restore this node's data folder"
    )]
    Diverged { height: Height },
    #[error("block {height} of this node's archive does not verify: {what}; restore this node's data folder")]
    FilteredBlock { height: Height, what: String },
}

/// The source of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockSource {
    CentralBank,
    Peer,
}

/// A block on its way to the replica thread.
pub enum Delivery {
    Block {
        block: v1::Block,
        source: BlockSource,
        /// Receives the verdict on a peer's block.
        verdict: Option<oneshot::Sender<Result<(), BlockError>>>,
    },
    /// Consecutive filtered blocks, from the central bank, for a partial replica.
    FilteredBlocks(Vec<v1::FilteredBlock>),
}

/// Applies the archive's blocks above the ledger's height, checking each against what was stored. Returns the number of
/// commands.
pub fn replay(ledger: &mut Ledger, archive: &Archive) -> Result<u64, ReplayError> {
    replay_each(ledger, archive, |ledger, height, newest| {
        let parts = archive.block(height)?.ok_or(ReplayError::Missing { height, newest })?;
        let unreadable = |error| ReplayError::Unreadable { height, error };
        let proposal = VerifiedProposal::from_own_log(&parts.proposal).map_err(unreadable)?;
        let block = ledger.apply(&proposal);
        let outcomes = decode_outcomes(&parts.outcomes).map_err(unreadable)?;
        if block.header != parts.header.header || block.outcomes != outcomes {
            return Err(ReplayError::Diverged { height });
        }
        Ok(outcomes.len())
    })
}

/// Takes the ledger up to the archive's newest block and returns the number of commands. `one` applies the block at the
/// first of two heights and returns its number; the second is the newest.
pub(crate) fn replay_each(
    ledger: &mut Ledger,
    archive: &Archive,
    one: impl Fn(&mut Ledger, Height, Height) -> Result<usize, ReplayError>,
) -> Result<u64, ReplayError> {
    let newest = archive.newest()?.unwrap_or_default();
    if ledger.height() > newest {
        return Err(ReplayError::Missing { height: ledger.height(), newest });
    }
    let from = ledger.height();
    if from.0 > 0 && archive.header(from)?.is_none_or(|(stored, _)| stored.header != *ledger.tip()) {
        return Err(ReplayError::Diverged { height: from });
    }
    let started = Instant::now();
    let mut commands = 0;
    while ledger.height() < newest {
        let height = ledger.height().next();
        commands += one(ledger, height, newest)? as u64;
    }
    if newest > from {
        tracing::info!(%from, to = %newest, elapsed_ms = started.elapsed().as_millis() as u64, "replayed the archive");
    }
    Ok(commands)
}

/// The replica thread.
pub struct Replica {
    pub bank: BankId,
    pub genesis: Arc<Genesis>,
    pub ledger: LedgerHandle,
    pub store: Arc<dyn Store>,
    pub recent: RecentBlocks,
    pub membership: Membership,
    /// Present if signatures are verified here.
    pub directory: Option<Arc<KeyDirectory>>,
    pub deposits: Arc<DepositService>,
    pub history: Arc<History>,
    pub metrics: Arc<Metrics>,
    pub verify_blocks: bool,
    pub checkpoints: Checkpoints,
    /// Signs checkpoints.
    pub signer: recovery::CheckpointSigner,
}

impl Replica {
    /// Follows the deliveries until all senders are gone.
    ///
    /// # Errors
    /// The node must stop: a block of the central bank does not verify, or cannot be booked.
    pub async fn run(mut self, mut deliveries: mpsc::Receiver<Delivery>) -> Result<(), BlockError> {
        while let Some(delivery) = deliveries.recv().await {
            let (followed, verdict) = match delivery {
                Delivery::Block { block, source, verdict } => (self.follow(block, source), verdict),
                Delivery::FilteredBlocks(filtered_blocks) => (self.follow_filtered_blocks(&filtered_blocks), None),
            };
            match (followed, verdict) {
                (Err(error), _) if error.is_fatal() => return Err(error),
                (Err(error), None) => return Err(error),
                (followed, Some(verdict)) => drop(verdict.send(followed)),
                (Ok(()), None) => {}
            }
        }
        Ok(())
    }

    fn follow(&mut self, message: v1::Block, source: BlockSource) -> Result<(), BlockError> {
        let started = Instant::now();
        let Some(header) = self.next_headers([message.header.as_ref()])?.pop() else { return Ok(()) };
        let (height, network) = (header.header.height, self.genesis.network());
        self.ledger.read(|ledger| {
            let members = ledger.members();
            header.check_by_members(network, members.header_signatures(), members)
        })?;
        let tip = self.ledger.read(|ledger| *ledger.tip());
        let unreadable = |reason: String| BlockError::Unreadable { height, reason };

        let outcomes = decode_outcomes(&message.outcomes).map_err(|error| unreadable(error.to_string()))?;
        let verified = match &self.directory {
            Some(directory) if source == BlockSource::Peer || self.verify_blocks => {
                let seed = BatchSeed::draw(&mut SysRng);
                let verified = VerifiedProposal::check(&message.proposal, &outcomes, network, directory, seed)
                    .map_err(|error| BlockError::Signature { height, error })?;
                if !header.header.describes(verified.proposal(), &outcomes, tip.time) {
                    return Err(BlockError::OtherContent { height });
                }
                verified
            }
            _ => VerifiedProposal::from_own_log(&message.proposal).map_err(|error| unreadable(error.to_string()))?,
        };

        let block = self.apply(&verified);
        if block.header != header.header {
            let sections = self.ledger.read(|ledger| *ledger.sections());
            let found = (&header.header, &message.sections[..]);
            let what = audit::difference((&block.header, &sections), found, network);
            return Err(BlockError::Diverged { height, what });
        }
        if block.outcomes != outcomes {
            return Err(BlockError::Diverged { height, what: "its outcomes differ".to_owned() });
        }
        self.book(&header, &message.proposal, verified.proposal(), &block)
            .map_err(|error| BlockError::Books { height, error })?;
        self.recent.push(height, message);
        self.ledger.announce(height);
        self.metrics.block_applied(height, started.elapsed());
        self.checkpoints.note(height, outcomes.len());
        self.checkpoint(&header.header);
        Ok(())
    }

    /// The headers of the next blocks, which continue this chain, with their signatures still to be checked; leading
    /// ones that the replica already has are left out.
    pub(crate) fn next_headers<'m>(
        &self,
        messages: impl IntoIterator<Item = Option<&'m v1::SignedHeader>>,
    ) -> Result<Vec<SignedHeader>, BlockError> {
        let (mut height, mut hash) = self.ledger.read(|ledger| (ledger.height(), ledger.tip_hash()));
        let mut headers = Vec::new();
        for message in messages {
            let expected = height.next();
            let header = required("header", message).and_then(header_from_message);
            let unreadable = |status: tonic::Status| BlockError::Unreadable {
                height: expected,
                reason: status.message().to_owned(),
            };
            let header = header.map_err(unreadable)?;
            let found = header.header.height;
            if found <= height && headers.is_empty() {
                continue;
            }
            if found != expected {
                return Err(BlockError::OutOfOrder { expected, found });
            }
            if header.header.parent != hash {
                return Err(BlockError::OtherParent { height: found });
            }
            (height, hash) = (found, header.header.hash());
            headers.push(header);
        }
        Ok(headers)
    }

    /// Checks that enough nodes of the central bank signed each header, by the present members.
    pub(crate) fn check_signatures(&self, headers: &[SignedHeader]) -> Vec<Result<(), ProofError>> {
        let (network, seed) = (self.genesis.network(), BatchSeed::draw(&mut SysRng));
        self.ledger.read(|ledger| {
            let members = ledger.members();
            SignedHeader::check_each_by_members(headers, network, members.header_signatures(), members, seed)
        })
    }

    fn apply(&self, verified: &VerifiedProposal<'_>) -> Block {
        self.ledger.apply(verified, |ledger, block| {
            self.follow_changes(ledger, &block.changes);
            block
        })
    }

    /// Applies a block's changes of keys and members.
    pub(crate) fn follow_changes(&self, ledger: &Ledger, changes: &Changes) {
        if let Some(directory) = &self.directory {
            directory.follow(ledger, changes);
        }
        if changes.members {
            self.membership.follow(ledger);
        }
    }

    /// Writes the block and everything that it drives.
    fn book(
        &self,
        header: &SignedHeader,
        bytes: &Bytes,
        proposal: &BlockProposal<'_>,
        block: &Block,
    ) -> Result<(), DepositServiceError> {
        let height = block.header.height;
        let mut batch = WriteBatch::new();
        Archive::put(&mut batch, header, height.0, &block.outcomes);
        ProposalsByHeight::put(&mut batch, height, bytes);
        self.put_membership_change(&mut batch, header, &block.changes);
        let mut history = self.history.update();
        history.begin(height, block.outcomes.len(), &block.changes.entries);
        let effects = self.effects(&mut history, bytes, proposal, block);
        history.put(&mut batch);
        self.deposits.follow_block(batch, &effects, (height, block.header.time))
    }

    /// Adds the proof of a membership change that the ledger's newest block made.
    pub(crate) fn put_membership_change(&self, batch: &mut WriteBatch, header: &SignedHeader, changes: &Changes) {
        if changes.members {
            let change = self.ledger.read(|ledger| MembershipChange::of(header.clone(), ledger));
            change.iter().for_each(|change| Archive::put_membership_change(batch, change));
        }
    }

    /// The block's effects on this bank's customers: lines of their history, and the rest.
    fn effects(
        &self,
        history: &mut HistoryUpdate<'_>,
        bytes: &Bytes,
        proposal: &BlockProposal<'_>,
        block: &Block,
    ) -> Vec<Effect> {
        let height = block.header.height;
        let watches_holders = self.deposits.watches_holders();
        let mut effects = Vec::new();
        let went_through = || proposal.commands.iter().any(|command| went_through(self.bank, command));
        effects.extend(self.sign_of_life(&block.header, went_through));
        let mut offset = PROPOSAL_HEAD_BYTES;
        for (at, (command, outcome)) in proposal.commands.iter().zip(&block.outcomes).enumerate() {
            if at.is_multiple_of(PREFETCH_BATCH) {
                history.prefetch(proposal.commands[at..].iter().take(PREFETCH_BATCH));
            }
            let (index, from) = (at as u32, offset);
            let length = proposal.command_bytes(at).map_or(0, <[u8]>::len);
            offset += length;
            history.add(command, index, from as u32, outcome);
            if moves_nothing_here(command) && !watches_holders {
                continue;
            }
            let ordered = OrderedOutcome { height, index, outcome: *outcome };
            effects_of(self.bank, command, || bytes.slice(from..from + length), ordered, watches_holders, &mut effects);
        }
        arrivals_of(self.bank, &block.changes.deposits, &mut effects);
        effects
    }

    /// The effect of a block that shows that this bank has run elsewhere; `went_through` says whether the block has a
    /// command that went through this bank.
    pub(crate) fn sign_of_life(&self, header: &Header, went_through: impl FnOnce() -> bool) -> Option<Effect> {
        let is_searched = self.deposits.searches_for_life(header.time);
        let asks_whether_it_ran = self.deposits.asks_whether_it_ran(header.time);
        if !(is_searched || asks_whether_it_ran) || !went_through() {
            return None;
        }
        if asks_whether_it_ran {
            self.deposits.ran_before();
        }
        is_searched.then_some(Effect::RanElsewhere { height: header.height })
    }

    /// Starts a checkpoint if one is due with the block of a header.
    pub(crate) fn checkpoint(&mut self, header: &Header) {
        if !self.checkpoints.is_due_at(header, || self.ledger.read(Ledger::wallet_count)) {
            return;
        }
        let height = header.height;
        let (ledger, newest) = (self.ledger.snapshot(), self.history.snapshot());
        let (store, signer) = (self.store.clone(), self.signer.clone());
        self.checkpoints.begin(async move {
            let written = recovery::write(&store, &ledger, LogPosition { term: 0, index: height.0 }, &signer);
            match written.and_then(|manifest| newest.save(&store, height).map(|()| manifest)) {
                Ok(manifest) => tracing::info!(%height, chunks = manifest.chunk_count, "wrote a checkpoint"),
                Err(error) => tracing::error!(%height, %error, "a checkpoint could not be written"),
            }
        });
    }
}

/// Whether a command moves nothing in this bank's own books, settled or not: the bulk of the traffic. (Waterfalls are
/// recorded separately.)
pub(crate) fn moves_nothing_here(command: &Command) -> bool {
    matches!(command, Command::Payment(payment) if payment.record.kind() == cbdc_ledger::command::Kind::Transfer)
}
