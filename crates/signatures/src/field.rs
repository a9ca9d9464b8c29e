//! The field of integers modulo `p = 2^255 − 19`: one element, and eight in the lanes of SIMD registers.
//!
//! An element is `Σ limb[i]·2^(51·i)`, five limbs, in both forms. [`FieldElement`] is arithmetic on 64-bit registers,
//! for the steps that occur once in a multiscalar multiplication. [`FieldX8`] is written once for every [`Simd`]
//! backend, so the schedule of products and carries is the same code on each of them.
//!
//! # Bounds
//! | value | limbs below |
//! |---|---|
//! | a carried [`FieldX8`] | `2^51 + 2^17` |
//! | any [`FieldX8`], so that it fits the 52-bit multipliers | `2^52` |
//! | [`ProductX8`]: a product, or twice a product | `2^61.2` |
//! | a carried [`FieldElement`] | `2^51 + 2^18` |
//! | any [`FieldElement`], so that no sum of products overflows | `2^54` |

use crate::backend::Simd;

/// The limbs of one element.
pub(crate) type Limbs = [u64; 5];

const LIMB_BITS: u32 = 51;
const MASK: u64 = (1 << LIMB_BITS) - 1;

pub(crate) const ZERO: Limbs = [0; 5];
pub(crate) const ONE: Limbs = [1, 0, 0, 0, 0];
/// `d` of the curve `−x² + y² = 1 + d·x²·y²`.
pub(crate) const D: Limbs =
    [929_955_233_495_203, 466_365_720_129_213, 1_662_059_464_998_953, 2_033_849_074_728_123, 1_442_794_654_840_575];
/// `2·d`.
pub(crate) const TWICE_D: Limbs =
    [1_859_910_466_990_425, 932_731_440_258_426, 1_072_319_116_312_658, 1_815_898_335_770_999, 633_789_495_995_903];
/// A square root of −1.
pub(crate) const SQRT_M1: Limbs =
    [1_718_705_420_411_056, 234_908_883_556_509, 2_233_514_472_574_048, 2_117_202_627_021_982, 765_476_049_583_133];
/// `2·p`, each limb larger than any carried element's.
const TWICE_P: Limbs = multiple_of_p(1);
/// `16·p`, each limb larger than any [`FieldElement`]'s.
const P_ABOVE_ELEMENTS: Limbs = multiple_of_p(4);
/// `1024·p`, each limb larger than any product's.
const P_ABOVE_PRODUCTS: Limbs = multiple_of_p(10);
/// The initial limbs of a product to be raised by [`P_ABOVE_PRODUCTS`]: all but the first will be doubled.
const RAISED_PRODUCT: Limbs = [P_ABOVE_PRODUCTS[0], HALF, HALF, HALF, HALF];
/// The same for a square, some of whose limbs are doubled twice.
const RAISED_SQUARE: Limbs = [P_ABOVE_PRODUCTS[0], HALF, HALF / 2, HALF / 2, HALF / 2];
/// Half of the upper limbs of [`P_ABOVE_PRODUCTS`].
const HALF: u64 = P_ABOVE_PRODUCTS[1] / 2;

/// Powers, by the same steps for one element and for eight.
pub(crate) trait Power: Copy {
    fn mul(&self, other: &Self) -> Self;

    fn square(&self) -> Self;

    /// The element squared `times` times.
    #[inline(always)]
    fn square_times(&self, times: usize) -> Self {
        let mut power = *self;
        for _ in 0..times {
            power = power.square();
        }
        power
    }

