//! One customer, or one bank, floods a real central bank: everybody else's payments settle meanwhile.
//!
//! No time is asserted, only progress: how many payments of the honest bank settle while the flood lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use cbdc_ledger::command::{Head, IssuanceKind, IssuanceRequest, Payment, PaymentKind, Record};
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Amount, BankId, Command, MemberId, Reason, SigningKey, Timestamp};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, BATCH_COMMANDS_MAX};
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

#[path = "central_bank/running/mod.rs"]
mod running;

use running::{Running, holder_key, now};

/// The number of the wallets that each bank opens.
const WALLETS: u8 = 2;

/// A holder's wallet.
struct Wallet {
    account: AccountId,
    key: SigningKey,
}

/// A payment of one minor unit to the second wallet of bank 2, which receives all of them.
fn payment(running: &Running, wallet: &Wallet, sequence: u64, valid_until: Timestamp) -> Command {
    let head = Head { flags: 0, key_version: 0, sequence, valid_until };
    let (kind, to) = (PaymentKind::Transfer, AccountId::new(BankId(2), 2));
    let (amount, max_fee) = (Amount::from_minor(1), Amount::from_minor(100));
    let payment = Payment { kind, head, from: wallet.account, to, amount, max_fee, reference: [0; 16] };
    payment.sign(running.network.anchor().network(), &wallet.key).into()
}

fn wallet(bank: u16, number: u8) -> Wallet {
    Wallet { account: AccountId::new(BankId(bank), number.into()), key: holder_key(bank, number) }
}

/// A central bank with wallets of both banks: the first of each has money.
async fn with_wallets() -> Running {
    let running = Running::start().await;
    for bank in [1, 2] {
        for number in 1..=WALLETS {
            running.settle_at(bank, &running.opening_at(bank, number)).await;
        }
        let key = running.network.signing_key(Role::Bank, MemberId(bank)).unwrap();
        let network = running.network.anchor().network();
        let head = |sequence| Head { flags: 0, key_version: 0, sequence, valid_until: now().plus_ms(60_000) };
        let (next, amount) = (u64::from(WALLETS) + 1, Amount::from_minor(250_000));
        let request = IssuanceRequest { kind: IssuanceKind::Issue, head: head(next), bank: BankId(bank), amount };
        let request = v1::RequestIssuanceRequest { request: request.sign(network, &key).to_bytes().into() };
        let mut settlement = SettlementClient::new(running.as_member(Role::Bank, bank));
        let issued = settlement.request_issuance(request).await.unwrap().into_inner().outcome.unwrap();
        assert!(issued.settled, "{issued:?}");
        let (from, to) = (AccountId::treasury(BankId(bank)), AccountId::new(BankId(bank), 1));
        let (kind, head, max_fee, reference) = (PaymentKind::Fund, head(next + 1), Amount::ZERO, [0; 16]);
        let fund = Payment { kind, head, from, to, amount, max_fee, reference };
        running.settle_at(bank, &fund.sign(network, &key).into()).await;
    }
    running
}

/// A bank's stream of commands.
struct Stream {
    batches: mpsc::Sender<v1::CommandBatch>,
    answers: Streaming<v1::OutcomeBatch>,
}

