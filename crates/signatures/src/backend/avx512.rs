//! [`Simd`] by AVX-512: its foundation (F), the 64-bit multipliers (DQ) and the 52-bit multipliers (IFMA).
//!
//! All `unsafe` of this crate is here, and all of it for one reason: the compiler cannot know that the processor has
//! the instructions. A value of [`Avx512`] proves it, since [`Avx512::detect`] is its only constructor.

use std::arch::x86_64::*;

use super::{Operation, Simd};

/// The proof that this processor has AVX-512 F, DQ and IFMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Avx512> {
        let has_all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512ifma");
        has_all.then_some(Avx512(()))
    }
}

/// Calls intrinsics of AVX-512 F, DQ and IFMA.
macro_rules! intrinsics {
    ($call:expr) => {
        // SAFETY: the intrinsics need AVX-512 F, DQ or IFMA, which the processor has if there is a value of `Avx512`;
        // the macro is used only in methods of such a value.
        unsafe { $call }
    };
}

/// The four columns of four pairs of rows, each pair given by its low or its high halves.
macro_rules! columns {
    ($($half:ident $upper:ident $lower:ident),+) => {{
        let [a, b, c, d] = [$(intrinsics!(columns!(@ $half)($upper, $lower))),+];
        let (even, odd) = intrinsics!((_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xDD>(a, b)));
        let (even_below, odd_below) =
            intrinsics!((_mm512_shuffle_i64x2::<0x88>(c, d), _mm512_shuffle_i64x2::<0xDD>(c, d)));
        [
            intrinsics!(_mm512_shuffle_i64x2::<0x88>(even, even_below)),
            intrinsics!(_mm512_shuffle_i64x2::<0x88>(odd, odd_below)),
            intrinsics!(_mm512_shuffle_i64x2::<0xDD>(even, even_below)),
            intrinsics!(_mm512_shuffle_i64x2::<0xDD>(odd, odd_below)),
        ]
    }};
    (@ low) => { _mm512_unpacklo_epi64 };
    (@ high) => { _mm512_unpackhi_epi64 };
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn run_with_avx512<O: Operation>(simd: Avx512, operation: O) -> O::Output {
    operation.run(simd)
}

impl Simd for Avx512 {
    type U64x8 = __m512i;

    #[inline]
    fn run<O: Operation>(self, operation: O) -> O::Output {
        // SAFETY: the processor has the features that the function is compiled for: there is a value of `Avx512`.
        unsafe { run_with_avx512(self, operation) }
    }

    #[inline(always)]
    fn splat(self, value: u64) -> __m512i {
        intrinsics!(_mm512_set1_epi64(value as i64))
    }

    #[inline(always)]
    fn load(self, lanes: &[u64; 8]) -> __m512i {
        // SAFETY: as for all intrinsics here; and 64 bytes are read from a reference to 64 bytes, of any alignment.
        unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_halves(self, lower: &[u64; 4], upper: &[u64; 4]) -> __m512i {
        // SAFETY: as for all intrinsics here; and 32 bytes are read from each reference to 32 bytes, of any alignment.
        unsafe {
            let lower = _mm256_loadu_si256(lower.as_ptr().cast());
            let upper = _mm256_loadu_si256(upper.as_ptr().cast());
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(lower), upper)
        }
    }

    #[inline(always)]
    fn store(self, lanes: __m512i) -> [u64; 8] {
        let mut stored = [0; 8];
        // SAFETY: as for all intrinsics here; and 64 bytes are written to a variable of 64 bytes, of any alignment.
        unsafe { _mm512_storeu_si512(stored.as_mut_ptr().cast(), lanes) };
        stored
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsics!(_mm512_add_epi64(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsics!(_mm512_sub_epi64(a, b))
    }

    #[inline(always)]
    fn sub_where(self, mask: u8, otherwise: __m512i, a: __m512i, b: __m512i) -> __m512i {
        intrinsics!(_mm512_mask_sub_epi64(otherwise, mask, a, b))
    }

    #[inline(always)]
    fn add_where(self, mask: u8, otherwise: __m512i, a: __m512i, b: __m512i) -> __m512i {
        intrinsics!(_mm512_mask_add_epi64(otherwise, mask, a, b))
    }

    #[inline(always)]
    fn madd52lo(self, sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        intrinsics!(_mm512_madd52lo_epu64(sum, a, b))
    }

    #[inline(always)]
    fn madd52hi(self, sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        intrinsics!(_mm512_madd52hi_epu64(sum, a, b))
    }

    #[inline(always)]
    fn mul_low(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsics!(_mm512_mullo_epi64(a, b))
    }

    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsics!(_mm512_and_si512(a, b))
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsics!(_mm512_or_si512(a, b))
    }

    #[inline(always)]
    fn xor3(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        intrinsics!(_mm512_ternarylogic_epi64::<0x96>(a, b, c))
    }

    #[inline(always)]
    fn choose(self, bits: __m512i, yes: __m512i, no: __m512i) -> __m512i {
        intrinsics!(_mm512_ternarylogic_epi64::<0xCA>(bits, yes, no))
    }

    #[inline(always)]
    fn majority(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        intrinsics!(_mm512_ternarylogic_epi64::<0xE8>(a, b, c))
    }

    #[inline(always)]
    fn shift_right<const BITS: u32>(self, a: __m512i) -> __m512i {
        intrinsics!(_mm512_srli_epi64::<BITS>(a))
    }

    #[inline(always)]
    fn rotate_right<const BITS: i32>(self, a: __m512i) -> __m512i {
        intrinsics!(_mm512_ror_epi64::<BITS>(a))
    }

    #[inline(always)]
    fn rotate_left_4(self, a: __m512i) -> __m512i {
        intrinsics!(_mm512_rol_epi64::<4>(a))
    }

    #[inline(always)]
    fn select(self, mask: u8, yes: __m512i, no: __m512i) -> __m512i {
        intrinsics!(_mm512_mask_blend_epi64(mask, no, yes))
    }

    #[inline(always)]
    fn zero_lanes(self, a: __m512i) -> u8 {
        intrinsics!(_mm512_testn_epi64_mask(a, a))
    }

    #[inline(always)]
    fn permute<const ORDER: i32>(self, a: __m512i) -> __m512i {
        intrinsics!(_mm512_permutex_epi64::<ORDER>(a))
    }

    #[inline(always)]
    fn transpose(self, [a, b, c, d, e, f, g, h]: [__m512i; 8]) -> [__m512i; 8] {
        // Pairs of rows, such as (rows 0 and 1, columns 0, 2, 4, 6); then four columns of each four pairs.
        let [p, r, t, v] = columns!(low a b, low c d, low e f, low g h);
        let [q, s, u, w] = columns!(high a b, high c d, high e f, high g h);
        [p, q, r, s, t, u, v, w]
    }
}
