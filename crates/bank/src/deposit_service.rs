//! The deposit service: deposits and outbox, which change together.
//!
//! One lock guards both. There are two writers:
//!
//! * The *writer thread* serves requests of customers and back office. It collects waiting requests, changes the books
//!   in memory, writes everything in **one synced batch**, and only then answers and lets commands be sent (a group
//!   commit: a thousand fundings at once cost one fsync). A debit and its outbox record are in the same batch.
//! * The *replica thread* books each block, or several consecutive ones ([`DepositService::follow_block`]): header,
//!   outcomes, block proposal, history, deposit entries and outbox releases are one batch, so whatever the chain drives
//!   happens exactly once, with the last block's height as cursor. That batch needs no fsync: after a crash the same
//!   blocks are applied again.
//!
//! A top-up that the bank promised (reverse waterfall) is a funding of variable size: the most that it may take goes
//! into transit with the outbox record, and the outcome says how much arrived. A payment is topped up once: while its
//! top-up is in the outbox, a copy of the payment waits for the same outcome. When the chain uses the payer's sequence
//! number for anything else, the top-up can never settle and is returned.
//!
//! The back office's requests under its ids ([`crate::request_book`]) are kept here as well: the writer thread signs a
//! request and makes it durable, and blocks bring its outcome. The caller sends it, and asks again under the same id if
//! no answer came.
//!
//! Where the chain has a settled funding or top-up of this bank that is not in the outbox, the data folder is older
//! than what the bank has done: the deposit is debited, and from then on deposits are in doubt
//! ([`crate::deposit_doubt`]).
//!
//! After a start deposits wait until the replica has caught up with the chain ([`crate::catching_up`]): calls about
//! them wait for that for a while, and are then refused.
//!
//! A writer holds the lock from its first change until the batch is written. If a write fails, the store refuses all
//! further ones and the node stops; the state in memory is discarded with it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cbdc_environment::thread;
use cbdc_ledger::block::{DepositDirection, DepositMovement};
use cbdc_ledger::command::{
    Head, IssuanceRequest, Payment, PaymentKind, Record, ReservesTransfer, ReverseWaterfall, Signer,
};
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::Stage;
use cbdc_ledger::sequence::SequenceStatus;
use cbdc_ledger::{AccountId, Amount, BankId, Command, Height, Ledger, MemberId, Outcome, Reason, Signed, Timestamp};
use cbdc_node::views::probable_time;
use cbdc_proto::wall_clock::wall_clock;
use cbdc_storage::{Durability, Store, StoreError, WriteBatch};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::catching_up::{CatchingUp, FolderAtStart, HeadSource};
use crate::deposit_doubt::{Correction, DepositDoubt};
use crate::deposits::{
    BALANCE_MAX, Credit, Deposit, DepositBook, DepositError, Funding, OrderedOutcome, RequestId, accounts_from,
    credit_of, delete_funding, funding_of, put_credit, put_funding,
};
use crate::last_alive::LastAlive;
use crate::metrics::Metrics;
use crate::outbox::{Entry, Outbox, OutboxError, OutboxKey, OutboxPayload, Release};
use crate::request_book::{Intent, OpenRequests, OwnRequest, Progress, own_request_of, put_own_request};
use crate::service::{Unanswered, latest_valid_until};
use crate::signing::{BankSigner, FUND_VALIDITY, REQUEST_VALIDITY, SHORT_VALIDITY};

/// Requests that may wait for the writer thread.
const QUEUE: usize = 8_192;
/// Requests in one synced write.
const GROUP: usize = 1_024;
/// The longest time for which a call about deposits waits until the node has caught up.
const CATCHING_UP_WAIT: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, thiserror::Error)]
pub enum DepositServiceError {
    #[error(transparent)]
    Deposit(#[from] DepositError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("the books cannot be written: {0}")]
    Store(#[from] StoreError),
}

/// An effect of a block on this bank's books.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A command used one of this bank's own sequence numbers.
    OwnSequenceUsed { sequence: u64, command: Bytes, ordered: OrderedOutcome },
    /// A command used a holder's sequence number. For a payment that a bank topped up, `command` is the holder's own
    /// record.
    HolderSequenceUsed { account: AccountId, sequence: u64, command: Bytes, ordered: OrderedOutcome },
    /// Money arrived from a wallet on its deposit: a settled defund, or a waterfall.
    Arrived { account: AccountId, amount: Amount },
    /// The block shows that this bank has run after the last sign of life in this data folder.
    RanElsewhere { height: Height },
}

/// A page of the statement of deposits in doubt.
#[derive(Clone, Debug)]
pub struct DepositStatementPage {
    /// The height of the block that showed that deposits are in doubt; `None` if they are not.
    pub since: Option<Height>,
    pub revision: u64,
    /// The height to be reached after a start, 0 while nobody has named it; `None` once it is reached.
    pub catching_up_to: Option<Height>,
    /// The height up to which blocks are booked.
    pub height: Height,
    /// The number of deposits that the chain has corrected, and the sum of shortfalls.
    pub corrected: (u64, u128),
    pub deposits: Vec<(AccountId, Deposit, Correction)>,
}

/// A payment that the bank may top up from the payer's deposit.
#[derive(Clone, Debug)]
pub struct TopUp {
    /// Signed by its payer with [`cbdc_ledger::command::FLAG_REVERSE_WATERFALL`]; the caller has verified it.
    pub transfer: Signed<Payment>,
    /// The most that the payer could lack when the payment is ordered: the promise, as far as the deposit reaches.
    pub wanted: Amount,
    /// Whether a promise may be made now; otherwise only an earlier one is answered.
    pub may_begin: bool,
}

/// A wallet's records in the outbox.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// Payments that were accepted and not settled, by number.
    pub accepted: Vec<Signed<Payment>>,
    /// The numbers of all its records, those of topped-up payments included.
    pub numbers: BTreeSet<u64>,
    /// The amount that the accepted payments take from the wallet.
    pub spent: Amount,
}

/// The state of a funding.
#[derive(Debug)]
pub enum FundingState {
    /// Its outcome is known.
    OrderedOutcome(OrderedOutcome),
    /// It is in transit.
    InTransit(oneshot::Receiver<Release>),
}

