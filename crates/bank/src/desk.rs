//! The money desk: deposits and outbox, which change together.
//!
//! One lock guards both. There are two writers:
//!
//! * The *desk thread* serves requests of customers and back office. It gathers what is waiting, changes the books in
//!   memory, writes all of it in **one synced batch**, and only then answers and lets commands be sent (a group commit: a
//!   thousand fundings at once cost one fsync). A debit and its outbox record are in the same batch.
//! * The *replica thread* hands in each block ([`Desk::follow_block`]): header, outcomes, proposal, history, deposit
//!   entries and outbox releases are one batch, so whatever the chain drives happens exactly once, with the block's
//!   height as cursor. That batch needs no fsync: after a crash the same block is applied again.
//!
//! A writer holds the lock from its first change until the batch is written. When a write fails the store takes no more of
//! them and the node stops; what is in memory is then of no account.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cbdc_ledger::command::{Payment, PaymentKind};
use cbdc_ledger::{AccountId, Amount, Command, Height, Outcome, Reason, Signed, Timestamp};
use cbdc_storage::{Durability, Store, StoreError, WriteBatch};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::deposits::{
    Credit, Deposit, DepositBook, DepositError, Funding, Placed, RequestId, credit_of, delete_funding, funding_of,
    put_credit, put_funding,
};
use crate::metrics::Metrics;
use crate::outbox::{Entry, Outbox, OutboxError, OutboxKey, Release};
use crate::signing::{BankSigner, FUND_VALIDITY};

/// Requests that may wait for the desk thread.
const QUEUE: usize = 8_192;
/// Requests in one synced write.
const GROUP: usize = 1_024;