    /// `self^((p−5)/8) = self^(2^252 − 3)`. `a_n` is `self^(2^n − 1)`.
    #[inline(always)]
    fn pow_p58(&self) -> Self {
        let a_2 = self.square().mul(self);
        let a_4 = a_2.square_times(2).mul(&a_2);
        let a_5 = a_4.square().mul(self);
        let a_10 = a_5.square_times(5).mul(&a_5);
        let a_20 = a_10.square_times(10).mul(&a_10);
        let a_40 = a_20.square_times(20).mul(&a_20);
        let a_50 = a_40.square_times(10).mul(&a_10);
        let a_100 = a_50.square_times(50).mul(&a_50);
        let a_200 = a_100.square_times(100).mul(&a_100);
        let a_250 = a_200.square_times(50).mul(&a_50);
        a_250.square_times(2).mul(self)
    }
}

/// `2^shift·p`.
const fn multiple_of_p(shift: u32) -> Limbs {
    [(MASK - 18) << shift, MASK << shift, MASK << shift, MASK << shift, MASK << shift]
}

/// The limbs of the number in 255 bits of `bytes`, little-endian; the highest bit is ignored.
#[inline(always)]
pub(crate) fn limbs_of_bytes(bytes: &[u8; 32]) -> Limbs {
    let (chunks, _) = bytes.as_chunks::<8>();
    let [a, b, c, d] = [chunks[0], chunks[1], chunks[2], chunks[3]].map(u64::from_le_bytes);
    [a & MASK, (a >> 51 | b << 13) & MASK, (b >> 38 | c << 26) & MASK, (c >> 25 | d << 39) & MASK, d >> 12 & MASK]
}

/// The encoding of limbs that are each below `2^51`.
pub(crate) fn bytes_of_limbs([a, b, c, d, e]: Limbs) -> [u8; 32] {
    let words = [a | b << 51, b >> 13 | c << 38, c >> 26 | d << 25, d >> 39 | e << 12];
    let mut bytes = [0; 32];
    bytes.chunks_exact_mut(8).zip(words).for_each(|(chunk, word)| chunk.copy_from_slice(&word.to_le_bytes()));
    bytes
}

/// One field element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldElement(pub(crate) Limbs);

impl FieldElement {
    pub(crate) const ZERO: FieldElement = FieldElement(ZERO);
    pub(crate) const ONE: FieldElement = FieldElement(ONE);

    /// The sum, not carried: that of two carried elements may be multiplied, and added to once more.
    #[inline]
    pub(crate) fn add(&self, other: &FieldElement) -> FieldElement {
        FieldElement(std::array::from_fn(|limb| self.0[limb].wrapping_add(other.0[limb])))
    }

    /// The difference, carried.
    #[inline]
    pub(crate) fn sub(&self, other: &FieldElement) -> FieldElement {
        carried(std::array::from_fn(|limb| {
            self.0[limb].wrapping_add(P_ABOVE_ELEMENTS[limb]).wrapping_sub(other.0[limb])
        }))
    }

    /// The negative, carried.
    #[cfg(test)]
    pub(crate) fn negate(&self) -> FieldElement {
        FieldElement::ZERO.sub(self)
    }

    #[inline]
    pub(crate) fn mul(&self, other: &FieldElement) -> FieldElement {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        // 2^255 is 19: the part beyond the fifth limb comes back times 19.
        let [c1, c2, c3, c4] = [b1, b2, b3, b4].map(|limb| limb.wrapping_mul(19));
        folded([
            sum([(a0, b0), (a4, c1), (a3, c2), (a2, c3), (a1, c4)]),
            sum([(a1, b0), (a0, b1), (a4, c2), (a3, c3), (a2, c4)]),
            sum([(a2, b0), (a1, b1), (a0, b2), (a4, c3), (a3, c4)]),
            sum([(a3, b0), (a2, b1), (a1, b2), (a0, b3), (a4, c4)]),
            sum([(a4, b0), (a3, b1), (a2, b2), (a1, b3), (a0, b4)]),
        ])
    }