/// A request of the back office's, and whether it was signed just now.
#[derive(Clone, Debug)]
pub struct BegunRequest {
    pub request: OwnRequest,
    pub is_new: bool,
}

type Answer<T> = oneshot::Sender<Result<T, Outcome>>;

enum Job {
    Credit { request: RequestId, credit: Credit, answer: Answer<Deposit> },
    Fund { request: RequestId, account: AccountId, amount: Amount, may_begin: bool, answer: Answer<FundingState> },
    TopUp { top_up: Box<TopUp>, answer: Answer<oneshot::Receiver<Release>> },
    Accept { payment: Box<Signed<Payment>>, answer: Answer<()> },
    Request { id: RequestId, intent: Intent, answer: Answer<BegunRequest> },
    Rejected { id: RequestId, answer: Answer<()> },
    AcceptDeposits { revision: u64, balances: Vec<(AccountId, Amount)>, answer: Answer<bool> },
    GiveBack { key: OutboxKey, reason: Reason },
    OrderedOutcome { key: OutboxKey, ordered: OrderedOutcome },
}

struct Books {
    deposits: DepositBook,
    doubt: DepositDoubt,
    catching_up: CatchingUp,
    outbox: Outbox,
    requests: OpenRequests,
    /// Height and time of the last block followed.
    height: Height,
    time: Timestamp,
}

pub struct DepositService {
    books: Mutex<Books>,
    /// The number of commands in the outbox that use a holder's sequence number: while it is 0, blocks need not be
    /// searched for them.
    of_holders: AtomicUsize,
    last_alive: LastAlive,
    /// Whether the node has caught up, for those who wait for it.
    caught_up: watch::Sender<bool>,
    unanswered: Arc<Unanswered>,
    signer: Arc<BankSigner>,
    store: Arc<dyn Store>,
    jobs: mpsc::Sender<Job>,
    /// Signalled when there may be something to send.
    pub outbox_changed: Notify,
    metrics: Arc<Metrics>,
}

/// The work of the writer thread; it ends when the service is dropped, or with the first failed write.
pub struct DepositWriter {
    service: std::sync::Weak<DepositService>,
    jobs: mpsc::Receiver<Job>,
}

