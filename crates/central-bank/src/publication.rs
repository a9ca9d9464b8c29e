//! Publication: a sealed block becomes part of the chain that everybody sees, and its callers are answered.
//!
//! A header counts once as many nodes of the central bank have signed it as membership requires. Where one is enough,
//! settlement publishes each block itself, at once. Where more are, or where this node may not sign (it joins, and has
//! no key in force yet), the block waits on a thread of its own, until the others' signatures are here
//! ([`crate::replicas::seals`]). Blocks are published in order: as long as one waits, those after it wait with it. Only
//! so many wait ([`Publication::until_room`]): a node to which the others' signatures do not come settles no further.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cbdc_environment::thread;
use cbdc_ledger::membership_change::MembershipChange;
use cbdc_ledger::{BankId, Header, Height, MemberId, NetworkId, Outcome, PublicKey, Reason, Signature, SignedHeader};
use cbdc_node::chain::block_to_message;
use cbdc_node::recent_blocks::RecentBlocks;
use cbdc_node::{Archive, BlockParts, FilteredBlocks, LedgerHandle};
use cbdc_proto::convert::outcomes_to_bytes;
use cbdc_proto::packed::Answer;
use cbdc_storage::{Durability, StoreError, WriteBatch};
use tokio::sync::{Notify, mpsc, watch};

use crate::repetition::Repeated;
use crate::replicas::seals::Seals;
use crate::sequencer::InFlight;

/// Blocks that may wait for signatures, and the bytes of their proposals; beyond that, settlement waits.
const WAITING_BLOCKS_MAX: usize = 4_096;
const WAITING_BYTES_MAX: usize = 64 << 20;

/// A block that was applied here, with what its publication takes.
pub struct Sealed {
    /// The header, with the signatures that are known.
    pub header: SignedHeader,
    pub log_index: u64,
    pub proposal: Bytes,
    pub outcomes: Vec<Outcome>,
    pub filtered_blocks: Vec<(BankId, Vec<u8>)>,
    /// The digests of the state's sections, if the block changed the state root.
    pub sections: Bytes,
    /// The proof of its membership change, if it made one.
    pub membership_change: Option<MembershipChange>,
    /// The callers that wait here.
    pub in_flight: Option<InFlight>,
    /// Whose signatures count.
    pub signers: Arc<Signers>,
}

/// The nodes that sign headers, as membership names them before a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers {
    pub required: u16,
    pub keys: BTreeMap<MemberId, PublicKey>,
}

/// Publishes blocks.
#[derive(Clone)]
pub struct Publisher {
    pub network: NetworkId,
    pub ledger: LedgerHandle,
    pub archive: Arc<Archive>,
    pub recent: RecentBlocks,
    pub filtered_blocks: FilteredBlocks,
    /// The thread that answers commands that were ordered twice.
    pub repetitions: mpsc::UnboundedSender<Repeated>,
}

/// Publishes blocks in order, those that lack signatures on another thread.
pub struct Publication {
    publisher: Publisher,
    /// `None` where this node orders alone: it has nobody to wait for.
    waiting: Option<Waiting>,
}

/// The blocks that the thread has.
#[derive(Default)]
struct Load {
    count: AtomicUsize,
    bytes: AtomicUsize,
    /// Notified when one of them goes.
    less: Notify,
}

impl Load {
    fn add(&self, block: &Sealed) {
        self.bytes.fetch_add(block.proposal.len(), Ordering::AcqRel);
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.count.fetch_sub(1, Ordering::AcqRel);
        self.less.notify_one();
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn has_room(&self) -> bool {
        self.count() < WAITING_BLOCKS_MAX && self.bytes.load(Ordering::Acquire) < WAITING_BYTES_MAX
    }
}

struct Waiting {
    blocks: mpsc::UnboundedSender<Sealed>,
    /// The height of the checkpoint that was taken over last: blocks up to it wait in vain. Held while one is
    /// published.
    taken_over: Arc<Mutex<Height>>,
    seals: Arc<Seals>,
    load: Arc<Load>,
    /// Why the thread ended, if it did.
    failed: watch::Receiver<Option<StoreError>>,
}

impl Publication {
    /// Publication for a node that orders alone.
    pub fn alone(publisher: Publisher) -> Publication {
        Publication { publisher, waiting: None }
    }

    /// Publication for one of several nodes. Starts the thread on which blocks wait; it ends when this is dropped.
    pub fn among(publisher: Publisher, seals: Arc<Seals>) -> std::io::Result<Publication> {
        let (blocks, mut incoming) = mpsc::unbounded_channel();
        let taken_over = Arc::<Mutex<Height>>::default();
        let (load, (fail, failed)) = (Arc::<Load>::default(), watch::channel(None));
        let mut waits = Waits {
            publisher: publisher.clone(),
            seals: seals.clone(),
            load: load.clone(),
            blocks: VecDeque::new(),
            taken_over: taken_over.clone(),
        };
        let run = async move || {
            if let Err(error) = waits.run(&mut incoming).await {
                tracing::error!(%error, "blocks cannot be published");
                fail.send_replace(Some(error));
            }
        };
        thread::thread("publication", run)?;
        Ok(Publication { publisher, waiting: Some(Waiting { blocks, taken_over, seals, load, failed }) })
    }

    /// Goes on from a checkpoint: the next block does not follow on the last, and what still waits for signatures up to
    /// its height is not published. Callers of such blocks are answered as unknown.
    pub fn take_over(&self, height: Height) {
        let taken_over = self.waiting.as_ref().map(|waiting| {
            waiting.seals.forget(height);
            waiting.taken_over.lock().unwrap_or_else(PoisonError::into_inner)
        });
        self.publisher.recent.clear();
        self.publisher.filtered_blocks.clear();
        if let Some(mut taken_over) = taken_over {
            *taken_over = height;
        }
    }