    #[inline]
    pub(crate) fn square(&self) -> FieldElement {
        let [a0, a1, a2, a3, a4] = self.0;
        let [d0, d1, d2] = [a0, a1, a2].map(|limb| limb.wrapping_mul(2));
        let [c3, c4] = [a3, a4].map(|limb| limb.wrapping_mul(19));
        let d4 = a4.wrapping_mul(38);
        folded([
            sum([(a0, a0), (d1, c4), (d2, c3)]),
            sum([(a3, c3), (d0, a1), (d2, c4)]),
            sum([(a1, a1), (d0, a2), (d4, a3)]),
            sum([(a4, c4), (d0, a3), (d1, a2)]),
            sum([(a2, a2), (d0, a4), (d1, a3)]),
        ])
    }

    /// The limbs of the same element below `p`, each below `2^51`.
    pub(crate) fn canonical(&self) -> Limbs {
        let limbs = carried(carried(self.0).0).0;
        // Below 2·p: the quotient is 1 if the element is p or more, found by adding 19, and else 0.
        let quotient = limbs.iter().fold(19, |carry, limb| (limb + carry) >> LIMB_BITS);
        let mut carry = 19 * quotient;
        limbs.map(|limb| {
            let sum = limb + carry;
            carry = sum >> LIMB_BITS;
            sum & MASK
        })
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.canonical() == ZERO
    }

    /// `1/self`; 0 for 0.
    pub(crate) fn invert(&self) -> FieldElement {
        // self^(p−2): all bits of the exponent are ones except bits 2 and 4.
        let mut inverse = FieldElement::ONE;
        for bit in (0..255).rev() {
            inverse = inverse.square();
            if bit != 2 && bit != 4 {
                inverse = inverse.mul(self);
            }
        }
        inverse
    }
}

impl Power for FieldElement {
    #[inline]
    fn mul(&self, other: &FieldElement) -> FieldElement {
        FieldElement::mul(self, other)
    }

    #[inline]
    fn square(&self) -> FieldElement {
        FieldElement::square(self)
    }
}

/// Whether they represent the same element.
impl PartialEq for FieldElement {
    fn eq(&self, other: &FieldElement) -> bool {
        self.canonical() == other.canonical()
    }
}

/// Carries once, all limbs at the same time.
#[inline]
fn carried(limbs: Limbs) -> FieldElement {
    let [a, b, c, d, e] = limbs.map(|limb| limb >> LIMB_BITS);
    let carries = [e.wrapping_mul(19), a, b, c, d];
    FieldElement(std::array::from_fn(|limb| (limbs[limb] & MASK).wrapping_add(carries[limb])))
}

/// A sum of products, each below `2^113`.
#[inline(always)]
fn sum<const N: usize>(factors: [(u64, u64); N]) -> u128 {
    let mut sum = 0_u128;
    for (a, b) in factors {
        sum = sum.wrapping_add(u128::from(a).wrapping_mul(u128::from(b)));
    }
    sum
}

/// The carried element of five sums of products.
#[inline(always)]
fn folded(sums: [u128; 5]) -> FieldElement {
    let mut limbs = ZERO;
    let mut carry = 0_u128;
    for (limb, sum) in limbs.iter_mut().zip(sums) {
        let sum = sum.wrapping_add(carry);
        *limb = sum as u64 & MASK;
        carry = sum >> LIMB_BITS;
    }
    // The last sum has no factor 19, so its carry is below 2^60 and 19 times it fits.
    limbs[0] = limbs[0].wrapping_add((carry as u64).wrapping_mul(19));
    limbs[1] = limbs[1].wrapping_add(limbs[0] >> LIMB_BITS);
    limbs[0] &= MASK;
    FieldElement(limbs)
}

/// An array of five, one expression per limb. A macro, so that nothing depends on the inliner's judgement: a call that
/// it does not inline is compiled without the processor's features.
macro_rules! each_limb {
    (|$limb:ident| $value:expr) => {
        [
            {
                const $limb: usize = 0;
                $value
            },
            {
                const $limb: usize = 1;
                $value
            },
            {
                const $limb: usize = 2;
                $value
            },
            {
                const $limb: usize = 3;
                $value
            },
            {
                const $limb: usize = 4;
                $value
            },
        ]
    };
}

