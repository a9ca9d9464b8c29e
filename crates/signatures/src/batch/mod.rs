//! Batch verification: many signatures at once, with the verdict of each.
//!
//! Write `E_i = R_i + k_i·A_i − s_i·B`; signature `i` is valid exactly if `8·E_i = 0`.
//! 1. Read every signature. One whose `s` is not canonical or whose `R` is no point is invalid; it goes no further.
//! 2. Draw for each remaining one a coefficient `z_i` from `−2^127` to `2^127 − 1`, from ChaCha12 under the batch's
//!    secret [`BatchSeed`]. The signer cannot know it, and it does not depend on the batch.
//! 3. Compute `S = Σ z_i·E_i` in one multiscalar multiplication: the terms of `B` are one term, the doublings are
//!    shared.
//! 4. If `8·S = 0`, all are valid. Multiples of 8 lie in a group of prime order `l > 2^252`, so if some `8·E_i` is not
//!    zero, then whatever the other coefficients, at most one of the `2^128` values of `z_i` makes the sum vanish: the
//!    probability is at most `2^-128`.
//! 5. Otherwise halve: compute the sum `S'` of the left half with the same coefficients; the right half has `S − S'`,
//!    for free. Go on with each half at 4, the larger first. A half of one signature is invalid without further work.
//! 6. Once the halving has summed `2n` signatures again, so many are bad that single checks are cheaper: what is still
//!    in doubt is checked one by one.
//!
//! Fewer than `2n` ranges are examined, each of them fixed before the coefficients are drawn. By 4, all verdicts of a
//! batch of `n` are right but with probability below `2n·2^-128`, and a wrong one errs towards "valid".
//!
//! One bad signature makes a batch cost about another sum of all; nothing but bad ones, which a hostile sender could
//! offer, cost two more sums and a single check each.

mod points;
mod source;

use std::collections::VecDeque;
use std::fmt;

use curve25519_dalek::scalar::Scalar;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng, TryCryptoRng};

use crate::backend::{Backend, Simd};
use crate::hash::{Message, Sha512All, sha512};
use crate::{DecompressedKey, Signature, verify};
use points::{DalekPoints, Factors, Points, SimdPoints, Sum, signed};

pub use source::Source;

/// Smaller batches go to curve25519-dalek on any backend: lanes that hold no point are wasted.
const SIMD_FROM: usize = 3;

/// The secret randomness of one batch, from which its coefficients are drawn.
///
/// Consumed by [`Batch::verdicts`] and neither copied nor shown, so that no two batches share a seed and nobody learns
/// it.
pub struct BatchSeed(Option<[u8; 32]>);

impl BatchSeed {
    /// A seed drawn from a cryptographic generator that nobody else knows: the operating system's, outside tests.
    ///
    /// Where the generator fails, the batch is checked one signature at a time, which needs no secret: slower, and
    /// right.
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

/// Signatures to be verified together. Same verdicts as [`verify`] on each, whatever else is in the batch.
///
/// Borrows what it is given; all work is done in [`Batch::verdicts`].
pub struct Batch<'a> {
    entries: Vec<Entry<'a>>,
    backend: Backend,
    /// The source of what is pushed next.
    source: Source,
}

struct Entry<'a> {
    key: &'a DecompressedKey,
    parts: [&'a [u8]; 2],
    signature: &'a Signature,
    source: Source,
}