#[derive(Debug, Clone, thiserror::Error)]
pub enum DeskError {
    #[error(transparent)]
    Deposit(#[from] DepositError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("the books cannot be written: {0}")]
    Store(#[from] StoreError),
}

/// What a block means to this bank's books.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A command used one of this bank's own numbers.
    OwnNumberUsed { sequence: u64, command: Bytes, placed: Placed },
    /// A command used a customer's number.
    CustomerNumberUsed { account: AccountId, sequence: u64, command: Bytes, placed: Placed },
    /// A customer's defund settled.
    Defunded { account: AccountId, amount: Amount },
}

/// How a funding stands.
#[derive(Debug)]
pub enum FundingState {
    /// Its outcome is known.
    Placed(Placed),
    /// It is in transit.
    InTransit(oneshot::Receiver<Release>),
}

type Answer<T> = oneshot::Sender<Result<T, Outcome>>;

enum Job {
    Credit { request: RequestId, credit: Credit, answer: Answer<Deposit> },
    Fund { request: RequestId, account: AccountId, amount: Amount, may_begin: bool, answer: Answer<FundingState> },
    Accept { payment: Box<Signed<Payment>>, answer: Answer<()> },
    GiveBack { key: OutboxKey, reason: Reason },
    Placed { key: OutboxKey, placed: Placed },
}

struct Books {
    deposits: DepositBook,
    outbox: Outbox,
    /// Of the last block that was followed.
    height: Height,
    time: Timestamp,
}

pub struct Desk {
    books: Mutex<Books>,
    /// Customers' payments in the outbox: while there are none, blocks need not be searched for them.
    accepted: AtomicUsize,
    signer: Arc<BankSigner>,
    store: Arc<dyn Store>,
    jobs: mpsc::Sender<Job>,
    /// There may be something to send.
    pub outbox_changed: Notify,
    metrics: Arc<Metrics>,
}

/// The work of the desk thread; it ends when the desk is dropped, or with the first failed write.
pub struct DeskWork {
    desk: std::sync::Weak<Desk>,
    jobs: mpsc::Receiver<Job>,
}

impl Desk {
    /// Reads the books. `height` and `time` are those of the replica.
    pub fn load(
        store: Arc<dyn Store>,
        signer: Arc<BankSigner>,
        (height, time): (Height, Timestamp),
        metrics: Arc<Metrics>,
    ) -> Result<(Arc<Desk>, DeskWork), DeskError> {
        let deposits = DepositBook::load(&store, signer.bank)?;
        let outbox = Outbox::load(&store)?;
        let mut accepted = 0;
        for key in outbox.keys() {
            match key {
                OutboxKey::Own { sequence } => signer.numbers.reserve(*sequence),
                OutboxKey::Customer { .. } => accepted += 1,
            }
        }
        metrics.outbox(outbox.len());
        let (send, jobs) = mpsc::channel(QUEUE);
        let desk = Arc::new(Desk {
            books: Mutex::new(Books { deposits, outbox, height, time }),
            accepted: AtomicUsize::new(accepted),
            signer,
            store,
            jobs: send,
            outbox_changed: Notify::new(),
            metrics,
        });
        let work = DeskWork { desk: Arc::downgrade(&desk), jobs };
        Ok((desk, work))
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn deposit(&self, account: AccountId) -> Deposit {
        self.lock().deposits.get(account)
    }

    /// Sum of deposits, sum in transit.
    pub fn totals(&self) -> (u128, u128) {
        self.lock().deposits.totals()
    }

    /// Commands in the outbox.
    pub fn outbox_len(&self) -> usize {
        self.lock().outbox.len()
    }

    /// Whether customers' payments lie in the outbox, so that blocks must be searched for them.
    pub fn has_accepted(&self) -> bool {
        self.accepted.load(Ordering::Acquire) > 0
    }

    async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, Outcome> {
        let (answer, hear) = oneshot::channel();
        if self.jobs.try_send(job(answer)).is_err() {
            return Err(Outcome::refused(Reason::Overloaded, 0, 0));
        }
        // The desk thread ends without an answer only where a write failed: whether it is on disk is not known.
        hear.await.unwrap_or(Err(Outcome::refused(Reason::Unavailable, 0, 0)))
    }

    /// Books money that came in from outside, once for each request id. Durable when it returns.
    pub async fn credit(&self, request: RequestId, account: AccountId, amount: Amount) -> Result<Deposit, Outcome> {
        self.ask(|answer| Job::Credit { request, credit: Credit { account, amount }, answer }).await
    }

    /// Debits the deposit and puts a fund command into the outbox, once for each request id. Durable when it returns.
    ///
    /// Unless it `may_begin`, only a funding that was begun before is answered; a new one is refused as unavailable.
    pub async fn fund(
        &self,
        request: RequestId,
        account: AccountId,
        amount: Amount,
        may_begin: bool,
    ) -> Result<FundingState, Outcome> {
        self.ask(|answer| Job::Fund { request, account, amount, may_begin, answer }).await
    }

    /// Puts a customer's payment into the outbox. Durable when it returns. The caller has verified the signature.
    pub async fn accept(&self, payment: Signed<Payment>) -> Result<(), Outcome> {
        self.ask(|answer| Job::Accept { payment: Box::new(payment), answer }).await
    }

    /// Takes a command out that can never settle.
    pub async fn give_back(&self, key: OutboxKey, reason: Reason) {
        // The desk thread is gone only when the node stops; the next start tries again.
        let _ = self.jobs.send(Job::GiveBack { key, reason }).await;
    }

    /// Takes a customer's payment out whose place in the chain the central bank has told, and that the replica has passed.
    pub async fn placed(&self, key: OutboxKey, placed: Placed) {
        let _ = self.jobs.send(Job::Placed { key, placed }).await;
    }

    /// Commands to be sent now.
    pub fn due(&self, limit: usize) -> Vec<(OutboxKey, Bytes)> {
        self.lock().outbox.due(Instant::now(), limit)
    }

    /// A command is to be sent again after a while, if it is still in the outbox.
    pub fn again(&self, key: &OutboxKey, after: Duration) {
        self.lock().outbox.again(key, after);
    }

    /// How many copies of a command may be under way; `None` if it has left the outbox.
    pub fn copies(&self, key: &OutboxKey) -> Option<u32> {
        self.lock().outbox.get(key).map(|entry| entry.copies)
    }

    /// Whether a command is in the outbox still, although all blocks up to `height` are booked.
    pub fn outlived(&self, key: &OutboxKey, height: Height) -> bool {
        let books = self.lock();
        books.height >= height && books.outbox.get(key).is_some()
    }

    /// Commands whose valid-until the chain has passed without an outcome.
    pub fn expired(&self) -> Vec<OutboxKey> {
        let books = self.lock();
        books.outbox.expired(books.time)
    }

    /// Books what a block means to this bank and writes it with everything else that `batch` holds of that block.
    pub fn follow_block(
        &self,
        mut batch: WriteBatch,
        effects: &[Effect],
        (height, time): (Height, Timestamp),
    ) -> Result<(), DeskError> {
        let mut released = Vec::new();
        let mut books = self.lock();
        for effect in effects {
            self.book(&mut books, &mut batch, effect, &mut released)?;
        }
        self.store.write(batch, Durability::Buffered)?;
        books.height = height;
        books.time = time;
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
    ) -> Result<(), DeskError> {
        let (key, command, placed) = match effect {
            Effect::Defunded { account, amount } => return Ok(books.deposits.defunded(batch, *account, *amount)?),
            Effect::OwnNumberUsed { sequence, command, placed } => {
                (OutboxKey::Own { sequence: *sequence }, command, placed)
            }
            Effect::CustomerNumberUsed { account, sequence, command, placed } => {
                (OutboxKey::Customer { account: *account, sequence: *sequence }, command, placed)
            }
        };
        let Some(entry) = books.outbox.get(&key) else { return Ok(()) };
        let release = if entry.command == *command {
            Release::Ordered(*placed)
        } else {
            Release::GivenBack(Reason::SequenceConflict)
        };
        self.release(books, batch, key, release, released)
    }

    /// Takes an entry out of the outbox and settles what it had in transit.
    fn release(
        &self,
        books: &mut Books,
        batch: &mut WriteBatch,
        key: OutboxKey,
        release: Release,
        released: &mut Vec<(Entry, Release)>,
    ) -> Result<(), DeskError> {
        let Some(entry) = books.outbox.remove(batch, &key) else { return Ok(()) };
        match key {
            OutboxKey::Own { sequence } => {
                let Payment { to: account, amount, .. } = entry.payment.record;
                match release {
                    Release::Ordered(placed) => {
                        books.deposits.end_funding(batch, account, amount, placed.outcome.is_settled())?;
                        put_funding(
                            batch,
                            &entry.request,
                            &Funding { account, amount, sequence, placed: Some(placed) },
                        );
                        self.signer.numbers.used(sequence);
                    }
                    Release::GivenBack(reason) => {
                        tracing::warn!(%account, %amount, sequence, %reason, "a funding will never settle; its amount is back on the deposit");
                        books.deposits.end_funding(batch, account, amount, false)?;
                        delete_funding(batch, &entry.request);
                        self.signer.numbers.never_sent(sequence);
                    }
                }
            }
            OutboxKey::Customer { account, sequence } => {
                self.accepted.fetch_sub(1, Ordering::AcqRel);
                if let Release::GivenBack(reason) = release {
                    tracing::warn!(%account, sequence, %reason, "an accepted payment will never settle");
                }
            }
        }
        released.push((entry, release));
        Ok(())
    }

    fn tell(&self, released: Vec<(Entry, Release)>) {
        released.into_iter().for_each(|(entry, release)| entry.release(release));
    }
}

/// What is answered once the group is on disk.
type Reply = Box<dyn FnOnce() + Send>;

/// One group of requests while it is being worked on.
struct Group<'a> {
    desk: &'a Desk,
    books: MutexGuard<'a, Books>,
    batch: WriteBatch,
    /// What the group has begun and not yet written.
    credits: HashMap<RequestId, Credit>,
    fundings: HashMap<RequestId, Funding>,
    released: Vec<(Entry, Release)>,
    replies: Vec<Reply>,
}

impl DeskWork {
    /// Serves requests until the desk is gone. Blocks: give it a thread of its own.
    pub fn run(mut self) -> Result<(), DeskError> {
        let mut jobs = Vec::with_capacity(GROUP);
        while self.jobs.blocking_recv_many(&mut jobs, GROUP) > 0 {
            let Some(desk) = self.desk.upgrade() else { return Ok(()) };
            Group::work(&desk, jobs.drain(..))?;
        }
        Ok(())
    }
}

impl Group<'_> {
    fn work(desk: &Desk, jobs: impl Iterator<Item = Job>) -> Result<(), DeskError> {
        let mut group = Group {
            desk,
            books: desk.lock(),
            batch: WriteBatch::new(),
            credits: HashMap::new(),
            fundings: HashMap::new(),
            released: Vec::new(),
            replies: Vec::new(),
        };
        for job in jobs {
            group.job(job)?;
        }
        let Group { books, batch, released, replies, .. } = group;
        if !batch.is_empty() {
            desk.store.write(batch, Durability::Synced)?;
        }
        desk.metrics.outbox(books.outbox.len());
        drop(books);
        desk.tell(released);
        replies.into_iter().for_each(|reply| reply());
        desk.outbox_changed.notify_one();
        Ok(())
    }

