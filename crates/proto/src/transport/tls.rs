//! The parts that both ends of a TLS connection share: the cryptography, and the key in a certificate.

use std::sync::Arc;

use cbdc_ledger::PublicKey;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::{DigitallySignedStruct, SignatureAlgorithm};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The cryptography of every connection: what the process has installed as its default, else ring's.
pub fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

/// The Ed25519 key in a certificate.
pub fn key_in(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    use x509_parser::prelude::FromDer;
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    let key_info = &parsed.tbs_certificate.subject_pki;
    let is_ed25519 = key_info.algorithm.algorithm == x509_parser::oid_registry::OID_SIG_ED25519;
    let key: [u8; 32] = key_info.subject_public_key.data.as_ref().try_into().ok()?;
    is_ed25519.then_some(PublicKey(key))
}

/// The Ed25519 key of a private key; `None` if it is of another kind.
///
/// # Errors
/// It is no private key that connections can use.
pub fn public_key_of(private: &PrivateKeyDer<'_>) -> Result<Option<PublicKey>, rustls::Error> {
    use x509_parser::prelude::FromDer;
    let key = provider().key_provider.load_private_key(private.clone_key())?;
    if key.algorithm() != SignatureAlgorithm::ED25519 {
        return Ok(None);
    }
    let key_info = key.public_key();
    let parsed = key_info.as_ref().and_then(|info| x509_parser::x509::SubjectPublicKeyInfo::from_der(info).ok());
    let bytes = parsed.and_then(|(_, info)| <[u8; 32]>::try_from(info.subject_public_key.data.as_ref()).ok());
    Ok(bytes.map(PublicKey))
}

/// Verifies the signature over a handshake.
pub fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let algorithms = provider().signature_verification_algorithms;
    rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
}

/// The signature schemes that handshakes may use.
pub fn schemes() -> Vec<rustls::SignatureScheme> {
    provider().signature_verification_algorithms.supported_schemes()
}
