//! What the hostile bank and its customers do.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cbdc_client::NodeName;
use cbdc_ledger::{BankId, SigningKey, Timestamp};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::BATCH_COMMANDS_MAX;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use cbdc_proto::v1::settlement_client::SettlementClient;
use http_body::Frame;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::ServiceExt;

use crate::network::{Hostile, WALLETS, Wallet, hostile, now, wallet};

const HOUR_MS: u64 = 3_600_000;
/// Streams of a flood, and payments in each of its messages.
const STREAMS: usize = 3;
const TOGETHER: u64 = 1_024;

/// A kind of flood: the payment with a given number.
#[derive(Clone, Copy)]
pub struct Flood {
    pub name: &'static str,
    payment: fn(&Hostile, u64) -> Vec<u8>,
}

pub const FLOODS: [Flood; 5] = [
    Flood { name: "garbage signatures", payment: garbage },
    Flood { name: "one same record", payment: one_same_record },
    Flood { name: "out of window", payment: out_of_window },
    Flood { name: "expired", payment: expired },
    Flood { name: "unfunded", payment: unfunded },
];

fn signed(network: &Hostile, from: &Wallet, sequence: u64, valid_until: Timestamp) -> Vec<u8> {
    network.payment(from, wallet(2, WALLETS).account, sequence, valid_until).to_bytes()
}

fn garbage(network: &Hostile, number: u64) -> Vec<u8> {
    let forger = Wallet { key: SigningKey::from_seed([99; 32]), ..hostile() };
    signed(network, &forger, 10 + number % 50, now().plus_ms(HOUR_MS))
}

fn one_same_record(network: &Hostile, _: u64) -> Vec<u8> {
    signed(network, &hostile(), 9, Timestamp(now().0 / HOUR_MS * HOUR_MS + 2 * HOUR_MS))
}

fn out_of_window(network: &Hostile, number: u64) -> Vec<u8> {
    signed(network, &hostile(), 1_000 + number, now().plus_ms(HOUR_MS))
}

fn expired(network: &Hostile, number: u64) -> Vec<u8> {
    signed(network, &hostile(), 10 + number % 50, Timestamp(now().0 - HOUR_MS))
}

/// Each uses its number; later ones carry used numbers, as anybody without money can send.
fn unfunded(network: &Hostile, number: u64) -> Vec<u8> {
    signed(network, &wallet(1, WALLETS + 1), 1 + number, now().plus_ms(HOUR_MS))
}

