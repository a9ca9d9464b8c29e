//! Field and points: AVX-512 against the scalar model bit for bit, and both against other arithmetic.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, MultiscalarMul as _};
use proptest::collection::vec;
use proptest::prelude::*;

use super::backends::{cases, on_both};
use crate::backend::{Operation, Simd};
use crate::decompress::{Cache, Decompress, DecompressX};
use crate::field::{FieldElement, FieldX8, Limbs, Power, bytes_of_limbs, limbs_of_bytes};
use crate::msm::MultiscalarMul;
use crate::point::{CachedPoint, ExtendedPoint};

/// A carried element's largest limb.
const CARRIED_MAX: u64 = (1 << 51) + (1 << 17) - 1;

/// The operations of the field on eight pairs of elements.
struct FieldOperations<'a>(&'a [Limbs; 8], &'a [Limbs; 8]);

fn lanes(elements: &[Limbs; 8]) -> [[u64; 8]; 5] {
    std::array::from_fn(|limb| elements.map(|element| element[limb]))
}

impl Operation for FieldOperations<'_> {
    type Output = ([[Limbs; 8]; 17], [u8; 2]);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let a = FieldX8::load(simd, &lanes(self.0));
        let b = FieldX8::load(simd, &lanes(self.1));
        let (ab, bb) = (a.product(&b), b.square_product());
        let elements = [
            a.add(&b),
            a.sub(&b),
            a.mul(&b),
            a.square(),
            a.square_times(3),
            a.double(),
            a.negate_where(0b1010_0110),
            a.select(0b0110_1001, &b),
            a.canonical(),
            a.raised_product(&b).add(&bb),
            ab.double().raised().sub(&bb),
            b.raised_square().sub(&ab),
            b.raised_square().twice_plus_minus(&bb, &a.raised_product(&b)),
            ab.carry(),
            bb.doubling_terms(),
            bb.addition_terms(),
            bb.minus_and_plus(),
        ];
        let mut stored = [[[0; 5]; 8]; 17];
        for (stored, element) in stored.iter_mut().zip(&elements) {
            *stored = element.store();
        }
        (stored, [a.sub(&b).zero_lanes(), a.canonical().odd_lanes_of_canonical()])
    }
}

/// Limbs at both ends of their range and anywhere between.
fn limb() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just((1 << 51) - 19),
        Just((1 << 51) - 1),
        Just(1 << 51),
        Just(CARRIED_MAX),
        0..=CARRIED_MAX,
    ]
}

fn element() -> impl Strategy<Value = Limbs> {
    [limb(), limb(), limb(), limb(), limb()]
}

fn eight() -> impl Strategy<Value = [Limbs; 8]> {
    vec(element(), 8).prop_map(|elements| elements.try_into().expect("eight"))
}

/// `p = 2^255 − 19` in words, little-endian.
const P: [u64; 4] = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1];

/// Plain arithmetic modulo `p` on words: doubling and adding, for comparison.
mod plain {
    use super::P;

    /// The remainder of a number below `2·p`.
    fn reduced(words: [u64; 4]) -> [u64; 4] {
        let (mut difference, mut borrow) = ([0; 4], false);
        for at in 0..4 {
            let (first, under) = words[at].overflowing_sub(P[at]);
            let (second, under_again) = first.overflowing_sub(u64::from(borrow));
            (difference[at], borrow) = (second, under || under_again);
        }
        if borrow { words } else { difference }
    }

    pub fn add(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
        let (mut sum, mut carry) = ([0; 4], 0_u128);
        for at in 0..4 {
            carry += u128::from(a[at]) + u128::from(b[at]);
            sum[at] = carry as u64;
            carry >>= 64;
        }
        reduced(sum)
    }

    pub fn mul(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
        let mut product = [0; 4];
        for bit in (0..256).rev() {
            product = add(product, product);
            if b[bit / 64] >> (bit % 64) & 1 == 1 {
                product = add(product, a);
            }
        }
        product
    }