/// Eight field elements, one in each SIMD lane.
#[derive(Clone, Copy)]
pub(crate) struct FieldX8<S: Simd> {
    pub(crate) limbs: [S::U64x8; 5],
    simd: S,
}

/// Eight products plus [`P_ABOVE_PRODUCTS`], which is 0: products may be subtracted from it.
#[derive(Clone, Copy)]
pub(crate) struct RaisedX8<S: Simd>(ProductX8<S>);

/// Eight products, or sums and differences of products, not yet carried.
#[derive(Clone, Copy)]
pub(crate) struct ProductX8<S: Simd> {
    limbs: [S::U64x8; 5],
    simd: S,
}

impl<S: Simd> Power for FieldX8<S> {
    #[inline(always)]
    fn mul(&self, other: &Self) -> Self {
        FieldX8::mul(self, other)
    }

    #[inline(always)]
    fn square(&self) -> Self {
        FieldX8::square(self)
    }
}

impl<S: Simd> FieldX8<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, limbs: [S::U64x8; 5]) -> Self {
        FieldX8 { limbs, simd }
    }

    /// The same element in each lane.
    #[inline(always)]
    pub(crate) fn splat(simd: S, limbs: Limbs) -> Self {
        FieldX8 { limbs: each_limb!(|I| simd.splat(limbs[I])), simd }
    }

    /// The elements whose limb `i` in lane `j` is `lanes[i][j]`.
    #[inline(always)]
    pub(crate) fn load(simd: S, lanes: &[[u64; 8]; 5]) -> Self {
        FieldX8 { limbs: each_limb!(|I| simd.load(&lanes[I])), simd }
    }

    /// The limbs of each lane.
    #[inline(always)]
    pub(crate) fn store(&self) -> [Limbs; 8] {
        let lanes = each_limb!(|I| self.simd.store(self.limbs[I]));
        std::array::from_fn(|lane| lanes.map(|limb| limb[lane]))
    }

    #[inline(always)]
    pub(crate) fn simd(&self) -> S {
        self.simd
    }

    /// `self` in the lanes of `mask`, `other` in the rest.
    #[inline(always)]
    pub(crate) fn select(&self, mask: u8, other: &Self) -> Self {
        FieldX8 { limbs: each_limb!(|I| self.simd.select(mask, self.limbs[I], other.limbs[I])), ..*self }
    }

    /// The negatives of carried elements in the lanes of `mask`; not carried.
    #[inline(always)]
    pub(crate) fn negate_where(&self, mask: u8) -> Self {
        let simd = self.simd;
        FieldX8 {
            limbs: each_limb!(|I| simd.sub_where(mask, self.limbs[I], simd.splat(TWICE_P[I]), self.limbs[I])),
            simd,
        }
    }

    /// Moves lanes as [`Simd::permute`] does.
    #[inline(always)]
    pub(crate) fn permute<const ORDER: i32>(&self) -> Self {
        FieldX8 { limbs: each_limb!(|I| self.simd.permute::<ORDER>(self.limbs[I])), ..*self }
    }

    #[inline(always)]
    pub(crate) fn add(&self, other: &Self) -> Self {
        carry(self.simd, each_limb!(|I| self.simd.add(self.limbs[I], other.limbs[I])))
    }

    /// `self − other`; `other` is carried.
    #[inline(always)]
    pub(crate) fn sub(&self, other: &Self) -> Self {
        let simd = self.simd;
        carry(simd, each_limb!(|I| simd.sub(simd.add(self.limbs[I], simd.splat(TWICE_P[I])), other.limbs[I])))
    }

    #[inline(always)]
    pub(crate) fn double(&self) -> Self {
        self.add(self)
    }

    #[inline(always)]
    pub(crate) fn mul(&self, other: &Self) -> Self {
        self.product(other).carry()
    }

    /// The product, not yet carried.
    #[inline(always)]
    pub(crate) fn product(&self, other: &Self) -> ProductX8<S> {
        self.product_from(ZERO, other)
    }

    /// The product, raised.
    #[inline(always)]
    pub(crate) fn raised_product(&self, other: &Self) -> RaisedX8<S> {
        RaisedX8(self.product_from(RAISED_PRODUCT, other))
    }

    /// The product plus the initial limbs, all but the first doubled.
    #[inline(always)]
    fn product_from(&self, start: Limbs, other: &Self) -> ProductX8<S> {
        let simd = self.simd;
        let mut limbs = [simd.splat(0); 10];
        for at in 0..5 {
            limbs[at] = simd.splat(start[at]);
        }
        for i in 0..5 {
            for j in 0..5 {
                limbs[i + j + 1] = simd.madd52hi(limbs[i + j + 1], self.limbs[i], other.limbs[j]);
            }
        }
        // The upper 52 bits of a product have the weight 2^52, one bit more than a limb.
        for at in 1..10 {
            limbs[at] = simd.add(limbs[at], limbs[at]);
        }
        for i in 0..5 {
            for j in 0..5 {
                limbs[i + j] = simd.madd52lo(limbs[i + j], self.limbs[i], other.limbs[j]);
            }
        }
        fold(simd, &limbs)
    }

    #[inline(always)]
    pub(crate) fn square(&self) -> Self {
        self.square_product().carry()
    }

    /// The square, not yet carried.
    #[inline(always)]
    pub(crate) fn square_product(&self) -> ProductX8<S> {
        self.square_from(ZERO)
    }

    /// The square, raised.
    #[inline(always)]
    pub(crate) fn raised_square(&self) -> RaisedX8<S> {
        RaisedX8(self.square_from(RAISED_SQUARE))
    }

    /// The square plus the initial limbs, the second doubled and those after it twice.
    #[inline(always)]
    fn square_from(&self, start: Limbs) -> ProductX8<S> {
        let simd = self.simd;
        let mut limbs = [simd.splat(0); 10];
        for at in 0..5 {
            limbs[at] = simd.splat(start[at]);
        }
        // As in a product; and each product of two different limbs occurs twice.
        for i in 0..5 {
            for j in i + 1..5 {
                limbs[i + j + 1] = simd.madd52hi(limbs[i + j + 1], self.limbs[i], self.limbs[j]);
            }
        }
        for at in 2..9 {
            limbs[at] = simd.add(limbs[at], limbs[at]);
        }
        for i in 0..5 {
            limbs[2 * i + 1] = simd.madd52hi(limbs[2 * i + 1], self.limbs[i], self.limbs[i]);
            for j in i + 1..5 {
                limbs[i + j] = simd.madd52lo(limbs[i + j], self.limbs[i], self.limbs[j]);
            }
        }
        for at in 1..10 {
            limbs[at] = simd.add(limbs[at], limbs[at]);
        }
        for i in 0..5 {
            limbs[2 * i] = simd.madd52lo(limbs[2 * i], self.limbs[i], self.limbs[i]);
        }
        // As `fold` does. A square leaves the multipliers idle for a while; here they relieve the other units.
        let nineteen = simd.splat(19);
        ProductX8 { limbs: each_limb!(|I| simd.add(limbs[I], simd.mul_low(limbs[I + 5], nineteen))), simd }
    }

    /// The limbs of the same elements below `p`, each below `2^51`.
    #[inline(always)]
    pub(crate) fn canonical(&self) -> Self {
        let simd = self.simd;
        let mask = simd.splat(MASK);
        // Below 2·p after carrying: the quotient is 1 if the element is p or more, found by adding 19, and else 0.
        let limbs = carry(simd, carry(simd, self.limbs).limbs).limbs;
        let mut quotient = simd.splat(19);
        for at in 0..5 {
            quotient = simd.shift_right::<LIMB_BITS>(simd.add(limbs[at], quotient));
        }
        let mut carried = times_19(simd, quotient);
        let mut reduced = limbs;
        for at in 0..5 {
            let sum = simd.add(limbs[at], carried);
            carried = simd.shift_right::<LIMB_BITS>(sum);
            reduced[at] = simd.and(sum, mask);
        }
        FieldX8 { limbs: reduced, simd }
    }

    /// The lanes that hold 0 modulo `p`.
    #[inline(always)]
    pub(crate) fn zero_lanes(&self) -> u8 {
        let simd = self.simd;
        let [a, b, c, d, e] = self.canonical().limbs;
        simd.zero_lanes(simd.or(simd.or(simd.or(a, b), simd.or(c, d)), e))
    }

    /// The lanes whose canonical elements are odd.
    #[inline(always)]
    pub(crate) fn odd_lanes_of_canonical(&self) -> u8 {
        !self.simd.zero_lanes(self.simd.and(self.limbs[0], self.simd.splat(1)))
    }
}

