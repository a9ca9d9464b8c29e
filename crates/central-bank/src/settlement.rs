//! Settlement: one thread applies block proposals in order, seals and signs blocks, archives them, and answers.
//!
//! On a restart the same thread replays: block proposals after the checkpoint come again through ordering, and if the
//! archive already has a block's header, the recomputed one must equal it. A chain that does not verify stops the node,
//! which names the height.
//!
//! Each block is checked against the membership of its own height. The blocks of a replay may have been signed with
//! keys that were replaced since; this node's key signs a block only where the members before it name that key, and
//! whether it is in force today is checked where the log ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ::metrics::{counter, gauge, histogram};
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::filtered_block::filtered_blocks;
use cbdc_ledger::member::Role;
use cbdc_ledger::membership_change::MembershipChange;
use cbdc_ledger::{
    BankId, Block, Header, Height, Ledger, MemberId, NetworkId, Outcome, PublicKey, Reason, SignedHeader, SigningKey,
    VerifiedProposal,
};
use cbdc_node::chain::block_to_message;
use cbdc_node::checkpoints::CheckpointStep;
use cbdc_node::recent_blocks::RecentBlocks;
use cbdc_node::recovery::CheckpointSigner;
use cbdc_node::{Archive, ArchiveError, BlockParts, Checkpoints, FilteredBlocks, LedgerHandle, Membership};
use cbdc_ordering::{Committed, CommittedReceiver, OrderingError, Position};
use cbdc_proto::convert::outcomes_to_bytes;
use cbdc_proto::packed::Answer;
use cbdc_storage::{Durability, StoreError, WriteBatch};
use tokio::sync::{mpsc, watch};

use crate::metrics;
use crate::repetition::Repeated;
use crate::reply_cache::ReplyCache;
use crate::sequencer::InFlight;

#[derive(Debug, thiserror::Error)]
pub enum SettlementError {
    #[error(transparent)]
    Ordering(#[from] OrderingError),
    #[error("log entry {index} holds no readable block proposal: {reason}")]
    Undecodable { index: u64, reason: String },
    #[error(
        "block {height} does not verify: its archived header has hash {expected}, replaying the log gives {found}; the \
        log or the archive was altered"
    )]
    Diverged { height: Height, expected: String, found: String },
    #[error(
        "the committee replaced the key of central-bank {member} at height {height} with {expected}; start the node \
        again with that one"
    )]
    KeyReplaced { member: MemberId, height: Height, expected: String },
    #[error("the committee dismissed central-bank {member} at height {height}; this node has nothing more to sign")]
    Dismissed { member: MemberId, height: Height },
    #[error(
        "block {height} is in the log and was not signed yet; its signing key is {expected}, that of central-bank \
        {member} at that height, and this node has {found}: start it once with the former key, and then again with \
        this one"
    )]
    NotSigned { member: MemberId, height: Height, expected: String, found: String },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub struct Settlement {
    pub network: NetworkId,
    pub member: MemberId,
    pub key: Arc<SigningKey>,
    pub ledger: LedgerHandle,
    pub directory: Arc<KeyDirectory>,
    pub membership: Membership,
    pub archive: Arc<Archive>,
    pub recent: RecentBlocks,
    pub filtered_blocks: FilteredBlocks,
    pub reply_cache: ReplyCache,
    pub ordering: Arc<cbdc_ordering::Ordering>,
    pub checkpoints: Checkpoints,
    /// The last log entry that was applied.
    pub applied: watch::Sender<Option<Position>>,
    /// Block proposals with waiting callers, as the sequencer announced them.
    pub in_flight: mpsc::UnboundedReceiver<InFlight>,
    /// The thread that answers commands that were ordered twice.
    pub repetitions: std::sync::mpsc::Sender<Repeated>,
    pub runtime: tokio::runtime::Handle,
    /// Tells the sequencer that a checkpoint is due.
    pub checkpoint_wanted: Arc<AtomicBool>,
    /// The last log entry that the node had when it started.
    pub replayed_until: u64,
    /// The key that members name for this node, as of the newest block; none once it is dismissed.
    pub key_in_force: Option<PublicKey>,
    /// The block that is being recovered, with the signatures that it was sealed with.
    pub recovered: watch::Receiver<Option<SignedHeader>>,
}

