//! Connecting to a node.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use cbdc_environment::network;
use cbdc_ledger::PublicKey;
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::identity::NodeIdentity;
use super::read_ahead::ReadAhead;
use super::{limits, tls};

/// The keys or the authority by which a client identifies a node.
#[derive(Clone)]
pub enum ServerTrust {
    /// The node's certificate must carry this key.
    NodeKey(PublicKey),
    /// The node's certificate must carry one of these keys: any node of the central bank, any peer bank.
    AnyOf(Vec<PublicKey>),
    /// The node's certificate must carry a key in force, as far as that is known; keys that were replaced since are
    /// asked for.
    Followed(Arc<dyn FollowedKeys>),
    /// Any key: for answers that prove themselves, and nothing else.
    AnyKey,
    /// The node's certificate must be signed by this authority, for the host's name.
    Authority(CertificateDer<'static>),
}

/// Node keys that the committee may replace.
pub trait FollowedKeys: Send + Sync {
    /// The keys in force, as far as is known.
    fn keys(&self) -> Vec<PublicKey>;

    /// Called when the node at an address shows a key that is not known: asks for proofs of newer membership, and says
    /// whether there was any.
    fn follow<'a>(
        &'a self,
        address: &'a str,
        identity: Option<&'a NodeIdentity>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;
}

/// The reason why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not a host and port.
    #[error("the address `{address}` is not a host and port, such as 127.0.0.1:7000")]
    Address {
        /// The value given.
        address: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The certificate of the authority cannot be used.
    #[error("the authority's certificate cannot be used: {0}")]
    Authority(String),
    /// Nobody answered, or the handshake failed.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Host and port.
        address: String,
        /// The transport's error message.
        reason: String,
    },
}

/// The keys that a node may show; `None` for any.
#[derive(Debug)]
struct PinnedServer(Option<Vec<PublicKey>>);

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if tls::key_in(certificate).is_some_and(|key| self.0.as_ref().is_none_or(|keys| keys.contains(&key))) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        tls::verify_handshake(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        tls::schemes()
    }
}

/// A channel to `address` (`host:port`). It connects at its first use and again whenever it breaks.
///
/// `identity` is this side's certificate; customers have none.
pub fn connect(address: &str, identity: Option<&NodeIdentity>, trust: &ServerTrust) -> Result<Channel, ConnectError> {
    let wrong_address = || ConnectError::Address { address: address.to_owned() };
    let dialer = Dialer::new(address, identity, trust)?;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| wrong_address())?;
    let endpoint = endpoint
        .connect_timeout(limits::HANDSHAKE_TIMEOUT)
        .http2_keep_alive_interval(limits::KEEPALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_frame_size(limits::FRAME_BYTES_MAX)
        .tcp_nodelay(true);
    let dial = tower::service_fn(move |uri: Uri| {
        let dialer = dialer.clone();
        async move {
            let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
            dialer.dial(&authority).await.map(TokioIo::new)
        }
    });
    Ok(endpoint.connect_with_connector_lazy(dial))
}

/// Opens a TLS connection to `address` for arbitrary bytes: for tests of how a node handles them.
#[doc(hidden)]
pub async fn dial(
    address: &str,
    identity: Option<&NodeIdentity>,
    trust: &ServerTrust,
) -> Result<TlsStream<ReadAhead>, ConnectError> {
    let failed = |error: io::Error| ConnectError::Connect { address: address.to_owned(), reason: error.to_string() };
    Dialer::new(address, identity, trust)?.dial(address).await.map_err(failed)
}

#[derive(Clone)]
struct Dialer {
    connector: TlsConnector,
    server_name: ServerName<'static>,
    /// Those whose keys may have been replaced, and this side's certificate.
    followed: Option<(Arc<dyn FollowedKeys>, Option<NodeIdentity>)>,
}

impl Dialer {
    fn new(address: &str, identity: Option<&NodeIdentity>, trust: &ServerTrust) -> Result<Dialer, ConnectError> {
        let wrong_address = || ConnectError::Address { address: address.to_owned() };
        let (host, _) = address.rsplit_once(':').ok_or_else(wrong_address)?;
        let server_name =
            ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|_| wrong_address())?;
        let connector = TlsConnector::from(Arc::new(client_config(identity, trust)?));
        let followed = match trust {
            ServerTrust::Followed(keys) => Some((keys.clone(), identity.cloned())),
            _ => None,
        };
        Ok(Dialer { connector, server_name, followed })
    }

    /// Connects. A node whose key is not known is given one chance: proofs of newer membership are asked for first.
    async fn dial(self, address: &str) -> io::Result<TlsStream<ReadAhead>> {
        let Some((keys, identity)) = self.followed.clone() else { return self.handshake(address).await };
        let mut known = keys.keys();
        let mut has_followed = false;
        loop {
            let dialer =
                Dialer::new(address, identity.as_ref(), &ServerTrust::AnyOf(known)).map_err(io::Error::other)?;
            let error = match dialer.handshake(address).await {
                Err(error) if is_of_other_key(&error) => error,
                connected => return connected,
            };
            if has_followed || !keys.follow(address, identity.as_ref()).await {
                let what = "it shows another key than membership names, as far as that could be followed";
                return Err(io::Error::new(error.kind(), format!("{what} ({error})")));
            }
            (known, has_followed) = (keys.keys(), true);
        }
    }

    async fn handshake(self, address: &str) -> io::Result<TlsStream<ReadAhead>> {
        let stream = network::connect(address).await?;
        self.connector.connect(self.server_name, ReadAhead::new(stream)).await
    }
}

/// Whether a call failed because the node at the other end knows no member with this side's certificate: it is not
/// admitted yet, or was dismissed.
pub fn refuses_certificate(status: &tonic::Status) -> bool {
    // The alert comes only with the first answer: HTTP/2 keeps no more of it than its text.
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::AccessDenied).to_string();
    let mut next = std::error::Error::source(status);
    while let Some(error) = next {
        if error.to_string().contains(&alert) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Whether a handshake failed because the node showed a key that is not known.
fn is_of_other_key(error: &io::Error) -> bool {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

fn client_config(identity: Option<&NodeIdentity>, trust: &ServerTrust) -> Result<ClientConfig, ConnectError> {
    let builder =
        ClientConfig::builder_with_provider(tls::provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        ServerTrust::NodeKey(key) => Arc::new(PinnedServer(Some(vec![*key]))),
        ServerTrust::AnyOf(keys) => Arc::new(PinnedServer(Some(keys.clone()))),
        ServerTrust::Followed(keys) => Arc::new(PinnedServer(Some(keys.keys()))),
        ServerTrust::AnyKey => Arc::new(PinnedServer(None)),
        ServerTrust::Authority(certificate) => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate.clone()).map_err(|error| ConnectError::Authority(error.to_string()))?;
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider())
                .build()
                .map_err(|error| ConnectError::Authority(error.to_string()))?
        }
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
