//! Points from their encodings, eight at a time.
//!
//! Reading a point takes a square root: about 250 squarings, each of which waits for the one before. That is the largest
//! single part of verifying a signature, and no library computes several at once. Where the processor has 52-bit
//! multipliers for eight lanes (AVX-512 IFMA), [`ifma`] computes eight roots side by side in the time of a bit more than one.
//!
//! curve25519-dalek offers no way to make a point of coordinates that are known. So this room looks once, at its first use,
//! how the library lays a point out in memory: it compares eight points of the library's own making with the coordinates
//! that [`ifma`] computes for their encodings. Only if each of the four coordinates is found at one and the same place in
//! all eight are points put together that way; else, as on any other processor, the library reads them one by one. So
//! nothing about the layout is assumed, and a fault in the arithmetic would show before it is used.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};

/// The point of each encoding, as [`CompressedEdwardsY::decompress`] gives it; `None` where there is none.
pub(super) fn decompress(encodings: &[[u8; 32]]) -> Vec<Option<EdwardsPoint>> {
    // A single one is read sooner by the library.
    #[cfg(target_arch = "x86_64")]
    if encodings.len() > 1
        && let Some(layout) = layout::found()
    {
        return ifma::coordinates(encodings).into_iter().map(|found| Some(layout.point(&found?))).collect();
    }
    encodings.iter().map(|encoding| CompressedEdwardsY(*encoding).decompress()).collect()
}

/// Limbs of a field element: the sum of `limb[i]·2^(51·i)`.
#[cfg(target_arch = "x86_64")]
type Limbs = [u64; 5];

/// The coordinates of a point whose `Z` is 1.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Coordinates {
    x: Limbs,
    y: Limbs,
    /// `x·y`.
    t: Limbs,
}

#[cfg(target_arch = "x86_64")]
mod layout {
    use std::sync::OnceLock;

    use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
    use curve25519_dalek::scalar::Scalar;

    use super::{Coordinates, Limbs, ifma};

    const ONE: Limbs = [1, 0, 0, 0, 0];

    /// In which quarter of a point's memory each coordinate stands.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(super) struct Layout {
        x: usize,
        y: usize,
        z: usize,
        t: usize,
    }

    /// How this build of curve25519-dalek lays points out, if that could be found and the processor can make use of it.
    pub(super) fn found() -> Option<Layout> {
        static FOUND: OnceLock<Option<Layout>> = OnceLock::new();
        *FOUND.get_or_init(find)
    }

    fn find() -> Option<Layout> {
        if !ifma::is_available() || size_of::<EdwardsPoint>() != size_of::<[Limbs; 4]>() {
            return None;
        }
        let multiples = (1..=8_u64).map(|number| EdwardsPoint::mul_base(&Scalar::from(number * number + 1)));
        let encodings: Vec<[u8; 32]> = multiples.map(|point| point.compress().0).collect();
        let mut layouts = encodings
            .iter()
            .zip(ifma::coordinates(&encodings))
            .map(|(encoding, coordinates)| Layout::of(&CompressedEdwardsY(*encoding).decompress()?, &coordinates?));
        let first = layouts.next()??;
        layouts.all(|layout| layout == Some(first)).then_some(first)
    }

    impl Layout {
        fn of(point: &EdwardsPoint, coordinates: &Coordinates) -> Option<Layout> {
            // SAFETY: as many bytes are read as the point has (the caller compared the sizes), and any bytes make integers.
            // Should a point have padding somewhere, no layout is found in which all four coordinates stand.
            let quarters: [Limbs; 4] = unsafe { std::mem::transmute_copy(point) };
            let quarters = quarters.map(canonical);
            let place = |limbs: Limbs| quarters.iter().position(|quarter| *quarter == canonical(limbs));
            let Coordinates { x, y, t } = *coordinates;
            let layout = Layout { x: place(x)?, y: place(y)?, z: place(ONE)?, t: place(t)? };
            let mut taken = [layout.x, layout.y, layout.z, layout.t];
            taken.sort_unstable();
            (taken == [0, 1, 2, 3]).then_some(layout)
        }

        pub(super) fn point(self, coordinates: &Coordinates) -> EdwardsPoint {
            let mut quarters = [[0; 5]; 4];
            quarters[self.x] = coordinates.x;
            quarters[self.y] = coordinates.y;
            quarters[self.z] = ONE;
            quarters[self.t] = coordinates.t;
            // SAFETY: a layout is found only where a point is as large as four times five limbs and each of its coordinates
            // was seen as five limbs in one quarter; limbs are integers, for which any value is valid, and those here are
            // in the range that the library itself keeps to.
            unsafe { std::mem::transmute_copy(&quarters) }
        }
    }

    /// The limbs of the same element below `p = 2^255 − 19`, each below 2^51.
    fn canonical(limbs: Limbs) -> Limbs {
        const MASK: u64 = (1 << 51) - 1;
        let mut limbs = limbs;
        for _ in 0..3 {
            for at in 0..5 {
                let carry = limbs[at] >> 51;
                limbs[at] &= MASK;
                match at {
                    4 => limbs[0] = limbs[0].wrapping_add(19 * carry),
                    _ => limbs[at + 1] = limbs[at + 1].wrapping_add(carry),
                }
            }
        }
        let is_reduced = limbs[0] < MASK - 18 || limbs[1..].iter().any(|limb| *limb != MASK);
        if is_reduced { limbs } else { [limbs[0] - (MASK - 18), 0, 0, 0, 0] }
    }
}

