//! Points of edwards25519: `−x² + y² = 1 + d·x²·y²`.
//!
//! [`ExtendedPoint`] is one point, in 64-bit arithmetic. [`AffineX8`], [`CachedX8`] and [`ExtendedX8`] are eight, one
//! in each SIMD lane. [`CachedPoint`] and [`StoredPoint`] are their forms in memory. Points pass from here to
//! curve25519-dalek and back only as the 32 bytes of an encoding.

use crate::backend::Simd;
use crate::field::{FieldElement, FieldX8, Limbs, ONE, ProductX8, RaisedX8, TWICE_D, ZERO, limbs_of_bytes};
use crate::pair::ProjectivePair;

/// One point in extended coordinates: `x = X/Z`, `y = Y/Z`, `T = X·Y/Z`.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(test, derive(PartialEq))]
pub(crate) struct ExtendedPoint {
    pub(crate) x: FieldElement,
    pub(crate) y: FieldElement,
    pub(crate) z: FieldElement,
    pub(crate) t: FieldElement,
}

/// One point in completed coordinates, `x = X/Z`, `y = Y/T`: the result of a doubling.
struct CompletedPoint {
    x: FieldElement,
    y: FieldElement,
    z: FieldElement,
    t: FieldElement,
}

/// One point in projective coordinates, `x = X/Z`, `y = Y/Z`: the input of a doubling.
struct ProjectivePoint {
    x: FieldElement,
    y: FieldElement,
    z: FieldElement,
}

impl ExtendedPoint {
    pub(crate) const IDENTITY: ExtendedPoint =
        ExtendedPoint { x: FieldElement::ZERO, y: FieldElement::ONE, z: FieldElement::ONE, t: FieldElement::ZERO };

    /// The point with known coordinates, little-endian; a sign bit of `y` is ignored.
    pub(crate) fn of_affine(x: &[u8; 32], y: &[u8; 32]) -> ExtendedPoint {
        let (x, y) = (FieldElement(limbs_of_bytes(x)), FieldElement(limbs_of_bytes(y)));
        ExtendedPoint { x, y, z: FieldElement::ONE, t: x.mul(&y) }
    }

    /// The unified addition of Hisil, Wong, Carter and Dawson (2008) for `a = −1`; it holds for any two points of this
    /// curve.
    pub(crate) fn add(&self, other: &ExtendedPoint) -> ExtendedPoint {
        let a = self.y.sub(&self.x).mul(&other.y.sub(&other.x));
        let b = self.y.add(&self.x).mul(&other.y.add(&other.x));
        let c = self.t.mul(&other.t).mul(&FieldElement(TWICE_D));
        let zz = self.z.mul(&other.z);
        let d = zz.add(&zz);
        CompletedPoint { x: b.sub(&a), y: b.add(&a), z: d.add(&c), t: d.sub(&c) }.extended()
    }

    #[cfg(test)]
    pub(crate) fn sub(&self, other: &ExtendedPoint) -> ExtendedPoint {
        self.add(&other.negate())
    }

    #[cfg(test)]
    pub(crate) fn negate(&self) -> ExtendedPoint {
        ExtendedPoint { x: self.x.negate(), t: self.t.negate(), ..*self }
    }

    /// `2^doublings·self`; `doublings` is 1 or more.
    pub(crate) fn double_times(&self, doublings: usize) -> ExtendedPoint {
        let mut point = ProjectivePoint { x: self.x, y: self.y, z: self.z };
        for _ in 1..doublings {
            point = point.double().projective();
        }
        point.double().extended()
    }

    /// Like `double_times`, with the coordinates in SIMD lanes.
    #[inline(always)]
    pub(crate) fn double_times_by<S: Simd>(&self, simd: S, doublings: usize) -> ExtendedPoint {
        let mut completed = ProjectivePair::load(simd, [self; 2]).double();
        for _ in 1..doublings {
            completed = completed.projective().double();
        }
        let [doubled, _] = completed.points();
        doubled
    }

    /// Whether 8 times the point is the identity.
    pub(crate) fn is_small_order(&self) -> bool {
        self.double_times(3).is_identity()
    }

    pub(crate) fn is_identity(&self) -> bool {
        self.x.is_zero() && self.y == self.z
    }
}

impl ProjectivePoint {
    /// The doubling of Hisil, Wong, Carter and Dawson (2008).
    #[inline]
    fn double(&self) -> CompletedPoint {
        let (xx, yy, zz) = (self.x.square(), self.y.square(), self.z.square());
        let sum_squared = self.x.add(&self.y).square();
        let (y, z) = (yy.add(&xx), yy.sub(&xx));
        CompletedPoint { x: sum_squared.sub(&y), t: zz.add(&zz).sub(&z), y, z }
    }
}