/// The order of lanes for [`Simd::permute`].
pub(crate) const fn order([a, b, c, d]: [i32; 4]) -> i32 {
    a | b << 2 | c << 4 | d << 6
}

impl<S: Simd> ProductX8<S> {
    /// From `(X², Y², Z², X·Y)` in four lanes `(2·X·Y, Y² − X², 2·Z² − Y² + X², X² + Y²)`: the `E`, `G`, `−F` and `−H`
    /// of a doubling.
    #[inline(always)]
    pub(crate) fn doubling_terms(&self) -> FieldX8<S> {
        const LANE_1: u8 = 0x22;
        const LANE_2: u8 = 0x44;
        let simd = self.simd;
        carry(
            simd,
            each_limb!(|I| {
                let first = simd.permute::<{ order([3, 1, 2, 0]) }>(self.limbs[I]);
                let second = simd.permute::<{ order([3, 0, 2, 1]) }>(self.limbs[I]);
                // Y² − X² in lane 1, X² − Y² in lane 3.
                let difference = simd.sub(simd.add(first, simd.splat(P_ABOVE_PRODUCTS[I])), second);
                let terms = simd.select(LANE_1, difference, simd.add(first, second));
                simd.add_where(LANE_2, terms, terms, simd.permute::<{ order([0, 1, 3, 3]) }>(difference))
            }),
        )
    }

