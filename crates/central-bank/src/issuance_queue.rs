//! The issuance queue: banks request, the operator approves.
//!
//! A request waits here, signed by its bank, until an operator fetches it and submits an order that carries it. If the
//! node is configured with an operator's key, it signs the order itself at once: the committee's limits (cap, quota)
//! are in the ledger and apply either way.
//!
//! A request is durable before the bank is told that it waits, and keeps waiting after a restart, until it is ordered,
//! has expired, or is rejected by the operator. A rejection needs no signed command: no operator's order that carries
//! the request is admitted any more ([`crate::rejections`]). It is durable before anybody is told, and remembered as
//! long as the request could settle, over restarts: a bank that was told that its request is rejected may rely on it.
//!
//! Where several nodes order, a majority of them keeps each request and each rejection ([`Keepers`]), and a new leader
//! collects what a majority has before it takes commands. So both survive whatever the log survives.
//!
//! Two nodes may keep different things under one number: one of them what a leader could not have a majority keep. Each
//! entry carries the term of the leader that had it kept, and the one of the higher term counts, since its leader knew
//! what a majority kept before ([`Kept::outweighs`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cbdc_environment::thread;
use cbdc_ledger::command::{Head, IssuanceOrder, IssuanceRequest, Record, Signed, Signer};
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::OtherCopies;
use cbdc_ledger::{BankId, Command, Ledger, MemberId, NetworkId, Outcome, Reason, SigningKey, Timestamp};
use cbdc_node::LedgerHandle;
use cbdc_node::re_sign::{Attempt, sign_until_done};
use cbdc_proto::packed::Answer;
use cbdc_storage::{Column, Direction, Durability, KeyRange, Store, StoreError, WriteBatch, sealed};
use futures::TryStreamExt;

use crate::intake::Intake;
use crate::rejections::{Rejections, RequestKey};
use crate::reply_cache::ReplyCache;

/// The number of requests of one bank that may wait.
const WAITING_MAX: usize = 64;
/// Entries that a leader has kept again at once.
const KEPT_AT_ONCE: usize = 16;
/// The longest wait for orders in flight before a request that they carry is rejected.
const ORDERS_WAIT: Duration = Duration::from_secs(10);

/// The prefix of requests in the store: the key continues with the bank's number and its sequence number, big-endian;
/// the value is [`WAITS`] or [`REJECTED`], the term as a big-endian number, and the signed request.
const KEY_PREFIX: &[u8] = b"issuance-request/";
const WAITS: u8 = 2;
const REJECTED: u8 = 3;
/// The same in earlier versions, which kept no term.
const WAITS_WITHOUT_TERM: u8 = 0;
const REJECTED_WITHOUT_TERM: u8 = 1;

type Waiting = BTreeMap<RequestKey, Kept>;

/// A request in the queue, as the nodes of the central bank keep it for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub request: Signed<IssuanceRequest>,
    pub rejected: bool,
    /// The term of the leader that had it kept; 0 where one node orders alone.
    pub term: u64,
}

impl Kept {
    fn key(&self) -> RequestKey {
        (self.request.record.bank, self.request.record.head.sequence)
    }

    /// Whether this takes the place of what is known under the same number.
    ///
    /// The higher term wins. Within a term a rejection wins over the request that waits, and a request over the one
    /// that had expired before a leader took it: calls of one leader may arrive in another order than it made them.
    pub fn outweighs(&self, known: &Kept) -> bool {
        let weight = |kept: &Kept| (kept.term, kept.request.record.head.valid_until, kept.rejected);
        weight(self) > weight(known)
    }
}

/// The other nodes, a majority of which, with this one, has to keep a request.
#[tonic::async_trait]
pub trait Keepers: Send + Sync {
    /// The term in which this node leads; `None` if it does not.
    fn term(&self) -> Option<u64>;

    /// Has enough of the others keep a request, as the leader of the term that it carries.
    ///
    /// # Errors
    /// Too few have answered, or another node leads by now: whether the request is kept is not known.
    async fn keep(&self, kept: Kept) -> Result<(), String>;
}

