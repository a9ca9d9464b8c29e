//! Arithmetic modulo `p = 2^255 − 19` on eight elements side by side, and points of edwards25519 made of them.
//!
//! Where the processor has 52-bit multipliers for eight lanes (AVX-512 IFMA), eight products take the time of little more
//! than one. So whatever is to be done with many points is done with eight at a time, each in a lane of its own
//! ([`super::decompress`], [`super::sum`]). Everything here needs that processor: whoever calls has asked [`is_available`].
//!
//! # Bounds
//! An element is `Σ limb[i]·2^(51·i)`, five limbs. In [`Eight`] limbs are below 2^52, so that they fit the multipliers; what
//! carrying leaves is below 2^51 + 2^17. In [`Uncarried`] they are below 2^61.2: a product or twice a product.

use std::arch::x86_64::*;

pub(crate) type Limbs = [u64; 5];

pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// Eight field elements: limb `i` of all eight is `0[i]`.
#[derive(Clone, Copy)]
pub(crate) struct Eight(pub(crate) [__m512i; 5]);

/// Eight products, or sums and differences of such, before they are carried.
#[derive(Clone, Copy)]
pub(crate) struct Uncarried([__m512i; 5]);

const MASK: i64 = (1 << 51) - 1;
/// `d` of the curve.
pub(crate) const D: Limbs =
    [929_955_233_495_203, 466_365_720_129_213, 1_662_059_464_998_953, 2_033_849_074_728_123, 1_442_794_654_840_575];
/// `2·d`.
const TWICE_D: Limbs =
    [1_859_910_466_990_425, 932_731_440_258_426, 1_072_319_116_312_658, 1_815_898_335_770_999, 633_789_495_995_903];
pub(crate) const ONE: Limbs = [1, 0, 0, 0, 0];
/// `2·p`, limb by limb larger than any carried element.
const TWICE_P: Limbs = [(1 << 52) - 38, (1 << 52) - 2, (1 << 52) - 2, (1 << 52) - 2, (1 << 52) - 2];
/// `1024·p`, limb by limb larger than any product.
const P_ABOVE_PRODUCTS: Limbs = [
    ((1 << 51) - 19) << 10,
    ((1 << 51) - 1) << 10,
    ((1 << 51) - 1) << 10,
    ((1 << 51) - 1) << 10,
    ((1 << 51) - 1) << 10,
];

#[target_feature(enable = "avx512f")]
pub(crate) fn all(limbs: Limbs) -> Eight {
    Eight(limbs.map(|limb| _mm512_set1_epi64(limb as i64)))
}

/// The elements whose limb `i` in lane `j` is `limbs[i][j]`.
#[target_feature(enable = "avx512f")]
pub(crate) fn from_lanes(limbs: &[[u64; 8]; 5]) -> Eight {
    // SAFETY: a vector is eight integers of 64 bits, and nothing else.
    Eight(limbs.map(|limb| unsafe { std::mem::transmute::<[u64; 8], __m512i>(limb) }))
}

/// Limb `i` in lane `j` is `[i][j]`.
#[target_feature(enable = "avx512f")]
pub(crate) fn to_lanes(eight: &Eight) -> [[u64; 8]; 5] {
    // SAFETY: as above.
    eight.0.map(|limb| unsafe { std::mem::transmute::<__m512i, [u64; 8]>(limb) })
}

/// The limbs of each lane.
#[target_feature(enable = "avx512f")]
pub(crate) fn lanes(eight: &Eight) -> [Limbs; 8] {
    let limbs = to_lanes(eight);
    std::array::from_fn(|lane| std::array::from_fn(|limb| limbs[limb][lane]))
}

#[target_feature(enable = "avx512f")]
pub(crate) fn select(mask: __mmask8, chosen: &Eight, other: &Eight) -> Eight {
    Eight(std::array::from_fn(|limb| _mm512_mask_blend_epi64(mask, other.0[limb], chosen.0[limb])))
}

/// Of limbs below 2^60. (Rotated, not shifted: a compiler that sees a multiplication makes one, of several instructions.)
#[target_feature(enable = "avx512f")]
fn times_19(limb: __m512i) -> __m512i {
    let twice = _mm512_add_epi64(limb, limb);
    _mm512_add_epi64(_mm512_add_epi64(_mm512_rol_epi64::<4>(limb), twice), limb)
}