    /// The number `Σ limb[i]·2^(51·i)`.
    pub fn of_limbs(limbs: [u64; 5]) -> [u64; 4] {
        limbs.iter().rev().fold([0; 4], |number, limb| add(mul(number, [1 << 51, 0, 0, 0]), [*limb, 0, 0, 0]))
    }

    pub fn of_bytes(bytes: [u8; 32]) -> [u64; 4] {
        std::array::from_fn(|word| u64::from_le_bytes(bytes[8 * word..8 * word + 8].try_into().expect("eight bytes")))
    }
}

fn value(element: FieldElement) -> [u64; 4] {
    plain::of_bytes(bytes_of_limbs(element.canonical()))
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// The model's schedules equal those of AVX-512, and both agree with 64-bit arithmetic.
    #[test]
    fn eight_lanes_compute_what_one_element_computes(a in eight(), b in eight()) {
        let (results, masks) = on_both(|| FieldOperations(&a, &b));
        for limbs in results[..6].iter().chain(&results[8..]).flatten().flatten() {
            prop_assert!(*limbs <= CARRIED_MAX, "carried: {limbs}");
        }
        for lane in 0..8 {
            let (x, y) = (FieldElement(a[lane]), FieldElement(b[lane]));
            let (xy, yy) = (x.mul(&y), y.square());
            let expected = [
                x.add(&y),
                x.sub(&y),
                xy,
                x.square(),
                x.square().square().square(),
                x.add(&x),
                if 0b1010_0110 >> lane & 1 == 1 { x.negate() } else { x },
                if 0b0110_1001 >> lane & 1 == 1 { x } else { y },
                x,
                xy.add(&yy),
                xy.add(&xy).sub(&yy),
                yy.sub(&xy),
                yy.add(&yy).add(&yy).sub(&xy),
                xy,
            ];
            for (at, expected) in expected.iter().enumerate() {
                prop_assert_eq!(&FieldElement(results[at][lane]), expected, "operation {}, lane {}", at, lane);
            }
            prop_assert_eq!(results[8][lane], x.canonical());
            prop_assert_eq!(masks[0] >> lane & 1 == 1, x == y);
            prop_assert_eq!(u64::from(masks[1] >> lane & 1), x.canonical()[0] & 1);
        }
        for half in [0, 4] {
            let squares: Vec<FieldElement> = (0..4).map(|lane| FieldElement(b[half + lane]).square()).collect();
            let [xx, yy, zz, xy] = [squares[0], squares[1], squares[2], squares[3]];
            let expected = [xy.add(&xy), yy.sub(&xx), zz.add(&zz).add(&xx.sub(&yy)), xx.add(&yy)];
            let of_addition = [yy.sub(&xx), zz.add(&xy), zz.sub(&xy), xx.add(&yy)];
            let minus_and_plus = [yy.sub(&xx), xx.add(&yy), zz, xy];
            for (at, expected) in [(14, expected), (15, of_addition), (16, minus_and_plus)] {
                for (lane, expected) in expected.iter().enumerate() {
                    prop_assert_eq!(&FieldElement(results[at][half + lane]), expected, "operation {}", at);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn one_element_is_a_number_modulo_p(a in element(), b in element(), bytes: [u8; 32]) {
        let (x, y) = (FieldElement(a), FieldElement(b));
        let (of_x, of_y) = (plain::of_limbs(a), plain::of_limbs(b));
        prop_assert_eq!(value(x), of_x);
        prop_assert_eq!(value(x.add(&y)), plain::add(of_x, of_y));
        prop_assert_eq!(value(x.mul(&y)), plain::mul(of_x, of_y));
        prop_assert_eq!(value(x.square()), plain::mul(of_x, of_x));
        prop_assert_eq!(value(x.sub(&y).add(&y)), of_x);
        prop_assert_eq!(value(x.add(&y).mul(&x.add(&y))), plain::mul(plain::add(of_x, of_y), plain::add(of_x, of_y)));
        prop_assert_eq!(x == y, of_x == of_y);
        prop_assert_eq!(value(x.negate().add(&x)), [0; 4]);

        let mut number = bytes;
        number[31] &= 0x7f;
        prop_assert_eq!(bytes_of_limbs(limbs_of_bytes(&bytes)), number);
    }
}

/// The encoding of a point.
pub fn encode(point: &ExtendedPoint) -> CompressedEdwardsY {
    let inverse = point.z.invert();
    assert_eq!(inverse.mul(&point.z), FieldElement::ONE);
    let (x, y) = (point.x.mul(&inverse), point.y.mul(&inverse));
    assert_eq!(point.t.mul(&point.z), point.x.mul(&point.y), "T is X·Y/Z");
    let mut bytes = bytes_of_limbs(y.canonical());
    bytes[31] |= (x.canonical()[0] as u8 & 1) << 7;
    CompressedEdwardsY(bytes)
}

/// The points of encodings; `None` for invalid ones.
fn decompressed(encodings: &[[u8; 32]]) -> Vec<Option<CachedPoint>> {
    struct Owned<'a>(&'a [[u8; 32]]);
    impl Operation for Owned<'_> {
        type Output = Vec<Option<CachedPoint>>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let mut points = Vec::new();
            let are_points = Decompress { encodings: self.0, points: &mut points }.run(simd);
            are_points.into_iter().zip(points).map(|(is_point, point)| is_point.then_some(point)).collect()
        }
    }
    on_both(|| Owned(encodings))
}

/// The points of encodings and their `x`.
fn cached(coordinates: &[([u8; 32], [u8; 32])]) -> Vec<CachedPoint> {
    struct Owned<'a>(&'a [([u8; 32], [u8; 32])]);
    impl Operation for Owned<'_> {
        type Output = Vec<CachedPoint>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let mut points = Vec::new();
            Cache { coordinates: self.0, points: &mut points }.run(simd);
            points
        }
    }
    on_both(|| Owned(coordinates))
}