impl CompletedPoint {
    #[inline]
    fn projective(&self) -> ProjectivePoint {
        ProjectivePoint { x: self.x.mul(&self.t), y: self.y.mul(&self.z), z: self.z.mul(&self.t) }
    }

    #[inline]
    fn extended(&self) -> ExtendedPoint {
        let ProjectivePoint { x, y, z } = self.projective();
        ExtendedPoint { x, y, z, t: self.x.mul(&self.y) }
    }
}

/// An affine point prepared for addition, in two cache lines: the limbs of `y − x`, `y + x` and `2·d·x·y`, and a zero.
#[repr(C, align(64))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CachedPoint(pub(crate) [[u64; 8]; 2]);

impl CachedPoint {
    pub(crate) const IDENTITY: CachedPoint = CachedPoint([[1, 0, 0, 0, 0, 1, 0, 0], [0; 8]]);

    /// A point from the limbs of `y − x`, `y + x` and `2·d·x·y`.
    pub(crate) fn of_limbs([a, b, c, d, e]: Limbs, [f, g, h, i, j]: Limbs, [k, l, m, n, o]: Limbs) -> CachedPoint {
        CachedPoint([[a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, 0]])
    }
}

/// Eight affine points.
pub(crate) struct AffineX8<S: Simd> {
    pub(crate) x: FieldX8<S>,
    pub(crate) y: FieldX8<S>,
}

impl<S: Simd> AffineX8<S> {
    #[inline(always)]
    pub(crate) fn cached(&self) -> CachedX8<S> {
        let twice_d = FieldX8::splat(self.x.simd(), TWICE_D);
        CachedX8 {
            y_minus_x: self.y.sub(&self.x),
            y_plus_x: self.y.add(&self.x),
            xy2d: self.x.mul(&self.y).mul(&twice_d),
        }
    }
}

/// Eight affine points prepared for addition: `y − x`, `y + x` and `2·d·x·y`.
pub(crate) struct CachedX8<S: Simd> {
    y_minus_x: FieldX8<S>,
    y_plus_x: FieldX8<S>,
    xy2d: FieldX8<S>,
}

/// An array of eight, one expression per lane; a macro for the same reason as `each_limb` in [`crate::field`].
macro_rules! each_lane {
    (|$lane:ident| $value:expr) => {
        [
            {
                const $lane: usize = 0;
                $value
            },
            {
                const $lane: usize = 1;
                $value
            },
            {
                const $lane: usize = 2;
                $value
            },
            {
                const $lane: usize = 3;
                $value
            },
            {
                const $lane: usize = 4;
                $value
            },
            {
                const $lane: usize = 5;
                $value
            },
            {
                const $lane: usize = 6;
                $value
            },
            {
                const $lane: usize = 7;
                $value
            },
        ]
    };
}

impl<S: Simd> CachedX8<S> {
    /// Gathers eight points.
    #[inline(always)]
    pub(crate) fn load(simd: S, points: [&CachedPoint; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = simd.transpose(each_lane!(|L| simd.load(&points[L].0[0])));
        let [i, j, k, l, m, n, o, _] = simd.transpose(each_lane!(|L| simd.load(&points[L].0[1])));
        CachedX8 {
            y_minus_x: FieldX8::new(simd, [a, b, c, d, e]),
            y_plus_x: FieldX8::new(simd, [f, g, h, i, j]),
            xy2d: FieldX8::new(simd, [k, l, m, n, o]),
        }
    }

    #[inline(always)]
    pub(crate) fn store(&self) -> [CachedPoint; 8] {
        let simd = self.xy2d.simd();
        let ([a, b, c, d, e], [f, g, h, i, j]) = (self.y_minus_x.limbs, self.y_plus_x.limbs);
        let [k, l, m, n, o] = self.xy2d.limbs;
        let halves = [simd.transpose([a, b, c, d, e, f, g, h]), simd.transpose([i, j, k, l, m, n, o, simd.splat(0)])];
        each_lane!(|L| CachedPoint([simd.store(halves[0][L]), simd.store(halves[1][L])]))
    }

    /// The points, negated in the lanes of `mask`.
    #[inline(always)]
    pub(crate) fn negate_where(&self, mask: u8) -> Self {
        CachedX8 {
            y_minus_x: self.y_plus_x.select(mask, &self.y_minus_x),
            y_plus_x: self.y_minus_x.select(mask, &self.y_plus_x),
            xy2d: self.xy2d.negate_where(mask),
        }
    }
}

/// Eight points in extended coordinates, with `Y − X` and `Y + X` instead of `X` and `Y`.
#[derive(Clone, Copy)]
pub(crate) struct ExtendedX8<S: Simd> {
    y_minus_x: FieldX8<S>,
    y_plus_x: FieldX8<S>,
    z: FieldX8<S>,
    t: FieldX8<S>,
}

impl<S: Simd> ExtendedX8<S> {
    #[inline(always)]
    pub(crate) fn identity(simd: S) -> Self {
        let one = FieldX8::splat(simd, ONE);
        ExtendedX8 { y_minus_x: one, y_plus_x: one, z: one, t: FieldX8::splat(simd, ZERO) }
    }