impl DepositService {
    /// Loads the books. `height` and `time` are the replica's, `unanswered` the records that were sent and not
    /// answered.
    pub fn load(
        store: Arc<dyn Store>,
        signer: Arc<BankSigner>,
        (height, time): (Height, Timestamp),
        (folder, unanswered): (FolderAtStart, Arc<Unanswered>),
        metrics: Arc<Metrics>,
    ) -> Result<(Arc<DepositService>, DepositWriter), DepositServiceError> {
        let deposits = DepositBook::load(&store, signer.bank)?;
        let doubt = DepositDoubt::load(&store)?;
        metrics.deposits_in_doubt(doubt.in_doubt());
        if doubt.in_doubt() {
            warn_of_doubt(&doubt);
        }
        let last_alive = LastAlive::begin(&*store, (height, time), folder.started_at)?;
        let catching_up = CatchingUp::new(folder);
        let outbox = Outbox::load(&store)?;
        let mut of_holders = 0;
        for (key, entry) in outbox.entries() {
            if let OutboxKey::Own { sequence } = key {
                signer.sequence.reserve(*sequence);
            }
            of_holders += usize::from(uses_holders_sequence(key, &entry.payload));
        }
        // The number of an undecided request stays unused until the request has expired.
        let requests = OpenRequests::load(&store, |request| {
            signer.sequence.unknown(request.sequence, request.valid_until);
        })?;
        metrics.outbox(outbox.len());
        let (send, jobs) = mpsc::channel(QUEUE);
        let service = Arc::new(DepositService {
            caught_up: watch::channel(catching_up.is_over()).0,
            books: Mutex::new(Books { deposits, doubt, catching_up, outbox, requests, height, time }),
            of_holders: AtomicUsize::new(of_holders),
            last_alive,
            unanswered,
            signer,
            store,
            jobs: send,
            outbox_changed: Notify::new(),
            metrics,
        });
        let writer = DepositWriter { service: Arc::downgrade(&service), jobs };
        Ok((service, writer))
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the height of the chain's head, as the central bank or a peer reports it.
    pub fn head_named(&self, head: Height, source: HeadSource) {
        let mut books = self.lock();
        let was_over = books.catching_up.is_over();
        let height = books.height;
        books.catching_up.named(head, source, height);
        if was_over && !books.catching_up.is_over() {
            tracing::info!(%height, %head, "deposits wait until the replica has caught up");
        }
        self.note_progress(&books);
    }

    /// Whether the central bank has named the chain's head since the start.
    pub fn heard_central_bank(&self) -> bool {
        self.lock().catching_up.heard_central_bank()
    }

    /// Tells those who wait whether the node has caught up.
    fn note_progress(&self, books: &Books) {
        let is_over = books.catching_up.is_over();
        if self.caught_up.send_if_modified(|before| std::mem::replace(before, is_over) != is_over) && is_over {
            tracing::info!(height = %books.height, "the replica has caught up: deposits are served");
            // Deposits that came into doubt on the way show that this folder is no first start.
            if books.catching_up.is_new() && !books.doubt.in_doubt() {
                self.unanswered.nothing_was_sent_before();
            }
        }
    }

    /// Waits for a while until the node has caught up; those who ask then are refused where it has not.
    async fn until_caught_up(&self) {
        if *self.caught_up.borrow() {
            return;
        }
        let mut caught_up = self.caught_up.subscribe();
        drop(tokio::time::timeout(CATCHING_UP_WAIT, caught_up.wait_for(|is_over| *is_over)).await);
    }

    /// Waits for a while until the node has caught up.
    ///
    /// # Errors
    /// `CATCHING_UP`.
    pub async fn caught_up(&self) -> Result<(), Outcome> {
        self.until_caught_up().await;
        self.lock().caught_up()
    }

    /// Whether a block of this time is to be searched for commands that went through this bank before its empty folder
    /// was begun; if there is one, [`DepositService::ran_before`] is told.
    pub fn asks_whether_it_ran(&self, time: Timestamp) -> bool {
        !*self.caught_up.borrow() && self.lock().catching_up.asks_whether_it_ran(time)
    }

    pub fn ran_before(&self) {
        self.lock().catching_up.ran_before();
    }

    /// A deposit as it may be shown.
    ///
    /// # Errors
    /// `CATCHING_UP`, `DEPOSITS_IN_DOUBT`.
    pub async fn certain_deposit(&self, account: AccountId) -> Result<Deposit, Outcome> {
        self.until_caught_up().await;
        let books = self.lock();
        books.certain().map(|()| books.deposits.get(account))
    }

    /// The sums that [`DepositService::totals`] gives, as they may be reported.
    ///
    /// # Errors
    /// `CATCHING_UP`, `DEPOSITS_IN_DOUBT`.
    pub async fn certain_totals(&self) -> Result<(u128, u128), Outcome> {
        self.until_caught_up().await;
        let books = self.lock();
        books.certain().map(|()| books.deposits.totals())
    }

    pub fn deposits_in_doubt(&self) -> bool {
        self.lock().doubt.in_doubt()
    }

    /// A page of the statement of deposits: those of up to `limit` accounts, beginning with `from`. The first one
    /// begins with 0, and is then the statement that was shown last.
    pub fn statement(&self, from: u64, limit: usize) -> Result<DepositStatementPage, DepositServiceError> {
        // Every change is written before the lock is released.
        let mut books = self.lock();
        if from == 0 {
            books.doubt.show();
        }
        let accounts = accounts_from(&*self.store, from, limit)?;
        let row = |account| (account, books.deposits.get(account), books.doubt.correction(account));
        Ok(DepositStatementPage {
            since: books.doubt.in_doubt().then(|| books.doubt.since()),
            revision: books.doubt.revision(),
            catching_up_to: (!books.catching_up.is_over()).then(|| books.catching_up.head().unwrap_or_default()),
            height: books.height,
            corrected: books.doubt.totals(),
            deposits: accounts.into_iter().map(row).collect(),
        })
    }

    /// Accepts the deposits as the statement of a revision shows them, with these balances set: deposits are no longer
    /// in doubt. Durable when it returns. False if they were not in doubt: nothing is done.
    ///
    /// # Errors
    /// `DEPOSITS_IN_DOUBT` if another statement was shown last, or something has changed since; `DEPOSIT_TOO_LARGE`;
    /// `CATCHING_UP`.
    pub async fn accept_deposits(&self, revision: u64, balances: Vec<(AccountId, Amount)>) -> Result<bool, Outcome> {
        self.ask_of_deposits(|answer| Job::AcceptDeposits { revision, balances, answer }).await
    }

    /// Whether deposits are in doubt and the statement of a revision was shown last.
    pub fn has_shown(&self, revision: u64) -> bool {
        self.lock().doubt.is_shown(revision)
    }

    /// Whether a block of this time is to be searched for commands that went through this bank
    /// ([`Effect::RanElsewhere`]).
    pub fn searches_for_life(&self, time: Timestamp) -> bool {
        self.last_alive.searches(time)
    }

    /// Notes in the store that the node runs.
    pub fn note_alive(&self) {
        if let Err(error) = self.last_alive.note(&*self.store, wall_clock()) {
            tracing::warn!(%error, "the time could not be noted in the data folder");
        }
    }

    /// Whether a wallet of another bank has a deposit here.
    pub fn has_linked_deposit(&self, account: AccountId) -> bool {
        self.lock().deposits.has_linked(account)
    }

    /// The sum of deposits, and the sum in transit.
    pub fn totals(&self) -> (u128, u128) {
        self.lock().deposits.totals()
    }

    /// The number of commands in the outbox.
    pub fn outbox_len(&self) -> usize {
        self.lock().outbox.len()
    }

    /// Whether a record with a holder's number is in the outbox.
    pub fn has_in_outbox(&self, account: AccountId, sequence: u64) -> bool {
        self.lock().outbox.has_number_of(account, sequence)
    }

    /// A wallet's records in the outbox.
    ///
    /// Read this before the ledger: a payment that settles in between is then briefly counted twice, but never missed.
    pub fn waiting_of(&self, account: AccountId) -> Waiting {
        if !self.watches_holders() {
            return Waiting::default();
        }
        let books = self.lock();
        let accepted: Vec<_> = books.outbox.accepted_of(account).copied().collect();
        let topped_up = books.outbox.topped_up_of(account);
        let numbers = accepted.iter().map(|payment| payment.record.head.sequence).chain(topped_up).collect();
        let spent = self.spent_by(&accepted);
        Waiting { accepted, numbers, spent }
    }

    /// The amount that payments take from their payers' wallets when they settle, as far as it is known here.
    fn spent_by<'a>(&self, payments: impl IntoIterator<Item = &'a Signed<Payment>>) -> Amount {
        let of_one = |ledger: &Ledger, payment: &Payment| {
            let Payment { kind, from, to, amount, max_fee, .. } = *payment;
            // A partial replica does not know the payee's class, and so not the fee.
            let knows_fee = kind == PaymentKind::Transfer && ledger.partial_replica_of().is_none();
            let fee = match knows_fee {
                true => ledger.quote(from, to, amount, max_fee, probable_time(ledger.tip().time)).fee,
                false => Amount::ZERO,
            };
            amount.plus(fee).unwrap_or(Amount::MAX)
        };
        self.signer.ledger.read(|ledger| {
            let spent = payments.into_iter().map(|payment| of_one(ledger, &payment.record));
            spent.fold(Amount::ZERO, |sum, amount| sum.plus(amount).unwrap_or(Amount::MAX))
        })
    }

    /// Whether the outbox has commands that use a holder's sequence number, so that blocks must be searched for it.
    pub fn watches_holders(&self) -> bool {
        self.of_holders.load(Ordering::Acquire) > 0
    }

    /// Asks for something that changes deposits or answers them.
    async fn ask_of_deposits<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, Outcome> {
        self.until_caught_up().await;
        self.ask(job).await
    }

    async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, Outcome> {
        let (answer, hear) = oneshot::channel();
        if self.jobs.try_send(job(answer)).is_err() {
            return Err(Outcome::refused(Reason::Overloaded, 0, 0));
        }
        // The writer thread ends without an answer only if a write failed: whether it is on disk is not known.
        hear.await.unwrap_or(Err(Outcome::refused(Reason::Unavailable, 0, 0)))
    }

