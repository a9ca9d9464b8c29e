//! Straus' algorithm, for few points: eight pieces of a scalar in eight lanes.
//!
//! 1. A scalar is cut into pieces of 32 bits, each of eight signed digits of four bits. A long scalar has eight pieces,
//!    one for each lane. A short one has four; two short terms share the lanes.
//! 2. Each point gets a table of its multiples from 0 to 8, eight points at a time.
//! 3. From the highest digit of the pieces down, the lanes are doubled four times, and each term adds in each lane the
//!    multiple selected by the lane's digit. Long and short terms have separate sums.
//! 4. Lane `j` has the weight `2^(32·j)` (the lanes of the second of two short terms count from 0 again): Horner's rule
//!    combines them.
//!
//! So the dependent doublings, some 220, are done once and on one point.

use std::sync::OnceLock;

use super::{BASE_INDEX, Term, Terms};
use crate::backend::Simd;
use crate::point::{CachedPoint, CachedX8, ExtendedPoint, ExtendedX8, StoredPoint};

const DIGIT_BITS: usize = 4;
const DIGITS_OF_A_PIECE: usize = 8;
const PIECE_BITS: usize = DIGIT_BITS * DIGITS_OF_A_PIECE;
/// Digits of a scalar of 32 bytes.
const DIGITS: usize = 64;
/// The multiples of a point from 0 to 8, prepared for addition.
type Multiples = [StoredPoint; 9];

/// The terms that are added together: in each lane one digit for each step, and the points whose multiples they select.
struct Lanes {
    /// The term of the lower and of the upper four lanes.
    terms: [usize; 2],
    /// Eight lanes for each step; the highest digits last.
    digits: [[i8; 8]; DIGITS_OF_A_PIECE],
}

/// The sum of the terms.
#[inline(always)]
pub(super) fn multiply<S: Simd>(simd: S, points: &[CachedPoint], terms: &Terms) -> ExtendedPoint {
    let base = base_table(simd, points);
    let others = tables(simd, points, &terms.others);
    let mut tables = Vec::with_capacity(1 + others.len());
    tables.push(base);
    tables.extend(&others);
    let (long, short) = lanes_of(terms);
    let long = sum_of_pieces(simd, &tables, &long).points();
    let short = sum_of_pieces(simd, &tables, &short).points();
    let mut pieces = long;
    for (piece, short) in short.iter().enumerate() {
        pieces[piece % 4] = pieces[piece % 4].add(short);
    }
    let [others @ .., highest] = pieces;
    let mut sum = highest;
    for piece in others.iter().rev() {
        sum = sum.double_times_by(simd, PIECE_BITS).add(piece);
    }
    sum
}

/// The multiples of each term's point, negated if the term is subtracted.
#[inline(always)]
fn tables<S: Simd>(simd: S, points: &[CachedPoint], terms: &[Term]) -> Vec<Multiples> {
    let mut tables = vec![[StoredPoint::ZERO; 9]; terms.len()];
    for (terms, tables) in terms.chunks(8).zip(tables.chunks_mut(8)) {
        let (mut lanes, mut negative) = ([&points[0]; 8], 0);
        for (lane, term) in terms.iter().enumerate() {
            lanes[lane] = &points[term.index as usize];
            negative |= u8::from(term.is_negative) << lane;
        }
        let point = CachedX8::load(simd, lanes).negate_where(negative);
        let mut multiple = ExtendedX8::identity(simd);
        for at in 0..9 {
            if at > 0 {
                multiple = multiple.add_cached(&point).extended();
            }
            let stored = multiple.prepared().store();
            for (lane, table) in tables.iter_mut().enumerate() {
                table[at] = stored[lane];
            }
        }
    }
    tables
}

/// The table of the base point: the same in every multiplication.
#[inline(always)]
fn base_table<S: Simd>(simd: S, points: &[CachedPoint]) -> &'static Multiples {
    static TABLE: OnceLock<Multiples> = OnceLock::new();
    if let Some(table) = TABLE.get() {
        return table;
    }
    let base = Term { index: BASE_INDEX, is_negative: false, scalar: [0; 32] };
    let table = tables(simd, points, &[base])[0];
    TABLE.get_or_init(|| table)
}