    /// The unified addition of [`ExtendedPoint::add`], for points whose `Z` is 1.
    #[inline(always)]
    pub(crate) fn add_cached(&self, point: &CachedX8<S>) -> CompletedX8<S> {
        let a = self.y_minus_x.product(&point.y_minus_x);
        let b = self.y_plus_x.raised_product(&point.y_plus_x);
        let c = self.t.product(&point.xy2d);
        CompletedX8::of_addition(&a, &b, &c, &ProductX8::twice_element(&self.z).raised())
    }

    /// The unified addition for any points.
    #[inline(always)]
    pub(crate) fn add(&self, other: &Self) -> CompletedX8<S> {
        let a = self.y_minus_x.product(&other.y_minus_x);
        let b = self.y_plus_x.raised_product(&other.y_plus_x);
        let c = self.t.product(&other.t.mul(&FieldX8::splat(self.t.simd(), TWICE_D)));
        CompletedX8::of_addition(&a, &b, &c, &self.z.product(&other.z).double().raised())
    }

    /// The unified addition for points in [`ExtendedX8::prepared`] form.
    #[inline(always)]
    pub(crate) fn add_prepared(&self, other: &Self) -> CompletedX8<S> {
        let a = self.y_minus_x.product(&other.y_minus_x);
        let b = self.y_plus_x.raised_product(&other.y_plus_x);
        let c = self.t.product(&other.t);
        CompletedX8::of_addition(&a, &b, &c, &self.z.raised_product(&other.z))
    }

    /// The points in the form for repeated addition, with the constant factors multiplied in: `2·Z` and `2·d·T` instead
    /// of `Z` and `T`.
    #[inline(always)]
    pub(crate) fn prepared(&self) -> Self {
        let twice_d = FieldX8::splat(self.t.simd(), TWICE_D);
        ExtendedX8 { z: self.z.double(), t: self.t.mul(&twice_d), ..*self }
    }

    /// Negates prepared points in the lanes of `mask`.
    #[inline(always)]
    pub(crate) fn negate_where(&self, mask: u8) -> Self {
        ExtendedX8 {
            y_minus_x: self.y_plus_x.select(mask, &self.y_minus_x),
            y_plus_x: self.y_minus_x.select(mask, &self.y_plus_x),
            z: self.z,
            t: self.t.negate_where(mask),
        }
    }

    #[inline(always)]
    pub(crate) fn store(&self) -> [StoredPoint; 8] {
        let simd = self.z.simd();
        let ([a, b, c, d, e], [f, g, h, i, j]) = (self.y_minus_x.limbs, self.y_plus_x.limbs);
        let ([k, l, m, n, o], [p, q, r, s, t]) = (self.z.limbs, self.t.limbs);
        let zero = simd.splat(0);
        let first = simd.transpose([a, b, c, d, e, f, g, h]);
        let second = simd.transpose([i, j, k, l, m, n, o, p]);
        let third = simd.transpose([q, r, s, t, zero, zero, zero, zero]);
        each_lane!(|L| StoredPoint([simd.store(first[L]), simd.store(second[L]), simd.store(third[L])]))
    }

