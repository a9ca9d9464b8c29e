//! Verification of many signatures at once, with the verdict of each.
//!
//! Write `E_i = R_i + k_i·A_i − s_i·B`; signature `i` is valid exactly if `8·E_i = 0`.
//! 1. Read every signature. One whose `s` is not canonical or whose `R` is no point is invalid; it goes no further.
//! 2. Draw for each remaining one a coefficient `z_i` of 128 bits, from ChaCha12 under the batch's secret [`BatchSeed`].
//!    The signer cannot know it, and it does not depend on the batch.
//! 3. Compute `S = Σ z_i·E_i` in one multiscalar multiplication: the terms of `B` are one term, the doublings are shared.
//! 4. If `8·S = 0`, all are valid. Multiples of 8 lie in a group of prime order `l > 2^252`, so if some `8·E_i` is not
//!    zero, then whatever the other coefficients, at most one of the `2^128` values of `z_i` makes the sum vanish: the
//!    probability is at most `2^-128`.
//! 5. Otherwise halve: compute the sum `S'` of the left half with the same coefficients; the right half has `S − S'`, for
//!    free. Go on with each half at 4, the larger first. A half of one signature is invalid without further work.
//! 6. Once the halving has summed `2n` signatures again, so many are bad that single checks are cheaper: what is still
//!    in doubt is checked one by one.
//!
//! Fewer than `2n` ranges are examined, each of them fixed before the coefficients are drawn. By 4, all verdicts of a batch
//! of `n` are right but with probability below `2n·2^-128`, and a wrong one errs towards "valid".
//!
//! One bad signature makes a batch cost about another sum of all; nothing but bad ones, which a hostile sender could offer, cost
//! two more sums and a single check each.

use std::collections::VecDeque;
use std::fmt;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng, TryCryptoRng};

use super::hash::{Message, sha512_all};
use super::points::{Factors, Points};
use super::{DecompressedKey, Signature, vanishes, verify};

/// The secret randomness of one batch, from which its coefficients are drawn.
///
/// Consumed by [`Batch::verdicts`] and neither copied nor shown, so that no two batches share a seed and nobody learns it.
pub struct BatchSeed(Option<[u8; 32]>);

impl BatchSeed {
    /// A seed drawn from a cryptographic generator that nobody else knows: the operating system's, outside tests.
    ///
    /// Where the generator fails, the batch is checked one signature at a time, which needs no secret: slower, and right.
    pub fn draw(rng: &mut impl TryCryptoRng) -> Self {
        let mut seed = [0; 32];
        Self(rng.try_fill_bytes(&mut seed).is_ok().then_some(seed))
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
}

struct Entry<'a> {
    key: &'a DecompressedKey,
    parts: [&'a [u8]; 2],
    signature: &'a Signature,
}

impl<'a> Batch<'a> {
    /// An empty batch with room for `capacity` signatures; more may be pushed.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity) }
    }

    /// Adds a signature by `key` on the message `parts[0] ‖ parts[1]`.
    pub fn push(&mut self, key: &'a DecompressedKey, parts: [&'a [u8]; 2], signature: &'a Signature) {
        self.entries.push(Entry { key, parts, signature });
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
        // Without secret coefficients a batch proves nothing; single checks need none and agree with it.
        let Some(seed) = seed.0.filter(|_| self.len() > 1) else {
            return self.entries.iter().map(Entry::is_valid).collect();
        };
        let mut coefficients = StdRng::from_seed(seed);
        let commitments: Vec<[u8; 32]> = self.entries.iter().map(|entry| entry.signature.halves().0).collect();
        let (points, are_points) = Points::read(self.entries.iter().map(|entry| entry.key), &commitments);
        let hashed: Vec<Message<'_>> = self.entries.iter().map(Entry::hashed).collect();
        let mut terms = Vec::with_capacity(self.len());
        for (position, (entry, hash)) in self.entries.iter().zip(sha512_all(&hashed)).enumerate() {
            if let (true, Some(response)) = (are_points[position], canonical(&entry.signature.halves().1)) {
                let challenge = Scalar::from_bytes_mod_order_wide(&hash);
                terms.push(Term { position, challenge, response, coefficient: draw(&mut coefficients) });
            }
        }
        let mut verdicts = vec![false; self.len()];
        self.mark_valid(&points, &terms, &mut verdicts);
        verdicts
    }

    /// Sets the verdict of every valid signature among `terms`; the verdicts start as false.
    fn mark_valid(&self, points: &Points<'_>, terms: &[Term], verdicts: &mut [bool]) {
        if terms.is_empty() {
            return;
        }
        let mut halving_budget = 2 * terms.len();
        let mut undecided = VecDeque::from([(terms, weighted_sum(points, terms))]);
        while let Some((range, sum)) = undecided.pop_front() {
            if vanishes(&sum) {
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
            undecided.push_back((left, left_sum));
            undecided.push_back((right, sum - left_sum));
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
    coefficient: u128,
}

fn draw(coefficients: &mut StdRng) -> u128 {
    let mut bytes = [0; 16];
    coefficients.fill_bytes(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// The order of the base point, little-endian.
const ORDER: [u64; 4] = [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6, 0, 0x1000_0000_0000_0000];

/// A number below the order; `None` of any other.
fn canonical(bytes: &[u8; 32]) -> Option<[u64; 4]> {
    let words: [u64; 4] =
        std::array::from_fn(|at| u64::from_le_bytes(std::array::from_fn(|byte| bytes[8 * at + byte])));
    words.iter().rev().lt(ORDER.iter().rev()).then_some(words)
}

/// A sum of products, reduced once at its end. Of 128 bits times 253, so that there is room for any number of them.
#[derive(Default)]
struct Products([u64; 8]);

impl Products {
    fn add(&mut self, factor: u128, number: &[u64; 4]) {
        for (from, factor) in [factor as u64, (factor >> 64) as u64].into_iter().enumerate() {
            let mut carried = 0;
            for (at, sum) in self.0[from..].iter_mut().enumerate() {
                // A product of words, a word and a carry never exceed 128 bits.
                let product = u128::from(factor) * u128::from(number.get(at).copied().unwrap_or(0));
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
fn weighted_sum(points: &Points<'_>, terms: &[Term]) -> EdwardsPoint {
    let mut of_base = Products::default();
    let factors = terms.iter().map(|term| {
        of_base.add(term.coefficient, &term.response);
        let of_commitment = Scalar::from(term.coefficient);
        Factors { position: term.position, of_key: of_commitment * term.challenge, of_commitment }
    });
    let factors: Vec<Factors> = factors.collect();
    points.sum(-of_base.reduced(), &factors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_below_the_order_are_canonical() {
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
        fn products_are_summed_up_as_the_library_sums_them(
            terms in prop::collection::vec((any::<u128>(), any::<[u8; 32]>()), 0..20),
        ) {
            let (mut products, mut expected) = (Products::default(), Scalar::ZERO);
            for (factor, bytes) in terms {
                let number = Scalar::from_bytes_mod_order(bytes);
                products.add(factor, &canonical(&number.to_bytes()).unwrap());
                expected += Scalar::from(factor) * number;
                let is_canonical = bool::from(Scalar::from_canonical_bytes(bytes).is_some());
                prop_assert_eq!(canonical(&bytes).is_some(), is_canonical);
            }
            prop_assert_eq!(products.reduced(), expected);
        }
    }
}
