//! Batch verification: many signatures at once, with the verdict of each.
//!
//! Write `E_i = R_i + k_i·A_i − s_i·B`; signature `i` is valid exactly if `8·E_i = 0`. There are two ways to decide
//! that.
//!
//! **Verdicts** decide each equation by itself: on AVX-512 eight at a time (`verdict`), on the portable backend one
//! after another. A bad signature costs the same as a good one.
//!
//! **A sum** decides many good signatures at once:
//! 1. Draw for each signature a coefficient `z_i` from `−2^127` to `2^127 − 1`, from ChaCha12 under the batch's secret
//!    [`BatchSeed`]. The signer cannot know it, and it does not depend on the batch.
//! 2. Compute `S = Σ z_i·E_i` in one multiscalar multiplication: the terms of `B` are merged into one, the doublings
//!    are shared.
//! 3. If `8·S = 0`, all are valid. Multiples of 8 lie in a group of prime order `l > 2^252`, so if some `8·E_i` is not
//!    zero, then whatever the other coefficients, at most one of the `2^128` values of `z_i` makes the sum the
//!    identity: a sum errs with a probability of at most `2^-128`, and then towards "valid".
//!
//! # Which way
//! 1. Read every signature. One whose `s` is not canonical or whose `R` is not a point is invalid and skips the other
//!    steps.
//! 2. Sum the signatures of clean sources if there are enough of them for a sum to be cheaper (`SUM_FROM`); if it is
//!    the identity, they are valid.
//! 3. Compute verdicts for the rest: small numbers of signatures, those of suspect sources, and those of a failed sum.
//!
//! A failed sum is not bisected to find the bad signatures: a verdict costs at most twice a signature's share in a sum,
//! so halves save little if one signature is bad and lose if two are, which is up to the sender.
//!
//! # What bad signatures cost
//! Each signature is read once, is in at most one sum, and gets at most one verdict. So, if a sum costs `S` and
//! verdicts cost `V` per signature (on AVX-512 `V` is 1.25 times `S` at 24 signatures and twice `S` at 512):
//! - a batch of fewer than `SUM_FROM`, and any number of suspect signatures, cost `V` each, good or bad;
//! - a larger batch costs `S` each if all are good, and at most `S + V` each however many are bad.
//!
//! Tests verify this by counting multiplications (`tests/cost.rs`).

mod points;
mod scalars;
mod trust;

use std::fmt;

use curve25519_dalek::scalar::Scalar;
use rand::rngs::StdRng;
use rand::{SeedableRng, TryCryptoRng};

use crate::backend::{Backend, Simd};
use crate::hash::Message;
use crate::{DecompressedKey, Signature, verify};
use points::{DalekPoints, Factors, Points, SimdPoints};
use scalars::{ScalarProducts, canonical, draw, signed};

pub use trust::Trust;

/// The number of clean signatures from which a sum on SIMD lanes is faster than verdicts.
pub(crate) const SUM_FROM_ON_LANES: usize = 24;

/// The secret randomness of one batch, from which its coefficients are drawn.
///
/// Consumed by [`Batch::verdicts`] and neither copied nor shown, so that no two batches share a seed and nobody learns
/// it.
pub struct BatchSeed(Option<[u8; 32]>);

impl BatchSeed {
    /// A seed from a cryptographic generator that nobody else knows: the operating system's, outside tests.
    ///
    /// If the generator fails, each signature gets a verdict by itself, which needs no secret: slower, but correct.
    pub fn draw(rng: &mut impl TryCryptoRng) -> Self {
        let mut seed = [0; 32];
        Self(rng.try_fill_bytes(&mut seed).is_ok().then_some(seed))
    }

    /// A seed that everybody knows, for batches that nobody chose.
    pub(crate) fn fixed(seed: [u8; 32]) -> Self {
        Self(Some(seed))
    }
}

impl fmt::Debug for BatchSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BatchSeed")
    }
}

/// Signatures to be verified together, with the same verdicts as [`verify`] on each, whatever else is in the batch.
///
/// It borrows its input; all work is done in [`Batch::verdicts`].
pub struct Batch<'a> {
    entries: Vec<Entry<'a>>,
    backend: Backend,
    /// The trust in the sender of the signatures pushed next.
    trust: Trust,
}

struct Entry<'a> {
    key: &'a DecompressedKey,
    parts: [&'a [u8]; 2],
    signature: &'a Signature,
    trust: Trust,
}

