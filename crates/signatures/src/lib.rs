//! Ed25519 signatures with one verdict on every node: keys, single checks, and batches.
//!
//! Many nodes judge the same bytes, each in batches of its own making, and must agree on every one. Plain
//! Ed25519 (RFC 8032) leaves open what to do with crafted keys and signatures, and its usual batch check
//! disagrees with its single check on them. So this module follows **ZIP-215** (<https://zips.z.cash/zip-0215>)
//! and no other rule.
//!
//! # The rule
//!
//! A signature is 64 bytes, `R` (32) then `s` (32, little-endian); a key is 32 bytes, `A`. It is valid exactly if
//! 1. `A` and `R` each encode a point of the curve. The field element `y` may be encoded unreduced (`y >= p`), and
//!    the sign bit may be set where `x = 0`: encodings that are not canonical are accepted.
//! 2. `s < l`, the order of the prime-order subgroup: `s` must be canonical, so that nobody can alter a valid one.
//! 3. `8·(R + k·A − s·B)` is the identity, where `k = SHA-512(R ‖ A ‖ message) mod l` over the bytes *as given*.
//!    The factor 8, the cofactor, is not optional: it clears components of small order.
//!
//! # Promises
//!
//! - [`verify`], and [`Batch`] in any company and any order, give the same verdict, equal to that of `ed25519-zebra`.
//!   Tests compare all three on honest, damaged and crafted input. A batch accepts an invalid signature with
//!   probability below `n·2^-127` for `n` signatures, whatever the signer does; see [`Batch`].
//! - A key of small order verifies signatures that nobody made. [`PublicKey::check_for_account`] refuses it, and
//!   opening an account demands that check; verification itself accepts it, as the rule says.
//! - A message comes in two parts, prefix and body, and is hashed as their concatenation. Whoever chooses the prefix
//!   fixes its length or encodes it: the border between the parts is not signed.
//! - Verification takes time that depends on its input, all of it public. Signing does not depend on the secret.

mod batch;
mod decompress;
mod hash;
mod key;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod layout;
mod points;
mod signing;
#[cfg(target_arch = "x86_64")]
mod sum;
#[cfg(test)]
mod tests {
    mod crafted;
    mod prop;
    mod vectors;
}

pub use batch::{Batch, BatchSeed};
pub use key::{DecompressedKey, KeyError, PublicKey, PublicKeyParseError};
pub use signing::SigningKey;

use std::fmt;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha512};

/// A signature as received: 64 bytes, `R` then `s`. Any bytes; only verification judges them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(")?;
        write_hex(f, &self.0)?;
        f.write_str(")")
    }
}

/// Whether `signature` by `key` on the message `parts[0] ‖ parts[1]` is valid under ZIP-215.
///
/// For more than one signature a [`Batch`] gives the same verdicts for less than half of the work.
pub fn verify(key: &DecompressedKey, parts: [&[u8]; 2], signature: &Signature) -> bool {
    Equation::read(key, parts, signature).is_some_and(|equation| equation.holds())
}

/// The equation `8·(R + k·A − s·B) = 0` of one signature, read from its bytes.
struct Equation<'a> {
    /// `A`, the key.
    key: &'a EdwardsPoint,
    /// `R`, the signer's commitment.
    commitment: EdwardsPoint,
    /// `k`, the hash of `R`, `A` and the message.
    challenge: Scalar,
    /// `s`, the signer's response.
    response: Scalar,
}

impl<'a> Equation<'a> {
    /// Reads it, or returns `None` where `s` is not canonical or `R` is not a point: then the signature is invalid.
    fn read(key: &'a DecompressedKey, parts: [&[u8]; 2], signature: &Signature) -> Option<Self> {
        let (commitment_bytes, response_bytes) = signature.halves();
        // Decompression reduces `y` and takes any sign bit: exactly the leniency that ZIP-215 asks for.
        let commitment = CompressedEdwardsY(commitment_bytes).decompress()?;
        let response = Option::from(Scalar::from_canonical_bytes(response_bytes))?;
        let hash = Sha512::new()
            .chain_update(commitment_bytes)
            .chain_update(key.public_key().0)
            .chain_update(parts[0])
            .chain_update(parts[1])
            .finalize();
        Some(Self {
            key: key.point(),
            commitment,
            challenge: Scalar::from_bytes_mod_order_wide(&hash.into()),
            response,
        })
    }

    fn holds(&self) -> bool {
        let difference = EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.challenge, self.key, &-self.response)
            + self.commitment;
        vanishes(&difference)
    }
}

/// Whether `8·point` is the identity.
fn vanishes(point: &EdwardsPoint) -> bool {
    point.mul_by_cofactor().is_identity()
}

impl Signature {
    /// The encodings of `R` and of `s`.
    fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let mut commitment = [0; 32];
        let mut response = [0; 32];
        commitment.copy_from_slice(&self.0[..32]);
        response.copy_from_slice(&self.0[32..]);
        (commitment, response)
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