/// Carries once, all limbs at the same time. From limbs below 2^63 it makes carried ones.
#[target_feature(enable = "avx512f")]
fn carry(limbs: [__m512i; 5]) -> Eight {
    let mask = _mm512_set1_epi64(MASK);
    let carries = limbs.map(|limb| _mm512_srli_epi64::<51>(limb));
    let kept = limbs.map(|limb| _mm512_and_si512(limb, mask));
    Eight(std::array::from_fn(|limb| {
        let carried = if limb == 0 { times_19(carries[4]) } else { carries[limb - 1] };
        _mm512_add_epi64(kept[limb], carried)
    }))
}

#[target_feature(enable = "avx512f")]
pub(crate) fn add(a: &Eight, b: &Eight) -> Eight {
    carry(std::array::from_fn(|limb| _mm512_add_epi64(a.0[limb], b.0[limb])))
}

#[target_feature(enable = "avx512f")]
pub(crate) fn sub(a: &Eight, b: &Eight) -> Eight {
    let above = all(TWICE_P);
    carry(std::array::from_fn(|limb| _mm512_sub_epi64(_mm512_add_epi64(a.0[limb], above.0[limb]), b.0[limb])))
}

/// Folds the ten limbs of a product, each `low + 2·high` (a product's upper 52 bits weigh 2^52, one more than a limb), back to
/// five: 2^255 is 19. A limb is below 2^60.1: the most, limb 0, has one product of 52 bits, and 19 times fourteen.
#[target_feature(enable = "avx512f")]
fn fold(low: [__m512i; 10], high: [__m512i; 10]) -> Uncarried {
    let limb = |at: usize| _mm512_add_epi64(low[at], _mm512_add_epi64(high[at], high[at]));
    Uncarried(std::array::from_fn(|at| _mm512_add_epi64(limb(at), times_19(limb(at + 5)))))
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn product(a: &Eight, b: &Eight) -> Uncarried {
    let zero = _mm512_setzero_si512();
    let (mut low, mut high) = ([zero; 10], [zero; 10]);
    for i in 0..5 {
        for j in 0..5 {
            low[i + j] = _mm512_madd52lo_epu64(low[i + j], a.0[i], b.0[j]);
            high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], a.0[i], b.0[j]);
        }
    }
    fold(low, high)
}

#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn mul(a: &Eight, b: &Eight) -> Eight {
    carry(product(a, b).0)
}

#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn square(a: &Eight) -> Eight {
    let zero = _mm512_setzero_si512();
    let (mut low, mut high) = ([zero; 10], [zero; 10]);
    for i in 0..5 {
        for j in i + 1..5 {
            low[i + j] = _mm512_madd52lo_epu64(low[i + j], a.0[i], a.0[j]);
            high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], a.0[i], a.0[j]);
        }
    }
    // Each product of two different limbs comes twice.
    for at in 1..10 {
        low[at] = _mm512_add_epi64(low[at], low[at]);
        high[at] = _mm512_add_epi64(high[at], high[at]);
    }
    for i in 0..5 {
        low[2 * i] = _mm512_madd52lo_epu64(low[2 * i], a.0[i], a.0[i]);
        high[2 * i + 1] = _mm512_madd52hi_epu64(high[2 * i + 1], a.0[i], a.0[i]);
    }
    carry(fold(low, high).0)
}

#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn square_times(a: &Eight, times: usize) -> Eight {
    let mut power = *a;
    for _ in 0..times {
        power = square(&power);
    }
    power
}

/// The limbs of the same elements below `p`, each below 2^51.
#[target_feature(enable = "avx512f")]
pub(crate) fn canonical(a: &Eight) -> Eight {
    let mask = _mm512_set1_epi64(MASK);
    // Below 2·p after carrying: q is 1 where the element is p or more, seen by adding 19, and else 0.
    let Eight(limbs) = carry(carry(a.0).0);
    let mut quotient = _mm512_srli_epi64::<51>(_mm512_add_epi64(limbs[0], _mm512_set1_epi64(19)));
    for limb in &limbs[1..] {
        quotient = _mm512_srli_epi64::<51>(_mm512_add_epi64(*limb, quotient));
    }
    let mut carried = times_19(quotient);
    Eight(limbs.map(|limb| {
        let sum = _mm512_add_epi64(limb, carried);
        carried = _mm512_srli_epi64::<51>(sum);
        _mm512_and_si512(sum, mask)
    }))
}