impl<'a> Batch<'a> {
    pub(crate) fn of(backend: Backend, capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), backend, trust: Trust::Clean }
    }

    /// An empty batch for a given backend, for tests and measurements.
    ///
    /// # Panics
    /// If this processor lacks the backend's instructions.
    pub fn on_backend(backend: Backend) -> Self {
        assert!(backend.is_available(), "expected a processor with the instructions of the {backend} backend");
        Batch::of(backend, 0)
    }

    /// Sets the trust in whoever sent the signatures that are pushed from now on; [`Trust::Clean`] before the first
    /// call.
    pub fn set_trust(&mut self, trust: Trust) {
        self.trust = trust;
    }

    /// Adds a signature by `key` on the message `parts[0] ‖ parts[1]`.
    pub fn push(&mut self, key: &'a DecompressedKey, parts: [&'a [u8]; 2], signature: &'a Signature) {
        self.entries.push(Entry { key, parts, signature, trust: self.trust });
    }

    /// Signatures in the batch.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the batch has no signature.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The verdict on each signature, in the order of the pushes: true if valid.
    pub fn verdicts(&self, seed: BatchSeed) -> Vec<bool> {
        match self.backend.avx512() {
            Some(simd) => self.verdicts_by(simd, seed),
            None => self.decide(&DalekPoints::read(&self.entries), seed),
        }
    }

    pub(crate) fn verdicts_by(&self, simd: impl Simd, seed: BatchSeed) -> Vec<bool> {
        self.decide(&SimdPoints::read(simd, &self.entries), seed)
    }

    fn decide<P: Points>(&self, points: &P, seed: BatchSeed) -> Vec<bool> {
        let mut verdicts = vec![false; self.len()];
        let (clean, mut undecided): (Vec<Term>, Vec<Term>) =
            self.terms(points).partition(|term| self.entries[term.position].trust == Trust::Clean);
        // Without a secret a sum proves nothing.
        let seed = seed.0.filter(|_| clean.len() >= P::SUM_FROM);
        if seed.is_some_and(|seed| sum_is_identity(points, &clean, StdRng::from_seed(seed))) {
            clean.iter().for_each(|term| verdicts[term.position] = true);
        } else {
            undecided.extend(clean);
        }
        for (term, is_valid) in undecided.iter().zip(points.verdicts(&self.entries, &undecided)) {
            verdicts[term.position] = is_valid;
        }
        verdicts
    }

    /// The signatures whose equation can be read; the others are invalid.
    fn terms(&self, points: &impl Points) -> impl Iterator<Item = Term> {
        let read = points.hashes(&self.entries).into_iter().zip(&self.entries).enumerate();
        read.filter_map(|(position, (hash, entry))| {
            let response = canonical(&entry.signature.halves().1)?;
            let challenge = || Scalar::from_bytes_mod_order_wide(&hash);
            points.is_point(position).then(|| Term { position, challenge: challenge(), response })
        })
    }
}

impl Entry<'_> {
    /// The parts of the hashed message.
    fn hashed(&self) -> Message<'_> {
        let (commitment, _) = self.signature.0.split_at(32);
        [commitment, &self.key.public_key_bytes()[..], self.parts[0], self.parts[1]]
    }

    /// The verdict on this signature alone.
    fn is_valid(&self) -> bool {
        verify(self.key, self.parts, self.signature)
    }
}

/// A signature whose equation could be read.
struct Term {
    /// The signature's index in the batch.
    position: usize,
    /// `k`.
    challenge: Scalar,
    /// `s`, little-endian and canonical.
    response: [u64; 4],
}

impl Term {
    fn response(&self) -> Scalar {
        Scalar::from_bytes_mod_order(std::array::from_fn(|byte| self.response[byte / 8].to_le_bytes()[byte % 8]))
    }
}

/// Whether `8·Σ z·(R + k·A − s·B)` over the terms is zero.
fn sum_is_identity<P: Points>(points: &P, terms: &[Term], mut coefficients: StdRng) -> bool {
    let (mut added, mut subtracted) = (ScalarProducts::default(), ScalarProducts::default());
    let factors = terms.iter().map(|term| {
        let coefficient = draw(&mut coefficients);
        let products = if coefficient < 0 { &mut added } else { &mut subtracted };
        products.add(coefficient.unsigned_abs(), &term.response);
        let of_key = signed(coefficient) * term.challenge;
        Factors { position: term.position, of_key, of_commitment: coefficient }
    });
    let factors: Vec<Factors> = factors.collect();
    points.sum_is_identity(added.reduced() - subtracted.reduced(), &factors)
}
