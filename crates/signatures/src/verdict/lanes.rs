//! Eight signatures, each in a SIMD lane of its own.
//!
//! 1. Each lane gets a table of the multiples of its `A` and one of its `R`, from 0 to 8.
//! 2. From the highest of 32 digits down, all lanes are doubled four times, and each adds the multiples that its own
//!    digits ask for; at every second digit also those of `B` and of `2^128·B`, from tables that all share.
//! 3. Each lane's sum is looked at by itself.
//!
//! The lanes never wait for each other, and none does more or less for a signature that is bad.

use super::Equation;
use super::base::{BaseTables, MULTIPLES};
use super::digits::{BYTES, NIBBLES, bytes, nibbles};
use crate::backend::Simd;
use crate::point::{CachedPoint, CachedX8, ExtendedX8, ProjectiveX8, StoredPoint};

/// Of each lane the multiples of its point from 0 to 8, prepared for addition.
type Multiples = [[StoredPoint; 9]; 8];

/// The digits of eight scalars, digit by digit.
type Digits<const N: usize> = [[i8; 8]; N];

/// The lanes whose signatures are valid; those without one are not to be looked at.
#[inline(always)]
pub(super) fn verify<S: Simd>(simd: S, base: &BaseTables, points: &[CachedPoint], equations: &[Equation]) -> u8 {
    let (mut keys, mut commitments) = ([&CachedPoint::IDENTITY; 8], [&CachedPoint::IDENTITY; 8]);
    let mut subtracts_commitment = 0;
    let (mut of_key, mut of_commitment): (Digits<NIBBLES>, Digits<NIBBLES>) = ([[0; 8]; NIBBLES], [[0; 8]; NIBBLES]);
    let mut of_base: Digits<BYTES> = [[0; 8]; BYTES];
    for (lane, Equation { key, commitment, halved }) in equations.iter().take(8).enumerate() {
        (keys[lane], commitments[lane]) = (&points[*key as usize], &points[*commitment as usize]);
        subtracts_commitment |= u8::from(!halved.adds_commitment) << lane;
        spread(&mut of_key, lane, &nibbles(halved.of_key));
        spread(&mut of_commitment, lane, &nibbles(halved.of_commitment));
        spread(&mut of_base, lane, &bytes(&halved.base));
    }
    let tables = [
        multiples(simd, &CachedX8::load(simd, keys).negate_where(0xff)),
        multiples(simd, &CachedX8::load(simd, commitments).negate_where(subtracts_commitment)),
    ];
    let mut sum = ProjectiveX8::identity(simd);
    for digit in (0..NIBBLES).rev() {
        for _ in 0..3 {
            sum = sum.double().projective();
        }
        let doubled = sum.double().extended();
        let added = doubled.add_prepared(&choose(simd, &tables[0], &of_key[digit])).extended();
        let added = added.add_prepared(&choose(simd, &tables[1], &of_commitment[digit]));
        sum = if digit % 2 == 0 {
            let [low, high] = [&of_base[digit / 2], &of_base[BYTES / 2 + digit / 2]];
            let added = added.extended().add_cached(&choose_base(simd, &base.cached[0], low)).extended();
            added.add_cached(&choose_base(simd, &base.cached[1], high)).projective()
        } else {
            added.projective()
        };
    }
    for _ in 0..3 {
        sum = sum.double().projective();
    }
    sum.identity_lanes()
}

fn spread<const N: usize>(digits: &mut Digits<N>, lane: usize, of_lane: &[i8; N]) {
    for (digits, digit) in digits.iter_mut().zip(of_lane) {
        digits[lane] = *digit;
    }
}

#[inline(always)]
fn multiples<S: Simd>(simd: S, point: &CachedX8<S>) -> Multiples {
    let mut tables = [[StoredPoint::PREPARED_IDENTITY; 9]; 8];
    let mut multiple = ExtendedX8::identity(simd);
    for at in 1..9 {
        multiple = multiple.add_cached(point).extended();
        for (table, stored) in tables.iter_mut().zip(multiple.prepared().store()) {
            table[at] = stored;
        }
    }
    tables
}

/// The multiples that a digit of each lane asks for.
#[inline(always)]
fn choose<S: Simd>(simd: S, tables: &Multiples, digits: &[i8; 8]) -> ExtendedX8<S> {
    let mut chosen = [&tables[0][0]; 8];
    let mut negative = 0;
    for lane in 0..8 {
        chosen[lane] = &tables[lane][usize::from(digits[lane].unsigned_abs())];
        negative |= u8::from(digits[lane] < 0) << lane;
    }
    ExtendedX8::load(simd, chosen).negate_where(negative)
}

#[inline(always)]
fn choose_base<S: Simd>(simd: S, table: &[CachedPoint; MULTIPLES], digits: &[i8; 8]) -> CachedX8<S> {
    let mut chosen = [&table[0]; 8];
    let mut negative = 0;
    for lane in 0..8 {
        chosen[lane] = &table[usize::from(digits[lane].unsigned_abs())];
        negative |= u8::from(digits[lane] < 0) << lane;
    }
    CachedX8::load(simd, chosen).negate_where(negative)
}
