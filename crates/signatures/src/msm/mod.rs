//! Multiscalar multiplication: `Σ scalar·point`, eight additions at a time.
//!
//! A batch of `n` signatures takes one multiscalar multiplication of `2n + 1` points: the base point, keys and
//! commitments. curve25519-dalek computes one addition after another, spread over four SIMD lanes, and each waits for
//! the one before. Here eight independent additions share the lanes: of eight pieces of a scalar ([`straus`], for few
//! points) or of eight buckets ([`pippenger`], for many).

mod pippenger;
mod straus;

use crate::backend::{Operation, Simd};
use crate::point::{CachedPoint, ExtendedPoint};

/// Scalars are below `2^SCALAR_BITS`: they are reduced modulo the order of the base point.
const SCALAR_BITS: usize = 253;
/// The number of terms from which Pippenger's algorithm is faster.
const PIPPENGER_FROM_TERMS: usize = 260;

/// The index of the identity among the points.
const IDENTITY_INDEX: u32 = 0;
/// The index of the base point among the points.
const BASE_INDEX: u32 = 1;

/// A multiscalar multiplication: points, each with its scalar.
pub(crate) struct MultiscalarMul<'a> {
    points: &'a [CachedPoint],
    terms: Terms,
}

struct Terms {
    base: Term,
    others: Vec<Term>,
}

impl Terms {
    fn len(&self) -> usize {
        1 + self.others.len()
    }

    fn iter(&self) -> impl Iterator<Item = &Term> {
        std::iter::once(&self.base).chain(&self.others)
    }
}

struct Term {
    /// The point's index among the points.
    index: u32,
    /// Whether it is subtracted.
    is_negative: bool,
    /// The absolute value of the scalar: little-endian, below `2^SCALAR_BITS`.
    scalar: [u8; 32],
}

impl<'a> MultiscalarMul<'a> {
    /// `base·B`, to which `capacity` terms may be added. The first two of `points` are the identity and `B`.
    pub(crate) fn with_base(points: &'a [CachedPoint], base: [u8; 32], capacity: usize) -> Self {
        debug_assert_eq!(points[IDENTITY_INDEX as usize], CachedPoint::IDENTITY);
        let base = Term { index: BASE_INDEX, is_negative: false, scalar: base };
        MultiscalarMul { points, terms: Terms { base, others: Vec::with_capacity(capacity) } }
    }

    /// Adds `scalar·points[index]`; the scalar is little-endian and reduced.
    pub(crate) fn push(&mut self, index: usize, scalar: [u8; 32]) {
        self.terms.others.push(Term { index: index as u32, is_negative: false, scalar });
    }

    /// Adds `scalar·points[index]`, at half the cost of a full-length scalar.
    pub(crate) fn push_short(&mut self, index: usize, short: i128) {
        let mut scalar = [0; 32];
        scalar[..16].copy_from_slice(&short.unsigned_abs().to_le_bytes());
        self.terms.others.push(Term { index: index as u32, is_negative: short < 0, scalar });
    }
}

impl Operation for MultiscalarMul<'_> {
    type Output = ExtendedPoint;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> ExtendedPoint {
        if self.terms.len() < PIPPENGER_FROM_TERMS {
            straus::multiply(simd, self.points, &self.terms)
        } else {
            pippenger::multiply(simd, self.points, &self.terms)
        }
    }
}
