//! Handshakes that cost nothing and hide nothing: nobody listens in a simulation, and nobody forges.
//!
//! A run makes hundreds of connections, and their public-key cryptography would take a good part of its time. Two parts
//! of rustls's provider are replaced: the exchange of keys is in the clear, and what stands for a signature is a hash
//! of the public key and the message. All else is that of production: certificates and who checks them, the choice of
//! schemes, ciphers and records; and every signature of the ledger itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, KeyProvider, SharedSecret, SupportedKxGroup,
    WebPkiSupportedAlgorithms,
};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, NamedGroup, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, PrivateKeyDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer,
    alg_id,
};

/// Puts it in force in this process, before any connection is made.
pub fn install() {
    let provider = CryptoProvider {
        kx_groups: vec![&Open],
        signature_verification_algorithms: ALGORITHMS,
        key_provider: &Keys,
        // Its hash is the one that machines have instructions for.
        cipher_suites: vec![rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..rustls::crypto::ring::default_provider()
    };
    // An error says that it is in force already.
    drop(provider.install_default());
}

fn hash(first: &[u8], second: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(first).update(second);
    hasher.finalize().into()
}

/// The group: it passes for X25519, as a share has the same size.
#[derive(Debug)]
struct Open;

impl SupportedKxGroup for Open {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut share = [0; 32];
        rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut share).map_err(|_| GetRandomFailed)?;
        Ok(Box::new(Exchange { share }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange {
    share: [u8; 32],
}

impl ActiveKeyExchange for Exchange {
    /// The hash of both shares, in an order that both sides find.
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let own: &[u8] = &self.share;
        let secret = if own < peer { hash(own, peer) } else { hash(peer, own) };
        Ok(SharedSecret::from(&secret[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

thread_local! {
    /// Private keys that were loaded, by their bytes.
    static LOADED: RefCell<HashMap<Vec<u8>, Arc<Key>>> = RefCell::default();
}

/// Loads keys as ring does, once each.
#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, private: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let bytes = private.secret_der().to_vec();
        let known = LOADED.with(|loaded| loaded.borrow().get(&bytes).cloned());
        if let Some(key) = known {
            return Ok(key);
        }
        let key = Arc::new(Key(rustls::crypto::ring::sign::any_supported_type(&private)?));
        LOADED.with(|loaded| loaded.borrow_mut().insert(bytes, key.clone()));
        Ok(key)
    }
}

/// A key that signs with a hash.
#[derive(Debug)]
struct Key(Arc<dyn SigningKey>);

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self.0.choose_scheme(offered)?.scheme();
        let info = self.0.public_key()?;
        let bits = match scheme {
            SignatureScheme::ED25519 => 32,
            _ => 65,
        };
        let public = info.len().checked_sub(bits).map(|from| info[from..].to_vec())?;
        Some(Box::new(Hashing { public, scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.0.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[derive(Debug)]
struct Hashing {
    /// The public key's bits, with which its certificate ends the key's info.
    public: Vec<u8>,
    scheme: SignatureScheme,
}

impl Signer for Hashing {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(hash(&self.public, message).to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// Verifies a hash that stands for a signature.
#[derive(Debug)]
struct Rehashing {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
}

impl SignatureVerificationAlgorithm for Rehashing {
    fn verify_signature(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        if hash(public, message) == signature { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

static ED25519: Rehashing = Rehashing { key: alg_id::ED25519, signature: alg_id::ED25519 };
static P256: Rehashing = Rehashing { key: alg_id::ECDSA_P256, signature: alg_id::ECDSA_SHA256 };
static ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[&ED25519, &P256],
    mapping: &[(SignatureScheme::ED25519, &[&ED25519]), (SignatureScheme::ECDSA_NISTP256_SHA256, &[&P256])],
};
