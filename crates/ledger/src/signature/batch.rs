//! Verification of many signatures at once, with the verdict of each.
//!
//! Write `E_i = R_i + k_i·A_i − s_i·B`; signature `i` is valid exactly if `8·E_i = 0`.
//! 1. Read every signature. One whose `s` is not canonical or whose `R` is no point is invalid; it goes no further.
//! 2. Draw for each remaining one a coefficient `z_i` of 128 bits, from ChaCha12 seeded by the operating system.
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
//! One bad signature makes a batch cost half as much again to twice as much; nothing but bad ones, which a hostile sender
//! could offer, cost about twice as much as single checks of them.

use std::collections::VecDeque;
use std::iter::{once, repeat_n};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};

use super::decompress::decompress;
use super::{DecompressedKey, Equation, Signature, vanishes, verify};

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
    pub fn verdicts(&self) -> Vec<bool> {
        if self.len() < 2 {
            return self.verdicts_one_by_one();
        }
        // Without secret coefficients a batch proves nothing; single checks need none and agree with it.
        let Ok(mut coefficients) = StdRng::try_from_rng(&mut SysRng) else {
            return self.verdicts_one_by_one();
        };
        let commitments: Vec<[u8; 32]> = self.entries.iter().map(|entry| entry.signature.halves().0).collect();
        let mut terms = Vec::with_capacity(self.len());
        for (position, (entry, commitment)) in self.entries.iter().zip(decompress(&commitments)).enumerate() {
            let read = |commitment| Equation::with_commitment(commitment, entry.key, entry.parts, entry.signature);
            if let Some(equation) = commitment.and_then(read) {
                terms.push(Term { position, equation, coefficient: draw(&mut coefficients) });
            }
        }
        let mut verdicts = vec![false; self.len()];
        mark_valid(&terms, &mut verdicts);
        verdicts
    }

    fn verdicts_one_by_one(&self) -> Vec<bool> {
        self.entries.iter().map(|entry| verify(entry.key, entry.parts, entry.signature)).collect()
    }
}

/// A signature whose equation could be read, with its coefficient `z`.
struct Term<'a> {
    /// Where in the batch its verdict goes.
    position: usize,
    equation: Equation<'a>,
    coefficient: Scalar,
}

fn draw(coefficients: &mut StdRng) -> Scalar {
    let mut bytes = [0; 16];
    coefficients.fill_bytes(&mut bytes);
    Scalar::from(u128::from_le_bytes(bytes))
}

/// Sets the verdict of every valid signature among `terms`; the verdicts start as false.
fn mark_valid(terms: &[Term<'_>], verdicts: &mut [bool]) {
    if terms.is_empty() {
        return;
    }
    let mut halving_budget = 2 * terms.len();
    let mut undecided = VecDeque::from([(terms, weighted_sum(terms))]);
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
                verdicts[term.position] = term.equation.holds();
            }
            continue;
        };
        halving_budget = budget_left;
        let left_sum = weighted_sum(left);
        undecided.push_back((left, left_sum));
        undecided.push_back((right, sum - left_sum));
    }
}

/// `Σ z·(R + k·A − s·B)` over the terms.
fn weighted_sum(terms: &[Term<'_>]) -> EdwardsPoint {
    let base_coefficient = -terms.iter().map(|term| term.coefficient * term.equation.response).sum::<Scalar>();
    let padding = padding(terms.len());
    EdwardsPoint::vartime_multiscalar_mul(
        once(base_coefficient)
            .chain(terms.iter().map(|term| term.coefficient * term.equation.challenge))
            .chain(terms.iter().map(|term| term.coefficient))
            .chain(repeat_n(Scalar::ZERO, padding)),
        once(&ED25519_BASEPOINT_POINT)
            .chain(terms.iter().map(|term| term.equation.key))
            .chain(terms.iter().map(|term| &term.equation.commitment))
            .chain(repeat_n(&ED25519_BASEPOINT_POINT, padding)),
    )
}

/// How many terms of zero to add, for speed alone.
///
/// curve25519-dalek 5 takes Straus' algorithm below 190 points, Pippenger's from there on. The tables of Straus outgrow the
/// first-level cache well before that. Terms of zero cost Pippenger next to nothing, so they bring it in earlier.
fn padding(signatures: usize) -> usize {
    const PIPPENGER_FROM_POINTS: usize = 190;
    const PIPPENGER_PAYS_FROM_SIGNATURES: usize = 40;
    if signatures < PIPPENGER_PAYS_FROM_SIGNATURES {
        return 0;
    }
    PIPPENGER_FROM_POINTS.saturating_sub(2 * signatures + 1)
}
