//! Accepting connections.
//!
//! A connection that is not TLS 1.3, or whose certificate's key is not pinned, ends in the handshake: no request of it
//! is ever read. Handshakes run concurrently, bounded in number and time ([`super::handshakes`]), so that a silent (or
//! noisy) peer delays nobody.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cbdc_environment::network;
use cbdc_ledger::PublicKey;
use futures::Stream;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::handshakes::Handshakes;
use super::identity::NodeIdentity;
use super::log_limit::LogLimit;
use super::read_ahead::ReadAhead;
use super::{limits, tls};

/// Connections that may wait, after their handshake, to be accepted.
const READY_MAX: usize = 256;

static REFUSED: LogLimit = LogLimit::new();

/// The node keys of members.
pub trait Pins: Send + Sync + 'static {
    /// Whether an active member has this node key.
    fn is_member(&self, key: &PublicKey) -> bool;
}

impl<F: Fn(&PublicKey) -> bool + Send + Sync + 'static> Pins for F {
    fn is_member(&self, key: &PublicKey) -> bool {
        self(key)
    }
}

/// Whether a client must show a member's certificate.
#[derive(Clone)]
pub enum ClientAuthentication {
    /// Every client must be a member.
    Required(Arc<dyn Pins>),
    /// A client may have no certificate (a customer); if it shows one, that must be a member's.
    Optional(Arc<dyn Pins>),
}

/// The other end of a connection; in the extensions of each request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The node key that the TLS handshake proved; `None` for a customer.
    pub node_key: Option<PublicKey>,
    /// The peer's address.
    pub address: Option<SocketAddr>,
}

impl Peer {
    /// The peer of a request.
    pub fn of<T>(request: &tonic::Request<T>) -> Peer {
        request.extensions().get::<Peer>().cloned().unwrap_or(Peer { node_key: None, address: None })
    }
}

struct MemberVerifier {
    pins: Arc<dyn Pins>,
    required: bool,
}

impl std::fmt::Debug for MemberVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberVerifier").field("required", &self.required).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for MemberVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match tls::key_in(certificate) {
            Some(key) if self.pins.is_member(&key) => Ok(ClientCertVerified::assertion()),
            _ => Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        tls::verify_handshake(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        tls::schemes()
    }
}

/// An accepted connection.
pub struct Connection {
    stream: TlsStream<ReadAhead>,
    peer: Peer,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    // So that a frame's head and its data are sent in one record.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Accepts connections on a bound listener, for `Server::serve_with_incoming_shutdown`.
pub fn incoming(
    listener: network::Listener,
    identity: &NodeIdentity,
    clients: ClientAuthentication,
) -> Result<impl Stream<Item = io::Result<Connection>> + Send + use<>, rustls::Error> {
    let (pins, required) = match clients {
        ClientAuthentication::Required(pins) => (pins, true),
        ClientAuthentication::Optional(pins) => (pins, false),
    };
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(MemberVerifier { pins, required }))
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would skip the membership check.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let (ready, mut accepted) = tokio::sync::mpsc::channel(READY_MAX);
    let handshakes = Handshakes::default();
    // The stream owns the listener: once it is dropped, the port is free.
    Ok(async_stream::stream! {
        loop {
            tokio::select! {
                Some(connection) = accepted.recv() => yield Ok(connection),
                (stream, address) = accept(&listener) => {
                    let (acceptor, ready, permit) = (acceptor.clone(), ready.clone(), handshakes.enter(address));
                    tokio::spawn(async move {
                        let shaken = tokio::select! {
                            shaken = handshake(&acceptor, stream, address) => shaken,
                            () = permit.gives_way.cancelled() =>
                                Err(io::Error::other("too many handshakes are in flight")),
                        };
                        drop(permit);
                        match shaken {
                            Ok(connection) => drop(ready.send(connection).await),
                            Err(error) => if let Some(refused) = REFUSED.count(1) {
                                tracing::info!(
                                    %address, %error, refused,
                                    "a connection was refused in the TLS handshake (count since the last such line)"
                                );
                            },
                        }
                    });
                }
            }
        }
    })
}

/// The next connection.
async fn accept(listener: &network::Listener) -> (network::Stream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                // Most likely out of file descriptors: give others time to close theirs.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn handshake(acceptor: &TlsAcceptor, stream: network::Stream, address: SocketAddr) -> io::Result<Connection> {
    let handshake = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, acceptor.accept(ReadAhead::new(stream)));
    let late = |_| {
        let limit = limits::HANDSHAKE_TIMEOUT.as_secs();
        io::Error::new(io::ErrorKind::TimedOut, format!("no handshake within {limit} s"))
    };
    let stream = handshake.await.map_err(late)??;
    let node_key = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(tls::key_in);
    Ok(Connection { stream, peer: Peer { node_key, address: Some(address) } })
}