/// A bit for each lane that is 0 modulo `p`.
#[target_feature(enable = "avx512f")]
pub(crate) fn is_zero(a: &Eight) -> __mmask8 {
    let Eight([a, b, c, d, e]) = canonical(a);
    let any = _mm512_or_si512(_mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d)), e);
    _mm512_testn_epi64_mask(any, any)
}

#[target_feature(enable = "avx512f")]
fn plus(a: &Uncarried, b: &Uncarried) -> Eight {
    carry(std::array::from_fn(|limb| _mm512_add_epi64(a.0[limb], b.0[limb])))
}

/// `a − b`; `b` is a product.
#[target_feature(enable = "avx512f")]
fn minus(a: &Uncarried, b: &Uncarried) -> Eight {
    let above = all(P_ABOVE_PRODUCTS);
    carry(std::array::from_fn(|limb| _mm512_sub_epi64(_mm512_add_epi64(a.0[limb], above.0[limb]), b.0[limb])))
}

#[target_feature(enable = "avx512f")]
fn twice(a: [__m512i; 5]) -> Uncarried {
    Uncarried(a.map(|limb| _mm512_add_epi64(limb, limb)))
}

/// Eight points whose `Z` is 1, as they are added: `Y − X`, `Y + X`, `2·d·X·Y`.
#[derive(Clone, Copy)]
pub(crate) struct Addends {
    pub(crate) minus: Eight,
    pub(crate) plus: Eight,
    pub(crate) product: Eight,
}

impl Addends {
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn of(x: &Eight, y: &Eight, t: &Eight) -> Addends {
        Addends { minus: sub(y, x), plus: add(y, x), product: mul(t, &all(TWICE_D)) }
    }

    /// With the sign turned in some lanes.
    #[target_feature(enable = "avx512f")]
    pub(crate) fn negated(&self, lanes: __mmask8) -> Addends {
        let twice_p = all(TWICE_P);
        let negated =
            |limb: usize| _mm512_mask_sub_epi64(self.product.0[limb], lanes, twice_p.0[limb], self.product.0[limb]);
        Addends {
            minus: select(lanes, &self.plus, &self.minus),
            plus: select(lanes, &self.minus, &self.plus),
            product: Eight(std::array::from_fn(negated)),
        }
    }
}

/// Eight points in extended coordinates: `Y − X`, `Y + X`, `Z` and `T = X·Y/Z`.
#[derive(Clone, Copy)]
pub(crate) struct Sums {
    pub(crate) minus: Eight,
    pub(crate) plus: Eight,
    pub(crate) z: Eight,
    pub(crate) t: Eight,
}

impl Sums {
    #[target_feature(enable = "avx512f")]
    pub(crate) fn identity() -> Sums {
        Sums { minus: all(ONE), plus: all(ONE), z: all(ONE), t: all([0; 5]) }
    }

    /// The unified addition of Hisil, Wong, Carter and Dawson (2008) for `a = −1`; it holds for any two points of this curve.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn add(&self, point: &Addends) -> Sums {
        let a = product(&self.minus, &point.minus);
        let b = product(&self.plus, &point.plus);
        let c = product(&self.t, &point.product);
        finish(&a, &b, &c, &twice(self.z.0))
    }

    /// The same with another sum.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn add_sums(&self, other: &Sums) -> Sums {
        let a = product(&self.minus, &other.minus);
        let b = product(&self.plus, &other.plus);
        let c = product(&self.t, &mul(&other.t, &all(TWICE_D)));
        finish(&a, &b, &c, &twice(product(&self.z, &other.z).0))
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn finish(a: &Uncarried, b: &Uncarried, c: &Uncarried, d: &Uncarried) -> Sums {
    let (e, h) = (minus(b, a), plus(b, a));
    let (f, g) = (minus(d, c), plus(d, c));
    let (x, y) = (product(&e, &f), product(&g, &h));
    Sums { minus: minus(&y, &x), plus: plus(&y, &x), z: mul(&f, &g), t: mul(&e, &h) }
}
