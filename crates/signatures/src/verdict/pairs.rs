//! One or two signatures, with the coordinates of two points in the SIMD lanes ([`crate::pair`]).
//!
//! 1. Two signatures have one of the points each, for the sum of its equation. For a single one, the first point sums
//!    the terms of `A` and `B`, the second those of `R` and `2^128·B`: half of the additions.
//! 2. Digits and tables are those of eight lanes ([`super::lanes`]).

use super::Equation;
use super::base::{BaseTables, MULTIPLES};
use super::digits::{BYTES, NIBBLES, bytes, nibbles};
use crate::backend::Simd;
use crate::pair::{ExtendedPair, PreparedPair, PreparedPoint};
use crate::point::{CachedPoint, ExtendedPoint};

/// The multiples of a point from 0 to 8.
type Multiples = [PreparedPoint; 9];

/// A point of a signature: its index, the digits of its scalar, and whether it is subtracted.
struct Factor {
    index: u32,
    digits: [i8; NIBBLES],
    is_subtracted: bool,
}

impl Factor {
    fn of_key(equation: &Equation) -> Factor {
        Factor { index: equation.key, digits: nibbles(equation.halved.of_key), is_subtracted: true }
    }

    fn of_commitment(equation: &Equation) -> Factor {
        let halved = &equation.halved;
        let digits = nibbles(halved.of_commitment);
        Factor { index: equation.commitment, digits, is_subtracted: !halved.adds_commitment }
    }
}

/// One factor for each of the points.
struct Factors([Factor; 2]);

/// The digits of the base point's scalar for each of the points, and the tables from which they select.
struct BaseFactors<'a> {
    tables: [&'a [PreparedPoint; MULTIPLES]; 2],
    digits: [[i8; BYTES / 2]; 2],
}

/// Whether each of two signatures is valid.
#[inline(always)]
pub(super) fn verify_two<S: Simd>(
    simd: S,
    base: &BaseTables,
    points: &[CachedPoint],
    [first, second]: [&Equation; 2],
) -> [bool; 2] {
    let [of_first, of_second] = [first, second].map(|equation| halves(&bytes(&equation.halved.base)));
    let of_base =
        [0, 1].map(|half| BaseFactors { tables: [&base.prepared[half]; 2], digits: [of_first[half], of_second[half]] });
    let factors = [
        Factors([Factor::of_key(first), Factor::of_key(second)]),
        Factors([Factor::of_commitment(first), Factor::of_commitment(second)]),
    ];
    sums(simd, points, &factors, &of_base).map(|sum| sum.is_small_order())
}

/// Whether a signature is valid.
#[inline(always)]
pub(super) fn verify_one<S: Simd>(simd: S, base: &BaseTables, points: &[CachedPoint], equation: &Equation) -> bool {
    let [low, high] = &base.prepared;
    let of_base = [BaseFactors { tables: [low, high], digits: halves(&bytes(&equation.halved.base)) }];
    let factors = [Factors([Factor::of_key(equation), Factor::of_commitment(equation)])];
    let [left, right] = sums(simd, points, &factors, &of_base);
    left.add(&right).is_small_order()
}

fn halves(digits: &[i8; BYTES]) -> [[i8; BYTES / 2]; 2] {
    let (halves, _) = digits.as_chunks();
    [halves[0], halves[1]]
}

/// The sum of each point's factors.
#[inline(always)]
fn sums<S: Simd, const F: usize>(
    simd: S,
    points: &[CachedPoint],
    factors: &[Factors; F],
    of_base: &[BaseFactors<'_>; F],
) -> [ExtendedPoint; 2] {
    let mut tables = [[[PreparedPoint::IDENTITY; 9]; 2]; F];
    for (tables, factors) in tables.iter_mut().zip(factors) {
        fill(simd, tables, points, factors);
    }
    let identity = PreparedPair::load(simd, [&PreparedPoint::IDENTITY; 2]);
    let mut completed = ExtendedPair::identity(simd).add(&identity);
    for digit in (0..NIBBLES).rev() {
        if digit + 1 < NIBBLES {
            for _ in 0..4 {
                completed = completed.projective().double();
            }
        }
        for ([lower, upper], Factors([first, second])) in tables.iter().zip(factors) {
            let multiples = choose(simd, [lower, upper], [first.digits[digit], second.digits[digit]]);
            completed = completed.extended().add(&multiples);
        }
        if digit % 2 == 0 {
            for BaseFactors { tables: [lower, upper], digits } in of_base {
                let digits = [digits[0][digit / 2], digits[1][digit / 2]];
                completed = completed.extended().add(&choose(simd, [&lower[..], &upper[..]], digits));
            }
        }
    }
    completed.points()
}

/// Fills in the multiples of both points from 1 on.
#[inline(always)]
fn fill<S: Simd>(simd: S, tables: &mut [Multiples; 2], points: &[CachedPoint], Factors(factors): &Factors) {
    let [first, second] = factors;
    let point = [first, second].map(|factor| PreparedPoint::of(&points[factor.index as usize]));
    let are_negative = [first.is_subtracted, second.is_subtracted];
    let point = PreparedPair::load(simd, [&point[0], &point[1]]).negate_where(are_negative);
    let mut multiple = ExtendedPair::identity(simd);
    for at in 1..9 {
        multiple = multiple.add(&point).extended();
        [tables[0][at], tables[1][at]] = multiple.prepared(simd).store();
    }
}

/// The multiples that each point's digit selects.
#[inline(always)]
fn choose<S: Simd>(simd: S, tables: [&[PreparedPoint]; 2], digits: [i8; 2]) -> PreparedPair<S> {
    let chosen = [0, 1].map(|at| &tables[at][usize::from(digits[at].unsigned_abs())]);
    PreparedPair::load(simd, chosen).negate_where(digits.map(|digit| digit < 0))
}