/// Arithmetic modulo `p = 2^255 − 19` on eight elements at once.
#[cfg(target_arch = "x86_64")]
mod ifma {
    use std::arch::x86_64::*;

    use super::{Coordinates, Limbs};

    pub(super) fn is_available() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
    }

    /// The coordinates of each encoded point; `None` where the encoding is of none.
    pub(super) fn coordinates(encodings: &[[u8; 32]]) -> Vec<Option<Coordinates>> {
        assert!(is_available(), "the caller has looked whether the processor has AVX-512 IFMA");
        let mut found = Vec::with_capacity(encodings.len());
        for eight in encodings.chunks(8) {
            // Lanes beyond the last encoding compute what nobody reads.
            let mut lanes = [[0; 32]; 8];
            lanes[..eight.len()].copy_from_slice(eight);
            // SAFETY: the processor has the features that the function is compiled for.
            found.extend_from_slice(&unsafe { eight_coordinates(&lanes) }[..eight.len()]);
        }
        found
    }

    /// Eight field elements. Limb `i` of all eight is `0[i]`; limbs are below 2^51 + 2^17 ("weakly reduced"), so that each
    /// fits the 52-bit multipliers.
    #[derive(Clone, Copy)]
    struct Eight([__m512i; 5]);

    const MASK: i64 = (1 << 51) - 1;
    /// `d` of the curve.
    const D: Limbs =
        [929_955_233_495_203, 466_365_720_129_213, 1_662_059_464_998_953, 2_033_849_074_728_123, 1_442_794_654_840_575];
    /// A square root of −1.
    const SQRT_M1: Limbs =
        [1_718_705_420_411_056, 234_908_883_556_509, 2_233_514_472_574_048, 2_117_202_627_021_982, 765_476_049_583_133];
    /// `2·p`, limb by limb larger than any weakly reduced element.
    const TWICE_P: Limbs = [(1 << 52) - 38, (1 << 52) - 2, (1 << 52) - 2, (1 << 52) - 2, (1 << 52) - 2];

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn eight_coordinates(encodings: &[[u8; 32]; 8]) -> [Option<Coordinates>; 8] {
        let (y, signs) = read(encodings);
        let one = all([1, 0, 0, 0, 0]);
        let yy = square(&y);
        let u = sub(&yy, &one);
        let v = add(&mul(&yy, &all(D)), &one);
        // The candidate of RFC 8032: u·v³·(u·v⁷)^((p−5)/8).
        let v3 = mul(&square(&v), &v);
        let v7 = mul(&square(&v3), &v);
        let root = mul(&mul(&u, &v3), &pow_p58(&mul(&u, &v7)));
        let check = mul(&v, &square(&root));
        let is_root = is_zero(&sub(&check, &u));
        let is_root_of_minus = is_zero(&add(&check, &u));
        let root = select(is_root_of_minus & !is_root, &mul(&root, &all(SQRT_M1)), &root);
        let root = canonical(&root);
        // The root that is even, then the sign that the encoding asks for.
        let odd = _mm512_test_epi64_mask(root.0[0], _mm512_set1_epi64(1));
        let x = select(odd ^ signs, &sub(&all([0; 5]), &root), &root);
        let t = mul(&x, &y);
        let is_point = is_root | is_root_of_minus;
        let (x, y, t) = (lanes(&x), lanes(&y), lanes(&t));
        std::array::from_fn(|lane| {
            (is_point >> lane & 1 == 1).then_some(Coordinates { x: x[lane], y: y[lane], t: t[lane] })
        })
    }

    /// The `y` of each encoding, and a bit for each whose `x` shall be odd.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn read(encodings: &[[u8; 32]; 8]) -> (Eight, __mmask8) {
        let word =
            |encoding: &[u8; 32], at: usize| u64::from_le_bytes(std::array::from_fn(|byte| encoding[8 * at + byte]));
        let mut limbs = [[0_u64; 8]; 5];
        let mut signs = 0;
        for (lane, encoding) in encodings.iter().enumerate() {
            let words: [u64; 4] = std::array::from_fn(|at| word(encoding, at));
            let mask = MASK as u64;
            limbs[0][lane] = words[0] & mask;
            limbs[1][lane] = (words[0] >> 51 | words[1] << 13) & mask;
            limbs[2][lane] = (words[1] >> 38 | words[2] << 26) & mask;
            limbs[3][lane] = (words[2] >> 25 | words[3] << 39) & mask;
            limbs[4][lane] = words[3] >> 12 & mask;
            signs |= ((words[3] >> 63) as __mmask8) << lane;
        }
        (Eight(limbs.map(|lanes| vector(lanes))), signs)
    }

    #[target_feature(enable = "avx512f")]
    fn vector(lanes: [u64; 8]) -> __m512i {
        let [a, b, c, d, e, f, g, h] = lanes.map(|lane| lane as i64);
        _mm512_set_epi64(h, g, f, e, d, c, b, a)
    }

    #[target_feature(enable = "avx512f")]
    fn all(limbs: Limbs) -> Eight {
        Eight(limbs.map(|limb| _mm512_set1_epi64(limb as i64)))
    }

    /// The limbs of each lane.
    #[target_feature(enable = "avx512f")]
    fn lanes(eight: &Eight) -> [Limbs; 8] {
        // SAFETY: a vector is eight integers of 64 bits, and nothing else.
        let limbs = eight.0.map(|limb| unsafe { std::mem::transmute::<__m512i, [u64; 8]>(limb) });
        std::array::from_fn(|lane| std::array::from_fn(|limb| limbs[limb][lane]))
    }

    #[target_feature(enable = "avx512f")]
    fn select(mask: __mmask8, chosen: &Eight, other: &Eight) -> Eight {
        Eight(std::array::from_fn(|limb| _mm512_mask_blend_epi64(mask, other.0[limb], chosen.0[limb])))
    }

    #[target_feature(enable = "avx512f")]
    fn times_19(limb: __m512i) -> __m512i {
        let twice = _mm512_add_epi64(limb, limb);
        _mm512_add_epi64(_mm512_add_epi64(_mm512_slli_epi64::<4>(limb), twice), limb)
    }

    /// Carries once, all limbs at the same time. From limbs below 2^63 it makes weakly reduced ones.
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
    fn add(a: &Eight, b: &Eight) -> Eight {
        carry(std::array::from_fn(|limb| _mm512_add_epi64(a.0[limb], b.0[limb])))
    }

    #[target_feature(enable = "avx512f")]
    fn sub(a: &Eight, b: &Eight) -> Eight {
        let above = all(TWICE_P);
        carry(std::array::from_fn(|limb| _mm512_sub_epi64(_mm512_add_epi64(a.0[limb], above.0[limb]), b.0[limb])))
    }

    /// Folds the ten limbs of a product, each `low + 2·high` (a product's upper 52 bits weigh 2^52, one more than a limb), back to
    /// five: 2^255 is 19. Sums stay below 2^63: five products of 52 bits a limb, twice, times 20.
    #[target_feature(enable = "avx512f")]
    fn fold(low: [__m512i; 10], high: [__m512i; 10]) -> Eight {
        let limb = |at: usize| _mm512_add_epi64(low[at], _mm512_add_epi64(high[at], high[at]));
        carry(std::array::from_fn(|at| _mm512_add_epi64(limb(at), times_19(limb(at + 5)))))
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn mul(a: &Eight, b: &Eight) -> Eight {
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
    fn square(a: &Eight) -> Eight {
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
        fold(low, high)
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn square_times(a: &Eight, times: usize) -> Eight {
        let mut power = *a;
        for _ in 0..times {
            power = square(&power);
        }
        power
    }

    /// `a^((p−5)/8) = a^(2^252 − 3)`. `a_n` is `a^(2^n − 1)`.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn pow_p58(a: &Eight) -> Eight {
        let a_2 = mul(&square(a), a);
        let a_4 = mul(&square_times(&a_2, 2), &a_2);
        let a_5 = mul(&square(&a_4), a);
        let a_10 = mul(&square_times(&a_5, 5), &a_5);
        let a_20 = mul(&square_times(&a_10, 10), &a_10);
        let a_40 = mul(&square_times(&a_20, 20), &a_20);
        let a_50 = mul(&square_times(&a_40, 10), &a_10);
        let a_100 = mul(&square_times(&a_50, 50), &a_50);
        let a_200 = mul(&square_times(&a_100, 100), &a_100);
        let a_250 = mul(&square_times(&a_200, 50), &a_50);
        mul(&square_times(&a_250, 2), a)
    }

    /// The limbs of the same elements below `p`, each below 2^51.
    #[target_feature(enable = "avx512f")]
    fn canonical(a: &Eight) -> Eight {
        let mask = _mm512_set1_epi64(MASK);
        // Below 2^255 + 2^7 or so after two rounds of carrying; q is 1 where the element is p or more, seen by adding 19.
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
    fn is_zero(a: &Eight) -> __mmask8 {
        let Eight([a, b, c, d, e]) = canonical(a);
        let any = _mm512_or_si512(_mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d)), e);
        _mm512_testn_epi64_mask(any, any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agrees(encodings: &[[u8; 32]]) {
        for (encoding, found) in encodings.iter().zip(decompress(encodings)) {
            let expected = CompressedEdwardsY(*encoding).decompress();
            assert_eq!(found.map(|point| point.compress()), expected.map(|point| point.compress()), "{encoding:?}");
            assert_eq!(found, expected, "{encoding:?}");
            // `T` is in use too: a sum with it.
            let twice =
                |point: EdwardsPoint| (point + point + curve25519_dalek::constants::ED25519_BASEPOINT_POINT).compress();
            assert_eq!(found.map(twice), expected.map(twice), "{encoding:?}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_layout_is_found_where_the_processor_can_make_use_of_it() {
        assert_eq!(layout::found().is_some(), ifma::is_available());
    }

    /// All `y` near 0, near `p` and above it, with either sign: small order, encodings that are not canonical, `x = 0`.
    #[test]
    fn the_ends_of_the_field_are_read_as_the_library_reads_them() {
        let mut encodings = Vec::new();
        for low in 0..=255_u8 {
            for sign in [0, 0x80] {
                let mut near_zero = [0; 32];
                (near_zero[0], near_zero[31]) = (low, sign);
                let mut near_p = [0xff; 32];
                (near_p[0], near_p[31]) = (low, 0x7f | sign);
                encodings.extend([near_zero, near_p]);
            }
        }
        agrees(&encodings);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_as_the_library_reads_them(encodings in prop::collection::vec(any::<[u8; 32]>(), 1..20)) {
            agrees(&encodings);
        }

        /// Runs of ones and zeros, where carries go far.
        #[test]
        fn sparse_and_dense_bytes_are_read_as_the_library_reads_them(
            bytes in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 0x7f, 0x80, 0xfe, 0xff]), 32 * 8),
        ) {
            let encodings: Vec<[u8; 32]> = bytes.chunks(32).map(|chunk| chunk.try_into().unwrap()).collect();
            agrees(&encodings);
        }
    }
}