    /// Books money paid in from outside, once per request id. Durable when it returns.
    pub async fn credit(&self, request: RequestId, account: AccountId, amount: Amount) -> Result<Deposit, Outcome> {
        self.ask_of_deposits(|answer| Job::Credit { request, credit: Credit { account, amount }, answer }).await
    }

    /// Debits the deposit and puts a fund command into the outbox, once per request id. Durable when it returns.
    ///
    /// Unless it `may_begin`, only a funding begun before is answered; a new one is refused as unavailable.
    pub async fn fund(
        &self,
        request: RequestId,
        account: AccountId,
        amount: Amount,
        may_begin: bool,
    ) -> Result<FundingState, Outcome> {
        self.ask_of_deposits(|answer| Job::Fund { request, account, amount, may_begin, answer }).await
    }

    /// Debits the deposit by the bank's promise and puts the top-up into the outbox, once per payment. Durable when it
    /// returns; the receiver gets the result.
    pub async fn top_up(&self, top_up: TopUp) -> Result<oneshot::Receiver<Release>, Outcome> {
        self.ask_of_deposits(|answer| Job::TopUp { top_up: Box::new(top_up), answer }).await
    }

    /// Puts a customer's payment into the outbox if the wallet covers it and all payments accepted before. Durable when
    /// it returns. The caller has verified the signature.
    pub async fn accept(&self, payment: Signed<Payment>) -> Result<(), Outcome> {
        self.ask(|answer| Job::Accept { payment: Box::new(payment), answer }).await
    }

    /// Signs a request of the back office, once per id, and keeps it. Durable when it returns. A request whose record
    /// can no longer settle is signed again.
    ///
    /// # Errors
    /// `REQUEST_CONFLICT` if the id is that of another intent; or nothing can be signed now.
    pub async fn request(&self, id: RequestId, intent: Intent) -> Result<BegunRequest, Outcome> {
        self.ask_of_deposits(|answer| Job::Request { id, intent, answer }).await
    }

    /// Keeps that the operator has rejected a request.
    pub async fn rejected(&self, id: RequestId) -> Result<(), Outcome> {
        self.ask(|answer| Job::Rejected { id, answer }).await
    }

    /// Removes a command that can never settle.
    pub async fn give_back(&self, key: OutboxKey, reason: Reason) {
        // The writer thread ends only when the node stops; the next start tries again.
        let _ = self.jobs.send(Job::GiveBack { key, reason }).await;
    }

    /// Removes a customer's payment whose block position is known, and which the replica has passed.
    pub async fn ordered(&self, key: OutboxKey, ordered: OrderedOutcome) {
        let _ = self.jobs.send(Job::OrderedOutcome { key, ordered }).await;
    }

    /// The commands to send now.
    pub fn due(&self, limit: usize) -> Vec<(OutboxKey, Bytes)> {
        self.lock().outbox.due(Instant::now(), limit)
    }

    /// Schedules a command to be sent again after a delay, if it is still in the outbox.
    pub fn again(&self, key: &OutboxKey, after: Duration) {
        self.lock().outbox.again(key, after);
    }

    /// The payer and the payer's number of a top-up in the outbox.
    pub fn topped_up(&self, key: &OutboxKey) -> Option<(AccountId, u64)> {
        self.lock().outbox.get(key)?.payload.topped_up()
    }

    /// The number of copies of a command that may be in flight; `None` if it has left the outbox.
    pub fn copies(&self, key: &OutboxKey) -> Option<u32> {
        self.lock().outbox.get(key).map(|entry| entry.copies)
    }

    /// Whether a command is still in the outbox although all blocks up to `height` are booked.
    pub fn outlived(&self, key: &OutboxKey, height: Height) -> bool {
        let books = self.lock();
        books.height >= height && books.outbox.get(key).is_some()
    }

    /// Commands whose valid-until has passed by the chain's time without an outcome.
    pub fn expired(&self) -> Vec<OutboxKey> {
        let books = self.lock();
        books.outbox.expired(books.time)
    }

    /// Books the effects of a block, or of several consecutive ones, and writes them with everything else in the
    /// blocks' `batch`. Height and time are the last one's.
    pub fn follow_block(
        &self,
        mut batch: WriteBatch,
        effects: &[Effect],
        (height, time): (Height, Timestamp),
    ) -> Result<(), DepositServiceError> {
        let mut released = Vec::new();
        let mut books = self.lock();
        for effect in effects {
            self.book(&mut books, &mut batch, effect, &mut released)?;
        }
        self.store.write(batch, Durability::Buffered)?;
        books.height = height;
        books.time = time;
        if !books.catching_up.is_over() {
            books.catching_up.follow(height);
            self.note_progress(&books);
        }
        if !effects.is_empty() {
            self.metrics.outbox(books.outbox.len());
        }
        drop(books);
        self.tell(released);
        Ok(())
    }

    fn book(
        &self,
        books: &mut Books,
        batch: &mut WriteBatch,
        effect: &Effect,
        released: &mut Vec<(Entry, Release)>,
    ) -> Result<(), DepositServiceError> {
        let (key, command, ordered) = match effect {
            Effect::Arrived { account, amount } => {
                books.deposits.arrived(batch, *account, *amount)?;
                books.doubt.moved(batch, *account);
                return Ok(());
            }
            Effect::RanElsewhere { height } => {
                self.last_alive.found(batch);
                self.begin_doubt(books, batch, *height);
                return Ok(());
            }
            Effect::OwnSequenceUsed { sequence, command, ordered } => {
                books.requests.number_used(&*self.store, batch, (*sequence, command), *ordered)?;
                (OutboxKey::Own { sequence: *sequence }, command, ordered)
            }
            Effect::HolderSequenceUsed { account, sequence, command, ordered } => {
                // A top-up is removed by its own outcome first: one that is still here has lost its payer's sequence
                // number.
                if let Some(top_up) = books.outbox.top_up_of(*account, *sequence) {
                    self.release(books, batch, top_up, Release::GivenBack(Reason::SequenceUsed), released)?;
                }
                (OutboxKey::Customer { account: *account, sequence: *sequence }, command, ordered)
            }
        };
        let is_known = match books.outbox.get(&key) {
            Some(entry) if entry.command == *command => {
                return self.release(books, batch, key, Release::Ordered(*ordered), released);
            }
            found => found.is_some(),
        };
        if is_known {
            self.release(books, batch, key, Release::GivenBack(Reason::SequenceConflict), released)?;
        }
        match key {
            OutboxKey::Own { sequence } => self.book_unknown(books, batch, (sequence, command), *ordered, released),
            OutboxKey::Customer { .. } => Ok(()),
        }
    }

