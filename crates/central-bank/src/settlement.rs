//! Settlement: one thread applies block proposals in order, seals and signs blocks, archives them, and answers.
//!
//! On a restart the same thread replays: block proposals after the checkpoint come again through ordering, and if the
//! archive already has a block's header, the recomputed one must equal it. A chain that does not verify stops the node,
//! which names the height.
//!
//! A follower takes the leader's verdicts on signatures, or finds its own ([`Among::verifies`]). It stops at a command
//! that took effect without a valid signature, before it signs, archives or shows the block; so does its next start.
//!
//! Each block is checked against the membership of its own height. The blocks of a replay may have been signed with
//! keys that were replaced since; this node's key signs a block only where the members before it name that key, and
//! whether it is in force today is checked where the log ends.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use ::metrics::{counter, gauge, histogram};
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::encoding::DecodeError;
use cbdc_ledger::filtered_block::filtered_blocks;
use cbdc_ledger::member::Role;
use cbdc_ledger::membership_change::MembershipChange;
use cbdc_ledger::verification::{Unsigned, VerificationError};
use cbdc_ledger::{
    Block, Header, Height, Ledger, MemberId, NetworkId, PublicKey, SignedHeader, SigningKey, VerifiedProposal,
};
use cbdc_node::checkpoints::CheckpointStep;
use cbdc_node::recovery::{CheckpointSigner, RecoveryError};
use cbdc_node::{Archive, ArchiveError, Checkpoints, FilteredBlocks, LedgerHandle, Membership};
use cbdc_ordering::{Committed, CommittedReceiver, Delivered, OrderingError, Position};
use cbdc_signatures::BatchSeed;
use cbdc_storage::{CheckpointManifest, Durability, StoreError, WriteBatch};
use rand::rngs::SysRng;
use tokio::sync::{mpsc, watch};

use crate::metrics;
use crate::publication::{Publication, Sealed, Signers};
use crate::replicas::checkpoints::VerifiedCheckpoints;
use crate::replicas::exchange::{Comparison, OtherHeader};
use crate::replicas::seals::Seal;
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
    #[error(
        "block {height} has a command that nobody signed, and the leader ordered it: {error}; this node goes no further \
        (verify_on_followers): compare with the banks' replicas before anything else is settled"
    )]
    Unsigned { height: Height, error: VerificationError },
    #[error(transparent)]
    OtherHeader(#[from] OtherHeader),
    #[error("the checkpoint from the leader at height {height} cannot be taken over: {error}")]
    Checkpoint { height: Height, error: RecoveryError },
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
    pub filtered_blocks: FilteredBlocks,
    pub publication: Publication,
    pub reply_cache: ReplyCache,
    pub ordering: Arc<cbdc_ordering::Ordering>,
    pub checkpoints: Checkpoints,
    /// The last log entry that was applied.
    pub applied: watch::Sender<Option<Position>>,
    /// Block proposals with waiting callers, as the sequencer announced them.
    pub in_flight: mpsc::UnboundedReceiver<InFlight>,
    pub runtime: tokio::runtime::Handle,
    /// Tells the sequencer that a checkpoint is due.
    pub checkpoint_wanted: Arc<AtomicBool>,
    /// The last log entry that the node had when it started.
    pub replayed_until: u64,
    /// Whose signatures count, as of the newest block. This node's key is there unless it was dismissed, or is not
    /// admitted yet.
    pub signers: Arc<Signers>,
    /// What this node has to do with others that order with it; `None` if it orders alone.
    pub among: Option<Among>,
    /// The block that is being recovered, with the signatures that it was sealed with.
    pub recovered: watch::Receiver<Option<SignedHeader>>,
}