impl<'a> Batch<'a> {
    /// An empty batch with space for `capacity` signatures; more may be pushed. The process's backend verifies it.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), backend: Backend::selected(), source: Source::Clean }
    }

    /// An empty batch for a given backend, for tests and measurements.
    ///
    /// # Panics
    /// If this processor lacks the backend's instructions.
    pub fn on_backend(backend: Backend) -> Self {
        assert!(backend.is_available(), "expected a processor with the instructions of the {backend} backend");
        Self { entries: Vec::new(), backend, source: Source::Clean }
    }

    /// Says where the signatures come from that are pushed from now on; before the first call, they are of a clean
    /// source.
    pub fn set_source(&mut self, source: Source) {
        self.source = source;
    }

    /// Adds a signature by `key` on the message `parts[0] ‖ parts[1]`.
    pub fn push(&mut self, key: &'a DecompressedKey, parts: [&'a [u8]; 2], signature: &'a Signature) {
        self.entries.push(Entry { key, parts, signature, source: self.source });
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
            None => self.portable_verdicts(seed),
        }
    }

    fn portable_verdicts(&self, seed: BatchSeed) -> Vec<bool> {
        let Some(coefficients) = self.coefficients(seed) else { return self.single_verdicts() };
        let (points, are_points) = DalekPoints::read(&self.entries);
        let hashes = self.entries.iter().map(|entry| sha512(&entry.hashed()));
        self.verdicts_of_terms(&points, &self.terms(&are_points, hashes, coefficients))
    }

    pub(crate) fn verdicts_by(&self, simd: impl Simd, seed: BatchSeed) -> Vec<bool> {
        if self.len() < SIMD_FROM {
            return self.portable_verdicts(seed);
        }
        let Some(coefficients) = self.coefficients(seed) else { return self.single_verdicts() };
        let (points, are_points) = SimdPoints::read(simd, &self.entries);
        let hashed: Vec<Message<'_>> = self.entries.iter().map(Entry::hashed).collect();
        let hashes = simd.run(Sha512All(&hashed)).into_iter();
        self.verdicts_of_terms(&points, &self.terms(&are_points, hashes, coefficients))
    }

    /// The generator of a batch's coefficients. `None` if it needs none or has no secret: without secret coefficients a
    /// batch proves nothing, and single verification needs none and agrees with it.
    fn coefficients(&self, seed: BatchSeed) -> Option<StdRng> {
        seed.0.filter(|_| self.len() > 1).map(StdRng::from_seed)
    }

    fn single_verdicts(&self) -> Vec<bool> {
        self.entries.iter().map(Entry::is_valid).collect()
    }

    /// The signatures whose equation can be read; the others are invalid.
    fn terms(
        &self,
        are_points: &[bool],
        hashes: impl Iterator<Item = [u8; 64]>,
        mut coefficients: StdRng,
    ) -> Vec<Term> {
        let mut terms = Vec::with_capacity(self.len());
        for (position, (entry, hash)) in self.entries.iter().zip(hashes).enumerate() {
            if entry.source == Source::Suspect {
                continue;
            }
            if let (true, Some(response)) = (are_points[position], canonical(&entry.signature.halves().1)) {
                let challenge = Scalar::from_bytes_mod_order_wide(&hash);
                terms.push(Term { position, challenge, response, coefficient: draw(&mut coefficients) });
            }
        }
        terms
    }

    fn verdicts_of_terms<P: Points>(&self, points: &P, terms: &[Term]) -> Vec<bool> {
        let mut verdicts: Vec<bool> =
            self.entries.iter().map(|entry| entry.source == Source::Suspect && entry.is_valid()).collect();
        self.mark_valid(points, terms, &mut verdicts);
        verdicts
    }

    /// Sets the verdict of every valid signature among `terms`; the verdicts start as false.
    fn mark_valid<P: Points>(&self, points: &P, terms: &[Term], verdicts: &mut [bool]) {
        if terms.is_empty() {
            return;
        }
        let mut halving_budget = 2 * terms.len();
        let mut undecided = VecDeque::from([(terms, weighted_sum(points, terms))]);
        while let Some((range, sum)) = undecided.pop_front() {
            if sum.is_small_order() {
                for term in range {
                    verdicts[term.position] = true;
                }
                continue;
            }
            if range.len() == 1 {
                continue;
            }
            let (left, right) = range.split_at(range.len() / 2);
            let Some(budget_left) = halving_budget.checked_sub(left.len()) else {
                for term in range {
                    verdicts[term.position] = self.entries[term.position].is_valid();
                }
                continue;
            };
            halving_budget = budget_left;
            let left_sum = weighted_sum(points, left);
            let right_sum = sum.minus(&left_sum);
            undecided.push_back((left, left_sum));
            undecided.push_back((right, right_sum));
        }
    }
}

