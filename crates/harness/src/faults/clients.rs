//! The clients of a run: payers that pay, ask again and read, and readers at the central bank's nodes. Each notes what
//! it is answered ([`Recorder`]), and judges nothing.
//!
//! A payer has one payment in flight. It sends the record again until the answer is final, as the SDK's contract has
//! it; what it does next is drawn from the seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use cbdc_client::{
    AccountId, Amount, ClientError, Connection, GovernanceClient, NetworkFolder, NodeName, SubmissionStatus, Wallet,
};
use cbdc_ledger::Command;
use cbdc_ledger::command::{Payment, Signed};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::recorder::Recorder;
use crate::history::{self, Answer, Property, Read, Subject};
use crate::run::signed_payments::Purse;
use crate::workload::random::rng;

/// The time for which the SDK sends a record again before its status counts as unknown. Short, so that unknown answers
/// are seen.
const UNKNOWN_AFTER: Duration = Duration::from_millis(1_500);
/// The longest that one call takes.
const DEADLINE: Duration = Duration::from_secs(3);
/// The pause before the next attempt where something could not be asked at all.
const PAUSE: Duration = Duration::from_millis(100);
/// The interval at which a node of the central bank is read.
const READ_EVERY: Duration = Duration::from_millis(250);
/// More than any wallet has.
const TOO_MUCH: Amount = Amount::from_minor(50_000_000_000);
/// Every so many wallets lets its bank accept payments while the central bank is away.
const ACCEPTS_EVERY: usize = 8;

/// How often each node was started, so that a reader can tell its lives apart.
pub type Lives = Arc<Mutex<BTreeMap<NodeName, u32>>>;

pub fn life_of(lives: &Lives, node: NodeName) -> u32 {
    lives.lock().unwrap_or_else(PoisonError::into_inner).get(&node).copied().unwrap_or(1)
}

/// A node in one of its lives: started again, it may not know yet how much of its log is committed.
fn in_life(node: NodeName, life: u32) -> String {
    format!("{node} (start {life})")
}

/// The clients, running.
pub struct Clients {
    tasks: JoinSet<()>,
    stop: watch::Sender<Option<Instant>>,
}

impl Clients {
    /// Starts a payer for each purse and a reader for each node of the central bank.
    pub fn start(
        folder: &NetworkFolder,
        purses: Vec<Purse>,
        (seed, rate_per_s): (u64, f64),
        recorder: &Arc<Recorder>,
        lives: &Lives,
    ) -> Result<Clients> {
        let (stop, stopping) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let mut banks: BTreeMap<_, Connection> = BTreeMap::new();
        for bank in folder.banks() {
            banks.insert(bank, folder.connect_customer(bank)?.with_deadline(DEADLINE));
        }
        let accounts: Arc<[AccountId]> = purses.iter().map(|purse| purse.account).collect();
        let pause_s = purses.len() as f64 / rate_per_s;
        for (index, purse) in purses.into_iter().enumerate() {
            let connection = banks[&purse.account.bank].clone();
            let wallet = Wallet::new(connection, folder.anchor().clone(), purse.key, purse.account);
            let wallet = wallet.with_timeout(UNKNOWN_AFTER);
            let payer = Payer {
                name: format!("wallet {index}"),
                bank: NodeName::Bank(purse.account.bank),
                lives: lives.clone(),
                wallet: if index % ACCEPTS_EVERY == 0 { wallet.accepting() } else { wallet },
                accounts: accounts.clone(),
                pause_s,
                random: rng(seed, 1 + index as u8),
                recorder: recorder.clone(),
                stopping: stopping.clone(),
                paid: Vec::new(),
            };
            tasks.spawn(payer.run());
        }
        for node in folder.central_banks() {
            let reader = Reader {
                node,
                folder: folder.clone(),
                recorder: recorder.clone(),
                stopping: stopping.clone(),
                lives: lives.clone(),
            };
            tasks.spawn(reader.run());
        }
        Ok(Clients { tasks, stop })
    }

    /// Lets the payers learn what became of their payments, for `limit` at most.
    pub async fn finish(mut self, limit: Duration) {
        self.stop.send_replace(Some(Instant::now() + limit));
        let all = async { while self.tasks.join_next().await.is_some() {} };
        timeout(limit + DEADLINE * 3, all).await.ok();
    }
}

struct Payer {
    name: String,
    /// The bank that it reads at.
    bank: NodeName,
    lives: Lives,
    wallet: Wallet,
    accounts: Arc<[AccountId]>,
    pause_s: f64,
    random: StdRng,
    recorder: Arc<Recorder>,
    stopping: watch::Receiver<Option<Instant>>,
    /// Payments whose answer is final, with their numbers.
    paid: Vec<(usize, Signed<Payment>)>,
}

impl Payer {
    async fn run(mut self) {
        while self.stopping.borrow().is_none() {
            let share: f64 = self.random.random();
            let pause = Duration::from_secs_f64(-(1.0 - share).ln() * self.pause_s);
            let stops = self.stopping.wait_for(Option::is_some);
            if timeout(pause.min(Duration::from_secs(5)), stops).await.is_ok() {
                return;
            }
            match self.random.random_range(0..100) {
                0..10 => self.read().await,
                10..14 => self.ask_again().await,
                14..18 => self.look_up().await,
                _ => self.pay().await,
            }
        }
    }