/// An operator's key that this node may sign orders with.
pub struct OperatorKey {
    pub member: MemberId,
    pub key: SigningKey,
}

#[derive(Clone)]
pub struct IssuanceQueue {
    network: NetworkId,
    operator: Option<Arc<OperatorKey>>,
    ledger: LedgerHandle,
    intake: Intake,
    rejections: Rejections,
    reply_cache: ReplyCache,
    store: Arc<dyn Store>,
    waiting: Arc<Mutex<Waiting>>,
    /// Held while an order is signed, so that sequence numbers are taken in turn.
    signing: Arc<tokio::sync::Mutex<()>>,
    /// Held while an entry is looked up and kept, so that none is written over another.
    keeping: Arc<tokio::sync::Mutex<()>>,
    /// `None` where this node orders alone.
    keepers: Option<Arc<dyn Keepers>>,
}

impl IssuanceQueue {
    /// The queue, with the requests in the store.
    pub fn open(
        network: NetworkId,
        operator: Option<OperatorKey>,
        ledger: LedgerHandle,
        intake: Intake,
        rejections: Rejections,
        reply_cache: ReplyCache,
        store: Arc<dyn Store>,
    ) -> Result<IssuanceQueue, StoreError> {
        let waiting = read(store.as_ref())?;
        waiting.iter().filter(|(_, kept)| kept.rejected).for_each(|(key, _)| rejections.restore(*key));
        let waiting = Arc::new(Mutex::new(waiting));
        Ok(IssuanceQueue {
            network,
            operator: operator.map(Arc::new),
            ledger,
            intake,
            rejections,
            reply_cache,
            store,
            waiting,
            signing: Arc::default(),
            keeping: Arc::default(),
            keepers: None,
        })
    }

    /// The same queue, whose requests other nodes keep too.
    #[must_use]
    pub fn with_keepers(self, keepers: Arc<dyn Keepers>) -> IssuanceQueue {
        IssuanceQueue { keepers: Some(keepers), ..self }
    }

    /// All requests that could still settle, rejected ones too: what this node keeps for the others.
    pub fn kept(&self) -> Vec<Kept> {
        let mut waiting = self.lock();
        self.drop_settled(&mut waiting);
        waiting.values().copied().collect()
    }

    /// Keeps what another node has, unless what is known here counts for more: durable when it returns.
    ///
    /// # Errors
    /// The bank has not signed it, as far as this node's ledger says, or the store has failed.
    pub async fn take_over(&self, kept: Kept) -> Result<(), Outcome> {
        if !self.is_signed(&kept.request) {
            let (bank, sequence) = kept.key();
            tracing::warn!(%bank, sequence, "another node keeps a request that its bank has not signed");
            return Err(Outcome::refused(Reason::BadSignature, 0, 0));
        }
        let _keeping = self.keeping.lock().await;
        let known = {
            let mut waiting = self.lock();
            self.drop_settled(&mut waiting);
            waiting.get(&kept.key()).copied()
        };
        if known.is_some_and(|known| !kept.outweighs(&known)) {
            return Ok(());
        }
        if let Some(known) = known.filter(|known| known.request != kept.request) {
            let (bank, sequence) = kept.key();
            tracing::warn!(
                %bank, sequence, term = kept.term, former = known.term,
                "another request is kept under this number now; the former was not acknowledged, or has expired"
            );
        }
        self.keep_here(kept).await?;
        if !kept.rejected && known.is_some_and(|known| known.rejected) {
            // What a leader of this term has waiting was rejected, if at all, by one whom no majority followed.
            self.rejections.forget(kept.key());
        }
        Ok(())
    }

