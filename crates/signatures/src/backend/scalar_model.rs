//! The scalar model of [`Simd`]: eight plain integers, each operation as specified.
//!
//! It computes bit for bit what AVX-512 does, slowly. Tests run every schedule on it, on any processor and under Miri.

use super::{Operation, Simd};

#[derive(Clone, Copy)]
pub(crate) struct ScalarModel;

const MASK_52: u64 = (1 << 52) - 1;

#[cfg(test)]
thread_local! {
    /// The multiplications of eight lanes that this thread has made: tests measure work by them.
    pub(crate) static MULTIPLICATIONS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn map2(a: [u64; 8], b: [u64; 8], operation: impl Fn(u64, u64) -> u64) -> [u64; 8] {
    std::array::from_fn(|lane| operation(a[lane], b[lane]))
}

fn product(a: u64, b: u64) -> u128 {
    u128::from(a & MASK_52) * u128::from(b & MASK_52)
}

impl Simd for ScalarModel {
    type U64x8 = [u64; 8];

    fn run<O: Operation>(self, operation: O) -> O::Output {
        operation.run(self)
    }

    fn splat(self, value: u64) -> [u64; 8] {
        [value; 8]
    }

    fn load(self, lanes: &[u64; 8]) -> [u64; 8] {
        *lanes
    }

    fn load_halves(self, lower: &[u64; 4], upper: &[u64; 4]) -> [u64; 8] {
        std::array::from_fn(|lane| if lane < 4 { lower[lane] } else { upper[lane - 4] })
    }

    fn store(self, lanes: [u64; 8]) -> [u64; 8] {
        lanes
    }

    fn add(self, a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        map2(a, b, u64::wrapping_add)
    }

    fn sub(self, a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        map2(a, b, u64::wrapping_sub)
    }

    fn sub_where(self, mask: u8, otherwise: [u64; 8], a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        self.select(mask, self.sub(a, b), otherwise)
    }

    fn add_where(self, mask: u8, otherwise: [u64; 8], a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        self.select(mask, self.add(a, b), otherwise)
    }

    fn madd52lo(self, sum: [u64; 8], a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        #[cfg(test)]
        MULTIPLICATIONS.set(MULTIPLICATIONS.get() + 1);
        self.add(sum, map2(a, b, |a, b| product(a, b) as u64 & MASK_52))
    }

    fn madd52hi(self, sum: [u64; 8], a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        self.add(sum, map2(a, b, |a, b| (product(a, b) >> 52) as u64))
    }

    fn mul_low(self, a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        map2(a, b, u64::wrapping_mul)
    }

    fn and(self, a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        map2(a, b, |a, b| a & b)
    }

    fn or(self, a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
        map2(a, b, |a, b| a | b)
    }

    fn xor3(self, a: [u64; 8], b: [u64; 8], c: [u64; 8]) -> [u64; 8] {
        map2(map2(a, b, |a, b| a ^ b), c, |a, b| a ^ b)
    }

    fn choose(self, bits: [u64; 8], yes: [u64; 8], no: [u64; 8]) -> [u64; 8] {
        self.or(self.and(bits, yes), map2(bits, no, |bits, no| !bits & no))
    }

    fn majority(self, a: [u64; 8], b: [u64; 8], c: [u64; 8]) -> [u64; 8] {
        self.or(self.and(a, b), self.and(c, self.or(a, b)))
    }

    fn shift_right<const BITS: u32>(self, a: [u64; 8]) -> [u64; 8] {
        a.map(|lane| lane >> BITS)
    }

    fn rotate_right<const BITS: i32>(self, a: [u64; 8]) -> [u64; 8] {
        a.map(|lane| lane.rotate_right(BITS as u32))
    }

    fn rotate_left_4(self, a: [u64; 8]) -> [u64; 8] {
        a.map(|lane| lane.rotate_left(4))
    }

    fn select(self, mask: u8, yes: [u64; 8], no: [u64; 8]) -> [u64; 8] {
        std::array::from_fn(|lane| if mask >> lane & 1 == 1 { yes[lane] } else { no[lane] })
    }

    fn zero_lanes(self, a: [u64; 8]) -> u8 {
        (0..8).fold(0, |mask, lane| mask | u8::from(a[lane] == 0) << lane)
    }

    fn permute<const ORDER: i32>(self, a: [u64; 8]) -> [u64; 8] {
        std::array::from_fn(|lane| a[lane / 4 * 4 + (ORDER >> (2 * (lane % 4)) & 3) as usize])
    }

    fn transpose(self, rows: [[u64; 8]; 8]) -> [[u64; 8]; 8] {
        std::array::from_fn(|column| rows.map(|row| row[column]))
    }
}