impl Settlement {
    /// Runs until ordering is shut down.
    pub fn run(mut self, mut committed: CommittedReceiver) -> Result<(), SettlementError> {
        let mut waiting = VecDeque::new();
        let mut syncs = self.archive.store().sync_count();
        while let Some(next) = committed.blocking_recv()? {
            while let Ok(in_flight) = self.in_flight.try_recv() {
                waiting.push_back(in_flight);
            }
            let in_flight = claim(&mut waiting, &next);
            let header = self.settle(&next, in_flight)?;
            let synced = self.archive.store().sync_count();
            counter!(metrics::SYNCS).increment(synced - syncs);
            syncs = synced;
            self.applied.send_replace(Some(next.position));
            match self.checkpoints.step(&header, || self.ledger.read(Ledger::wallet_count)) {
                CheckpointStep::Wait => {}
                CheckpointStep::Ask => self.checkpoint_wanted.store(true, Ordering::Release),
                CheckpointStep::Write => self.checkpoint(next.position),
            }
        }
        Ok(())
    }

    fn settle(&mut self, committed: &Committed, in_flight: Option<InFlight>) -> Result<Header, SettlementError> {
        let began = Instant::now();
        let index = committed.position.index;
        let verified = match &in_flight {
            Some(in_flight) => VerifiedProposal::from_built(&in_flight.proposal),
            None => VerifiedProposal::from_own_log(&committed.proposal)
                .map_err(|error| SettlementError::Undecodable { index, reason: error.to_string() })?,
        };
        let (parent, wanted) = (self.ledger.read(|ledger| *ledger.tip()), self.filtered_blocks.wanted());
        let block = self.ledger.apply(&verified, |ledger, block| {
            self.directory.follow(ledger, &block.changes);
            if block.changes.members {
                self.membership.follow(ledger);
            }
            // Under the ledger's lock: a reader that sees a sequence number used finds its first outcome.
            let height = block.header.height;
            self.reply_cache.push(height, committed.proposal.clone(), block.outcomes.clone());
            block
        });
        // Only this thread changes the ledger, so it may read now, alongside others.
        let filtered_blocks =
            self.ledger.read(|ledger| filtered_blocks(ledger, &wanted, &parent, verified.proposal(), &block));
        let header = self.publish(committed, &parent, &block, filtered_blocks)?;
        if let Some(in_flight) = in_flight {
            histogram!(metrics::STAGE, "stage" => "order").record((began - in_flight.proposed_at).as_secs_f64());
            self.answer(in_flight, &block);
        }
        counter!(metrics::BLOCK_PROPOSALS).increment(1);
        gauge!(metrics::HEIGHT).set(header.height.0 as f64);
        gauge!(metrics::SUPPLY).set(header.cbdc.minor() as f64);
        histogram!(metrics::STAGE, "stage" => "settle").record(began.elapsed().as_secs_f64());
        if block.changes.members {
            self.follow_own_key(index, header.height)?;
        }
        self.checkpoints.note(header.height, block.outcomes.len());
        Ok(header)
    }

    /// Notes the key that members now name for this node. One that signs no further block ends the node, unless later
    /// blocks are in its log: those may name another.
    fn follow_own_key(&mut self, index: u64, height: Height) -> Result<(), SettlementError> {
        self.key_in_force = self.ledger.read(|ledger| key_in_force(ledger, self.member));
        let goes_on = index <= self.replayed_until || self.recovered.borrow().is_some();
        if goes_on || self.key_in_force == Some(self.key.public_key()) {
            return Ok(());
        }
        let member = self.member;
        match self.key_in_force {
            Some(expected) => Err(SettlementError::KeyReplaced { member, height, expected: expected.to_string() }),
            None => Err(SettlementError::Dismissed { member, height }),
        }
    }

    /// Signs a header with this node's key, if that is the one in force. One that is recovered is signed already.
    fn sign(&self, header: Header) -> Result<SignedHeader, SettlementError> {
        if let Some(recovered) = &*self.recovered.borrow()
            && recovered.header == header
        {
            return Ok(recovered.clone());
        }
        let (member, height, own) = (self.member, header.height, self.key.public_key());
        if self.key_in_force == Some(own) {
            return Ok(SignedHeader::sign(header, self.network, member, &self.key));
        }
        let expected = self.key_in_force.map_or_else(|| "none".to_owned(), |key| key.to_string());
        Err(SettlementError::NotSigned { member, height, expected, found: own.to_string() })
    }