/// The parts of settlement on one of several nodes.
pub struct Among {
    pub comparison: Comparison,
    pub checkpoints: Arc<VerifiedCheckpoints>,
    /// The term of this node's leadership whose first entry was reached: all before it is applied.
    pub term_began: watch::Sender<Option<u64>>,
    /// The height at which this node was dismissed. It goes on, without signing, until the others have taken its vote:
    /// they may need it for that.
    pub dismissed: watch::Sender<Option<Height>>,
    /// Whether this node verifies the signatures in the block proposals of others.
    pub verifies: bool,
}

impl Settlement {
    /// Runs until ordering is shut down.
    pub async fn run(mut self, mut committed: CommittedReceiver) -> Result<(), SettlementError> {
        let mut waiting = VecDeque::new();
        let mut syncs = self.archive.store().sync_count();
        while let Some(delivered) = committed.recv_delivered().await? {
            let next = match delivered {
                Delivered::Proposal(next) => next,
                Delivered::TermBegan { position, is_leader } => {
                    self.begin_term(position, is_leader);
                    continue;
                }
                Delivered::Checkpoint(manifest) => {
                    self.take_over(&manifest)?;
                    continue;
                }
            };
            while let Ok(in_flight) = self.in_flight.try_recv() {
                waiting.push_back(in_flight);
            }
            let in_flight = claim(&mut waiting, &next);
            // What was in the log at the start is applied in any case: others' signatures come only then.
            if next.position.index > self.replayed_until {
                self.publication.until_room().await;
            }
            let header = self.settle(&next, in_flight)?;
            let synced = self.archive.store().sync_count();
            counter!(metrics::SYNCS).increment(synced - syncs);
            syncs = synced;
            self.applied.send_replace(Some(next.position));
            match self.checkpoints.step(&header, || self.ledger.read(Ledger::wallet_count)) {
                CheckpointStep::Wait => {}
                CheckpointStep::Ask => self.checkpoint_wanted.store(true, Ordering::Release),
                CheckpointStep::Write => self.checkpoint(next.position, header.height),
            }
        }
        Ok(())
    }

    /// Notes that everything of earlier terms is applied, if this node leads in the new one.
    fn begin_term(&self, position: Position, is_leader: bool) {
        if let Some(among) = self.among.as_ref().filter(|_| is_leader) {
            among.term_began.send_replace(Some(position.term));
        }
    }

    /// Takes over the ledger of a checkpoint that was installed in place of what this node lacked.
    fn take_over(&mut self, manifest: &CheckpointManifest) -> Result<(), SettlementError> {
        let Some(among) = &self.among else {
            return Err(OrderingError::CheckpointInstalled { height: manifest.height }.into());
        };
        let height = Height(manifest.height);
        let ledger = among.checkpoints.ledger_of(manifest);
        let ledger = ledger.map_err(|error| SettlementError::Checkpoint { height, error })?;
        self.directory.replace(&ledger);
        self.membership.follow(&ledger);
        self.publication.take_over(height);
        let before = std::mem::replace(&mut self.signers, signers(&ledger));
        self.checkpoints.restart_at(height);
        self.ledger.replace(ledger);
        self.applied.send_replace(Some(manifest.position));
        self.ledger.announce(height);
        tracing::info!(%height, "went on from a checkpoint of the leader; earlier blocks are not kept here");
        self.check_own_key(&before, height)
    }

