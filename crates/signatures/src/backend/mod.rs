//! Backends: the instructions that verify batches.
//!
//! | backend | decompression, multiscalar multiplication, hashes | where |
//! |---|---|---|
//! | [`Backend::Portable`] | curve25519-dalek's and sha2's, one after another | any processor |
//! | [`Backend::Avx512`] | this crate's, eight lanes at a time | x86-64 with AVX-512 F, DQ and IFMA |
//! | scalar model (tests only) | this crate's, on the `Simd` trait written with plain integers | any processor |
//!
//! The portable backend is the fallback in production: dalek's own code, which picks AVX2 by itself, is several times
//! faster than eight lanes emulated by scalar registers. The scalar model (`scalar_model`) is the exact meaning of the
//! `Simd` trait: on it every schedule of this crate runs anywhere, bit for bit as with AVX-512, including under Miri.
//!
//! The process's backend is selected in [`crate::selection`].

// Instructions that the compiler cannot assume the processor to have.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512;
#[cfg(any(test, not(target_arch = "x86_64")))]
pub(crate) mod scalar_model;

use std::fmt;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;

/// The instructions that verify batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// curve25519-dalek and sha2; on any processor.
    Portable,
    /// This crate's own arithmetic on eight SIMD lanes: AVX-512 F, DQ and IFMA.
    Avx512,
}

impl Backend {
    /// The fastest backend whose instructions this processor has.
    pub fn detect() -> Backend {
        if Backend::Avx512.is_available() { Backend::Avx512 } else { Backend::Portable }
    }

    /// Whether this processor has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            Backend::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => Avx512::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Backend::Avx512 => false,
        }
    }

    /// The instructions, if this is the backend that uses them.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn avx512(self) -> Option<Avx512> {
        if self == Backend::Avx512 { Avx512::detect() } else { None }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn avx512(self) -> Option<scalar_model::ScalarModel> {
        None
    }

    /// The name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Portable => "portable",
            Backend::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Operations on eight unsigned integers of 64 bits, one in each SIMD lane; arithmetic wraps around.
///
/// A value of an implementing type proves that the processor has the instructions. Masks are bits: bit `i` is lane `i`.
/// Everything built on it is `#[inline(always)]`, so that it ends up inside [`Simd::run`], the one function that is
/// compiled with the instructions enabled.
pub(crate) trait Simd: Copy + 'static {
    /// Eight lanes.
    type U64x8: Copy;

    /// Runs an operation compiled with the backend's instructions.
    fn run<O: Operation>(self, operation: O) -> O::Output;

    fn splat(self, value: u64) -> Self::U64x8;
    fn load(self, lanes: &[u64; 8]) -> Self::U64x8;
    /// Loads the first four lanes from `lower`, the others from `upper`.
    fn load_halves(self, lower: &[u64; 4], upper: &[u64; 4]) -> Self::U64x8;
    fn store(self, lanes: Self::U64x8) -> [u64; 8];

    fn add(self, a: Self::U64x8, b: Self::U64x8) -> Self::U64x8;
    fn sub(self, a: Self::U64x8, b: Self::U64x8) -> Self::U64x8;
    /// `a − b` in the lanes of `mask`, `otherwise` in the rest.
    fn sub_where(self, mask: u8, otherwise: Self::U64x8, a: Self::U64x8, b: Self::U64x8) -> Self::U64x8;
    /// `a + b` in the lanes of `mask`, `otherwise` in the rest.
    fn add_where(self, mask: u8, otherwise: Self::U64x8, a: Self::U64x8, b: Self::U64x8) -> Self::U64x8;
    /// `sum` plus the low 52 bits of the product of the low 52 bits of `a` and `b`.
    fn madd52lo(self, sum: Self::U64x8, a: Self::U64x8, b: Self::U64x8) -> Self::U64x8;
    /// `sum` plus the high 52 bits of that product of 104 bits.
    fn madd52hi(self, sum: Self::U64x8, a: Self::U64x8, b: Self::U64x8) -> Self::U64x8;

    /// The low 64 bits of the product.
    fn mul_low(self, a: Self::U64x8, b: Self::U64x8) -> Self::U64x8;

    fn and(self, a: Self::U64x8, b: Self::U64x8) -> Self::U64x8;
    fn or(self, a: Self::U64x8, b: Self::U64x8) -> Self::U64x8;
    fn xor3(self, a: Self::U64x8, b: Self::U64x8, c: Self::U64x8) -> Self::U64x8;
    /// `yes` where `bits` has a one, else `no`, bit by bit.
    fn choose(self, bits: Self::U64x8, yes: Self::U64x8, no: Self::U64x8) -> Self::U64x8;
    /// The bits that are set in at least two of the three.
    fn majority(self, a: Self::U64x8, b: Self::U64x8, c: Self::U64x8) -> Self::U64x8;
    fn shift_right<const BITS: u32>(self, a: Self::U64x8) -> Self::U64x8;
    fn rotate_right<const BITS: i32>(self, a: Self::U64x8) -> Self::U64x8;
    fn rotate_left_4(self, a: Self::U64x8) -> Self::U64x8;

    /// `yes` in the lanes of `mask`, `no` in the rest.
    fn select(self, mask: u8, yes: Self::U64x8, no: Self::U64x8) -> Self::U64x8;
    /// The lanes that are zero.
    fn zero_lanes(self, a: Self::U64x8) -> u8;
    /// Moves lanes within each half of four: lane `i` becomes lane `ORDER >> 2·i & 3`.
    fn permute<const ORDER: i32>(self, a: Self::U64x8) -> Self::U64x8;
    /// Lane `i` of vector `j` becomes lane `j` of vector `i`.
    fn transpose(self, rows: [Self::U64x8; 8]) -> [Self::U64x8; 8];
}

/// Work to be compiled for a backend; its `run` is `#[inline(always)]`.
pub(crate) trait Operation {
    type Output;

    fn run<S: Simd>(self, simd: S) -> Self::Output;
}