    /// Signs the block unless it is in the archive, archives it, and publishes it to followers.
    fn publish(
        &self,
        committed: &Committed,
        parent: &Header,
        block: &Block,
        filtered_blocks: Vec<(BankId, Vec<u8>)>,
    ) -> Result<Header, SettlementError> {
        let (header, height) = (block.header, block.header.height);
        let signed = match self.archive.header(height)? {
            Some((archived, _)) if archived.header == header => {
                // Archives of earlier versions have no proof of it yet.
                if block.changes.members {
                    let mut batch = WriteBatch::new();
                    self.put_membership_change(&mut batch, &archived, block);
                    self.archive.store().write(batch, Durability::Buffered)?;
                }
                archived
            }
            Some((archived, _)) => {
                let (expected, found) = (archived.header.hash(), header.hash());
                let [expected, found] = [expected, found].map(|hash| cbdc_ledger::encoding::hex(&hash));
                return Err(SettlementError::Diverged { height, expected, found });
            }
            None => {
                let signed = self.sign(header)?;
                let mut batch = WriteBatch::new();
                Archive::put(&mut batch, &signed, committed.position.index, &block.outcomes);
                self.put_membership_change(&mut batch, &signed, block);
                // A header that is lost is signed again by the next start, which may have another key then.
                let durability = if block.changes.members { Durability::Synced } else { Durability::Buffered };
                self.archive.store().write(batch, durability)?;
                signed
            }
        };
        self.filtered_blocks.push(&signed, filtered_blocks);
        let parts = BlockParts {
            header: signed,
            log_index: committed.position.index,
            proposal: committed.proposal.clone(),
            outcomes: outcomes_to_bytes(&block.outcomes).into(),
        };
        let mut message = block_to_message(&parts);
        if header.state_root != parent.state_root {
            message.sections = self.ledger.read(|ledger| ledger.sections().to_bytes()).into();
        }
        self.recent.push(height, message);
        self.ledger.announce(height);
        Ok(header)
    }

    fn put_membership_change(&self, batch: &mut WriteBatch, header: &SignedHeader, block: &Block) {
        if block.changes.members {
            let change = self.ledger.read(|ledger| MembershipChange::of(header.clone(), ledger));
            change.iter().for_each(|change| Archive::put_membership_change(batch, change));
        }
    }

    fn answer(&self, in_flight: InFlight, block: &Block) {
        let height = block.header.height;
        let mut repeated = Vec::new();
        for segment in in_flight.waiting.take() {
            let first = segment.first as usize;
            let outcomes = &block.outcomes[first..first + segment.count];
            if segment.permit.is_whole() && outcomes.iter().all(|outcome| *outcome == Outcome::settled()) {
                segment.permit.answer_settled(height, segment.first);
            } else if outcomes.iter().any(|outcome| outcome.reason == Reason::SequenceUsed) {
                // A sequence number was ordered twice while both copies were in flight: the first outcome is the
                // answer.
                repeated.push((segment, outcomes.to_vec()));
            } else {
                let answer = |(outcome, index): (&Outcome, u32)| Answer::ordered(height, index, *outcome);
                let answers: Vec<Answer> = outcomes.iter().zip(segment.first..).map(answer).collect();
                segment.permit.answer_rest(answers.into_iter());
            }
        }
        if !repeated.is_empty() {
            // Only a stopping node lacks this thread; what is dropped is answered as unknown.
            drop(self.repetitions.send(Repeated { height, proposal: in_flight.proposal, segments: repeated }));
        }
    }

    /// Takes a snapshot of the ledger, and writes the checkpoint on another thread.
    fn checkpoint(&mut self, position: Position) {
        let snapshot = self.ledger.snapshot();
        let (store, ordering, runtime) = (self.archive.store().clone(), self.ordering.clone(), self.runtime.clone());
        let signer = CheckpointSigner { role: Role::CentralBank, member: self.member, key: self.key.clone() };
        self.checkpoints.begin(move || {
            let began = Instant::now();
            match cbdc_node::recovery::write(&store, &snapshot, position, &signer) {
                Ok(manifest) => {
                    histogram!(metrics::CHECKPOINT_SECONDS).record(began.elapsed().as_secs_f64());
                    tracing::info!(height = manifest.height, bytes = manifest.total_bytes, "a checkpoint was written");
                    runtime.spawn(async move {
                        if let Err(error) = ordering.checkpoint_taken(position).await {
                            tracing::error!(%error, "ordering could not note the checkpoint");
                        }
                    });
                }
                Err(StoreError::Closed { .. }) => {}
                Err(error) => tracing::error!(%error, "a checkpoint could not be written"),
            }
        });
    }
}

/// The key that members name for a node of the central bank.
pub fn key_in_force(ledger: &Ledger, member: MemberId) -> Option<PublicKey> {
    ledger.members().active(Role::CentralBank, member).map(|seat| seat.member.signing_key)
}

/// The waiting callers of a committed block proposal. Proposals that were announced before it and did not arrive were
/// not ordered by this node; dropping them answers them as unknown.
fn claim(waiting: &mut VecDeque<InFlight>, committed: &Committed) -> Option<InFlight> {
    let at = waiting.iter().position(|in_flight| in_flight.proposal.is_of(&committed.proposal))?;
    waiting.drain(..at);
    waiting.pop_front()
}