    /// Gathers eight points.
    #[inline(always)]
    pub(crate) fn load(simd: S, points: [&StoredPoint; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = simd.transpose(each_lane!(|L| simd.load(&points[L].0[0])));
        let [i, j, k, l, m, n, o, p] = simd.transpose(each_lane!(|L| simd.load(&points[L].0[1])));
        let [q, r, s, t, ..] = simd.transpose(each_lane!(|L| simd.load(&points[L].0[2])));
        ExtendedX8 {
            y_minus_x: FieldX8::new(simd, [a, b, c, d, e]),
            y_plus_x: FieldX8::new(simd, [f, g, h, i, j]),
            z: FieldX8::new(simd, [k, l, m, n, o]),
            t: FieldX8::new(simd, [p, q, r, s, t]),
        }
    }

    /// Moves lanes as [`Simd::permute`] does.
    #[inline(always)]
    pub(crate) fn permute<const ORDER: i32>(&self) -> Self {
        ExtendedX8 {
            y_minus_x: self.y_minus_x.permute::<ORDER>(),
            y_plus_x: self.y_plus_x.permute::<ORDER>(),
            z: self.z.permute::<ORDER>(),
            t: self.t.permute::<ORDER>(),
        }
    }

    /// The point of each lane.
    #[inline(always)]
    pub(crate) fn points(&self) -> [ExtendedPoint; 8] {
        // All four coordinates are doubled, which is the same point.
        let x = self.y_plus_x.sub(&self.y_minus_x).store();
        let y = self.y_plus_x.add(&self.y_minus_x).store();
        let (z, t): ([Limbs; 8], [Limbs; 8]) = (self.z.double().store(), self.t.double().store());
        std::array::from_fn(|lane| ExtendedPoint {
            x: FieldElement(x[lane]),
            y: FieldElement(y[lane]),
            z: FieldElement(z[lane]),
            t: FieldElement(t[lane]),
        })
    }
}

/// Eight points in projective coordinates: the input of a doubling.
#[derive(Clone, Copy)]
pub(crate) struct ProjectiveX8<S: Simd> {
    x: FieldX8<S>,
    y: FieldX8<S>,
    z: FieldX8<S>,
}

impl<S: Simd> ProjectiveX8<S> {
    /// The doubling of Hisil, Wong, Carter and Dawson (2008); its `F` and `H` are negated, which gives the same point.
    #[inline(always)]
    pub(crate) fn double(&self) -> CompletedX8<S> {
        let (xx, yy, zz) = (self.x.square_product(), self.y.raised_square(), self.z.raised_square());
        let xy = self.x.product(&self.y);
        CompletedX8 { e: xy.double().carry(), f: zz.twice_plus_minus(&xx, &yy), g: yy.sub(&xx), h: yy.add(&xx) }
    }

    /// The lanes whose point is the identity.
    #[inline(always)]
    pub(crate) fn identity_lanes(&self) -> u8 {
        // Z is never 0.
        self.x.zero_lanes() & self.y.sub(&self.z).zero_lanes()
    }
}

/// Eight points in completed coordinates: the result of an addition or a doubling. `X` is `E·F`, `Y` is `G·H`, `Z` is
/// `F·G` and `T` is `E·H`.
#[derive(Clone, Copy)]
pub(crate) struct CompletedX8<S: Simd> {
    e: FieldX8<S>,
    f: FieldX8<S>,
    g: FieldX8<S>,
    h: FieldX8<S>,
}

impl<S: Simd> CompletedX8<S> {
    #[inline(always)]
    fn of_addition(a: &ProductX8<S>, b: &RaisedX8<S>, c: &ProductX8<S>, d: &RaisedX8<S>) -> Self {
        CompletedX8 { e: b.sub(a), f: d.sub(c), g: d.add(c), h: b.add(a) }
    }

    #[inline(always)]
    pub(crate) fn projective(&self) -> ProjectiveX8<S> {
        ProjectiveX8 { x: self.e.mul(&self.f), y: self.g.mul(&self.h), z: self.f.mul(&self.g) }
    }

    #[inline(always)]
    pub(crate) fn extended(&self) -> ExtendedX8<S> {
        let (x, y) = (self.e.product(&self.f), self.g.raised_product(&self.h));
        ExtendedX8 { y_minus_x: y.sub(&x), y_plus_x: y.add(&x), z: self.f.mul(&self.g), t: self.e.mul(&self.h) }
    }
}

/// A point of [`ExtendedX8`] in memory, in three cache lines: the limbs of `Y − X`, `Y + X`, `Z` and `T`, and zeros.
#[repr(C, align(64))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StoredPoint([[u64; 8]; 3]);

impl StoredPoint {
    /// Not a point: the initial contents of memory before one is stored.
    pub(crate) const ZERO: StoredPoint = StoredPoint([[0; 8]; 3]);
    pub(crate) const IDENTITY: StoredPoint = StoredPoint([[1, 0, 0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0, 0, 0], [0; 8]]);
    /// The identity in [`ExtendedX8::prepared`] form.
    pub(crate) const PREPARED_IDENTITY: StoredPoint =
        StoredPoint([[1, 0, 0, 0, 0, 1, 0, 0], [0, 0, 2, 0, 0, 0, 0, 0], [0; 8]]);
}
