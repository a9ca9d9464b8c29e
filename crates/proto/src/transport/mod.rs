//! How the contract is carried: gRPC over TLS 1.3, with peers known by their keys.
//!
//! A node is known by the Ed25519 key in its certificate, which membership names. Certificates are matched to that key:
//! an authority's signature alone opens no door, and dates play no part, because membership says who belongs. Customers
//! (wallets) present no certificate; they are known by what they sign.
//!
//! * [`identity`]: a node's certificate and private key, from files that nobody else may read.
//! * [`key_file`]: signing keys, in such files as well.
//! * [`server`]: accepting connections; each request carries its [`server::Peer`].
//! * [`channel`]: connecting to a node whose key, or whose authority, is known.

pub mod channel;
pub mod identity;
pub mod key_file;
pub mod server;

pub use channel::{ConnectError, ServerTrust, connect};
pub use identity::{IdentityError, NodeIdentity};
pub use server::{ClientAuthentication, Peer, Pins, incoming};

use rustls::DigitallySignedStruct;
use rustls::client::danger::HandshakeSignatureValid;
use rustls_pki_types::CertificateDer;

/// Largest message that any node accepts, bytes: a full block with room to spare.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Flow-control window of a stream, bytes.
pub const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Flow-control window of a connection, bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Largest frame of a message, bytes: a full batch of commands arrives in one piece.
pub const FRAME_BYTES_MAX: u32 = 1024 * 1024;
/// How much is read from a socket at once, bytes. TLS alone would ask the kernel for 4 KiB at a time.
pub const READ_BYTES: usize = 64 * 1024;
/// Idle connections are probed this often.
pub const KEEPALIVE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);
/// A probe that is not answered for so long ends the connection.
pub const KEEPALIVE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}

/// The Ed25519 key in a certificate.
fn key_in(certificate: &CertificateDer<'_>) -> Option<cbdc_ledger::PublicKey> {
    use x509_parser::prelude::FromDer;
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    let key_info = &parsed.tbs_certificate.subject_pki;
    let is_ed25519 = key_info.algorithm.algorithm == x509_parser::oid_registry::OID_SIG_ED25519;
    let key: [u8; 32] = key_info.subject_public_key.data.as_ref().try_into().ok()?;
    is_ed25519.then_some(cbdc_ledger::PublicKey(key))
}

fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
}

fn schemes() -> Vec<rustls::SignatureScheme> {
    rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
}
