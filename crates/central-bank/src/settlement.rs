//! Settlement: one thread applies block proposals in order, seals and signs blocks, archives them, and answers.
//!
//! On a restart the same thread replays: block proposals after the checkpoint come again through ordering, and if the
//! archive already has a block's header, the recomputed one must equal it. A chain that does not verify stops the node,
//! which names the height.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ::metrics::{counter, gauge, histogram};
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::filtered_block::filtered_blocks;
use cbdc_ledger::member::Role;
use cbdc_ledger::{
    BankId, Block, Height, Ledger, MemberId, NetworkId, Outcome, Reason, SignedHeader, SigningKey, VerifiedProposal,
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
    #[error("log entry {index} holds no proposal that can be read: {reason}")]
    Undecodable { index: u64, reason: String },
    #[error(
        "block {height} does not verify: its archived header has hash {expected}, replaying the log gives {found}; the \
        log or the archive was altered"
    )]
    Diverged { height: Height, expected: String, found: String },
    #[error(
        "the committee replaced the key of central-bank {member} at height {height}; start the node again with the new \
        one"
    )]
    KeyReplaced { member: MemberId, height: Height },
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

    fn settle(
        &mut self,
        committed: &Committed,
        in_flight: Option<InFlight>,
    ) -> Result<cbdc_ledger::Header, SettlementError> {
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
        if block.changes.members && !self.is_own_key_in_force() {
            return Err(SettlementError::KeyReplaced { member: self.member, height: header.height });
        }
        self.checkpoints.note(header.height, block.outcomes.len());
        Ok(header)
    }

    /// Whether headers signed with this node's key are still accepted.
    fn is_own_key_in_force(&self) -> bool {
        let own = self.key.public_key();
        self.ledger.read(|ledger| {
            let seat = ledger.members().active(Role::CentralBank, self.member);
            seat.is_some_and(|seat| seat.member.signing_key == own)
        })
    }

    /// Signs the block unless it is in the archive, archives it, and publishes it to followers.
    fn publish(
        &self,
        committed: &Committed,
        parent: &cbdc_ledger::Header,
        block: &Block,
        filtered_blocks: Vec<(BankId, Vec<u8>)>,
    ) -> Result<cbdc_ledger::Header, SettlementError> {
        let (header, height) = (block.header, block.header.height);
        let signed = match self.archive.header(height)? {
            Some((archived, _)) if archived.header == header => archived,
            Some((archived, _)) => {
                let (expected, found) = (archived.header.hash(), header.hash());
                let [expected, found] = [expected, found].map(|hash| cbdc_ledger::encoding::hex(&hash));
                return Err(SettlementError::Diverged { height, expected, found });
            }
            None => {
                let signed = SignedHeader::sign(header, self.network, self.member, &self.key);
                let mut batch = WriteBatch::new();
                Archive::put(&mut batch, &signed, committed.position.index, &block.outcomes);
                self.archive.store().write(batch, Durability::Buffered)?;
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

/// The waiting callers of a committed block proposal. Proposals that were announced before it and did not arrive were
/// not ordered by this node; dropping them answers them as unknown.
fn claim(waiting: &mut VecDeque<InFlight>, committed: &Committed) -> Option<InFlight> {
    let at = waiting.iter().position(|in_flight| in_flight.proposal.is_of(&committed.proposal))?;
    waiting.drain(..at);
    waiting.pop_front()
}
