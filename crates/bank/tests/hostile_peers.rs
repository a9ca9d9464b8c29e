//! Banks that follow the chain from peers while the central bank is away, and peers that serve anything but the chain.

#[path = "bank/running/mod.rs"]
mod running;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cbdc_client::NodeName;
use cbdc_devnet::Network;
use cbdc_ledger::command::{Head, Record};
use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, Class, Command, Height, HolderId, MemberId, SigningKey, Timestamp};
use cbdc_proto::transport::{ClientAuthentication, connect, incoming};
use cbdc_proto::v1;
use futures::StreamExt;
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tonic::body::Body;

use self::running::{RawBody, Then, bank_config, central_bank_config, message, network};

/// What a hostile peer answers to a request for the chain.
#[derive(Clone, Debug)]
enum Hostile {
    /// It takes the request and sends nothing; or begins a message and never ends it.
    Pieces(Vec<Bytes>, Then),
    /// After the handshake it sends something other than HTTP/2.
    Noise,
    /// It accepts the TCP connection and never shakes hands.
    NoHandshake,
}

/// A peer with a bank's own key. Counts how often it was asked.
struct HostilePeer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Service {
    pieces: Vec<Bytes>,
    then: Then,
    asked: Arc<AtomicUsize>,
}

impl tonic::server::NamedService for Service {
    const NAME: &'static str = "cbdc.v1.Chain";
}

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path().ends_with("/Follow") {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        let body = RawBody::body(self.pieces.clone(), self.then);
        let response = http::Response::builder().header("content-type", "application/grpc").body(body);
        std::future::ready(Ok(response.unwrap()))
    }
}

impl HostilePeer {
    async fn start(network: &Network, bank: u16, hostile: Hostile) -> HostilePeer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let identity = network.identity(Role::Bank, MemberId(bank)).unwrap();
        let counted = asked.clone();
        let anybody = ClientAuthentication::Optional(Arc::new(|_: &cbdc_ledger::PublicKey| true));
        match hostile {
            Hostile::Pieces(pieces, then) => {
                let incoming = incoming(listener.into(), &identity, anybody).unwrap();
                let service = Service { pieces, then, asked: counted };
                let server = tonic::transport::Server::builder().add_service(service);
                tokio::spawn(server.serve_with_incoming(incoming));
            }
            Hostile::Noise => {
                let mut incoming = Box::pin(incoming(listener.into(), &identity, anybody).unwrap());
                tokio::spawn(async move {
                    let mut kept = Vec::new();
                    while let Some(Ok(mut connection)) = incoming.next().await {
                        counted.fetch_add(1, Ordering::SeqCst);
                        drop(connection.write_all(&[0x5a; 4096]).await);
                        drop(connection.flush().await);
                        kept.push(connection);
                    }
                });
            }
            Hostile::NoHandshake => {
                tokio::spawn(async move {
                    let mut kept = Vec::new();
                    while let Ok((connection, _)) = listener.accept().await {
                        counted.fetch_add(1, Ordering::SeqCst);
                        kept.push(connection);
                    }
                });
            }
        }
        HostilePeer { address, asked }
    }
}

/// A network of three banks: bank 1 has some blocks, the central bank is gone.
struct Orphaned {
    network: Network,
    honest: cbdc_bank::Node,
    height: Height,
    /// All blocks, in their order.
    blocks: Vec<v1::Block>,
    _folder: tempfile::TempDir,
}

fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(now.as_millis() as u64)
}

async fn orphaned() -> Orphaned {
    let (network, folder) = network(3);
    let central_bank = cbdc_central_bank::start(central_bank_config(&network)).await.unwrap();
    let mut config = bank_config(&network, 1);
    config.peers = Vec::new();
    let honest = cbdc_bank::start(config).await.unwrap();
    let trust = network.anchor().trust(Role::CentralBank, MemberId(1)).unwrap();
    let identity = network.identity(Role::Bank, MemberId(1)).unwrap();
    let channel = connect(&central_bank.address().to_string(), Some(&identity), &trust).unwrap();
    let mut settlement = v1::settlement_client::SettlementClient::new(channel.clone());
    for number in 1..=16 {
        let request = v1::SubmitCommandRequest { command: opening(&network, number).to_bytes().into() };
        assert!(settlement.submit_command(request).await.unwrap().into_inner().settled);
    }
    let mut chain = v1::chain_client::ChainClient::new(channel);
    let head = chain.get_header(v1::GetHeaderRequest { height: None }).await.unwrap().into_inner();
    let height = cbdc_proto::convert::header_from_message(&head).unwrap().header.height;
    let mut blocks = Vec::new();
    for height in 1..=height.0 {
        blocks.push(chain.get_block(v1::GetBlockRequest { height }).await.unwrap().into_inner());
    }
    until_at(&network, 1, height).await;
    central_bank.shutdown().await;
    Orphaned { network, honest, height, blocks, _folder: folder }
}

