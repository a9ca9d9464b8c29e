//! Honest customers: many wallets of one bank pay at a fixed rate, open loop.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cbdc_ledger::Reason;
use cbdc_proto::answers::Answers;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::network::{Hostile, WALLETS, now, wallet};

/// Payments in a message, and the time between two messages: 500 a second.
const TOGETHER: u64 = 5;
const EVERY: Duration = Duration::from_millis(10);
/// Payments that are signed beforehand: those of half a minute.
const SIGNED: u64 = 15_000;
/// Wallets that pay, in turn; each pays the next one.
const PAYERS: u64 = WALLETS - 10;

/// How many payments the customers of each bank have made: no wallet skips a sequence number.
static MADE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Forgets them: a new network knows no payment of the one before.
pub fn begin_anew() {
    MADE.iter().for_each(|made| made.store(0, Ordering::SeqCst));
}

/// Customers of one bank who pay.
pub struct Honest {
    bank: u16,
    first: u64,
    messages: Arc<Mutex<Vec<Message>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// A message of payments.
struct Message {
    due: Instant,
    answered: Option<Instant>,
    settled: u64,
}

/// The results of the payments of a period.
#[derive(Clone, Copy)]
pub struct Figures {
    pub settled_per_s: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// The longest period in which none settled.
    pub longest_gap: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        write!(f, "{:.0}, {:.1}, {:.1}", self.settled_per_s, ms(self.p50), ms(self.p99))
    }
}

impl Honest {
    pub async fn start(network: &Hostile, bank: u16) -> Honest {
        let (send, receive) = mpsc::unbounded_channel();
        let mut client = BankClient::new(network.to_bank(bank));
        let answers = client.submit_transfers(UnboundedReceiverStream::new(receive)).await.unwrap().into_inner();
        let messages = Arc::<Mutex<Vec<Message>>>::default();
        // Signed beforehand, so that signing takes none of the nodes' time.
        let first = MADE[usize::from(bank) - 1].load(Ordering::SeqCst);
        let valid_until = now().plus_ms(600_000);
        let payment = |number: u64| {
            let (payer, sequence) = (1 + number % PAYERS, 1 + number / PAYERS);
            let to = wallet(bank, 1 + payer % PAYERS).account;
            network.payment(&wallet(bank, payer), to, sequence, valid_until).to_bytes()
        };
        let batches: Vec<Bytes> = (first..first + SIGNED)
            .step_by(TOGETHER as usize)
            .map(|number| (number..number + TOGETHER).flat_map(payment).collect::<Vec<u8>>().into())
            .collect();
        let tasks =
            vec![tokio::spawn(offer(batches, send, messages.clone())), tokio::spawn(take(answers, messages.clone()))];
        Honest { bank, first, messages, tasks }
    }

    /// Observes for some time.
    pub async fn figures(&self, time: Duration) -> Figures {
        let from = Instant::now();
        tokio::time::sleep(time).await;
        let to = Instant::now();
        let messages = self.messages.lock().unwrap();
        let within = |at: &Instant| (from..to).contains(at);
        let mut waits: Vec<Duration> = messages
            .iter()
            .filter(|message| within(&message.due))
            .map(|message| message.answered.unwrap_or(to).duration_since(message.due))
            .collect();
        waits.sort();
        let answered: Vec<_> =
            messages.iter().filter(|message| message.answered.as_ref().is_some_and(within)).collect();
        let settled: u64 = answered.iter().map(|message| message.settled).sum();
        let mut times: Vec<Instant> =
            answered.iter().filter_map(|message| message.answered).chain([from, to]).collect();
        times.sort();
        let quantile = |share: f64| waits.get((waits.len() as f64 * share) as usize).copied().unwrap_or(time);
        Figures {
            settled_per_s: settled as f64 / (to - from).as_secs_f64(),
            p50: quantile(0.5),
            p99: quantile(0.99),
            longest_gap: times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(time),
        }
    }

    /// Stops, and returns how many have settled.
    pub async fn stop(self) -> u64 {
        // Payments in flight get their answers.
        self.tasks[0].abort();
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.tasks[1].abort();
        let messages = self.messages.lock().unwrap();
        MADE[usize::from(self.bank) - 1].store(self.first + messages.len() as u64 * TOGETHER, Ordering::SeqCst);
        messages.iter().map(|message| message.settled).sum()
    }
}

async fn offer(batches: Vec<Bytes>, send: mpsc::UnboundedSender<v1::CommandBatch>, messages: Arc<Mutex<Vec<Message>>>) {
    let mut ticks = tokio::time::interval(EVERY);
    for (batch_id, commands) in (0..).zip(batches) {
        let due = ticks.tick().await.into_std();
        messages.lock().unwrap().push(Message { due, answered: None, settled: 0 });
        if send.send(v1::CommandBatch { batch_id, commands, takes_runs: true }).is_err() {
            return;
        }
    }
}

async fn take(mut answers: tonic::Streaming<v1::OutcomeBatch>, messages: Arc<Mutex<Vec<Message>>>) {
    while let Ok(Some(batch)) = answers.message().await {
        let at = batch.batch_id as usize;
        let answers = Answers::from_message(batch).unwrap().unpacked().unwrap();
        let settled = answers.iter().filter(|answer| answer.outcome.reason == Reason::Settled).count() as u64;
        let message = &mut messages.lock().unwrap()[at];
        (message.answered, message.settled) = (Some(Instant::now()), settled);
    }
}