    /// From `(A, B, D, C)` in four lanes `(B − A, D + C, D − C, B + A)`: the `E`, `G`, `F` and `H` of an addition.
    #[inline(always)]
    pub(crate) fn addition_terms(&self) -> FieldX8<S> {
        const LANES_1_3: u8 = 0xaa;
        let simd = self.simd;
        carry(
            simd,
            each_limb!(|I| {
                let first = simd.permute::<{ order([1, 2, 2, 1]) }>(self.limbs[I]);
                let second = simd.permute::<{ order([0, 3, 3, 0]) }>(self.limbs[I]);
                let difference = simd.sub(simd.add(first, simd.splat(P_ABOVE_PRODUCTS[I])), second);
                simd.add_where(LANES_1_3, difference, first, second)
            }),
        )
    }

    /// From `(X, Y, Z, T)` in four lanes `(Y − X, Y + X, Z, T)`.
    #[inline(always)]
    pub(crate) fn minus_and_plus(&self) -> FieldX8<S> {
        const LANE_0: u8 = 0x11;
        const LANE_1: u8 = 0x22;
        let simd = self.simd;
        carry(
            simd,
            each_limb!(|I| {
                let swapped = simd.permute::<{ order([1, 0, 2, 3]) }>(self.limbs[I]);
                let sums = simd.add_where(LANE_1, self.limbs[I], self.limbs[I], swapped);
                let above = simd.add(swapped, simd.splat(P_ABOVE_PRODUCTS[I]));
                simd.sub_where(LANE_0, sums, above, self.limbs[I])
            }),
        )
    }