    /// Has everything here kept by the others as well, as the leader of a term, while nothing is added; `before` runs
    /// first.
    ///
    /// # Errors
    /// As [`Keepers::keep`].
    pub async fn keep_again(&self, term: u64, before: impl FnOnce() + Send) -> Result<(), String> {
        let Some(keepers) = &self.keepers else { return Ok(()) };
        let _keeping = self.keeping.lock().await;
        before();
        // One whose bank has another key by now can settle no more, and the others refuse it.
        let all = self.kept().into_iter().filter(|kept| self.is_signed(&kept.request));
        let all = all.map(|kept| Kept { term, ..kept });
        let all = futures::stream::iter(all.map(Ok::<Kept, String>));
        all.try_for_each_concurrent(KEPT_AT_ONCE, |kept| async move {
            keepers.keep(kept).await?;
            self.keep_here(kept).await.map_err(|refusal| refusal.to_string())
        })
        .await
    }

    /// Queues a bank's request. Returns its answer if the order was signed at once, `None` while it waits for the
    /// operator.
    pub async fn request(&self, request: Signed<IssuanceRequest>) -> Result<Option<Answer>, Outcome> {
        if let Some(first) = self.first_answer(&request).await {
            return first.map(Some);
        }
        match &self.operator {
            Some(operator) => self.order(operator, request).await.map(Some),
            None => self.wait_for_operator(request).await.map(|()| None),
        }
    }

    /// The answer to a request whose sequence number was used before, once the block that used it is published.
    async fn first_answer(&self, request: &Signed<IssuanceRequest>) -> Option<Result<Answer, Outcome>> {
        if self.is_unused(request) {
            return None;
        }
        let sequence = request.record.head.sequence;
        let bank = Signer::Member(Role::Bank, MemberId(request.record.bank.0));
        let found = self.reply_cache.find(bank, sequence);
        if let Some((_, answer)) = &found
            && self.ledger.until_announced(answer.height).await.is_err()
        {
            return Some(Err(Outcome::refused(Reason::Unavailable, 0, 0)));
        }
        Some(match found {
            Some((Command::Issuance(order), answer)) if order.record.request == *request => Ok(answer),
            Some(_) => Err(Outcome::refused(Reason::SequenceConflict, 0, sequence)),
            None => Err(Outcome::refused(Reason::SequenceUsed, 0, sequence)),
        })
    }

    async fn wait_for_operator(&self, request: Signed<IssuanceRequest>) -> Result<(), Outcome> {
        let (bank, sequence) = (request.record.bank, request.record.head.sequence);
        if !self.is_signed(&request) {
            return Err(Outcome::refused(Reason::BadSignature, 0, 0));
        }
        let _keeping = self.keeping.lock().await;
        let term = self.term()?;
        {
            let mut waiting = self.lock();
            self.drop_settled(&mut waiting);
            match waiting.get(&(bank, sequence)) {
                Some(known) if known.request != request => {
                    return Err(Outcome::refused(Reason::SequenceConflict, 0, sequence));
                }
                Some(known) if known.rejected => return Err(Outcome::refused(Reason::RequestRejected, 0, sequence)),
                Some(_) => return Ok(()),
                None => {}
            }
            let of_bank = waiting.keys().filter(|(waiting_bank, _)| *waiting_bank == bank).count();
            if of_bank >= WAITING_MAX {
                return Err(Outcome::refused(Reason::Overloaded, WAITING_MAX as u64, of_bank as u64 + 1));
            }
        }
        self.keep(Kept { request, rejected: false, term }).await
    }

    /// The term in which this node leads, where others order with it; otherwise 0.
    fn term(&self) -> Result<u64, Outcome> {
        match &self.keepers {
            None => Ok(0),
            Some(keepers) => keepers.term().ok_or(Outcome::refused(Reason::NotLeader, 0, 0)),
        }
    }

    /// Makes an entry durable, here and at a majority of the nodes, as the leader of its term. `keeping` is held.
    async fn keep(&self, kept: Kept) -> Result<(), Outcome> {
        // The others first: what is known here is kept by a majority.
        if let Some(keepers) = &self.keepers {
            keepers.keep(kept).await.map_err(|reason| {
                tracing::warn!(%reason, "it is not known whether a majority keeps an issuance request");
                Outcome::refused(Reason::Unavailable, 0, 0)
            })?;
        }
        self.keep_here(kept).await?;
        // Whoever leads by now may have been told what is kept here before this was.
        match self.term() {
            Ok(now) if now == kept.term => Ok(()),
            _ => Err(Outcome::refused(Reason::Unavailable, 0, 0)),
        }
    }