    fn settle(&mut self, committed: &Committed, in_flight: Option<InFlight>) -> Result<Header, SettlementError> {
        let began = Instant::now();
        let index = committed.position.index;
        let (verified, unsigned) = match &in_flight {
            Some(in_flight) => (VerifiedProposal::from_built(&in_flight.proposal), Unsigned::default()),
            None => self.read(committed)?,
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
        let (header, outcomes) = (block.header, block.outcomes.len());
        let height = header.height;
        unsigned.check(&block.outcomes).map_err(|error| SettlementError::Unsigned { height, error })?;
        let changes_members = block.changes.members;
        if let Some(in_flight) = &in_flight {
            histogram!(metrics::STAGE, "stage" => "order").record((began - in_flight.proposed_at).as_secs_f64());
        }
        let sealed = self.seal(committed, &parent, block, in_flight)?;
        self.publication.publish(Sealed { filtered_blocks, ..sealed })?;
        counter!(metrics::BLOCK_PROPOSALS).increment(1);
        gauge!(metrics::HEIGHT).set(header.height.0 as f64);
        gauge!(metrics::SUPPLY).set(header.cbdc.minor() as f64);
        histogram!(metrics::STAGE, "stage" => "settle").record(began.elapsed().as_secs_f64());
        if changes_members {
            self.follow_signers(index, header.height)?;
        }
        self.checkpoints.note(header.height, outcomes);
        Ok(header)
    }

    /// Reads a block proposal that this node has not built itself. Its signatures are verified if this node does not
    /// trust the leader for that, unless its block is archived: that was done before then.
    fn read<'a>(&self, committed: &'a Committed) -> Result<(VerifiedProposal<'a>, Unsigned), SettlementError> {
        let index = committed.position.index;
        let undecodable = |error: DecodeError| SettlementError::Undecodable { index, reason: error.to_string() };
        let verifies = self.among.as_ref().is_some_and(|among| among.verifies);
        if !verifies || self.archive.header(self.ledger.read(Ledger::height).next())?.is_some() {
            let trusted = VerifiedProposal::from_own_log(&committed.proposal).map_err(undecodable)?;
            return Ok((trusted, Unsigned::default()));
        }
        let seed = BatchSeed::draw(&mut SysRng);
        VerifiedProposal::check_before_outcomes(&committed.proposal, self.network, &self.directory, seed)
            .map_err(undecodable)
    }

    /// The key that members name for this node.
    fn key_in_force(&self) -> Option<PublicKey> {
        self.signers.keys.get(&self.member).copied()
    }

    /// Notes whose signatures now count. A node that signs no further block ends, unless later blocks are in its log:
    /// those may name another key.
    fn follow_signers(&mut self, index: u64, height: Height) -> Result<(), SettlementError> {
        let before = std::mem::replace(&mut self.signers, self.ledger.read(signers));
        let goes_on = index <= self.replayed_until || self.recovered.borrow().is_some();
        if goes_on {
            return Ok(());
        }
        self.check_own_key(&before, height)
    }

    /// Checks that this node still signs after a block, or a checkpoint, that changed whose signatures count.
    fn check_own_key(&self, before: &Signers, height: Height) -> Result<(), SettlementError> {
        let member = self.member;
        match (self.key_in_force(), &self.among) {
            (Some(key), _) if key == self.key.public_key() => Ok(()),
            (Some(expected), None) => {
                Err(SettlementError::KeyReplaced { member, height, expected: expected.to_string() })
            }
            // It may have the next key already, which later blocks put in force.
            (Some(expected), Some(_)) => {
                tracing::error!(
                    %member, %height, %expected, found = %self.key.public_key(),
                    "this node signs nothing as long as its signing key is not the one in force: if the committee has \
                    replaced the key, start the node again with the new one"
                );
                Ok(())
            }
            (None, None) => Err(SettlementError::Dismissed { member, height }),
            (None, Some(among)) => {
                // A node that joins was none of them before either.
                if before.keys.contains_key(&member) {
                    among.dismissed.send_replace(Some(height));
                }
                Ok(())
            }
        }
    }

    /// Signs a header with this node's key, if that is the one in force. One that is recovered is signed already. Where
    /// several nodes order, others sign what this one may not.
    fn sign(&self, header: Header) -> Result<SignedHeader, SettlementError> {
        if let Some(recovered) = &*self.recovered.borrow()
            && recovered.header == header
        {
            return Ok(recovered.clone());
        }
        let (member, height, own) = (self.member, header.height, self.key.public_key());
        if self.key_in_force() == Some(own) {
            return Ok(SignedHeader::sign(header, self.network, member, &self.key));
        }
        if self.among.is_some() {
            return Ok(SignedHeader { header, signatures: Vec::new() });
        }
        let expected = self.key_in_force().map_or_else(|| "none".to_owned(), |key| key.to_string());
        Err(SettlementError::NotSigned { member, height, expected, found: own.to_string() })
    }