    #[inline(always)]
    pub(crate) fn carry(&self) -> FieldX8<S> {
        carry(self.simd, self.limbs)
    }

    /// Twice a carried element, among products.
    #[inline(always)]
    pub(crate) fn twice_element(element: &FieldX8<S>) -> Self {
        ProductX8 { limbs: element.limbs, simd: element.simd }.double()
    }

    #[inline(always)]
    pub(crate) fn double(&self) -> Self {
        ProductX8 { limbs: each_limb!(|I| self.simd.add(self.limbs[I], self.limbs[I])), ..*self }
    }

    #[inline(always)]
    pub(crate) fn raised(&self) -> RaisedX8<S> {
        let simd = self.simd;
        RaisedX8(ProductX8 { limbs: each_limb!(|I| simd.add(self.limbs[I], simd.splat(P_ABOVE_PRODUCTS[I]))), simd })
    }
}

impl<S: Simd> RaisedX8<S> {
    #[inline(always)]
    pub(crate) fn add(&self, other: &ProductX8<S>) -> FieldX8<S> {
        carry(other.simd, each_limb!(|I| other.simd.add(self.0.limbs[I], other.limbs[I])))
    }

    /// `self − other`; `other` is a product, not doubled.
    #[inline(always)]
    pub(crate) fn sub(&self, other: &ProductX8<S>) -> FieldX8<S> {
        carry(other.simd, each_limb!(|I| other.simd.sub(self.0.limbs[I], other.limbs[I])))
    }

    /// `2·self + plus − minus`, of products that are not doubled.
    #[inline(always)]
    pub(crate) fn twice_plus_minus(&self, plus: &ProductX8<S>, minus: &RaisedX8<S>) -> FieldX8<S> {
        let simd = plus.simd;
        carry(
            simd,
            each_limb!(|I| {
                let twice = simd.add(self.0.limbs[I], self.0.limbs[I]);
                simd.sub(simd.add(twice, plus.limbs[I]), minus.0.limbs[I])
            }),
        )
    }
}

/// 19 times limbs below `2^60`. (By rotation, not shift: a compiler that recognises a multiplication emits one, of
/// several instructions.)
#[inline(always)]
fn times_19<S: Simd>(simd: S, limb: S::U64x8) -> S::U64x8 {
    let twice = simd.add(limb, limb);
    simd.add(simd.add(simd.rotate_left_4(limb), twice), limb)
}

/// Carries once, all limbs at the same time. It turns limbs below `2^63.5` into carried ones.
#[inline(always)]
fn carry<S: Simd>(simd: S, limbs: [S::U64x8; 5]) -> FieldX8<S> {
    let mask = simd.splat(MASK);
    let carries = each_limb!(|I| simd.shift_right::<LIMB_BITS>(limbs[(I + 4) % 5]));
    let kept = each_limb!(|I| simd.and(limbs[I], mask));
    // 2^255 is 19. The carry is below 2^13, so its product has 52 bits.
    let lowest = simd.madd52lo(kept[0], carries[0], simd.splat(19));
    let [_, b, c, d, e] = each_limb!(|I| simd.add(kept[I], carries[I]));
    FieldX8 { limbs: [lowest, b, c, d, e], simd }
}

/// Folds the ten limbs of a product back to five: `2^255` is 19. A limb stays below `2^60.1`: the largest, limb 0, has
/// one product of 52 bits, and 19 times fourteen.
#[inline(always)]
fn fold<S: Simd>(simd: S, limbs: &[S::U64x8; 10]) -> ProductX8<S> {
    let nineteen = simd.splat(19);
    ProductX8 { limbs: each_limb!(|I| simd.add(limbs[I], simd.mul_low(limbs[I + 5], nineteen))), simd }
}