/// Coordinates in extended form from those of a cached point: `x` and `y` doubled, with `Z = 2`.
pub fn extended(point: &CachedPoint) -> ExtendedPoint {
    let [first, second] = point.0;
    let minus = FieldElement([first[0], first[1], first[2], first[3], first[4]]);
    let plus = FieldElement([first[5], first[6], first[7], second[0], second[1]]);
    let two = FieldElement::ONE.add(&FieldElement::ONE);
    let (x, y) = (plus.sub(&minus), plus.add(&minus));
    let twice_xy2d = FieldElement([second[2], second[3], second[4], second[5], second[6]]).mul(&two);
    let t = x.mul(&y).mul(&FieldElement(crate::field::D));
    assert_eq!(t, twice_xy2d, "2·d·x·y, of x and y doubled");
    // T = X·Y/Z = 4·x·y/2 = 2·x·y, and X·Y = 4·x·y.
    let half = FieldElement(limbs_of_bytes(&{
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (0xf7, 0x3f);
        bytes
    }));
    assert_eq!(half.mul(&two), FieldElement::ONE);
    ExtendedPoint { x, y, z: two, t: x.mul(&y).mul(&half) }
}

fn decompression_agrees(encodings: &[[u8; 32]]) {
    let found = decompressed(encodings);
    let x = on_both(|| DecompressX(encodings));
    for ((encoding, found), x) in encodings.iter().zip(&found).zip(&x) {
        let expected = CompressedEdwardsY(*encoding).decompress().map(|point| point.compress());
        assert_eq!(found.as_ref().map(|point| encode(&extended(point))), expected, "{encoding:?}");
        assert_eq!(x.is_some(), expected.is_some());
    }
    let known: Vec<([u8; 32], [u8; 32])> =
        encodings.iter().zip(x).filter_map(|(encoding, x)| Some((*encoding, x?))).collect();
    let direct: Vec<ExtendedPoint> = found.iter().flatten().map(extended).collect();
    for (again, direct) in cached(&known).iter().zip(direct) {
        assert_eq!(encode(&extended(again)), encode(&direct));
    }
}