    /// Signs the block unless it is in the archive, archives it, and shows its header to the other nodes.
    fn seal(
        &self,
        committed: &Committed,
        parent: &Header,
        block: Block,
        in_flight: Option<InFlight>,
    ) -> Result<Sealed, SettlementError> {
        let (header, height) = (block.header, block.header.height);
        let (signed, is_archived) = match self.archive.header(height)? {
            Some((archived, _)) if archived.header == header => (archived, true),
            Some((archived, _)) => {
                let (expected, found) = (archived.header.hash(), header.hash());
                let [expected, found] = [expected, found].map(|hash| cbdc_ledger::encoding::hex(&hash));
                return Err(SettlementError::Diverged { height, expected, found });
            }
            None => (self.sign(header)?, false),
        };
        let membership_change = match block.changes.members {
            true => self.ledger.read(|ledger| MembershipChange::of(signed.clone(), ledger)),
            false => None,
        };
        let mut batch = WriteBatch::new();
        if !is_archived {
            Archive::put(&mut batch, &signed, committed.position.index, &block.outcomes);
        }
        // Archives of earlier versions have no proof of it yet.
        membership_change.iter().for_each(|change| Archive::put_membership_change(&mut batch, change));
        if !batch.is_empty() {
            // A header that is lost is signed again by the next start, which may have another key then.
            let is_last = !is_archived && block.changes.members;
            let durability = if is_last { Durability::Synced } else { Durability::Buffered };
            self.archive.store().write(batch, durability)?;
        }
        if let Some(among) = &self.among {
            among.comparison.push_own(Seal::of(&signed))?;
        }
        let sections = match header.state_root != parent.state_root {
            true => self.ledger.read(|ledger| ledger.sections().to_bytes()).into(),
            false => bytes::Bytes::new(),
        };
        Ok(Sealed {
            header: signed,
            log_index: committed.position.index,
            proposal: committed.proposal.clone(),
            outcomes: block.outcomes,
            filtered_blocks: Vec::new(),
            sections,
            membership_change,
            in_flight,
            signers: self.signers.clone(),
        })
    }

    /// Takes a snapshot of the ledger, and writes the checkpoint on another thread.
    fn checkpoint(&mut self, position: Position, height: Height) {
        let snapshot = self.ledger.snapshot();
        let (ledger, writing) = (self.ledger.clone(), self.among.as_ref().map(|among| among.checkpoints.writing()));
        let (store, ordering, runtime) = (self.archive.store().clone(), self.ordering.clone(), self.runtime.clone());
        let signer = CheckpointSigner { role: Role::CentralBank, member: self.member, key: self.key.clone() };
        self.checkpoints.begin(async move {
            // A start from the checkpoint needs the headers up to it with all signatures.
            if !ledger.wait_until_announced(height).await {
                return;
            }
            let _one_at_a_time = writing.as_ref().map(|writing| writing.lock().unwrap_or_else(PoisonError::into_inner));
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

/// Whose signatures of headers count, by a ledger's members.
pub fn signers(ledger: &Ledger) -> Arc<Signers> {
    let members = ledger.members();
    let nodes = members.active_in(Role::CentralBank);
    let keys = nodes.map(|seat| (seat.member.id, seat.member.signing_key)).collect();
    Arc::new(Signers { required: members.header_signatures(), keys })
}

/// The waiting callers of a committed block proposal. Proposals that were announced before it and did not arrive were
/// not ordered by this node; dropping them answers them as unknown.
fn claim(waiting: &mut VecDeque<InFlight>, committed: &Committed) -> Option<InFlight> {
    let at = waiting.iter().position(|in_flight| in_flight.proposal.is_of(&committed.proposal))?;
    waiting.drain(..at);
    waiting.pop_front()
}
