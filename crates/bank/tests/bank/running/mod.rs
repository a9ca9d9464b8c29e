//! A development network on loopback, and bodies of requests and answers that no honest client or server sends.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cbdc_client::NodeName;
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::BankId;
use cbdc_node::Limits;
use cbdc_proto::transport::{NodeIdentity, ServerTrust, connect};
use cbdc_proto::v1;
use http_body::Frame;
use tokio::net::{TcpListener, TcpSocket};
use tonic::body::Body;
use tonic::transport::Channel;

/// A network and its running nodes.
pub struct Running {
    pub network: Network,
    pub central_bank: cbdc_central_bank::Node,
    pub bank: cbdc_bank::Node,
    folder: tempfile::TempDir,
}

/// A new network, none of whose nodes run yet.
pub fn network(banks: u16) -> (Network, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec { ports: Ports::Free, banks, full_replicas: banks, ..NetworkSpec::default() };
    (Network::create(&folder.path().join("net"), &spec).unwrap(), folder)
}

pub fn bank_config(network: &Network, bank: u16) -> cbdc_bank::Config {
    cbdc_bank::Config::load(&network.config_path(NodeName::Bank(BankId(bank)))).unwrap()
}

pub fn central_bank_config(network: &Network) -> cbdc_central_bank::Config {
    cbdc_central_bank::Config::load(&network.config_path(network.central_bank())).unwrap()
}

impl Running {
    /// The central bank, and bank 1 with these limits.
    pub async fn start(limits: Limits) -> Running {
        let (network, folder) = network(1);
        let mut config = central_bank_config(&network);
        config.limits = limits.clone();
        let central_bank = cbdc_central_bank::start(config).await.unwrap();
        let mut config = bank_config(&network, 1);
        config.limits = limits;
        let bank = cbdc_bank::start(config).await.unwrap();
        Running { network, central_bank, bank, folder }
    }

    /// A connection to bank 1, as the member whose identity is given or as a customer.
    pub fn to_bank(&self, identity: Option<&NodeIdentity>) -> Channel {
        let trust = self.network.anchor().trust(cbdc_ledger::member::Role::Bank, cbdc_ledger::MemberId(1)).unwrap();
        connect(&self.bank.address().to_string(), identity, &trust).unwrap()
    }

    /// A connection to bank 1 of a customer at 127.0.0.`last`.
    pub async fn to_bank_from(&self, last: u8) -> Channel {
        let address = forward(self.bank.address(), last).await;
        connect(&address.to_string(), None, &self.bank_trust()).unwrap()
    }

    pub fn bank_trust(&self) -> ServerTrust {
        self.network.anchor().trust(cbdc_ledger::member::Role::Bank, cbdc_ledger::MemberId(1)).unwrap()
    }

    /// Asserts that a new customer is answered.
    pub async fn serves_a_new_customer(&self) {
        let mut client = v1::bank_client::BankClient::new(self.to_bank(None));
        let asked = client.get_status(v1::GetStatusRequest {});
        let answer = tokio::time::timeout(Duration::from_secs(10), asked).await.expect("an answer comes in time");
        assert_eq!(answer.unwrap().into_inner().bank, 1);
    }

    pub async fn stop(self) {
        drop(self.stop_and_keep().await);
    }

    /// Stops the nodes and returns their folder.
    pub async fn stop_and_keep(self) -> tempfile::TempDir {
        self.bank.shutdown().await;
        self.central_bank.shutdown().await;
        self.folder
    }
}

/// Forwards connections to a node from 127.0.0.`last`; returns the address to connect to.
async fn forward(node: SocketAddr, last: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let far = TcpSocket::new_v4().unwrap();
            far.bind(([127, 0, 0, last], 0).into()).unwrap();
            tokio::spawn(async move {
                let mut far = far.connect(node).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
            });
        }
    });
    address
}

/// Copies the folder of a stopped node.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Waits until a condition holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..800 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it did not come about within 20 s: {what}");
}

/// Pieces of a body, and what follows them.
pub struct RawBody {
    pieces: VecDeque<Bytes>,
    then: Then,
    /// Until the next piece, where they do not come at once.
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// Nothing more is sent, and the body does not end.
    Silence,
    /// The pieces are sent again, for ever.
    Again,
    /// The pieces come one by one, with so much time between them.
    Drip(Duration),
}

impl RawBody {
    pub fn body(pieces: impl IntoIterator<Item = Bytes>, then: Then) -> Body {
        Body::new(RawBody { pieces: pieces.into_iter().collect(), then, pause: None })
    }
}

impl http_body::Body for RawBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
        }
        let Some(piece) = self.pieces.pop_front() else { return Poll::Pending };
        if self.then == Then::Again {
            self.pieces.push_back(piece.clone());
        }
        if let Then::Drip(time) = self.then {
            self.pause = Some(Box::pin(tokio::time::sleep(time)));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// A message's first five bytes, and the part of it that is sent.
pub fn message(length: u32, sent: &[u8]) -> Bytes {
    [&[0][..], &length.to_be_bytes(), sent].concat().into()
}

/// A gRPC request with any body.
pub fn request(path: &str, body: Body) -> http::Request<Body> {
    let request = http::Request::post(format!("http://bank{path}"));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    request.body(body).unwrap()
}

/// The status of an answer; its body is read to the end if the head has none.
pub async fn status_of(channel: Channel, request: http::Request<Body>) -> tonic::Status {
    use tower::ServiceExt;
    let asked = async {
        let response = match channel.oneshot(request).await {
            Ok(response) => response,
            Err(error) => return tonic::Status::unavailable(error.to_string()),
        };
        let (head, mut body) = response.into_parts();
        if let Some(status) = tonic::Status::from_header_map(&head.headers) {
            return status;
        }
        loop {
            let frame = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx)).await;
            match frame {
                Some(Ok(frame)) => {
                    if let Some(status) = frame.trailers_ref().and_then(tonic::Status::from_header_map) {
                        return status;
                    }
                }
                Some(Err(status)) => return status,
                None => return tonic::Status::unknown("the answer ended without a status"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(40), asked).await.expect("an answer comes in time")
}