/// All `y` near 0, near `p` and above it, with either sign: small order, non-canonical encodings, `x = 0`.
#[test]
fn the_ends_of_the_field_are_decompressed_as_dalek_decompresses_them() {
    let mut encodings = Vec::new();
    let step = if cfg!(miri) { 51 } else { 1 };
    for low in (0..=255_u8).step_by(step) {
        for sign in [0, 0x80] {
            let mut near_zero = [0; 32];
            (near_zero[0], near_zero[31]) = (low, sign);
            let mut near_p = [0xff; 32];
            (near_p[0], near_p[31]) = (low, 0x7f | sign);
            encodings.extend([near_zero, near_p]);
        }
    }
    decompression_agrees(&encodings);
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_bytes_are_decompressed_as_dalek_decompresses_them(encodings in vec(any::<[u8; 32]>(), 1..20)) {
        decompression_agrees(&encodings);
    }

    /// Runs of ones and zeros, through which carries propagate far.
    #[test]
    fn sparse_and_dense_bytes_are_decompressed_as_dalek_decompresses_them(
        bytes in vec(prop::sample::select(vec![0_u8, 1, 0x7f, 0x80, 0xfe, 0xff]), 32 * 8),
    ) {
        let encodings: Vec<[u8; 32]> = bytes.chunks(32).map(|chunk| chunk.try_into().expect("32 bytes")).collect();
        decompression_agrees(&encodings);
    }
}

/// A term of a multiscalar multiplication: a scalar of any length, or a short one with its sign.
#[derive(Clone, Copy, Debug)]
enum Factor {
    Long(Scalar),
    Short(i128),
}

impl Factor {
    /// The factor times a point of any order; for a negative factor, the negative of the product. (`l − s` times a
    /// point of small order is another point.)
    fn times(self, point: EdwardsPoint) -> (Scalar, EdwardsPoint) {
        match self {
            Factor::Long(scalar) => (scalar, point),
            Factor::Short(short) if short < 0 => (Scalar::from(short.unsigned_abs()), -point),
            Factor::Short(short) => (Scalar::from(short.unsigned_abs()), point),
        }
    }
}

/// Compares a multiscalar multiplication with dalek's.
fn msm_agrees(base: Scalar, terms: &[(EdwardsPoint, Factor)]) {
    let encodings: Vec<[u8; 32]> = terms.iter().map(|(point, _)| point.compress().0).collect();
    let all = [&[ED25519_BASEPOINT_POINT.compress().0], &encodings[..]].concat();
    let mut points = vec![CachedPoint::IDENTITY];
    points.extend(decompressed(&all).into_iter().map(|point| point.expect("the encoding of a point")));
    let product = on_both(|| {
        let mut product = MultiscalarMul::with_base(&points, base.to_bytes(), terms.len());
        for (index, (_, factor)) in (2..).zip(terms) {
            match factor {
                Factor::Long(scalar) => product.push(index, scalar.to_bytes()),
                Factor::Short(short) => product.push_short(index, *short),
            }
        }
        product
    });
    let (scalars, points): (Vec<_>, Vec<_>) = terms.iter().map(|(point, factor)| factor.times(*point)).unzip();
    let expected = EdwardsPoint::mul_base(&base) + EdwardsPoint::multiscalar_mul(&scalars, &points);
    assert_eq!(encode(&product), expected.compress(), "{} terms", terms.len());
}

/// General points, points of small order, and sums of both.
fn point() -> impl Strategy<Value = EdwardsPoint> {
    (prop::option::weighted(0.9, 1..500_u64), prop::option::weighted(0.2, 0..8_usize)).prop_map(|(multiple, small)| {
        let large = multiple.map_or(EdwardsPoint::identity(), |number| EdwardsPoint::mul_base(&Scalar::from(number)));
        small.map_or(large, |small| large + EIGHT_TORSION[small])
    })
}