    /// Books a command of this bank's own that is not in the outbox: a settled funding or top-up was made on another
    /// data folder, so its debit is made up for here.
    fn book_unknown(
        &self,
        books: &mut Books,
        batch: &mut WriteBatch,
        (sequence, command): (u64, &Bytes),
        ordered: OrderedOutcome,
        released: &mut Vec<(Entry, Release)>,
    ) -> Result<(), DepositServiceError> {
        if !ordered.outcome.is_settled() {
            return Ok(());
        }
        let (account, amount) = match Command::from_bytes(command) {
            Ok(Command::Payment(fund)) if fund.record.kind == PaymentKind::Fund => {
                let Payment { to: account, amount, reference: request, .. } = fund.record;
                self.learn_funding(
                    books,
                    batch,
                    &request,
                    Funding { account, amount, sequence, ordered: Some(ordered) },
                    released,
                )?;
                (account, amount)
            }
            Ok(Command::ReverseWaterfall(order)) => {
                (order.record.transfer.record.from, ordered.outcome.charges().reverse_waterfall)
            }
            _ => return Ok(()),
        };
        self.begin_doubt(books, batch, ordered.height);
        if amount == Amount::ZERO {
            return Ok(());
        }
        let shortfall = books.deposits.debit_settled(batch, account, amount);
        books.doubt.corrected(batch, account, amount, shortfall);
        tracing::warn!(
            target: "security", %account, %amount, %shortfall, sequence, height = %ordered.height,
            "a funding or top-up that settled is not in this data folder; its deposit is debited now"
        );
        Ok(())
    }

    /// Keeps a funding that the chain shows under its request's id, so that a repetition finds its outcome. One that
    /// this folder has begun under the id had been given back before that one was signed: it is given back here too.
    fn learn_funding(
        &self,
        books: &mut Books,
        batch: &mut WriteBatch,
        request: &RequestId,
        funding: Funding,
        released: &mut Vec<(Entry, Release)>,
    ) -> Result<(), DepositServiceError> {
        match funding_of(&*self.store, request)? {
            Some(Funding { ordered: Some(_), .. }) => return Ok(()),
            Some(Funding { sequence, .. }) => {
                let key = OutboxKey::Own { sequence };
                if books.outbox.get(&key).is_some_and(|entry| entry.request == *request) {
                    self.release(books, batch, key, Release::GivenBack(Reason::SequenceUsed), released)?;
                }
            }
            None => {}
        }
        put_funding(batch, request, &funding);
        Ok(())
    }

    fn begin_doubt(&self, books: &mut Books, batch: &mut WriteBatch, height: Height) {
        if books.doubt.begin(batch, height) {
            // What was sent since the folder was copied is not known here either.
            self.unanswered.doubt_all_until(self.signer.ledger.read(latest_valid_until));
            self.metrics.deposits_in_doubt(true);
            self.metrics.security_events(1);
            warn_of_doubt(&books.doubt);
        }
    }

    /// Removes an entry from the outbox and settles its amount in transit.
    fn release(
        &self,
        books: &mut Books,
        batch: &mut WriteBatch,
        key: OutboxKey,
        release: Release,
        released: &mut Vec<(Entry, Release)>,
    ) -> Result<(), DepositServiceError> {
        let Some(entry) = books.outbox.remove(batch, &key) else { return Ok(()) };
        if uses_holders_sequence(&key, &entry.payload) {
            self.of_holders.fetch_sub(1, Ordering::AcqRel);
        }
        match key {
            OutboxKey::Own { sequence } => {
                self.end_transit(books, batch, &entry, sequence, release)?;
                match release {
                    Release::Ordered(_) => self.signer.sequence.used(sequence),
                    Release::GivenBack(_) => self.signer.sequence.never_sent(sequence),
                }
            }
            OutboxKey::Customer { account, sequence } => {
                if let Release::GivenBack(reason) = release {
                    tracing::warn!(%account, sequence, %reason, "an accepted payment will never settle");
                }
            }
        }
        released.push((entry, release));
        Ok(())
    }

    /// Books the end of a transit for a command of the bank's own.
    fn end_transit(
        &self,
        books: &mut Books,
        batch: &mut WriteBatch,
        entry: &Entry,
        sequence: u64,
        release: Release,
    ) -> Result<(), DepositServiceError> {
        let settled = match release {
            Release::Ordered(ordered) => Some(ordered.outcome).filter(Outcome::is_settled),
            Release::GivenBack(_) => None,
        };
        let (account, amount, arrived) = match &entry.payload {
            OutboxPayload::Payment(fund) => (fund.record.to, fund.record.amount, settled.map(|_| fund.record.amount)),
            OutboxPayload::TopUp(order) => {
                let drawn = settled.map(|outcome| outcome.charges().reverse_waterfall);
                (order.record.transfer.record.from, order.record.maximum, drawn)
            }
        };
        books.deposits.end_transit(batch, account, amount, arrived.unwrap_or_default())?;
        books.doubt.moved(batch, account);
        if let Release::GivenBack(reason) = release {
            let what = if entry.payload.topped_up().is_some() { "top-up" } else { "funding" };
            tracing::warn!(
                %account, %amount, sequence, %reason,
                "a {what} will never settle; its amount is back on the deposit"
            );
        }
        match (&entry.payload, release) {
            (OutboxPayload::TopUp(_), _) => {}
            (OutboxPayload::Payment(_), Release::Ordered(ordered)) => {
                let funding = Funding { account, amount, sequence, ordered: Some(ordered) };
                put_funding(batch, &entry.request, &funding);
            }
            (OutboxPayload::Payment(_), Release::GivenBack(_)) => delete_funding(batch, &entry.request),
        }
        Ok(())
    }

