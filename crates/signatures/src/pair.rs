//! Two points of edwards25519 with their coordinates in SIMD lanes: those of one in the lower four, of the other in the
//! upper four.
//!
//! All products of a level are computed at once, so an addition or a doubling takes two multiplications, one after the
//! other: the best for one or two points ([`crate::point::ExtendedX8`] is for eight). The formulas are those of Hisil,
//! Wong, Carter and Dawson (2008) for `a = −1`; they hold for any two points of this curve.

use crate::backend::Simd;
use crate::field::{FieldElement, FieldX8, Limbs, ONE, TWICE_D, ZERO, order};
use crate::point::{CachedPoint, ExtendedPoint};

/// The lanes of each point.
const LANES: [u8; 2] = [0x0f, 0xf0];
/// The fourth lane of both.
const FOURTH: u8 = 0x88;

/// `E`, `G`, `F` and `H` of an addition or a doubling; the last two or the first two may be negated, which is the same
/// point.
#[derive(Clone, Copy)]
pub(crate) struct CompletedPair<S: Simd>(FieldX8<S>);

/// `X`, `Y`, `Z` and `X` again: the input of a doubling.
#[derive(Clone, Copy)]
pub(crate) struct ProjectivePair<S: Simd>(FieldX8<S>);

/// `Y − X`, `Y + X`, `Z` and `T`: the first input of an addition.
#[derive(Clone, Copy)]
pub(crate) struct ExtendedPair<S: Simd>(FieldX8<S>);

/// `Y − X`, `Y + X`, `2·Z` and `2·d·T`: the second input of an addition.
#[derive(Clone, Copy)]
pub(crate) struct PreparedPair<S: Simd>(FieldX8<S>);

/// One point of a [`PreparedPair`] in memory: the four coordinates of each limb.
#[repr(C, align(32))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PreparedPoint([[u64; 4]; 5]);

impl<S: Simd> CompletedPair<S> {
    #[inline(always)]
    pub(crate) fn projective(&self) -> ProjectivePair<S> {
        let left = self.0.permute::<{ order([0, 1, 2, 0]) }>();
        ProjectivePair(left.mul(&self.0.permute::<{ order([2, 3, 1, 2]) }>()))
    }

    #[inline(always)]
    pub(crate) fn extended(&self) -> ExtendedPair<S> {
        let left = self.0.permute::<{ order([0, 1, 2, 0]) }>();
        ExtendedPair(left.product(&self.0.permute::<{ order([2, 3, 1, 3]) }>()).minus_and_plus())
    }

    /// Both points.
    #[inline(always)]
    pub(crate) fn points(&self) -> [ExtendedPoint; 2] {
        let left = self.0.permute::<{ order([0, 1, 2, 0]) }>();
        let lanes = left.mul(&self.0.permute::<{ order([2, 3, 1, 3]) }>()).store();
        let point = |at: usize| {
            let [x, y, z, t] = [at, at + 1, at + 2, at + 3].map(|lane| FieldElement(lanes[lane]));
            ExtendedPoint { x, y, z, t }
        };
        [point(0), point(4)]
    }
}

impl<S: Simd> ProjectivePair<S> {
    #[inline(always)]
    pub(crate) fn load(simd: S, points: [&ExtendedPoint; 2]) -> Self {
        let of = |point: &ExtendedPoint| [point.x.0, point.y.0, point.z.0, point.x.0];
        ProjectivePair(load(simd, [of(points[0]), of(points[1])]))
    }

    #[inline(always)]
    pub(crate) fn double(&self) -> CompletedPair<S> {
        // (X², Y², Z², X·Y)
        let products = self.0.product(&self.0.permute::<{ order([0, 1, 2, 1]) }>());
        CompletedPair(products.doubling_terms())
    }
}

impl<S: Simd> ExtendedPair<S> {
    #[inline(always)]
    pub(crate) fn identity(simd: S) -> Self {
        ExtendedPair(load(simd, [[ONE, ONE, ONE, ZERO]; 2]))
    }

    #[inline(always)]
    pub(crate) fn add(&self, other: &PreparedPair<S>) -> CompletedPair<S> {
        CompletedPair(self.0.product(&other.0).addition_terms())
    }

    #[inline(always)]
    pub(crate) fn prepared(&self, simd: S) -> PreparedPair<S> {
        let two = FieldElement::ONE.add(&FieldElement::ONE).0;
        PreparedPair(self.0.mul(&load(simd, [[ONE, ONE, two, TWICE_D]; 2])))
    }
}

impl<S: Simd> PreparedPair<S> {
    /// Loads two points.
    #[inline(always)]
    pub(crate) fn load(simd: S, points: [&PreparedPoint; 2]) -> Self {
        let [PreparedPoint(lower), PreparedPoint(upper)] = points;
        PreparedPair(FieldX8::new(
            simd,
            [
                simd.load_halves(&lower[0], &upper[0]),
                simd.load_halves(&lower[1], &upper[1]),
                simd.load_halves(&lower[2], &upper[2]),
                simd.load_halves(&lower[3], &upper[3]),
                simd.load_halves(&lower[4], &upper[4]),
            ],
        ))
    }

    #[inline(always)]
    pub(crate) fn store(&self) -> [PreparedPoint; 2] {
        let lanes = self.0.store();
        let point = |first: usize| {
            PreparedPoint(std::array::from_fn(|limb| std::array::from_fn(|lane| lanes[first + lane][limb])))
        };
        [point(0), point(4)]
    }

    /// The points, negated where `negative` says so.
    #[inline(always)]
    pub(crate) fn negate_where(&self, are_negative: [bool; 2]) -> Self {
        let mask = (LANES[0] * u8::from(are_negative[0])) | (LANES[1] * u8::from(are_negative[1]));
        let swapped = self.0.permute::<{ order([1, 0, 2, 3]) }>().select(mask, &self.0);
        PreparedPair(swapped.negate_where(mask & FOURTH))
    }
}

impl PreparedPoint {
    pub(crate) const IDENTITY: PreparedPoint = PreparedPoint([[1, 1, 2, 0], [0; 4], [0; 4], [0; 4], [0; 4]]);

    /// The point in the other form.
    pub(crate) fn of(CachedPoint([first, second]): &CachedPoint) -> PreparedPoint {
        let y_minus_x = [first[0], first[1], first[2], first[3], first[4]];
        let y_plus_x = [first[5], first[6], first[7], second[0], second[1]];
        let xy2d = [second[2], second[3], second[4], second[5], second[6]];
        let twice_z = [2, 0, 0, 0, 0];
        PreparedPoint(std::array::from_fn(|limb| [y_minus_x[limb], y_plus_x[limb], twice_z[limb], xy2d[limb]]))
    }
}

/// The coordinates of both points.
#[inline(always)]
fn load<S: Simd>(simd: S, points: [[Limbs; 4]; 2]) -> FieldX8<S> {
    let mut lanes = [[0; 8]; 5];
    for lane in 0..8 {
        for limb in 0..5 {
            lanes[limb][lane] = points[lane / 4][lane % 4][limb];
        }
    }
    FieldX8::load(simd, &lanes)
}
