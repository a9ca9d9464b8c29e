//! Points from their encodings, eight at a time.
//!
//! Reading a point takes a square root: about 250 squarings, each of which waits for the one before. No library computes
//! several at once; [`super::lanes`] computes eight side by side in the time of a bit more than one.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};

#[cfg(target_arch = "x86_64")]
pub(crate) use eight::{eight_coordinates, read_rows};

/// The point of each encoding, as [`CompressedEdwardsY::decompress`] gives it; `None` where there is none.
pub(crate) fn decompress(encodings: &[[u8; 32]]) -> Vec<Option<EdwardsPoint>> {
    // A single one is read sooner by the library.
    #[cfg(target_arch = "x86_64")]
    if encodings.len() > 1
        && let Some(layout) = super::layout::found()
    {
        return eight::points(layout, encodings);
    }
    encodings.iter().map(|encoding| CompressedEdwardsY(*encoding).decompress()).collect()
}

#[cfg(target_arch = "x86_64")]
mod eight {
    use std::arch::x86_64::*;

    use super::EdwardsPoint;
    use crate::lanes::{
        Addends, D, Eight, Limbs, ONE, add, all, canonical, from_lanes, is_zero, lanes, mul, select, square,
        square_times, sub,
    };
    use crate::layout::{Coordinates, Layout};
    use crate::sum::Row;

    /// A square root of −1.
    const SQRT_M1: Limbs =
        [1_718_705_420_411_056, 234_908_883_556_509, 2_233_514_472_574_048, 2_117_202_627_021_982, 765_476_049_583_133];
    const MASK: u64 = (1 << 51) - 1;

    /// Lanes beyond the last encoding compute what nobody reads.
    fn chunks(encodings: &[[u8; 32]]) -> impl Iterator<Item = (usize, [[u8; 32]; 8])> + '_ {
        encodings.chunks(8).map(|chunk| {
            let mut lanes = [[0; 32]; 8];
            lanes[..chunk.len()].copy_from_slice(chunk);
            (chunk.len(), lanes)
        })
    }

    pub(crate) fn points(layout: Layout, encodings: &[[u8; 32]]) -> Vec<Option<EdwardsPoint>> {
        let mut found = Vec::with_capacity(encodings.len());
        for (count, eight) in chunks(encodings) {
            // SAFETY: where there is a layout, the processor has the features that the function is compiled for.
            let coordinates = unsafe { eight_coordinates(&eight) };
            found.extend(coordinates[..count].iter().map(|found| Some(layout.point(&(*found)?))));
        }
        found
    }

    /// Adds the points of encodings to `rows`, as they are added in sums; says which are points. For the others stands the
    /// identity.
    pub(crate) fn read_rows(_: Layout, encodings: &[[u8; 32]], rows: &mut Vec<Row>) -> Vec<bool> {
        let mut are_points = Vec::with_capacity(encodings.len());
        for (count, eight) in chunks(encodings) {
            // SAFETY: where there is a layout, the processor has the features that the function is compiled for.
            let (of_eight, is_point) = unsafe { eight_rows(&eight) };
            let is_point = (0..count).map(|lane| is_point >> lane & 1 == 1);
            rows.extend(of_eight.iter().zip(is_point.clone()).map(|(row, is)| if is { *row } else { Row::IDENTITY }));
            are_points.extend(is_point);
        }
        are_points
    }

    /// The coordinates of eight encoded points; `None` where the encoding is of none.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn eight_coordinates(encodings: &[[u8; 32]; 8]) -> [Option<Coordinates>; 8] {
        let Points { is_point, x, y, t } = eight_points(encodings);
        let (x, y, t) = (lanes(&x), lanes(&y), lanes(&t));
        std::array::from_fn(|lane| {
            (is_point >> lane & 1 == 1).then_some(Coordinates { x: x[lane], y: y[lane], z: ONE, t: t[lane] })
        })
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn eight_rows(encodings: &[[u8; 32]; 8]) -> ([Row; 8], __mmask8) {
        let Points { is_point, x, y, t } = eight_points(encodings);
        (Row::of_lanes(&Addends::of(&x, &y, &t)), is_point)
    }

    /// Eight points whose `Z` is 1; a bit for each lane that holds one.
    struct Points {
        is_point: __mmask8,
        x: Eight,
        y: Eight,
        t: Eight,
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn eight_points(encodings: &[[u8; 32]; 8]) -> Points {
        let (y, signs) = read(encodings);
        let yy = square(&y);
        let u = sub(&yy, &all(ONE));
        let v = add(&mul(&yy, &all(D)), &all(ONE));
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
        Points { is_point: is_root | is_root_of_minus, x, y, t: mul(&x, &y) }
    }

    /// The `y` of each encoding, and a bit for each whose `x` shall be odd.
    #[target_feature(enable = "avx512f")]
    fn read(encodings: &[[u8; 32]; 8]) -> (Eight, __mmask8) {
        let word =
            |encoding: &[u8; 32], at: usize| u64::from_le_bytes(std::array::from_fn(|byte| encoding[8 * at + byte]));
        let mut limbs = [[0_u64; 8]; 5];
        let mut signs = 0;
        for (lane, encoding) in encodings.iter().enumerate() {
            let words: [u64; 4] = std::array::from_fn(|at| word(encoding, at));
            limbs[0][lane] = words[0] & MASK;
            limbs[1][lane] = (words[0] >> 51 | words[1] << 13) & MASK;
            limbs[2][lane] = (words[1] >> 38 | words[2] << 26) & MASK;
            limbs[3][lane] = (words[2] >> 25 | words[3] << 39) & MASK;
            limbs[4][lane] = words[3] >> 12 & MASK;
            signs |= ((words[3] >> 63) as __mmask8) << lane;
        }
        (from_lanes(&limbs), signs)
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
        assert_eq!(crate::layout::found().is_some(), crate::lanes::is_available());
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