/// The command by which bank 1 opens its `number`th wallet.
fn opening(network: &Network, number: u8) -> Command {
    let key = SigningKey::from_seed([number; 32]);
    let registrar = network.first_registrar().unwrap();
    let registration = registrar.register(BankId(1), HolderId([number; 16]), Class::HOUSEHOLD, key.public_key());
    let head = Head { flags: 0, key_version: 0, sequence: number.into(), valid_until: now().plus_ms(60_000) };
    let bank = network.signing_key(Role::Bank, MemberId(1)).unwrap();
    registration.opening(head, &key).unwrap().sign(network.anchor().network(), &bank).into()
}

async fn until_at(network: &Network, bank: u16, height: Height) {
    let identity = network.identity(Role::Bank, MemberId(3)).unwrap();
    let trust = network.anchor().trust(Role::Bank, MemberId(bank)).unwrap();
    let address = network.address(NodeName::Bank(BankId(bank))).unwrap();
    let mut chain = v1::chain_client::ChainClient::new(connect(address, Some(&identity), &trust).unwrap());
    for _ in 0..1_600 {
        let newest = chain.get_header(v1::GetHeaderRequest { height: None }).await;
        let newest = newest.map(|newest| cbdc_proto::convert::header_from_message(&newest.into_inner()).unwrap());
        if newest.is_ok_and(|newest| newest.header.height >= height) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("bank {bank} does not come to block {height}");
}

/// Bank 2 is to follow the chain, from the hostile peer first.
async fn follows_past(make: impl FnOnce(&Orphaned) -> Hostile, asked_at_most: usize) {
    let orphaned = orphaned().await;
    let hostile = make(&orphaned);
    let peer = HostilePeer::start(&orphaned.network, 3, hostile).await;
    let mut config = bank_config(&orphaned.network, 2);
    config.peers = vec![peer.address.to_string(), orphaned.honest.address().to_string()];
    let follower = cbdc_bank::start(config).await.unwrap();
    until_at(&orphaned.network, 2, orphaned.height).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = peer.asked.load(Ordering::SeqCst);
    assert!((1..=asked_at_most).contains(&asked), "the hostile peer was asked {asked} times");
    follower.shutdown().await;
    orphaned.honest.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_holds_nobody() {
    follows_past(|_| Hostile::Pieces(Vec::new(), Then::Silence), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_never_ends_holds_nobody() {
    let begun = |orphaned: &Orphaned| {
        let block = orphaned.blocks[0].encode_to_vec();
        Hostile::Pieces(vec![message(block.len() as u32, &block[..block.len() / 2])], Then::Silence)
    };
    follows_past(begun, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_a_handshake_holds_nobody() {
    // Each look at the peers' heads is a connection as well.
    follows_past(|_| Hostile::NoHandshake, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sends_noise_is_left_alone() {
    follows_past(|_| Hostile::Noise, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_messages_cannot_be_read_is_dropped() {
    follows_past(|_| Hostile::Pieces(vec![message(64, &[0xff; 64])], Then::Again), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_message_is_too_large_or_declares_four_gigabytes_is_dropped() {
    follows_past(|_| Hostile::Pieces(vec![message(u32::MAX, &[7; 64])], Then::Silence), 1).await;
    follows_past(|_| Hostile::Pieces(vec![message(33 * 1024 * 1024, &[7; 64])], Then::Silence), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sends_the_first_block_for_ever_is_dropped() {
    let again = |orphaned: &Orphaned| {
        let block = orphaned.blocks[0].encode_to_vec();
        Hostile::Pieces(vec![message(block.len() as u32, &block)], Then::Again)
    };
    follows_past(again, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_drips_true_blocks_holds_nobody() {
    let dripping = |orphaned: &Orphaned| {
        let blocks = orphaned.blocks.iter().map(Message::encode_to_vec);
        let blocks = blocks.map(|block| message(block.len() as u32, &block)).collect();
        Hostile::Pieces(blocks, Then::Drip(Duration::from_secs(4)))
    };
    follows_past(dripping, 1).await;
}
