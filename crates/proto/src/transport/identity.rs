//! A node's certificate and private key.

use std::path::{Path, PathBuf};

use cbdc_ledger::PublicKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::tls;

/// A node's certificate and its private key.
pub struct NodeIdentity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    public_key: PublicKey,
}

/// The reason why a node's identity cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name every field")]
pub enum IdentityError {
    /// A file is missing or malformed.
    #[error("cannot read {path}: {reason}")]
    Read { path: PathBuf, reason: String },
    /// Others than the owner may read the private key.
    #[error("{path} may be read by others (mode {mode:o}); run `chmod 600 {path}`")]
    ReadableByOthers { path: PathBuf, mode: u32 },
    /// The private key is not the certificate's.
    #[error(
        "the private key in {key} is not the key of the certificate in {certificate}; both must be of one node: put \
        the right one in its place, or name another file in the configuration"
    )]
    OtherKey { certificate: PathBuf, key: PathBuf },
    /// The certificate has another kind of key.
    #[error("the certificate in {path} carries no Ed25519 key")]
    NotEd25519 { path: PathBuf },
}

impl Clone for NodeIdentity {
    fn clone(&self) -> Self {
        NodeIdentity { chain: self.chain.clone(), key: self.key.clone_key(), public_key: self.public_key }
    }
}

impl NodeIdentity {
    /// Reads a certificate chain and its private key, both PEM.
    pub fn load(certificate: &Path, key: &Path) -> Result<NodeIdentity, IdentityError> {
        let read = |path: &Path, reason: String| IdentityError::Read { path: path.to_owned(), reason };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| read(certificate, error.to_string()))?;
        check_private(key)?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| read(key, error.to_string()))?;
        let public_key = chain.first().and_then(tls::key_in);
        let public_key = public_key.ok_or_else(|| IdentityError::NotEd25519 { path: certificate.to_owned() })?;
        let own = tls::public_key_of(&private).map_err(|error| read(key, error.to_string()))?;
        if own != Some(public_key) {
            return Err(IdentityError::OtherKey { certificate: certificate.to_owned(), key: key.to_owned() });
        }
        Ok(NodeIdentity { chain, key: private, public_key })
    }

    /// The key that membership must name.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }
}

/// Refuses a secret file that others may read.
pub fn check_private(path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path)
        .map_err(|error| IdentityError::Read { path: path.to_owned(), reason: error.to_string() })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::ReadableByOthers { path: path.to_owned(), mode });
    }
    Ok(())
}