    /// Makes an entry durable here, then adds it to the table. `keeping` is held.
    async fn keep_here(&self, kept: Kept) -> Result<(), Outcome> {
        let mut batch = WriteBatch::new();
        let mut value = vec![if kept.rejected { REJECTED } else { WAITS }];
        value.extend(kept.term.to_be_bytes());
        value.extend(kept.request.to_bytes());
        let key_bytes = stored_key(kept.key());
        batch.put(Column::Meta, &key_bytes, sealed::seal(&key_bytes, &value));
        let store = self.store.clone();
        let written = thread::blocking(move || store.write(batch, Durability::Synced)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::error!("an issuance request could not be made durable");
            return Err(Outcome::refused(Reason::Unavailable, 0, 0));
        }
        self.lock().insert(kept.key(), kept);
        if kept.rejected {
            // Whoever leads next may be this node: what the table calls rejected is barred.
            self.rejections.restore(kept.key());
        }
        Ok(())
    }

    /// The waiting requests that could still settle.
    pub fn waiting(&self) -> Vec<Signed<IssuanceRequest>> {
        let mut waiting = self.lock();
        self.drop_settled(&mut waiting);
        waiting.values().filter(|entry| !entry.rejected).map(|entry| entry.request).collect()
    }

    /// Rejects a waiting request. Safe to repeat; false if no such request waits.
    pub async fn reject(&self, bank: BankId, sequence: u64) -> Result<bool, Outcome> {
        let found = {
            let mut waiting = self.lock();
            self.drop_settled(&mut waiting);
            waiting.get(&(bank, sequence)).copied()
        };
        match found {
            None => Ok(false),
            Some(entry) if entry.rejected => Ok(true),
            Some(entry) => self.bar_and_keep(entry).await,
        }
    }

    /// Rejects a request for good, unless an order that carries it is answered first.
    async fn bar_and_keep(&self, entry: Kept) -> Result<bool, Outcome> {
        let (key, term) = (entry.key(), self.term()?);
        let Ok(Some(_barred)) = tokio::time::timeout(ORDERS_WAIT, self.rejections.bar(key)).await else {
            return Err(Outcome::refused(Reason::Unavailable, 0, 0));
        };
        if !self.is_unused(&entry.request) {
            return Ok(false);
        }
        let _keeping = self.keeping.lock().await;
        self.keep(Kept { rejected: true, term, ..entry }).await?;
        Ok(true)
    }