    fn tell(&self, released: Vec<(Entry, Release)>) {
        released.into_iter().for_each(|(entry, release)| entry.release(release));
    }
}

impl Books {
    /// Refuses while the node has not caught up, or deposits are in doubt.
    fn certain(&self) -> Result<(), Outcome> {
        self.caught_up()?;
        match self.doubt.in_doubt() {
            true => Err(Outcome::refused(Reason::DepositsInDoubt, self.doubt.since().0, self.height.0)),
            false => Ok(()),
        }
    }

    /// Refuses while the node has not caught up.
    fn caught_up(&self) -> Result<(), Outcome> {
        match self.catching_up.is_over() {
            true => Ok(()),
            false => {
                let head = self.catching_up.head().map_or(0, |head| head.0);
                Err(Outcome::refused(Reason::CatchingUp, head, self.height.0))
            }
        }
    }
}

fn warn_of_doubt(doubt: &DepositDoubt) {
    tracing::error!(
        target: "security", since = %doubt.since(),
        "this data folder is older than what this bank has done since: deposits are in doubt, and none is shown or \
        moved until the back office has compared them (cbdc bank deposits) and accepted them (cbdc bank \
        accept-deposits)"
    );
}

/// Whether a command in the outbox settles only while a holder's sequence number is unused.
fn uses_holders_sequence(key: &OutboxKey, payload: &OutboxPayload) -> bool {
    matches!(key, OutboxKey::Customer { .. }) || payload.topped_up().is_some()
}

/// An answer that is sent once the group is on disk.
type Reply = Box<dyn FnOnce() + Send>;

/// One group of requests in progress.
struct Group<'a> {
    service: &'a DepositService,
    books: MutexGuard<'a, Books>,
    batch: WriteBatch,
    /// Credits, fundings and requests that the group has begun but not yet written.
    credits: HashMap<RequestId, Credit>,
    fundings: HashMap<RequestId, Funding>,
    requests: HashMap<RequestId, OwnRequest>,
    released: Vec<(Entry, Release)>,
    replies: Vec<Reply>,
}

impl DepositWriter {
    /// Serves requests until the service is dropped. It waits for the disk: run it on its own thread.
    pub async fn run(mut self) -> Result<(), DepositServiceError> {
        let mut jobs = Vec::with_capacity(GROUP);
        while self.jobs.recv_many(&mut jobs, GROUP).await > 0 {
            thread::work_begins().await;
            let Some(service) = self.service.upgrade() else { return Ok(()) };
            Group::work(&service, jobs.drain(..))?;
        }
        Ok(())
    }
}

