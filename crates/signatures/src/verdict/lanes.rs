//! Eight points in SIMD lanes, each the sum of an equation or of half of one.
//!
//! 1. Up to eight signatures have one lane each, which sums the terms of `A`, `R` and the base point. Up to four have
//!    two lanes each: one for `A` and `B`, one for `R` and `2^128·B`. That takes half of the additions.
//! 2. Each lane gets a table of the multiples of its point from 0 to 8.
//! 3. From the highest of 32 digits down, all lanes are doubled four times, and each adds the multiples that its own
//!    digits select; at every second digit also those of `B` and of `2^128·B`, from shared tables.
//! 4. Each lane's sum is tested by itself, or together with its neighbour's.
//!
//! The lanes never wait for each other, and a bad signature takes exactly the work of a good one.

use super::Equation;
use super::base::{BaseTables, MULTIPLES};
use super::digits::{BYTES, NIBBLES, bytes, nibbles};
use crate::backend::Simd;
use crate::field::order;
use crate::point::{CachedPoint, CachedX8, CompletedX8, ExtendedX8, StoredPoint};

/// The multiples of each lane's point from 0 to 8, prepared for addition.
type Multiples = [[StoredPoint; 9]; 8];

/// The digits of eight scalars, digit by digit.
type Digits<const N: usize> = [[i8; 8]; N];

/// The factors of eight lanes: for each a point with its scalar's digits, and half of the digits of the base point's
/// scalar.
struct Factors<'a> {
    points: [&'a CachedPoint; 8],
    /// The lanes whose points are subtracted.
    subtracted: u8,
    digits: Digits<NIBBLES>,
    /// The table of the base point from which the digits below select.
    half: [usize; 8],
    of_base: Digits<{ BYTES / 2 }>,
}

impl<'a> Factors<'a> {
    /// Lanes that add nothing.
    fn none() -> Self {
        Factors {
            points: [&CachedPoint::IDENTITY; 8],
            subtracted: 0,
            digits: [[0; 8]; NIBBLES],
            half: [0; 8],
            of_base: [[0; 8]; BYTES / 2],
        }
    }

    /// Assigns the terms of a signature's key (`half` 0) or commitment (1) to a lane.
    fn set(&mut self, lane: usize, half: usize, equation: &Equation, points: &'a [CachedPoint]) {
        let Equation { key, commitment, halved } = equation;
        let (index, number, is_subtracted) = match half {
            0 => (*key, halved.of_key, true),
            _ => (*commitment, halved.of_commitment, !halved.adds_commitment),
        };
        self.points[lane] = &points[index as usize];
        self.subtracted |= u8::from(is_subtracted) << lane;
        self.half[lane] = half;
        for (digits, digit) in self.digits.iter_mut().zip(nibbles(number)) {
            digits[lane] = digit;
        }
        let of_base = bytes(&halved.base);
        for (digits, digit) in self.of_base.iter_mut().zip(&of_base[half * BYTES / 2..]) {
            digits[lane] = *digit;
        }
    }
}

/// The validity of up to eight signatures, one bit each; the other bits have no meaning.
#[inline(always)]
pub(super) fn verify_eight<S: Simd>(simd: S, base: &BaseTables, points: &[CachedPoint], equations: &[Equation]) -> u8 {
    let mut factors = [Factors::none(), Factors::none()];
    for (lane, equation) in equations.iter().take(8).enumerate() {
        factors[0].set(lane, 0, equation, points);
        factors[1].set(lane, 1, equation, points);
    }
    small_order_lanes(sums(simd, base, &factors))
}

/// The validity of up to four signatures, one bit each.
#[inline(always)]
pub(super) fn verify_four<S: Simd>(simd: S, base: &BaseTables, points: &[CachedPoint], equations: &[Equation]) -> u8 {
    let mut factors = [Factors::none()];
    for (at, equation) in equations.iter().take(4).enumerate() {
        factors[0].set(2 * at, 0, equation, points);
        factors[0].set(2 * at + 1, 1, equation, points);
    }
    let halves = sums(simd, base, &factors).extended();
    let valid = small_order_lanes(halves.add(&halves.permute::<{ order([1, 0, 3, 2]) }>()));
    (0..4).fold(0, |bits, at| bits | (valid >> (2 * at) & 1) << at)
}

/// The lanes whose point times 8 is the identity.
#[inline(always)]
fn small_order_lanes<S: Simd>(sums: CompletedX8<S>) -> u8 {
    let mut sum = sums;
    for _ in 0..3 {
        sum = sum.projective().double();
    }
    sum.projective().identity_lanes()
}

/// The sum of each lane's factors.
#[inline(always)]
fn sums<S: Simd, const F: usize>(simd: S, base: &BaseTables, factors: &[Factors<'_>; F]) -> CompletedX8<S> {
    let mut tables = [[[StoredPoint::PREPARED_IDENTITY; 9]; 8]; F];
    for (tables, factors) in tables.iter_mut().zip(factors) {
        fill(simd, tables, &CachedX8::load(simd, factors.points).negate_where(factors.subtracted));
    }
    let mut sum =
        ExtendedX8::identity(simd).add_prepared(&ExtendedX8::load(simd, [&StoredPoint::PREPARED_IDENTITY; 8]));
    for digit in (0..NIBBLES).rev() {
        if digit + 1 < NIBBLES {
            for _ in 0..4 {
                sum = sum.projective().double();
            }
        }
        for (tables, factors) in tables.iter().zip(factors) {
            sum = sum.extended().add_prepared(&choose(simd, tables, &factors.digits[digit]));
        }
        if digit % 2 == 0 {
            for factors in factors {
                let multiples = choose_of_base(simd, base, &factors.half, &factors.of_base[digit / 2]);
                sum = sum.extended().add_cached(&multiples);
            }
        }
    }
    sum
}

/// Fills in the multiples from 1 on.
#[inline(always)]
fn fill<S: Simd>(simd: S, tables: &mut Multiples, point: &CachedX8<S>) {
    let mut multiple = ExtendedX8::identity(simd);
    for at in 1..9 {
        multiple = multiple.add_cached(point).extended();
        for (table, stored) in tables.iter_mut().zip(multiple.prepared().store()) {
            table[at] = stored;
        }
    }
}

/// The multiples that each lane's digit selects.
#[inline(always)]
fn choose<S: Simd>(simd: S, tables: &Multiples, digits: &[i8; 8]) -> ExtendedX8<S> {
    let mut chosen = [&tables[0][0]; 8];
    for lane in 0..8 {
        chosen[lane] = &tables[lane][usize::from(digits[lane].unsigned_abs())];
    }
    ExtendedX8::load(simd, chosen).negate_where(negative(digits))
}

/// The same for the base point's multiples.
#[inline(always)]
fn choose_of_base<S: Simd>(simd: S, base: &BaseTables, half: &[usize; 8], digits: &[i8; 8]) -> CachedX8<S> {
    let tables: &[[CachedPoint; MULTIPLES]; 2] = &base.cached;
    let mut chosen = [&tables[0][0]; 8];
    for lane in 0..8 {
        chosen[lane] = &tables[half[lane]][usize::from(digits[lane].unsigned_abs())];
    }
    CachedX8::load(simd, chosen).negate_where(negative(digits))
}

/// The lanes whose digits are below zero.
#[inline(always)]
fn negative(digits: &[i8; 8]) -> u8 {
    let mut negative = 0;
    for lane in 0..8 {
        negative |= u8::from(digits[lane] < 0) << lane;
    }
    negative
}
