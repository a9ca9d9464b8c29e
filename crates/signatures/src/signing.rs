//! Signing keys of wallets, banks and the central bank.

use std::fmt;

use ed25519_dalek::ed25519::signature::MultipartSigner;
use rand::TryCryptoRng;
use zeroize::Zeroizing;

use super::{PublicKey, Signature};

/// An Ed25519 key pair (RFC 8032). The secret is wiped from memory on drop and never shown.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key pair of a 32-byte seed, the RFC's "private key". The caller has to wipe its own copy of the seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// A new key pair from a cryptographic generator that nobody else knows: the operating system's, outside tests.
    ///
    /// # Errors
    /// The generator's own error if it gives no randomness: no key is better than a guessable one.
    pub fn generate<R: TryCryptoRng>(rng: &mut R) -> Result<Self, R::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(seed.as_mut())?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The signature on the message `parts[0] ‖ parts[1]`; the same message always gives the same signature.
    pub fn sign(&self, parts: [&[u8]; 2]) -> Signature {
        Signature(self.0.multipart_sign(&parts).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public_key())
    }
}