impl Group<'_> {
    fn work(service: &DepositService, jobs: impl Iterator<Item = Job>) -> Result<(), DepositServiceError> {
        let mut group = Group {
            service,
            books: service.lock(),
            batch: WriteBatch::new(),
            credits: HashMap::new(),
            fundings: HashMap::new(),
            requests: HashMap::new(),
            released: Vec::new(),
            replies: Vec::new(),
        };
        for job in jobs {
            group.job(job)?;
        }
        let Group { books, batch, released, replies, .. } = group;
        if !batch.is_empty() {
            service.store.write(batch, Durability::Synced)?;
        }
        service.metrics.outbox(books.outbox.len());
        drop(books);
        service.tell(released);
        replies.into_iter().for_each(|reply| reply());
        service.outbox_changed.notify_one();
        Ok(())
    }

    fn job(&mut self, job: Job) -> Result<(), DepositServiceError> {
        match job {
            Job::Credit { request, credit, answer } => {
                let booked = self.credit(&request, credit)?;
                self.reply(answer, booked);
            }
            Job::Fund { request, account, amount, may_begin, answer } => {
                let state = self.fund(&request, account, amount, may_begin)?;
                self.reply(answer, state);
            }
            Job::TopUp { top_up, answer } => {
                let promised = self.top_up(&top_up);
                self.reply(answer, promised);
            }
            Job::Accept { payment, answer } => {
                let accepted = self.accept(*payment);
                self.reply(answer, accepted);
            }
            Job::Request { id, intent, answer } => {
                let begun = self.request(&id, intent)?;
                self.reply(answer, begun);
            }
            Job::Rejected { id, answer } => {
                self.rejected(&id)?;
                self.reply(answer, Ok(()));
            }
            Job::AcceptDeposits { revision, balances, answer } => {
                let accepted = self.accept_deposits(revision, &balances);
                self.reply(answer, accepted);
            }
            Job::GiveBack { key, reason } => self.release(key, Release::GivenBack(reason))?,
            Job::OrderedOutcome { key, ordered } => self.release(key, Release::Ordered(ordered))?,
        }
        Ok(())
    }

    fn reply<T: Send + 'static>(&mut self, answer: Answer<T>, result: Result<T, Outcome>) {
        self.replies.push(Box::new(move || {
            // A caller that hung up repeats its request.
            let _ = answer.send(result);
        }));
    }

    fn release(&mut self, key: OutboxKey, release: Release) -> Result<(), DepositServiceError> {
        self.service.release(&mut self.books, &mut self.batch, key, release, &mut self.released)
    }

    fn credit(&mut self, request: &RequestId, credit: Credit) -> Result<Result<Deposit, Outcome>, DepositServiceError> {
        let earlier = match self.credits.get(request) {
            Some(earlier) => Some(*earlier),
            None => credit_of(&*self.service.store, request)?,
        };
        if let Err(refusal) = self.books.certain() {
            return Ok(Err(refusal));
        }
        if let Some(earlier) = earlier {
            return Ok(if earlier == credit {
                Ok(self.books.deposits.get(credit.account))
            } else {
                Err(other_request())
            });
        }
        let booked = self.books.deposits.credit(&mut self.batch, credit.account, credit.amount);
        if booked.is_ok() {
            put_credit(&mut self.batch, request, &credit);
            self.credits.insert(*request, credit);
        }
        Ok(booked)
    }

    fn fund(
        &mut self,
        request: &RequestId,
        account: AccountId,
        amount: Amount,
        may_begin: bool,
    ) -> Result<Result<FundingState, Outcome>, DepositServiceError> {
        let earlier = match self.fundings.get(request) {
            Some(earlier) => Some(*earlier),
            None => funding_of(&*self.service.store, request)?,
        };
        if let Some(earlier) = earlier {
            return Ok(self.repeated(earlier, account, amount));
        }
        if let Err(refusal) = self.books.certain() {
            return Ok(Err(refusal));
        }
        if !may_begin {
            return Ok(Err(Outcome::refused(Reason::Unavailable, 0, 0)));
        }
        if self.books.outbox.is_full() {
            return Ok(Err(Outcome::refused(Reason::Overloaded, 0, 0)));
        }
        // Checked before a sequence number is taken, booked after: from here on nothing may refuse.
        let balance = self.books.deposits.get(account).balance;
        if balance < amount {
            return Ok(Err(Outcome::refused(Reason::DepositTooSmall, balance.minor(), amount.minor())));
        }
        let signer = &self.service.signer;
        let signed = signer.sign(FUND_VALIDITY, |head| Payment {
            kind: PaymentKind::Fund,
            head,
            from: AccountId::treasury(signer.bank),
            to: account,
            amount,
            max_fee: Amount::ZERO,
            reference: *request,
        });
        let payment = match signed {
            Ok(payment) => payment,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let sequence = payment.record.head.sequence;
        if let Err(refusal) = self.books.deposits.begin_transit(&mut self.batch, account, amount) {
            signer.sequence.never_sent(sequence);
            return Ok(Err(refusal));
        }
        let funding = Funding { account, amount, sequence, ordered: None };
        put_funding(&mut self.batch, request, &funding);
        self.fundings.insert(*request, funding);
        let key = OutboxKey::Own { sequence };
        self.books.outbox.put(&mut self.batch, key, OutboxPayload::Payment(payment), *request);
        Ok(self.waiting(&key).map(FundingState::InTransit))
    }

    fn repeated(&mut self, earlier: Funding, account: AccountId, amount: Amount) -> Result<FundingState, Outcome> {
        if (earlier.account, earlier.amount) != (account, amount) {
            return Err(other_request());
        }
        match earlier.ordered {
            Some(ordered) => Ok(FundingState::OrderedOutcome(ordered)),
            None => self.waiting(&OutboxKey::Own { sequence: earlier.sequence }).map(FundingState::InTransit),
        }
    }

    fn waiting(&mut self, key: &OutboxKey) -> Result<oneshot::Receiver<Release>, Outcome> {
        self.books.outbox.wait(key).ok_or(Outcome::refused(Reason::Overloaded, 0, 0))
    }

    fn top_up(&mut self, top_up: &TopUp) -> Result<oneshot::Receiver<Release>, Outcome> {
        let transfer = &top_up.transfer;
        let (payer, sequence) = (transfer.record.from, transfer.record.head.sequence);
        if let Some(key) = self.books.outbox.top_up_of(payer, sequence) {
            let entry = self.books.outbox.get(&key).expect("the index names what is in the outbox");
            let is_same = matches!(&entry.payload, OutboxPayload::TopUp(order) if order.record.transfer == *transfer);
            return if is_same { self.waiting(&key) } else { Err(Outcome::refused(Reason::SequenceConflict, 0, 0)) };
        }
        self.books.certain()?;
        if !top_up.may_begin {
            return Err(Outcome::refused(Reason::Unavailable, 0, 0));
        }
        if self.books.outbox.is_full() {
            return Err(Outcome::refused(Reason::Overloaded, 0, 0));
        }
        // If the deposit is too small, the ledger refuses, and that is final. It is not refused here, because it is not
        // known here whether another copy of the payment was ordered before.
        let maximum = self.books.deposits.get(payer).balance.min(top_up.wanted);
        let signer = &self.service.signer;
        let make = |head| ReverseWaterfall { head, bank: signer.bank, maximum, transfer: *transfer };
        let order = signer.sign(SHORT_VALIDITY, make)?;
        let sequence = order.record.head.sequence;
        if let Err(refusal) = self.books.deposits.begin_transit(&mut self.batch, payer, maximum) {
            signer.sequence.never_sent(sequence);
            return Err(refusal);
        }
        let key = OutboxKey::Own { sequence };
        self.books.outbox.put(&mut self.batch, key, OutboxPayload::TopUp(Box::new(order)), [0; 16]);
        self.service.of_holders.fetch_add(1, Ordering::AcqRel);
        self.waiting(&key)
    }

    fn request(
        &mut self,
        id: &RequestId,
        intent: Intent,
    ) -> Result<Result<BegunRequest, Outcome>, DepositServiceError> {
        match self.earlier_request(id)? {
            Some(earlier) if earlier.intent != intent => return Ok(Err(other_request())),
            Some(earlier) if !self.never_settles(&earlier) => {
                return Ok(Ok(BegunRequest { request: earlier, is_new: false }));
            }
            _ => {}
        }
        // A folder that is older than the bank does not know what was asked for under this id since.
        if let Err(doubt) = self.books.certain() {
            return Ok(Err(doubt));
        }
        let signer = &self.service.signer;
        let signed = match intent {
            Intent::TransferReserves { to, amount } => {
                let make = |head| ReservesTransfer { head, from: signer.bank, to, amount };
                signer.sign(SHORT_VALIDITY, make).map(|signed| (signed.record.head, signed.to_bytes().into()))
            }
            Intent::Issuance { kind, amount } => {
                let make = |head| IssuanceRequest { kind, head, bank: signer.bank, amount };
                signer.sign(REQUEST_VALIDITY, make).map(|signed| (signed.record.head, signed.to_bytes().into()))
            }
        };
        let (head, record): (Head, Bytes) = match signed {
            Ok(signed) => signed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // Whether it is ever sent is not known here: the number stays unused until the request has expired.
        signer.sequence.unknown(head.sequence, head.valid_until);
        let request = OwnRequest::new(intent, &head, record);
        put_own_request(&mut self.batch, id, &request);
        self.books.requests.begin(&mut self.batch, &request, *id);
        self.requests.insert(*id, request.clone());
        Ok(Ok(BegunRequest { request, is_new: true }))
    }

    fn earlier_request(&self, id: &RequestId) -> Result<Option<OwnRequest>, DepositServiceError> {
        match self.requests.get(id) {
            Some(begun) => Ok(Some(begun.clone())),
            None => Ok(own_request_of(&*self.service.store, id)?),
        }
    }

    /// Whether the chain shows that an open request never settles: it is past its end, or its key was replaced, and its
    /// number is unused.
    fn never_settles(&self, request: &OwnRequest) -> bool {
        let signer = &self.service.signer;
        request.progress == Progress::Open
            && signer.ledger.read(|ledger| {
                let seat = ledger.members().active(Role::Bank, MemberId(signer.bank.0));
                seat.is_some_and(|seat| {
                    let is_over = request.valid_until < ledger.tip().time || request.key_version < seat.key_version;
                    is_over && seat.window.status(request.sequence) != SequenceStatus::Used
                })
            })
    }

    fn rejected(&mut self, id: &RequestId) -> Result<(), DepositServiceError> {
        if let Some(request) = self.earlier_request(id)?.filter(|request| request.progress == Progress::Open) {
            let rejected = OwnRequest { progress: Progress::Rejected, ..request };
            put_own_request(&mut self.batch, id, &rejected);
            self.books.requests.rejected(rejected.sequence, id);
            self.requests.insert(*id, rejected);
        }
        Ok(())
    }

    fn accept_deposits(&mut self, revision: u64, balances: &[(AccountId, Amount)]) -> Result<bool, Outcome> {
        // What the rest of the chain corrects was not compared.
        self.books.caught_up()?;
        if !self.books.doubt.in_doubt() {
            return Ok(false);
        }
        if !self.books.doubt.allows(revision, balances.iter().map(|(account, _)| *account)) {
            return self.books.certain().map(|()| false);
        }
        if let Some((_, balance)) = balances.iter().find(|(_, balance)| *balance > BALANCE_MAX) {
            return Err(Outcome::refused(Reason::DepositTooLarge, BALANCE_MAX.minor(), balance.minor()));
        }
        let Books { deposits, doubt, .. } = &mut *self.books;
        for (account, balance) in balances {
            tracing::warn!(
                target: "security", %account, before = %deposits.get(*account).balance, after = %balance,
                "the back office sets a deposit"
            );
            deposits.set_balance(&mut self.batch, *account, *balance);
        }
        let (corrected, shortfall) = doubt.totals();
        tracing::warn!(target: "security", revision, corrected, shortfall, "the back office has accepted the deposits");
        doubt.end(&mut self.batch);
        self.service.metrics.deposits_in_doubt(false);
        Ok(true)
    }

    fn accept(&mut self, payment: Signed<Payment>) -> Result<(), Outcome> {
        let (account, sequence) = (payment.record.from, payment.record.head.sequence);
        let key = OutboxKey::Customer { account, sequence };
        if let Some(earlier) = self.books.outbox.get(&key) {
            let same = earlier.payload == OutboxPayload::Payment(payment);
            return if same { Ok(()) } else { Err(Outcome::refused(Reason::SequenceConflict, 0, 0)) };
        }
        if self.books.outbox.is_full() {
            return Err(Outcome::refused(Reason::Overloaded, 0, 0));
        }
        // Accepted payments count as spent. The outbox is read before the ledger, as in [`DepositService::waiting_of`].
        let service = self.service;
        let before = service.spent_by(self.books.outbox.accepted_of(account));
        let spendable =
            service.signer.ledger.read(|ledger| ledger.account_today(account).map(|found| found.spendable()));
        let left = spendable.unwrap_or_default().minus_or_zero(before);
        let needed = service.spent_by([&payment]);
        if left < needed {
            return Err(Outcome::refused(Reason::NotAccepted, left.minor(), needed.minor()));
        }
        self.books.outbox.put(&mut self.batch, key, OutboxPayload::Payment(payment), [0; 16]);
        self.service.of_holders.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// The refusal of a request id that was used before, for something else.
fn other_request() -> Outcome {
    Outcome::refused(Reason::RequestConflict, 0, 0)
}

/// Appends the effects of a block's command on the books of the bank `own`. Sequence numbers of holders count only if
/// they are watched.
pub fn effects_of(
    own: BankId,
    command: &Command,
    bytes: impl Fn() -> Bytes,
    ordered: OrderedOutcome,
    watches_holders: bool,
    effects: &mut Vec<Effect>,
) {
    if ordered.outcome.reason.stage() == Stage::BeforeOrdering {
        return;
    }
    let sequence = command.head().sequence;
    match command.signer() {
        Signer::Member(Role::Bank, id) if id.0 == own.0 => {
            effects.push(Effect::OwnSequenceUsed { sequence, command: bytes(), ordered });
        }
        Signer::Holder(account) if watches_holders => {
            effects.push(Effect::HolderSequenceUsed { account, sequence, command: bytes(), ordered });
        }
        _ => {}
    }
    match command {
        Command::Payment(signed) if signed.record.from.bank == own => {
            let Payment { kind, from: account, amount, .. } = signed.record;
            if kind == PaymentKind::Defund && ordered.outcome.is_settled() {
                effects.push(Effect::Arrived { account, amount });
            }
        }
        Command::Issuance(signed) if signed.record.request.record.bank == own => {
            let sequence = signed.record.request.record.head.sequence;
            effects.push(Effect::OwnSequenceUsed { sequence, command: bytes(), ordered });
        }
        // After the bank's own sequence number, which has released this bank's top-up with its outcome.
        Command::ReverseWaterfall(signed) if watches_holders => {
            let transfer = &signed.record.transfer;
            let (account, sequence) = (transfer.record.from, transfer.record.head().sequence);
            let command = transfer.to_bytes().into();
            effects.push(Effect::HolderSequenceUsed { account, sequence, command, ordered });
        }
        _ => {}
    }
}

/// Appends the money that arrives on deposits at the bank `own` through a block's waterfalls. (Reverse waterfalls were
/// debited when they were promised; their outcome books them.)
pub fn arrivals_of(own: BankId, movements: &[DepositMovement], effects: &mut Vec<Effect>) {
    let is_arrival = |moved: &&DepositMovement| moved.bank == own && moved.direction == DepositDirection::ToDeposit;
    let arrivals = movements.iter().filter(is_arrival);
    effects.extend(arrivals.map(|moved| Effect::Arrived { account: moved.wallet, amount: moved.amount }));
}

#[cfg(test)]
mod tests;