/// The lanes of long scalars, and those of short ones.
fn lanes_of(terms: &Terms) -> (Vec<Lanes>, Vec<Lanes>) {
    let (mut long, mut short) = (Vec::with_capacity(1 + terms.others.len()), Vec::with_capacity(terms.others.len()));
    let mut waiting: Option<(usize, [i8; DIGITS])> = None;
    for (term, Term { scalar, .. }) in terms.iter().enumerate() {
        let digits = digits_of(scalar);
        if digits[DIGITS / 2..] != [0; DIGITS / 2] {
            long.push(Lanes::of([term; 2], |lane| piece(&digits, lane)));
        } else if let Some((first, of_first)) = waiting.take() {
            short.push(Lanes::of([first, term], |lane| piece(if lane < 4 { &of_first } else { &digits }, lane % 4)));
        } else {
            waiting = Some((term, digits));
        }
    }
    if let Some((last, digits)) = waiting {
        short.push(Lanes::of([last; 2], |lane| if lane < 4 { piece(&digits, lane) } else { &[0; DIGITS_OF_A_PIECE] }));
    }
    (long, short)
}

impl Lanes {
    fn of<'a>(terms: [usize; 2], of_lane: impl Fn(usize) -> &'a [i8; DIGITS_OF_A_PIECE]) -> Lanes {
        let mut digits = [[0; 8]; DIGITS_OF_A_PIECE];
        for lane in 0..8 {
            for (digits, digit) in digits.iter_mut().zip(of_lane(lane)) {
                digits[lane] = *digit;
            }
        }
        Lanes { terms, digits }
    }
}

fn piece(digits: &[i8; DIGITS], piece: usize) -> &[i8; DIGITS_OF_A_PIECE] {
    &digits.as_chunks().0[piece]
}

/// Signed digits of four bits, from −8 to 8. A scalar up to `2^127` has 32 of them, any other below `2^255` at most 64.
fn digits_of(scalar: &[u8; 32]) -> [i8; DIGITS] {
    let mut digits = [0; DIGITS];
    let mut carry = 0;
    for (at, digit) in digits.iter_mut().enumerate() {
        *digit = (scalar[at / 2] >> (DIGIT_BITS * (at % 2)) & 0xf) as i8 + carry;
        carry = i8::from(*digit > 8);
        *digit -= carry << DIGIT_BITS;
    }
    digits
}

/// The sum of each lane's pieces, each times its point.
#[inline(always)]
fn sum_of_pieces<S: Simd>(simd: S, tables: &[&Multiples], lanes: &[Lanes]) -> ExtendedX8<S> {
    let mut sum = ExtendedX8::identity(simd);
    for step in (0..DIGITS_OF_A_PIECE).rev() {
        let [others @ .., last] = lanes else { return sum };
        for lanes in others {
            sum = sum.add_prepared(&load_multiples(simd, tables, lanes, step)).extended();
        }
        let mut completed = sum.add_prepared(&load_multiples(simd, tables, last, step));
        if step > 0 {
            for _ in 0..DIGIT_BITS {
                completed = completed.projective().double();
            }
        }
        sum = completed.extended();
    }
    sum
}

/// The multiples that a step's digits select.
#[inline(always)]
fn load_multiples<S: Simd>(simd: S, tables: &[&Multiples], lanes: &Lanes, step: usize) -> ExtendedX8<S> {
    let of_terms = [tables[lanes.terms[0]], tables[lanes.terms[1]]];
    let mut chosen = [&of_terms[0][0]; 8];
    let mut negative = 0;
    for lane in 0..8 {
        let digit = lanes.digits[step][lane];
        chosen[lane] = &of_terms[lane / 4][usize::from(digit.unsigned_abs())];
        negative |= u8::from(digit < 0) << lane;
    }
    ExtendedX8::load(simd, chosen).negate_where(negative)
}