/// Scalars whose digits are at their ends, short ones, and any.
fn factor() -> impl Strategy<Value = Factor> {
    let patterned = |byte: u8| move |length: usize| std::array::from_fn(|at| if at < length { byte } else { 0 });
    let of_pattern = prop::sample::select(vec![0x00_u8, 0x01, 0x7f, 0x80, 0x81, 0x88, 0x89, 0xff])
        .prop_flat_map(move |byte| (0..=31_usize).prop_map(patterned(byte)));
    prop_oneof![
        any::<[u8; 32]>().prop_map(|bytes| Factor::Long(Scalar::from_bytes_mod_order(bytes))),
        of_pattern.prop_map(|bytes| Factor::Long(Scalar::from_bytes_mod_order(bytes))),
        Just(Factor::Long(-Scalar::ONE)),
        Just(Factor::Long(Scalar::from(u128::MAX))),
        any::<i128>().prop_map(Factor::Short),
        prop::sample::select(vec![0, 1, -1, 8, 9, -8, i128::MAX, i128::MIN, i128::MIN + 1]).prop_map(Factor::Short),
    ]
}

proptest! {
    #![proptest_config(cases(150))]

    /// On both sides of the switch from Straus' to Pippenger's algorithm.
    #[test]
    fn a_multiscalar_multiplication_is_daleks(
        base in any::<[u8; 32]>().prop_map(Scalar::from_bytes_mod_order),
        terms in prop_oneof![3 => vec((point(), factor()), 0..40), 1 => vec((point(), factor()), 200..320)],
    ) {
        let terms = if cfg!(miri) { &terms[..terms.len().min(3)] } else { &terms[..] };
        msm_agrees(base, terms);
    }

    #[test]
    fn single_points_are_added_and_doubled_as_daleks_are(a in point(), b in point(), doublings in 1..9_usize) {
        let [x, y] = [a, b].map(|point| {
            extended(&decompressed(&[point.compress().0])[0].expect("the encoding of a point"))
        });
        prop_assert_eq!(encode(&x.add(&y)), (a + b).compress());
        prop_assert_eq!(encode(&x.sub(&y)), (a - b).compress());
        let doubled = (0..doublings).fold(a, |point, _| point + point).compress();
        prop_assert_eq!(encode(&x.double_times(doublings)), doubled);
        struct Double<'a>(&'a ExtendedPoint, usize);
        impl Operation for Double<'_> {
            type Output = [Limbs; 4];

            #[inline(always)]
            fn run<S: Simd>(self, simd: S) -> [Limbs; 4] {
                let ExtendedPoint { x, y, z, t } = self.0.double_times_by(simd, self.1);
                [x.0, y.0, z.0, t.0]
            }
        }
        let [px, py, pz, pt] = on_both(|| Double(&x, doublings)).map(FieldElement);
        prop_assert_eq!(encode(&ExtendedPoint { x: px, y: py, z: pz, t: pt }), doubled);
        prop_assert_eq!(x.is_identity(), a == EdwardsPoint::identity());
        prop_assert_eq!(x.sub(&x).is_identity(), true);
    }
}

/// Every digit width, and one point so often that a bucket holds more points than are sorted.
#[test]
fn a_multiscalar_multiplication_of_any_size_is_daleks() {
    let sizes: &[usize] = if cfg!(miri) { &[1] } else { &[0, 1, 2, 7, 8, 9, 40, 258, 260, 300, 700, 2_500] };
    for size in sizes {
        let varied: Vec<_> = (0..*size as u64)
            .map(|at| {
                let factor = Scalar::from(at + 7).invert();
                (EdwardsPoint::mul_base(&Scalar::from(at * 3 + 1)), Factor::Long(factor))
            })
            .collect();
        msm_agrees(Scalar::from(3_u64).invert(), &varied);
        msm_agrees(Scalar::ZERO, &vec![(ED25519_BASEPOINT_POINT, Factor::Long(-Scalar::from(5_u64))); *size]);
        msm_agrees(Scalar::ONE, &vec![(EIGHT_TORSION[1], Factor::Short(-3)); *size]);
    }
}