    fn job(&mut self, job: Job) -> Result<(), DeskError> {
        match job {
            Job::Credit { request, credit, answer } => {
                let booked = self.credit(&request, credit)?;
                self.reply(answer, booked);
            }
            Job::Fund { request, account, amount, may_begin, answer } => {
                let state = self.fund(&request, account, amount, may_begin)?;
                self.reply(answer, state);
            }
            Job::Accept { payment, answer } => {
                let accepted = self.accept(*payment);
                self.reply(answer, accepted);
            }
            Job::GiveBack { key, reason } => self.release(key, Release::GivenBack(reason))?,
            Job::Placed { key, placed } => self.release(key, Release::Ordered(placed))?,
        }
        Ok(())
    }

    fn reply<T: Send + 'static>(&mut self, answer: Answer<T>, result: Result<T, Outcome>) {
        self.replies.push(Box::new(move || {
            // A caller that hung up repeats its request.
            let _ = answer.send(result);
        }));
    }

    fn release(&mut self, key: OutboxKey, release: Release) -> Result<(), DeskError> {
        self.desk.release(&mut self.books, &mut self.batch, key, release, &mut self.released)
    }

    fn credit(&mut self, request: &RequestId, credit: Credit) -> Result<Result<Deposit, Outcome>, DeskError> {
        let earlier = match self.credits.get(request) {
            Some(earlier) => Some(*earlier),
            None => credit_of(&*self.desk.store, request)?,
        };
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
    ) -> Result<Result<FundingState, Outcome>, DeskError> {
        let earlier = match self.fundings.get(request) {
            Some(earlier) => Some(*earlier),
            None => funding_of(&*self.desk.store, request)?,
        };
        if let Some(earlier) = earlier {
            return Ok(self.repeated(earlier, account, amount));
        }
        if !may_begin {
            return Ok(Err(Outcome::refused(Reason::Unavailable, 0, 0)));
        }
        if self.books.outbox.is_full() {
            return Ok(Err(Outcome::refused(Reason::Overloaded, 0, 0)));
        }
        // Checked before a number is taken, booked after: from there on nothing may refuse.
        let balance = self.books.deposits.get(account).balance;
        if balance < amount {
            return Ok(Err(Outcome::refused(Reason::InsufficientFunds, balance.minor(), amount.minor())));
        }
        let signer = &self.desk.signer;
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
        if let Err(refusal) = self.books.deposits.begin_funding(&mut self.batch, account, amount) {
            signer.numbers.never_sent(sequence);
            return Ok(Err(refusal));
        }
        let funding = Funding { account, amount, sequence, placed: None };
        put_funding(&mut self.batch, request, &funding);
        self.fundings.insert(*request, funding);
        let key = OutboxKey::Own { sequence };
        self.books.outbox.put(&mut self.batch, key, payment, *request);
        Ok(self.in_transit(&key))
    }

    fn repeated(&mut self, earlier: Funding, account: AccountId, amount: Amount) -> Result<FundingState, Outcome> {
        if (earlier.account, earlier.amount) != (account, amount) {
            return Err(other_request());
        }
        match earlier.placed {
            Some(placed) => Ok(FundingState::Placed(placed)),
            None => self.in_transit(&OutboxKey::Own { sequence: earlier.sequence }),
        }
    }

    fn in_transit(&mut self, key: &OutboxKey) -> Result<FundingState, Outcome> {
        let heard = self.books.outbox.wait(key).ok_or(Outcome::refused(Reason::Overloaded, 0, 0));
        heard.map(FundingState::InTransit)
    }

    fn accept(&mut self, payment: Signed<Payment>) -> Result<(), Outcome> {
        let (account, sequence) = (payment.record.from, payment.record.head.sequence);
        let key = OutboxKey::Customer { account, sequence };
        if let Some(earlier) = self.books.outbox.get(&key) {
            let same = earlier.payment == payment;
            return if same { Ok(()) } else { Err(Outcome::refused(Reason::SequenceConflict, 0, 0)) };
        }
        if self.books.outbox.is_full() {
            return Err(Outcome::refused(Reason::Overloaded, 0, 0));
        }
        self.books.outbox.put(&mut self.batch, key, payment, [0; 16]);
        self.desk.accepted.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// The request id was used before, for something else.
fn other_request() -> Outcome {
    Outcome::refused(Reason::SequenceConflict, 0, 0)
}

/// What a command of a block means to the bank `own`; nothing where it concerns other banks only.
pub fn effects_of(
    own: cbdc_ledger::BankId,
    command: &Command,
    bytes: impl Fn() -> Bytes,
    placed: Placed,
    with_customers: bool,
    effects: &mut Vec<Effect>,
) {
    use cbdc_ledger::command::Signer;
    use cbdc_ledger::outcome::Stage;
    if placed.outcome.reason.stage() == Stage::BeforeOrdering {
        return;
    }
    let own_number =
        |signer: Signer| matches!(signer, Signer::Member(cbdc_ledger::member::Role::Bank, id) if id.0 == own.0);
    if own_number(command.signer()) {
        effects.push(Effect::OwnNumberUsed { sequence: command.head().sequence, command: bytes(), placed });
    }
    match command {
        Command::Payment(signed) if signed.record.from.bank == own => {
            let Payment { kind, from: account, amount, head, .. } = signed.record;
            if with_customers && kind != PaymentKind::Fund {
                effects.push(Effect::CustomerNumberUsed { account, sequence: head.sequence, command: bytes(), placed });
            }
            if kind == PaymentKind::Defund && placed.outcome.is_settled() {
                effects.push(Effect::Defunded { account, amount });
            }
        }
        Command::Issuance(signed) if signed.record.request.record.bank == own => {
            let sequence = signed.record.request.record.head.sequence;
            effects.push(Effect::OwnNumberUsed { sequence, command: bytes(), placed });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