    /// Drops requests that were ordered or have expired. One that returns after a crash is dropped again.
    fn drop_settled(&self, waiting: &mut Waiting) {
        let now = self.ledger.read(|ledger| ledger.tip().time);
        let mut batch = WriteBatch::new();
        waiting.retain(|key, entry| {
            let keep = entry.request.record.head.valid_until >= now && self.is_unused(&entry.request);
            if !keep {
                batch.delete(Column::Meta, stored_key(*key));
                self.rejections.forget(*key);
            }
            keep
        });
        if !batch.is_empty()
            && let Err(error) = self.store.write(batch, Durability::Buffered)
        {
            tracing::error!(%error, "finished issuance requests could not be removed");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the request's bank signed it, with its present key.
    fn is_signed(&self, request: &Signed<IssuanceRequest>) -> bool {
        let seat_key = |ledger: &cbdc_ledger::Ledger| {
            ledger.members().bank(request.record.bank).map(|seat| seat.member.signing_key)
        };
        self.ledger.read(seat_key).is_some_and(|key| request.is_signed_by(self.network, &key))
    }

    fn is_unused(&self, request: &Signed<IssuanceRequest>) -> bool {
        let sequence = request.record.head.sequence;
        self.ledger.read(|ledger| {
            let seat = ledger.members().bank(request.record.bank);
            seat.is_some_and(|seat| seat.window.status(sequence) == cbdc_ledger::sequence::SequenceStatus::Free)
        })
    }

    /// Signs the order and submits it. The same request, made twice at the same time, is ordered once.
    async fn order(&self, operator: &OperatorKey, request: Signed<IssuanceRequest>) -> Result<Answer, Outcome> {
        let _turn = self.signing.lock().await;
        sign_until_done(|| self.order_once(operator, request)).await
    }

    async fn order_once(
        &self,
        operator: &OperatorKey,
        request: Signed<IssuanceRequest>,
    ) -> Attempt<Result<Answer, Outcome>> {
        if let Some(first) = self.first_answer(&request).await {
            return Attempt::Done(first);
        }
        let Some(head) = self.ledger.read(|ledger| operator_head(ledger, operator.member, &request.record)) else {
            return Attempt::Done(Err(Outcome::refused(Reason::UnknownMember, 0, 0)));
        };
        let order = IssuanceOrder { head, operator: operator.member, request };
        let signed = order.sign(self.network, &operator.key);
        let answer = self.intake.submit_one((Role::Operator, operator.member), signed.into()).await;
        // The order was submitted only once.
        match answer.outcome.reason.shows_sequence_taken(OtherCopies::NotOrdered) {
            true => Attempt::SignAgain(Ok(answer)),
            false => Attempt::Done(Ok(answer)),
        }
    }
}

/// The operator's next sequence number; the order is valid as long as the request.
fn operator_head(ledger: &Ledger, operator: MemberId, request: &IssuanceRequest) -> Option<Head> {
    let seat = ledger.members().active(Role::Operator, operator)?;
    let valid_until = Timestamp(request.head.valid_until.0);
    Some(Head { flags: 0, key_version: seat.key_version, sequence: seat.window.lowest_unused(), valid_until })
}

fn stored_key((bank, sequence): RequestKey) -> Vec<u8> {
    [KEY_PREFIX, &bank.0.to_be_bytes(), &sequence.to_be_bytes()].concat()
}

/// The requests in the store. One that cannot be read was never acknowledged, and is skipped.
fn read(store: &dyn Store) -> Result<Waiting, StoreError> {
    let mut end = KEY_PREFIX.to_vec();
    *end.last_mut().expect("the prefix is not empty") += 1;
    let range = KeyRange { from: KEY_PREFIX.to_vec(), to: Some(end) };
    let mut waiting = Waiting::new();
    for (key, value) in store.collect(Column::Meta, &range, Direction::Forward, usize::MAX)? {
        // Earlier versions did not seal it.
        let value = sealed::open(&key, &value).unwrap_or(&value);
        match decode(value) {
            Some(kept) => drop(waiting.insert(kept.key(), kept)),
            None => tracing::warn!("a stored issuance request cannot be read; it is skipped"),
        }
    }
    Ok(waiting)
}

/// The entry in a stored value.
fn decode(value: &[u8]) -> Option<Kept> {
    let (state, rest) = value.split_first()?;
    let (term, request) = match *state {
        WAITS | REJECTED => {
            let (term, request) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*term), request)
        }
        WAITS_WITHOUT_TERM | REJECTED_WITHOUT_TERM => (0, rest),
        _ => return None,
    };
    let rejected = matches!(*state, REJECTED | REJECTED_WITHOUT_TERM);
    Some(Kept { request: Signed::from_bytes(request).ok()?, rejected, term })
}

#[cfg(test)]
mod tests {
    use cbdc_devnet::{Network, NetworkSpec};
    use cbdc_ledger::Amount;
    use cbdc_ledger::command::IssuanceKind;
    use cbdc_node::data_folder::read_genesis;
    use cbdc_storage::MemoryStore;

    use super::*;
    use crate::shares::work_queue::WorkQueue;

    const UNTIL: Timestamp = Timestamp(u64::MAX / 2);