    /// Waits until another block may wait for signatures, or the node stops.
    pub async fn until_room(&self) {
        let Some(waiting) = &self.waiting else { return };
        let mut failed = waiting.failed.clone();
        loop {
            let less = waiting.load.less.notified();
            if waiting.load.has_room() || failed.borrow().is_some() {
                return;
            }
            tokio::select! {
                () = less => {}
                _ = failed.changed() => return,
                () = self.publisher.ledger.closed().cancelled() => return,
            }
        }
    }

    /// Publishes a block, now or when it has enough signatures.
    ///
    /// # Errors
    /// The store has failed.
    pub fn publish(&self, block: Sealed) -> Result<(), StoreError> {
        let Some(waiting) = &self.waiting else {
            self.publisher.publish(block);
            return Ok(());
        };
        if let Some(error) = &*waiting.failed.borrow() {
            return Err(error.clone());
        }
        // Only this thread adds blocks: with none waiting, all before this one are published.
        if waiting.load.count() == 0 && block.has_enough_signatures() {
            waiting.seals.forget(block.height());
            self.publisher.publish(block);
            return Ok(());
        }
        waiting.load.add(&block);
        // If the thread has ended, dropping the block answers its callers as unknown, and the next block finds out why.
        drop(waiting.blocks.send(block));
        Ok(())
    }
}

impl Sealed {
    fn height(&self) -> Height {
        self.header.header.height
    }

    /// What was checked before it came here counts: this node's own signature, and those in its archive.
    fn has_enough_signatures(&self) -> bool {
        self.header.signatures.len() >= usize::from(self.signers.required)
    }

    /// Adds others' signatures, as far as they are missing and good.
    fn add(&mut self, network: NetworkId, signatures: Vec<(MemberId, Signature)>) {
        for (member, signature) in signatures {
            if self.has_enough_signatures() {
                return;
            }
            if self.header.signatures.iter().any(|(known, _)| *known == member) {
                continue;
            }
            let one = SignedHeader { header: self.header.header, signatures: vec![(member, signature)] };
            match one.check(network, 1, |node| self.signers.keys.get(&node).copied()) {
                Ok(()) => self.header.signatures.push((member, signature)),
                Err(error) => tracing::debug!(%member, %error, "another node's signature does not count"),
            }
        }
    }
}

/// The blocks that wait for signatures.
struct Waits {
    publisher: Publisher,
    seals: Arc<Seals>,
    load: Arc<Load>,
    blocks: VecDeque<Sealed>,
    taken_over: Arc<Mutex<Height>>,
}

impl Waits {
    async fn run(&mut self, incoming: &mut mpsc::UnboundedReceiver<Sealed>) -> Result<(), StoreError> {
        let mut heard = self.seals.heard();
        loop {
            if self.blocks.is_empty() {
                let Some(block) = incoming.recv().await else { return Ok(()) };
                self.blocks.push_back(block);
            }
            while let Ok(block) = incoming.try_recv() {
                self.blocks.push_back(block);
            }
            drop(heard.borrow_and_update());
            while let Some(mut block) = self.blocks.pop_front() {
                let (height, hash) = (block.height(), block.header.header.hash());
                let bytes = block.proposal.len();
                let taken_over = self.taken_over.clone();
                let taken_over = taken_over.lock().unwrap_or_else(PoisonError::into_inner);
                if height <= *taken_over {
                    self.load.remove(bytes);
                    continue;
                }
                block.add(self.publisher.network, self.seals.signatures(height, &hash));
                if !block.has_enough_signatures() {
                    self.blocks.push_front(block);
                    break;
                }
                self.publisher.publish_completed(block)?;
                self.seals.forget(height);
                self.load.remove(bytes);
            }
            if !self.blocks.is_empty() {
                tokio::select! {
                    biased;
                    // Their callers are answered as unknown; the next start finds the blocks in the log.
                    () = self.publisher.ledger.closed().cancelled() => return Ok(()),
                    _ = heard.changed() => {}
                    Some(block) = incoming.recv() => self.blocks.push_back(block),
                }
            }
        }
    }
}

impl Publisher {
    /// Publishes a block whose header was archived with fewer signatures.
    fn publish_completed(&self, block: Sealed) -> Result<(), StoreError> {
        let mut batch = WriteBatch::new();
        Archive::put(&mut batch, &block.header, block.log_index, &block.outcomes);
        if let Some(change) = &block.membership_change {
            let proved = change.clone().with_signatures_of(&block.header);
            Archive::put_membership_change(&mut batch, &proved);
        }
        self.archive.store().write(batch, Durability::Buffered)?;
        self.publish(block);
        Ok(())
    }

    fn publish(&self, block: Sealed) {
        let Sealed { header, log_index, proposal, outcomes, filtered_blocks, sections, in_flight, .. } = block;
        let sealed: Header = header.header;
        self.filtered_blocks.push(&header, filtered_blocks);
        let parts = BlockParts { header, log_index, proposal, outcomes: outcomes_to_bytes(&outcomes).into() };
        let mut message = block_to_message(&parts);
        message.sections = sections;
        self.recent.push(sealed.height, message);
        self.ledger.announce(sealed.height);
        if let Some(in_flight) = in_flight {
            self.answer(in_flight, sealed.height, &outcomes);
        }
    }

    fn answer(&self, in_flight: InFlight, height: Height, outcomes: &[Outcome]) {
        let mut repeated = Vec::new();
        for segment in in_flight.waiting.take() {
            let first = segment.first as usize;
            let outcomes = &outcomes[first..first + segment.count];
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
}