    async fn pay(&mut self) {
        let payee = self.accounts[self.random.random_range(0..self.accounts.len())];
        let is_too_much = self.random.random_bool(0.03);
        let amount = Amount::from_minor(self.random.random_range(1..2_000));
        let amount = if is_too_much { TOO_MUCH } else { amount };
        if payee == self.wallet.account() {
            return;
        }
        let reference = self.random.random();
        let Ok(payment) = self.wallet.sign_transfer(payee, amount, reference).await else { return sleep(PAUSE).await };
        let number = self.recorder.hand_in(history::Payment {
            record: record_hash(&payment),
            payer: payment.record.from,
            payee: payment.record.to,
            amount,
            sequence: payment.record.head.sequence,
            handed_in: self.recorder.now(),
            answers: Vec::new(),
        });
        loop {
            let answer = self.submit(number, &payment).await;
            match answer {
                answer if answer.is_final() => {
                    self.paid.push((number, payment));
                    return;
                }
                // The SDK gives its number to the next one.
                Answer::RefusedForNow(_) => return,
                _ => {}
            }
            if self.stopping.borrow().is_some_and(|until| Instant::now() > until) {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    async fn submit(&self, number: usize, payment: &Signed<Payment>) -> Answer {
        let asked = self.recorder.now();
        let answer = answer_of(self.wallet.submit(payment).await);
        self.recorder.answer(number, asked, answer.clone());
        answer
    }

    /// Sends a record again whose answer is known: the answer must be the same.
    async fn ask_again(&mut self) {
        if let Some((number, payment)) = self.one_paid() {
            self.submit(number, &payment).await;
        }
    }

    /// Asks for the receipt of a payment whose answer is known.
    async fn look_up(&mut self) {
        let Some((number, payment)) = self.one_paid() else { return };
        let asked = self.recorder.now();
        let sequence = payment.record.head.sequence;
        match self.wallet.receipt_of_sequence(sequence).await {
            Ok(receipt) if matches!(receipt.command(), Command::Payment(found) if *found == payment) => {
                let (position, reason) = (receipt.position(), receipt.outcome().reason);
                let is_settled = receipt.outcome().is_settled();
                let answer = if is_settled { Answer::Settled(position) } else { Answer::RefusedAt(position, reason) };
                self.recorder.answer(number, asked, answer);
            }
            // Another record used the number: this one was answered as refused for good.
            Ok(_) => {}
            Err(error @ (ClientError::Proof(_) | ClientError::OtherReceipt { .. })) => {
                let sentence = format!("{} asked for the receipt of payment {number}: {error}", self.name);
                self.recorder.violation(Property::AnswersStand, sentence);
            }
            Err(_) => {}
        }
    }

    fn one_paid(&mut self) -> Option<(usize, Signed<Payment>)> {
        if self.paid.is_empty() {
            return None;
        }
        let index = self.random.random_range(0..self.paid.len());
        Some(self.paid[index])
    }

    async fn read(&self) {
        let (life, asked) = (life_of(&self.lives, self.bank), self.recorder.now());
        let Ok(balance) = self.wallet.balance().await else { return };
        if life_of(&self.lives, self.bank) != life {
            return;
        }
        self.recorder.read(Read {
            client: self.name.clone(),
            node: in_life(self.bank, life),
            subject: Subject::Balance(self.wallet.account()),
            asked,
            answered: self.recorder.now(),
            height: balance.height,
            minor: balance.posted.minor(),
        });
    }
}

/// The hash by which a payment is known.
pub fn record_hash(payment: &Signed<Payment>) -> history::Hash {
    command_hash(&Command::Payment(*payment))
}

/// The hash by which a command is known.
pub fn command_hash(command: &Command) -> history::Hash {
    *blake3::hash(&command.to_bytes()).as_bytes()
}

fn answer_of(status: Result<SubmissionStatus, ClientError>) -> Answer {
    match status {
        Ok(SubmissionStatus::Settled { position, .. }) => Answer::Settled(position),
        Ok(SubmissionStatus::Accepted) => Answer::Accepted,
        Ok(SubmissionStatus::Unknown { why }) => Answer::Unknown(why),
        Ok(status) => {
            let is_final = status.is_final();
            let SubmissionStatus::Refused(refusal) = status else {
                return Answer::Unknown("an answer of another kind".to_owned());
            };
            match (refusal.position, is_final) {
                (Some(position), _) => Answer::RefusedAt(position, refusal.reason()),
                (None, true) => Answer::RefusedForGood(refusal.reason()),
                (None, false) => Answer::RefusedForNow(refusal.reason()),
            }
        }
        Err(error) => Answer::Unknown(error.to_string()),
    }
}

/// Reads the supply at one node of the central bank, whether or not it leads or is cut off.
struct Reader {
    node: NodeName,
    folder: NetworkFolder,
    recorder: Arc<Recorder>,
    stopping: watch::Receiver<Option<Instant>>,
    lives: Lives,
}

impl Reader {
    async fn run(self) {
        let mut kept: Option<Connection> = None;
        while self.stopping.borrow().is_none() {
            sleep(READ_EVERY).await;
            let life = life_of(&self.lives, self.node);
            let asked = self.recorder.now();
            let read = async {
                let connection = match &kept {
                    Some(kept) => kept.clone(),
                    None => self.folder.connect_reader(self.node).await?.with_deadline(DEADLINE),
                };
                let client = GovernanceClient::new(connection.clone(), self.folder.anchor().clone());
                Ok::<_, ClientError>((connection, client.supply().await?))
            };
            let Ok(Ok((connection, supply))) = timeout(DEADLINE, read).await else {
                kept = None;
                continue;
            };
            kept = Some(connection);
            if life_of(&self.lives, self.node) != life {
                continue;
            }
            self.recorder.read(Read {
                client: "the reader".to_owned(),
                node: in_life(self.node, life),
                subject: Subject::Supply,
                asked,
                answered: self.recorder.now(),
                height: cbdc_client::Height(supply.height),
                minor: supply.cbdc_minor,
            });
        }
    }
}
