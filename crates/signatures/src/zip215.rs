//! ZIP-215 (<https://zips.z.cash/zip-0215>), the rule for a signature, and the verification of one alone.
//!
//! A signature is 64 bytes, `R` (32) then `s` (32, little-endian); a key is 32 bytes, `A`. It is valid exactly if
//! 1. `A` and `R` each encode a point of the curve. The field element `y` may be encoded unreduced (`y >= p`), and the
//!    sign bit may be set if `x = 0`: non-canonical encodings are accepted.
//! 2. `s < l`, the order of the prime-order subgroup: `s` must be canonical, so that nobody can alter a valid one.
//! 3. `8·(R + k·A − s·B)` is the identity, where `k = SHA-512(R ‖ A ‖ message) mod l` over the bytes *as given*.
//!    The factor 8, the cofactor, is not optional: it clears components of small order.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;

use crate::hash::sha512;
use crate::{DecompressedKey, Signature};

/// Whether `signature` by `key` on the message `parts[0] ‖ parts[1]` is valid under ZIP-215.
///
/// This is curve25519-dalek's arithmetic, one step after another. A [`Batch`](crate::Batch), even of one signature,
/// gives the same verdicts faster.
pub fn verify(key: &DecompressedKey, parts: [&[u8]; 2], signature: &Signature) -> bool {
    Equation::read(key, parts, signature).is_some_and(|equation| equation.holds())
}

/// The equation `8·(R + k·A − s·B) = 0` of one signature, read from its bytes.
pub(crate) struct Equation<'a> {
    /// `A`, the key.
    pub(crate) key: &'a EdwardsPoint,
    /// `R`, the signer's commitment.
    pub(crate) commitment: EdwardsPoint,
    /// `k`, the hash of `R`, `A` and the message.
    pub(crate) challenge: Scalar,
    /// `s`, the signer's response.
    pub(crate) response: Scalar,
}

impl<'a> Equation<'a> {
    /// The equation, or `None` if `s` is not canonical or `R` is not a point: then the signature is invalid.
    fn read(key: &'a DecompressedKey, parts: [&[u8]; 2], signature: &Signature) -> Option<Self> {
        let (commitment_bytes, response_bytes) = signature.halves();
        // Decompression reduces `y` and accepts either sign bit: exactly the leniency that ZIP-215 requires.
        let commitment = CompressedEdwardsY(commitment_bytes).decompress()?;
        let response = Option::from(Scalar::from_canonical_bytes(response_bytes))?;
        let hash = sha512(&[&commitment_bytes, key.public_key_bytes(), parts[0], parts[1]]);
        Some(Self { key: key.dalek_point(), commitment, challenge: Scalar::from_bytes_mod_order_wide(&hash), response })
    }

    pub(crate) fn holds(&self) -> bool {
        let difference = EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.challenge, self.key, &-self.response)
            + self.commitment;
        difference.mul_by_cofactor().is_identity()
    }
}