/// A flood that continues until it is stopped.
pub struct Flooding {
    answered: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Flooding {
    /// Bank 1 sends as much to the central bank as is accepted.
    pub async fn by_bank(network: &Hostile, flood: Flood) -> Flooding {
        Flooding::start(network, flood, async |messages| {
            let mut settlement = SettlementClient::new(network.to_central_bank(1));
            settlement.submit(messages).await.unwrap().into_inner()
        })
        .await
    }

    /// Customers of bank 1 send as much to it as is accepted, each flood from an address of its own: what was sent
    /// before a flood is stopped is still in its streams, and a slowed address works it off for a minute or more.
    pub async fn by_customers(network: &Hostile, flood: Flood) -> Flooding {
        static ADDRESS: AtomicU8 = AtomicU8::new(10);
        let address = ADDRESS.fetch_add(1, Ordering::Relaxed);
        Flooding::start(network, flood, async |messages| {
            let channel = network.to_bank_from(1, address).await;
            BankClient::new(channel).submit_transfers(messages).await.unwrap().into_inner()
        })
        .await
    }

    async fn start(
        network: &Hostile,
        flood: Flood,
        open: impl AsyncFn(ReceiverStream<v1::CommandBatch>) -> Streaming<v1::OutcomeBatch>,
    ) -> Flooding {
        let commands: Bytes =
            (0..TOGETHER).flat_map(|number| (flood.payment)(network, number)).collect::<Vec<_>>().into();
        let (answered, mut tasks) = (Arc::<AtomicU64>::default(), Vec::new());
        for _ in 0..STREAMS {
            let (send, messages) = mpsc::channel(4);
            let mut answers = open(ReceiverStream::new(messages)).await;
            let (commands, counted) = (commands.clone(), answered.clone());
            tasks.push(tokio::spawn(async move {
                for batch_id in 0.. {
                    let commands = commands.clone();
                    if send.send(v1::CommandBatch { batch_id, commands, takes_runs: true }).await.is_err() {
                        return;
                    }
                }
            }));
            tasks.push(tokio::spawn(async move {
                while let Ok(Some(_)) = answers.message().await {
                    counted.fetch_add(TOGETHER, Ordering::Relaxed);
                }
            }));
        }
        Flooding { answered, tasks }
    }

    /// Payments that were answered, in whatever way.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub fn stop(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Sends eight messages of 8,192 copies of one new payment to bank 1, on that many streams. Returns when all are
/// answered.
pub async fn copies(network: &Hostile, sequence: u64, streams: usize) -> Duration {
    let payment = signed(network, &hostile(), sequence, now().plus_ms(HOUR_MS));
    let commands: Bytes = payment.repeat(BATCH_COMMANDS_MAX).into();
    let began = Instant::now();
    let streams = (0..streams).map(|_| {
        let commands = commands.clone();
        async move {
            let client = network.to_bank_as_stranger(1).await;
            let messages: Vec<_> = (0..8 / streams as u64)
                .map(|batch_id| v1::CommandBatch { batch_id, commands: commands.clone(), takes_runs: true })
                .collect();
            let mut left = messages.len();
            let mut answers =
                BankClient::new(client).submit_transfers(tokio_stream::iter(messages)).await.unwrap().into_inner();
            while left > 0 {
                let batch = answers.message().await.unwrap().expect("each message is answered");
                assert_eq!(Answers::from_message(batch).unwrap().unpacked().unwrap().len(), BATCH_COMMANDS_MAX);
                left -= 1;
            }
        }
    });
    futures::future::join_all(streams).await;
    began.elapsed()
}

/// Attacks on bank 1's memory.
#[derive(Clone, Copy, Debug)]
pub enum MemoryAttack {
    /// 4 connections × 500 pages of payments at once, repeatedly.
    Pages,
    /// The same, and the answers are never read.
    UnreadPages,
    /// 3 connections × 500 streams, each with 4,080 KiB of a message that does not end.
    Unfinished,
    /// The same, with messages as large as a stream of payments may send.
    UnfinishedBatches,
    /// A thousand connections that complete the handshake and send nothing.
    Idle,
}

pub const MEMORY: [MemoryAttack; 5] = [
    MemoryAttack::Pages,
    MemoryAttack::UnreadPages,
    MemoryAttack::Unfinished,
    MemoryAttack::UnfinishedBatches,
    MemoryAttack::Idle,
];

/// An attack that lasts until this is dropped.
#[derive(Default)]
pub struct Attacking {
    tasks: Vec<JoinHandle<()>>,
    pub answered: Arc<AtomicU64>,
    pub refused: Arc<AtomicU64>,
    _connections: Vec<Channel>,
}

impl Drop for Attacking {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl MemoryAttack {
    pub fn name(self) -> &'static str {
        match self {
            MemoryAttack::Pages => "4 × 500 ListPayments",
            MemoryAttack::UnreadPages => "4 × 500 ListPayments, answers unread",
            MemoryAttack::Unfinished => "3 × 500 messages of 4 MiB, unfinished",
            MemoryAttack::UnfinishedBatches => "3 × 500 messages of 1 MiB, unfinished",
            MemoryAttack::Idle => "1,000 idle connections",
        }
    }

    pub async fn start(self, network: &Hostile) -> Attacking {
        let count = match self {
            MemoryAttack::Idle => 1_000,
            MemoryAttack::Pages | MemoryAttack::UnreadPages => 4,
            MemoryAttack::Unfinished | MemoryAttack::UnfinishedBatches => 3,
        };
        let (mut connections, is_unread) = (Vec::new(), Arc::<AtomicBool>::default());
        for _ in 0..count {
            let connection = network.to_bank_unread(1, is_unread.clone()).await;
            // Channels connect when they are used.
            drop(BankClient::new(connection.clone()).get_status(v1::GetStatusRequest {}).await);
            connections.push(connection);
        }
        let authorization = network.authorization().await;
        is_unread.store(matches!(self, MemoryAttack::UnreadPages), Ordering::Relaxed);
        let mut attacking = Attacking::default();
        for connection in &connections {
            for _ in 0..if matches!(self, MemoryAttack::Idle) { 0 } else { 500 } {
                let (answered, refused) = (attacking.answered.clone(), attacking.refused.clone());
                let call = self.call(connection.clone(), authorization.clone(), answered, refused);
                attacking.tasks.push(tokio::spawn(call));
            }
        }
        attacking._connections = connections;
        attacking
    }

    /// One call, repeated for ever.
    async fn call(self, connection: Channel, authorization: String, answered: Arc<AtomicU64>, refused: Arc<AtomicU64>) {
        let account = wallet(1, 1).account.to_string();
        let page = v1::ListPaymentsRequest { account, page_size: 500, ..Default::default() };
        match self {
            MemoryAttack::Idle => {}
            MemoryAttack::Pages => {
                let mut client = BankClient::new(connection);
                loop {
                    let mut request = tonic::Request::new(page.clone());
                    request.metadata_mut().insert("authorization", authorization.parse().unwrap());
                    let count = match client.list_payments(request).await {
                        Ok(_) => &answered,
                        Err(_) => &refused,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            MemoryAttack::UnreadPages => {
                let message = prost_message(&page);
                let body = Pieces { piece: message, left: 1, then_silent: false };
                let mut request = request("/cbdc.v1.Bank/ListPayments", body);
                request.headers_mut().insert("authorization", authorization.parse().unwrap());
                let answer = connection.oneshot(request).await;
                std::future::pending::<()>().await;
                drop(answer);
            }
            MemoryAttack::Unfinished => unfinished(connection, 4 * 1024 * 1024, 4_080).await,
            MemoryAttack::UnfinishedBatches => unfinished(connection, 1_100 * 1024, 1_090).await,
        }
    }
}

/// Begins messages and never ends them.
async fn unfinished(connection: Channel, length: u32, sent_kib: usize) {
    loop {
        let first = [&[0][..], &length.to_be_bytes(), &[7; 1019]].concat();
        let body = Pieces { piece: first.into(), left: sent_kib, then_silent: true };
        drop(connection.clone().oneshot(request("/cbdc.v1.Bank/SubmitTransfers", body)).await);
        // It was refused: once more, after a moment.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn prost_message(page: &v1::ListPaymentsRequest) -> Bytes {
    let account = page.account.as_bytes();
    // Field 1, the account; field 2, the size of the page.
    let message = [&[0x0a, account.len() as u8][..], account, &[0x10, 0xf4, 0x03]].concat();
    [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat().into()
}

fn request(path: &str, body: Pieces) -> http::Request<Body> {
    let request = http::Request::post(format!("http://bank{path}"));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    request.body(Body::new(body)).unwrap()
}

/// A body of one piece, again and again.
struct Pieces {
    piece: Bytes,
    left: usize,
    then_silent: bool,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if self.left == 0 {
            return if self.then_silent { Poll::Pending } else { Poll::Ready(None) };
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

/// That many TCP connections to bank 1, and to the central bank, which send nothing. If they are `renewed`, a new one
/// replaces each that the node has ended.
pub async fn silent(network: &Hostile, count: usize, renewed: bool) -> Attacking {
    let mut attacking = Attacking::default();
    for node in [NodeName::Bank(BankId(1)), network.network.central_bank()] {
        for _ in 0..count {
            let address = network.address(node);
            let first = TcpStream::connect(&address).await.unwrap();
            attacking.tasks.push(tokio::spawn(async move {
                let mut connection = Some(first);
                while let Some(silent) = connection.take() {
                    // It is readable once the node has ended it.
                    drop(silent.readable().await);
                    if !renewed {
                        std::future::pending::<()>().await;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    connection = TcpStream::connect(&address).await.ok();
                }
            }));
        }
    }
    attacking
}