impl Stream {
    async fn open(running: &Running, bank: u16) -> Stream {
        let (batches, outgoing) = mpsc::channel(4);
        let mut settlement = SettlementClient::new(running.as_member(Role::Bank, bank));
        let answers = settlement.submit(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
        Stream { batches, answers }
    }

    async fn send(&self, batch_id: u64, commands: Bytes) {
        self.batches.send(v1::CommandBatch { batch_id, commands, takes_runs: true }).await.unwrap();
    }

    async fn answers(&mut self) -> Vec<Answer> {
        let batch = self.answers.message().await.unwrap().expect("the stream goes on");
        Answers::from_message(batch).unwrap().unpacked().unwrap()
    }
}

/// Bank 2 paying, one payment after another, until it is stopped, with a count of those settled.
struct Honest {
    settled: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Honest {
    async fn start(running: &Arc<Running>) -> Honest {
        let (settled, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let mut stream = Stream::open(running, 2).await;
        let (running, counted, stopped) = (running.clone(), settled.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let wallet = wallet(2, 1);
            for sequence in 1..100_000 {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let payment = payment(&running, &wallet, sequence, now().plus_ms(60_000));
                stream.send(sequence, payment.to_bytes().into()).await;
                let answers = stream.answers().await;
                assert_eq!(answers[0].outcome.reason, Reason::Settled, "{answers:?}");
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Honest { settled, stop, task }
    }

    fn settled(&self) -> usize {
        self.settled.load(Ordering::SeqCst)
    }

    /// Waits until that many more have settled. (If none do, the test never ends.)
    async fn pays(&self, more: usize) {
        let wanted = self.settled() + more;
        while self.settled() < wanted {
            assert!(!self.task.is_finished(), "a payment of the honest bank was not settled");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_payment_stop_nobody_and_all_have_its_outcome() {
    let running = Arc::new(with_wallets().await);
    let honest = Honest::start(&running).await;
    honest.pays(5).await;
    let new = payment(&running, &wallet(1, 1), 1, now().plus_ms(60_000));
    let copies: Bytes = new.to_bytes().repeat(BATCH_COMMANDS_MAX).into();
    // While it is new, and again when it has settled.
    for round in 0..2 {
        let before = honest.settled();
        honest.pays(1).await;
        let mut stream = Stream::open(&running, 1).await;
        for message in 0..8 {
            stream.send(message, copies.clone()).await;
        }
        let mut firsts = Vec::new();
        while firsts.len() < 8 {
            let answers = stream.answers().await;
            assert_eq!(answers.len(), BATCH_COMMANDS_MAX);
            if answers.iter().any(|answer| answer.outcome.reason == Reason::Overloaded) {
                // The bank wastes others' time and is slowed: batches that wait for too long have to be sent again.
                stream.send(8, copies.clone()).await;
                continue;
            }
            assert!(answers.iter().all(|answer| *answer == answers[0]), "each has the outcome of the first");
            firsts.push(answers[0]);
        }
        assert!(firsts.iter().all(|first| first.is_ordered() && *first == firsts[0]), "{firsts:?}");
        assert_eq!(firsts[0].outcome.reason, Reason::Settled);
        let meanwhile = honest.settled() - before;
        assert!(meanwhile > 4, "round {round}: only {meanwhile} payments settled");
    }
    honest.stop().await;
}

/// A kind of flood: the command with a given number, and the reason for which it is refused.
struct Flood {
    command: fn(&Running, u64) -> Command,
    refused: &'static [Reason],
}

const HOUR_MS: u64 = 3_600_000;

fn garbage(running: &Running, number: u64) -> Command {
    let forger = Wallet { key: SigningKey::from_seed([99; 32]), ..wallet(1, 1) };
    payment(running, &forger, 1 + number, now().plus_ms(60_000))
}

fn one_same_record(running: &Running, _: u64) -> Command {
    payment(running, &wallet(1, 1), 1, Timestamp(now().0 / HOUR_MS * HOUR_MS + 2 * HOUR_MS))
}

fn out_of_window(running: &Running, number: u64) -> Command {
    payment(running, &wallet(1, 1), 1_000 + number, now().plus_ms(60_000))
}

fn expired(running: &Running, number: u64) -> Command {
    payment(running, &wallet(1, 1), 2 + number, Timestamp(now().0 - HOUR_MS))
}

fn unfunded(running: &Running, number: u64) -> Command {
    payment(running, &wallet(1, 2), 1 + number, now().plus_ms(60_000))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_floods_junk_of_any_kind_stops_nobody_and_is_named() {
    let floods = [
        Flood { command: garbage, refused: &[Reason::BadSignature] },
        Flood { command: one_same_record, refused: &[Reason::Settled] },
        Flood { command: out_of_window, refused: &[Reason::SequenceOutOfWindow] },
        Flood { command: expired, refused: &[Reason::Expired] },
        Flood { command: unfunded, refused: &[Reason::InsufficientFunds] },
    ];
    let running = Arc::new(with_wallets().await);
    let honest = Honest::start(&running).await;
    honest.pays(5).await;
    for (kind, flood) in floods.iter().enumerate() {
        let some: Vec<u8> = (0..64).flat_map(|number| (flood.command)(&running, number).to_bytes()).collect();
        let commands = Bytes::from(some.repeat(16));
        let answered = Arc::<AtomicUsize>::default();
        let mut flooding = Vec::new();
        // Each stream sends as much as is accepted.
        for _ in 0..3 {
            let Stream { batches, mut answers } = Stream::open(&running, 1).await;
            let commands = commands.clone();
            flooding.push(tokio::spawn(async move {
                for batch_id in 0.. {
                    let commands = commands.clone();
                    if batches.send(v1::CommandBatch { batch_id, commands, takes_runs: true }).await.is_err() {
                        return;
                    }
                }
            }));
            let (answered, refused) = (answered.clone(), flood.refused);
            flooding.push(tokio::spawn(async move {
                while let Ok(Some(batch)) = answers.message().await {
                    let answers = Answers::from_message(batch).unwrap().unpacked().unwrap();
                    let unexpected = answers.iter().find(|answer| {
                        !refused.contains(&answer.outcome.reason) && answer.outcome.reason != Reason::Overloaded
                    });
                    assert_eq!(unexpected, None, "flood {kind}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            }));
        }
        // The flood continues: it neither stops nor stops the others.
        let is_on = || flooding.iter().all(|task| !task.is_finished());
        while answered.load(Ordering::SeqCst) == 0 && is_on() {
            honest.pays(1).await;
        }
        honest.pays(100).await;
        assert!(is_on(), "flood {kind} ended");
        flooding.iter().for_each(tokio::task::JoinHandle::abort);
    }
    honest.stop().await;
    let conduct = running.node.conduct();
    let [flooding, honest] = [1, 2].map(|bank| conduct[&(Role::Bank, MemberId(bank))]);
    assert!(flooding.bad_signatures > 0 && flooding.not_ordered > 0 && flooding.is_slowed, "{flooding:?}");
    assert!(honest.settled > 500 && !honest.is_slowed, "{honest:?}");
    assert_eq!((honest.refused, honest.not_ordered, honest.bad_signatures), (0, 0, 0));
}