impl Entry<'_> {
    /// What is hashed.
    fn hashed(&self) -> Message<'_> {
        let (commitment, _) = self.signature.0.split_at(32);
        [commitment, &self.key.public_key_bytes()[..], self.parts[0], self.parts[1]]
    }

    /// The verdict on it alone.
    fn is_valid(&self) -> bool {
        verify(self.key, self.parts, self.signature)
    }
}

/// A signature whose equation could be read, with its coefficient `z`.
struct Term {
    /// Where in the batch it stands.
    position: usize,
    /// `k`.
    challenge: Scalar,
    /// `s`, little-endian.
    response: [u64; 4],
    coefficient: i128,
}

fn draw(coefficients: &mut StdRng) -> i128 {
    let mut bytes = [0; 16];
    coefficients.fill_bytes(&mut bytes);
    i128::from_le_bytes(bytes)
}

/// The order of the base point, little-endian.
const ORDER: [u64; 4] = [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6, 0, 0x1000_0000_0000_0000];

/// The words of a scalar below the order; `None` for any other.
fn canonical(bytes: &[u8; 32]) -> Option<[u64; 4]> {
    let words: [u64; 4] =
        std::array::from_fn(|at| u64::from_le_bytes(std::array::from_fn(|byte| bytes[8 * at + byte])));
    words.iter().rev().lt(ORDER.iter().rev()).then_some(words)
}

/// A sum of products of scalars, reduced once at its end: 512 bits hold any number of products of 128 bits times 253.
#[derive(Default)]
struct ScalarProducts([u64; 8]);

impl ScalarProducts {
    fn add(&mut self, factor: u128, scalar: &[u64; 4]) {
        for (from, factor) in [factor as u64, (factor >> 64) as u64].into_iter().enumerate() {
            let mut carried = 0;
            for (at, sum) in self.0[from..].iter_mut().enumerate() {
                // A product of words, a word and a carry never exceed 128 bits.
                let product = u128::from(factor) * u128::from(scalar.get(at).copied().unwrap_or(0));
                let next = product + u128::from(*sum) + u128::from(carried);
                (*sum, carried) = (next as u64, (next >> 64) as u64);
            }
        }
    }

    fn reduced(&self) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&std::array::from_fn(|byte| self.0[byte / 8].to_le_bytes()[byte % 8]))
    }
}

/// `Σ z·(R + k·A − s·B)` over the terms.
fn weighted_sum<P: Points>(points: &P, terms: &[Term]) -> P::Sum {
    let (mut added, mut subtracted) = (ScalarProducts::default(), ScalarProducts::default());
    let factors = terms.iter().map(|term| {
        let products = if term.coefficient < 0 { &mut added } else { &mut subtracted };
        products.add(term.coefficient.unsigned_abs(), &term.response);
        let of_key = signed(term.coefficient) * term.challenge;
        Factors { position: term.position, of_key, of_commitment: term.coefficient }
    });
    let factors: Vec<Factors> = factors.collect();
    points.weighted_sum(added.reduced() - subtracted.reduced(), &factors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scalars_below_the_order_are_canonical() {
        let minus_one = (-Scalar::ONE).to_bytes();
        assert!(canonical(&minus_one).is_some());
        let mut order = minus_one;
        order[0] += 1;
        assert_eq!(canonical(&order), None);
        assert_eq!(canonical(&[0xff; 32]), None);
        assert_eq!(canonical(&[0; 32]), Some([0; 4]));
    }

    proptest! {
        #[test]
        fn products_are_added_as_the_library_adds_them(
            terms in prop::collection::vec((any::<u128>(), any::<[u8; 32]>()), 0..20),
        ) {
            let (mut products, mut expected) = (ScalarProducts::default(), Scalar::ZERO);
            for (factor, bytes) in terms {
                let scalar = Scalar::from_bytes_mod_order(bytes);
                products.add(factor, &canonical(&scalar.to_bytes()).unwrap());
                expected += Scalar::from(factor) * scalar;
                let is_canonical = bool::from(Scalar::from_canonical_bytes(bytes).is_some());
                prop_assert_eq!(canonical(&bytes).is_some(), is_canonical);
            }
            prop_assert_eq!(products.reduced(), expected);
        }
    }
}