    struct Nodes {
        network: Network,
        _folder: tempfile::TempDir,
    }

    impl Nodes {
        fn new() -> Nodes {
            let folder = tempfile::tempdir().unwrap();
            let network = Network::create(&folder.path().join("net"), &NetworkSpec::default()).unwrap();
            Nodes { network, _folder: folder }
        }

        fn open(&self, store: Arc<dyn Store>) -> IssuanceQueue {
            let config = crate::Config::load(&self.network.config_path(self.network.central_bank())).unwrap();
            let ledger = LedgerHandle::new(Ledger::new(read_genesis(&config.genesis).unwrap()).unwrap());
            let rejections = Rejections::default();
            let intake = Intake::new(WorkQueue::new(100), rejections.clone());
            let network = self.network.anchor().network();
            IssuanceQueue::open(network, None, ledger, intake, rejections, ReplyCache::default(), store).unwrap()
        }

        fn request(&self, amount: u64, valid_until: Timestamp) -> Signed<IssuanceRequest> {
            let head = Head { flags: 0, key_version: 0, sequence: 1, valid_until };
            let (kind, amount) = (IssuanceKind::Issue, Amount::from_minor(amount));
            let key = self.network.signing_key(Role::Bank, MemberId(1)).unwrap();
            IssuanceRequest { kind, head, bank: BankId(1), amount }.sign(self.network.anchor().network(), &key)
        }

        fn order(&self, request: Signed<IssuanceRequest>) -> Command {
            let head = Head { flags: 0, key_version: 0, sequence: 1, valid_until: UNTIL };
            let key = self.network.signing_key(Role::Operator, MemberId(1)).unwrap();
            IssuanceOrder { head, operator: MemberId(1), request }.sign(self.network.anchor().network(), &key).into()
        }
    }

    #[tokio::test]
    async fn of_two_entries_the_one_of_the_higher_term_counts_whichever_comes_first() {
        let nodes = Nodes::new();
        let (one, other, longer) =
            (nodes.request(1, UNTIL), nodes.request(2, UNTIL), nodes.request(3, UNTIL.plus_ms(1)));
        let waits = |request, term| Kept { request, rejected: false, term };
        let rejected = |request, term| Kept { request, rejected: true, term };
        // Each second one counts: a rejection over an entry that was never acknowledged, too.
        let pairs = [
            (waits(one, 2), rejected(other, 3)),
            (rejected(one, 2), waits(other, 3)),
            (rejected(one, 2), waits(one, 3)),
            (waits(one, 3), rejected(one, 3)),
            (rejected(one, 3), waits(longer, 3)),
        ];
        for (less, more) in pairs {
            for both in [[less, more], [more, less]] {
                let store = Arc::new(MemoryStore::new());
                let queue = nodes.open(store.clone());
                for kept in both {
                    queue.take_over(kept).await.unwrap();
                }
                let again = nodes.open(store);
                for queue in [&queue, &again] {
                    assert_eq!(queue.kept(), [more], "of {both:?}");
                    let admitted = queue.rejections.begin(&[nodes.order(more.request)]);
                    assert_eq!(admitted.err().map(|refusal| refusal.reason), {
                        more.rejected.then_some(Reason::RequestRejected)
                    });
                }
            }
        }
    }

    #[tokio::test]
    async fn entries_of_earlier_versions_are_read() {
        let (nodes, store) = (Nodes::new(), Arc::new(MemoryStore::new()));
        let request = nodes.request(1, UNTIL);
        let key = stored_key((BankId(1), 1));
        for (state, rejected) in [(WAITS_WITHOUT_TERM, false), (REJECTED_WITHOUT_TERM, true)] {
            let mut batch = WriteBatch::new();
            batch.put(Column::Meta, &key, sealed::seal(&key, &[&[state], &request.to_bytes()[..]].concat()));
            store.write(batch, Durability::Synced).unwrap();
            assert_eq!(nodes.open(store.clone()).kept(), [Kept { request, rejected, term: 0 }]);
        }
    }
}
