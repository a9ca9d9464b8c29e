//! The decompressed points of a batch, and both ways to decide equations with them: by this crate's arithmetic on SIMD
//! lanes, and by curve25519-dalek.

use std::iter::{once, repeat_n};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;

use super::scalars::signed;
use super::{Entry, Term};
use crate::DecompressedKey;
use crate::backend::Simd;
use crate::decompress::Decompress;
use crate::hash::{Message, Sha512All, sha512};
use crate::msm::MultiscalarMul;
use crate::point::CachedPoint;
use crate::verdict::halving::Halved;
use crate::verdict::{BaseTables, Equation, Verdicts};
use crate::zip215;

/// The scalars of one signature's points.
pub(super) struct Factors {
    /// The signature's index in the batch.
    pub(super) position: usize,
    pub(super) of_key: Scalar,
    pub(super) of_commitment: i128,
}

/// The points of a batch's signatures.
pub(super) trait Points {
    /// The number of good signatures from which their sum is cheaper than their verdicts.
    const SUM_FROM: usize;

    /// Whether the commitment of the signature at an index is a point.
    fn is_point(&self, position: usize) -> bool;

    /// The hash from which each signature's challenge is computed.
    fn hashes(&self, entries: &[Entry<'_>]) -> Vec<[u8; 64]>;

    /// Whether 8 times `base·B + Σ (of_key·A + of_commitment·R)` over some of the signatures is the identity.
    fn sum_is_identity(&self, base: Scalar, factors: &[Factors]) -> bool;

    /// The verdict on each of some signatures.
    fn verdicts(&self, entries: &[Entry<'_>], terms: &[Term]) -> Vec<bool>;
}

/// Points for curve25519-dalek.
pub(super) struct DalekPoints<'a> {
    keys: Vec<&'a EdwardsPoint>,
    commitments: Vec<Option<EdwardsPoint>>,
}

impl<'a> DalekPoints<'a> {
    /// Decompresses the commitments.
    pub(super) fn read(entries: &[Entry<'a>]) -> Self {
        let commitment = |entry: &Entry<'_>| CompressedEdwardsY(entry.signature.halves().0).decompress();
        DalekPoints {
            keys: entries.iter().map(|entry| entry.key.dalek_point()).collect(),
            commitments: entries.iter().map(commitment).collect(),
        }
    }
}

impl Points for DalekPoints<'_> {
    const SUM_FROM: usize = 4;

    fn is_point(&self, position: usize) -> bool {
        self.commitments[position].is_some()
    }

    fn hashes(&self, entries: &[Entry<'_>]) -> Vec<[u8; 64]> {
        entries.iter().map(|entry| sha512(&entry.hashed())).collect()
    }

    fn sum_is_identity(&self, base: Scalar, factors: &[Factors]) -> bool {
        let padding = padding(factors.len());
        let sum = EdwardsPoint::optional_multiscalar_mul(
            once(base)
                .chain(factors.iter().map(|each| each.of_key))
                .chain(factors.iter().map(|each| signed(each.of_commitment)))
                .chain(repeat_n(Scalar::ZERO, padding)),
            once(Some(ED25519_BASEPOINT_POINT))
                .chain(factors.iter().map(|each| Some(*self.keys[each.position])))
                .chain(factors.iter().map(|each| self.commitments[each.position]))
                .chain(repeat_n(Some(ED25519_BASEPOINT_POINT), padding)),
        );
        sum.is_some_and(|sum| sum.is_small_order())
    }

    fn verdicts(&self, _entries: &[Entry<'_>], terms: &[Term]) -> Vec<bool> {
        let holds = |term: &Term| {
            self.commitments[term.position].is_some_and(|commitment| {
                let (key, challenge, response) = (self.keys[term.position], term.challenge, term.response());
                zip215::Equation { key, commitment, challenge, response }.holds()
            })
        };
        terms.iter().map(holds).collect()
    }
}

/// The number of zero terms to add, for speed alone.
///
/// curve25519-dalek 5 uses Straus' algorithm below 190 points, Pippenger's from there on. The tables of Straus outgrow
/// the first-level cache well before that. Zero terms cost Pippenger next to nothing, so they make it start earlier.
fn padding(signatures: usize) -> usize {
    const PIPPENGER_FROM_POINTS: usize = 190;
    const PIPPENGER_PAYS_FROM_SIGNATURES: usize = 40;
    if signatures < PIPPENGER_PAYS_FROM_SIGNATURES {
        return 0;
    }
    PIPPENGER_FROM_POINTS.saturating_sub(2 * signatures + 1)
}

/// Points for this crate's arithmetic.
pub(super) struct SimdPoints<S: Simd> {
    simd: S,
    /// The identity, the base point, all keys, all commitments. The identity replaces those that are not points.
    points: Vec<CachedPoint>,
    are_points: Vec<bool>,
}

impl<S: Simd> SimdPoints<S> {
    /// Decompresses the commitments, and the keys that were not in a batch before.
    pub(super) fn read(simd: S, entries: &[Entry<'_>]) -> Self {
        let keys: Vec<&DecompressedKey> = entries.iter().map(|entry| entry.key).collect();
        let encodings: Vec<[u8; 32]> = entries.iter().map(|entry| entry.signature.halves().0).collect();
        let mut points = Vec::with_capacity(2 + 2 * entries.len());
        points.extend([CachedPoint::IDENTITY, BaseTables::get().base_point()]);
        DecompressedKey::cache(simd, &keys, &mut points);
        let are_points = simd.run(Decompress { encodings: &encodings, points: &mut points });
        SimdPoints { simd, points, are_points }
    }

    fn index_of_key(&self, position: usize) -> usize {
        2 + position
    }

    fn index_of_commitment(&self, position: usize) -> usize {
        2 + self.are_points.len() + position
    }
}

impl<S: Simd> Points for SimdPoints<S> {
    const SUM_FROM: usize = super::SUM_FROM_ON_LANES;

    fn is_point(&self, position: usize) -> bool {
        self.are_points[position]
    }

    fn hashes(&self, entries: &[Entry<'_>]) -> Vec<[u8; 64]> {
        let hashed: Vec<Message<'_>> = entries.iter().map(Entry::hashed).collect();
        self.simd.run(Sha512All(&hashed))
    }

    fn sum_is_identity(&self, base: Scalar, factors: &[Factors]) -> bool {
        let mut product = MultiscalarMul::with_base(&self.points, base.to_bytes(), 2 * factors.len());
        for each in factors {
            product.push(self.index_of_key(each.position), each.of_key.to_bytes());
            product.push_short(self.index_of_commitment(each.position), each.of_commitment);
        }
        self.simd.run(product).is_small_order()
    }

    fn verdicts(&self, entries: &[Entry<'_>], terms: &[Term]) -> Vec<bool> {
        let mut verdicts = vec![false; terms.len()];
        let (mut equations, mut positions) = (Vec::with_capacity(terms.len()), Vec::with_capacity(terms.len()));
        for (at, term) in terms.iter().enumerate() {
            let Some(halved) = Halved::of(&term.challenge, &term.response()) else {
                verdicts[at] = entries[term.position].is_valid();
                continue;
            };
            positions.push(at);
            equations.push(Equation {
                key: self.index_of_key(term.position) as u32,
                commitment: self.index_of_commitment(term.position) as u32,
                halved,
            });
        }
        let found = self.simd.run(Verdicts { points: &self.points, equations: &equations });
        positions.into_iter().zip(found).for_each(|(at, is_valid)| verdicts[at] = is_valid);
        verdicts
    }
}
