//! The points of a batch, decompressed and ready for multiscalar multiplication: the base point, the keys, the
//! commitments.

use std::iter::{once, repeat_n};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;

use super::Entry;
use crate::DecompressedKey;
use crate::backend::Simd;
use crate::decompress::Decompress;
use crate::msm::MultiscalarMul;
use crate::point::{CachedPoint, ExtendedPoint};

/// The scalars of one signature's points.
pub(super) struct Factors {
    /// Which signature.
    pub(super) position: usize,
    pub(super) of_key: Scalar,
    pub(super) of_commitment: i128,
}

/// The points of a batch.
pub(super) trait Points {
    /// What a multiscalar multiplication gives.
    type Sum: Sum;

    /// `base·B + Σ (of_key·A + of_commitment·R)` over some of the signatures.
    fn weighted_sum(&self, base: Scalar, factors: &[Factors]) -> Self::Sum;
}

/// A point that stands for some signatures of a batch.
pub(super) trait Sum: Sized {
    fn minus(&self, other: &Self) -> Self;

    /// Whether 8 times the point is the identity.
    fn is_small_order(&self) -> bool;
}

/// Points for curve25519-dalek.
pub(super) struct DalekPoints<'a> {
    keys: Vec<&'a EdwardsPoint>,
    /// The base point stands for those that are none; no sum has it.
    commitments: Vec<EdwardsPoint>,
}

impl<'a> DalekPoints<'a> {
    /// Decompresses the commitments, and says which are points.
    pub(super) fn read(entries: &[Entry<'a>]) -> (Self, Vec<bool>) {
        let keys = entries.iter().map(|entry| entry.key.dalek_point()).collect();
        let decompressed: Vec<_> =
            entries.iter().map(|entry| CompressedEdwardsY(entry.signature.halves().0).decompress()).collect();
        let commitments = decompressed.iter().map(|point| point.unwrap_or(ED25519_BASEPOINT_POINT)).collect();
        (DalekPoints { keys, commitments }, decompressed.iter().map(Option::is_some).collect())
    }
}

impl Points for DalekPoints<'_> {
    type Sum = EdwardsPoint;

    fn weighted_sum(&self, base: Scalar, factors: &[Factors]) -> EdwardsPoint {
        let padding = padding(factors.len());
        EdwardsPoint::vartime_multiscalar_mul(
            once(base)
                .chain(factors.iter().map(|each| each.of_key))
                .chain(factors.iter().map(|each| signed(each.of_commitment)))
                .chain(repeat_n(Scalar::ZERO, padding)),
            once(&ED25519_BASEPOINT_POINT)
                .chain(factors.iter().map(|each| self.keys[each.position]))
                .chain(factors.iter().map(|each| &self.commitments[each.position]))
                .chain(repeat_n(&ED25519_BASEPOINT_POINT, padding)),
        )
    }
}

/// The scalar of a signed integer.
pub(super) fn signed(integer: i128) -> Scalar {
    let absolute = Scalar::from(integer.unsigned_abs());
    if integer < 0 { -absolute } else { absolute }
}

/// How many terms of zero to add, for speed alone.
///
/// curve25519-dalek 5 takes Straus' algorithm below 190 points, Pippenger's from there on. The tables of Straus outgrow
/// the first-level cache well before that. Terms of zero cost Pippenger next to nothing, so they bring it in earlier.
fn padding(signatures: usize) -> usize {
    const PIPPENGER_FROM_POINTS: usize = 190;
    const PIPPENGER_PAYS_FROM_SIGNATURES: usize = 40;
    if signatures < PIPPENGER_PAYS_FROM_SIGNATURES {
        return 0;
    }
    PIPPENGER_FROM_POINTS.saturating_sub(2 * signatures + 1)
}

impl Sum for EdwardsPoint {
    fn minus(&self, other: &Self) -> Self {
        self - other
    }

    fn is_small_order(&self) -> bool {
        EdwardsPoint::is_small_order(self)
    }
}

/// Points for this crate's multiscalar multiplication.
pub(super) struct SimdPoints<S: Simd> {
    simd: S,
    /// The identity, the base point, all keys, all commitments. The identity stands for those that are no points.
    points: Vec<CachedPoint>,
    signatures: usize,
}

impl<S: Simd> SimdPoints<S> {
    /// Decompresses the commitments, and the keys that no batch had before; says which commitments are points.
    pub(super) fn read(simd: S, entries: &[Entry<'_>]) -> (Self, Vec<bool>) {
        let keys: Vec<&DecompressedKey> = entries.iter().map(|entry| entry.key).collect();
        let encodings: Vec<[u8; 32]> = entries.iter().map(|entry| entry.signature.halves().0).collect();
        let mut points = Vec::with_capacity(2 + 2 * entries.len());
        points.push(CachedPoint::IDENTITY);
        DecompressedKey::cache_with_base(simd, &keys, &mut points);
        let are_points = simd.run(Decompress { encodings: &encodings, points: &mut points });
        (SimdPoints { simd, points, signatures: entries.len() }, are_points)
    }
}

impl<S: Simd> Points for SimdPoints<S> {
    type Sum = ExtendedPoint;

    fn weighted_sum(&self, base: Scalar, factors: &[Factors]) -> ExtendedPoint {
        let mut product = MultiscalarMul::with_base(&self.points, base.to_bytes(), 2 * factors.len());
        for each in factors {
            product.push(2 + each.position, each.of_key.to_bytes());
            product.push_short(2 + self.signatures + each.position, each.of_commitment);
        }
        self.simd.run(product)
    }
}

impl Sum for ExtendedPoint {
    fn minus(&self, other: &Self) -> Self {
        self.sub(other)
    }

    fn is_small_order(&self) -> bool {
        self.double_times(3).is_identity()
    }
}
