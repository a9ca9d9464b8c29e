//! Ed25519 signatures with one verdict on every node: keys, signing, single verification, and batches.
//!
//! Many nodes verify the same bytes, each in its own batches, and must agree on every verdict. Plain Ed25519 (RFC 8032)
//! leaves the treatment of crafted keys and signatures open, and its usual batch verification disagrees with single
//! verification on them. So this crate follows **ZIP-215** and no other rule; [`zip215`] states it.
//!
//! # Promises
//!
//! - [`verify`], and [`Batch`] in any composition, any order and on any backend, give the same verdict, equal to that
//!   of `ed25519-zebra`. Tests compare them on honest, damaged and crafted input. A batch accepts an invalid signature
//!   with probability below `n·2^-127` for `n` signatures, whatever the signer does; see [`batch`].
//! - A key of small order verifies signatures that nobody made. [`PublicKey::check_for_account`] refuses it, and
//!   opening an account requires that check; verification itself accepts it, as ZIP-215 says.
//! - A message has two parts, prefix and body, and is hashed as their concatenation. The prefix must have a fixed
//!   length or encode its length: the boundary between the parts is not signed.
//! - Verification takes time that depends on its input, all of which is public. The time of signing does not depend on
//!   the secret.
//! - No randomness is drawn here: a key and a batch's secret seed come from a generator that the caller provides.
//! - Nothing depends on the memory layout of another crate's types: points are passed to curve25519-dalek and back as
//!   encodings.
//!
//! # Modules, low to high
//! | module | holds |
//! |---|---|
//! | [`backend`] | portable or AVX-512: the trait of eight SIMD lanes; all `unsafe` |
//! | `field`, `point` | integers modulo `2^255 − 19` and points of edwards25519, single and eight at a time |
//! | `pair` | two points of edwards25519 with their coordinates in SIMD lanes |
//! | `hash`, `decompress` | SHA-512 and decompression on eight lanes |
//! | `verdict`, `msm` | both ways to decide: eight equations by themselves, and a sum of many |
//! | [`key`], [`signing`] | public keys, and key pairs |
//! | [`zip215`] | the rule, and the verification of one signature |
//! | [`batch`] | the verification of many, and what it costs |
//! | [`selection`] | the process's backend, and its self-check |
//!
//! # Checks beyond the tests
//! The scalar model of the lanes runs under Miri, on smaller sizes: `cargo +nightly miri test -p cbdc-signatures --lib
//! -- tests::arithmetic tests::hash tests::positions`. `fuzz/targets/batch_verification.rs` compares batches on every
//! backend with single verification and zebra. Tests fail on a processor without AVX-512 unless `CBDC_WITHOUT_AVX512=1`
//! says that it is known.

#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]
#![allow(
    clippy::needless_range_loop,
    reason = "lanes and limbs of several arrays go by index; iterators leave calls that the inliner may not take in"
)]

pub mod backend;
pub mod batch;
mod decompress;
mod field;
mod hash;
pub mod key;
mod msm;
mod pair;
mod point;
pub mod selection;
pub mod signing;
#[cfg(test)]
mod tests {
    pub mod arithmetic;
    pub mod backends;
    mod cost;
    mod crafted;
    mod hash;
    mod positions;
    mod prop;
    mod vectors;
}
mod verdict;
pub mod zip215;

pub use backend::Backend;
pub use batch::{Batch, BatchSeed, Trust};
pub use key::{DecompressedKey, KeyError, PublicKey, PublicKeyParseError};
pub use selection::Selection;
pub use signing::SigningKey;
pub use zip215::verify;

use std::fmt;

/// A signature as received: any 64 bytes, `R` then `s`; only verification checks them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(")?;
        write_hex(f, &self.0)?;
        f.write_str(")")
    }
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
