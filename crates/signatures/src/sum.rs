//! Sums of many points, each times a number: Pippenger's algorithm, with eight points added side by side.
//!
//! A sum of `n` points is what a batch of `n/2` signatures comes to. curve25519-dalek computes one addition after another, in four
//! lanes, and each addition waits for the one before. Here a lane is a bucket, so that nothing waits and nothing but the points is
//! read.
//!
//! # The algorithm
//! 1. Every number is written in digits of `w` bits, each from `−(2^(w−1) − 1)` to `2^(w−1)`. A digit's place is a *column*.
//! 2. In each column the points with the digit `±b` belong to bucket `b`; those of negative digits are subtracted.
//! 3. Buckets with about as many points are summed up together, one in each lane: a step adds to each its next point, and a
//!    bucket that has no more adds the identity.
//! 4. The column's sum is `Σ b·S_b` over its buckets: from the largest `b` down, a running sum of the buckets, and the sum of all
//!    the running sums. Eight columns do that together, one in each lane.
//! 5. The columns are put together from the highest down, with `w` doublings between two.
//!
//! `w` is what makes 3 and 4 cost least ([`digit_bits`]).

use std::arch::x86_64::*;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::traits::Identity;

use super::lanes::{Addends, Eight, Limbs, Sums, add, from_lanes, lanes, sub};
use super::layout::{Coordinates, Layout};

/// Numbers are below `2^NUMBER_BITS`: scalars modulo the order of the base point.
const NUMBER_BITS: usize = 253;
/// A point as it is added: the limbs of `Y − X`, `Y + X` and `2·d·X·Y`, where `Z` is 1, and a zero. Two cache lines.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(crate) struct Row([u64; 16]);

impl Row {
    /// Adds nothing.
    pub(crate) const IDENTITY: Row = Row([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

    #[target_feature(enable = "avx512f")]
    pub(crate) fn of_lanes(addends: &Addends) -> [Row; 8] {
        let Addends { minus: Eight([a, b, c, d, e]), plus: Eight([f, g, h, i, j]), product: Eight([k, l, m, n, o]) } =
            *addends;
        let halves = [transposed([a, b, c, d, e, f, g, h]), transposed([i, j, k, l, m, n, o, _mm512_setzero_si512()])];
        // SAFETY: a row is 128 bytes, two vectors; any bytes make integers.
        std::array::from_fn(|lane| unsafe { std::mem::transmute([halves[0][lane], halves[1][lane]]) })
    }

    /// Adds the rows of points whose `Z` is 1, such as every point is that was read from its encoding.
    pub(crate) fn of_points<'a>(layout: Layout, points: impl Iterator<Item = &'a EdwardsPoint>, rows: &mut Vec<Row>) {
        let mut points = points.peekable();
        while points.peek().is_some() {
            let mut limbs = [[[0; 8]; 5]; 3];
            let mut count = 0;
            for (lane, point) in points.by_ref().take(8).enumerate() {
                let Coordinates { x, y, t, .. } = layout.coordinates(point);
                for (part, coordinate) in limbs.iter_mut().zip([x, y, t]) {
                    part.iter_mut().zip(coordinate).for_each(|(limbs, limb)| limbs[lane] = limb);
                }
                count = lane + 1;
            }
            // SAFETY: where there is a layout, the processor has the features that the function is compiled for.
            rows.extend_from_slice(&unsafe { rows_of_lanes(&limbs) }[..count]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn rows_of_lanes([x, y, t]: &[[[u64; 8]; 5]; 3]) -> [Row; 8] {
    Row::of_lanes(&Addends::of(&from_lanes(x), &from_lanes(y), &from_lanes(t)))
}

/// A bucket's sum: the limbs of `Y − X`, `Y + X`, `Z` and `T`, and zeros. Three cache lines.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct BucketSum([u64; 24]);

impl BucketSum {
    #[target_feature(enable = "avx512f")]
    fn of_lanes(sums: &Sums) -> [BucketSum; 8] {
        let Sums { minus: Eight([a, b, c, d, e]), plus: Eight([f, g, h, i, j]), .. } = *sums;
        let Sums { z: Eight([k, l, m, n, o]), t: Eight([p, q, r, s, t]), .. } = *sums;
        let none = _mm512_setzero_si512();
        let thirds = [
            transposed([a, b, c, d, e, f, g, h]),
            transposed([i, j, k, l, m, n, o, p]),
            transposed([q, r, s, t, none, none, none, none]),
        ];
        // SAFETY: a sum is 192 bytes, three vectors; any bytes make integers.
        std::array::from_fn(|lane| unsafe { std::mem::transmute(thirds.map(|third| third[lane])) })
    }

    #[target_feature(enable = "avx512f")]
    fn to_lanes(sums: [&BucketSum; 8]) -> Sums {
        // SAFETY: a sum is 192 bytes, aligned to 64: three vectors.
        let third = |at: usize| sums.map(|sum| unsafe { _mm512_load_si512(sum.0.as_ptr().cast::<__m512i>().add(at)) });
        let [a, b, c, d, e, f, g, h] = transposed(third(0));
        let [i, j, k, l, m, n, o, p] = transposed(third(1));
        let [q, r, s, t, ..] = transposed(third(2));
        let (minus, plus) = (Eight([a, b, c, d, e]), Eight([f, g, h, i, j]));
        Sums { minus, plus, z: Eight([k, l, m, n, o]), t: Eight([p, q, r, s, t]) }
    }
}

/// Points to be summed up, each with its number.
pub(crate) struct Terms<'a> {
    rows: &'a [Row],
    /// The place of each term's row among `rows`.
    places: Vec<u32>,
    /// Little-endian, below `2^NUMBER_BITS`.
    numbers: Vec<[u8; 32]>,
}

impl<'a> Terms<'a> {
    /// None yet. The first of `rows` is [`Row::IDENTITY`].
    pub(crate) fn of(rows: &'a [Row], capacity: usize) -> Terms<'a> {
        Terms { rows, places: Vec::with_capacity(capacity), numbers: Vec::with_capacity(capacity) }
    }

    pub(crate) fn push(&mut self, place: usize, number: [u8; 32]) {
        self.places.push(place as u32);
        self.numbers.push(number);
    }

    /// `Σ number·point`.
    pub(crate) fn sum(&self, layout: Layout) -> EdwardsPoint {
        // SAFETY: where there is a layout, the processor has the features that the function is compiled for.
        unsafe { sum(layout, self) }
    }
}

/// How many bits a digit has where so many points are summed up.
fn digit_bits(points: usize) -> usize {
    // In additions of eight: those into buckets of all columns (half of the points have numbers of half the length), and
    // those that put buckets together, which take a third more.
    let cost = |bits: &usize| {
        let columns = columns(*bits);
        points * columns * 3 / 4 / 8 + columns.div_ceil(8) * (2 << (bits - 1)) * 4 / 3
    };
    (4..=8).min_by_key(cost).expect("the range is not empty")
}

/// The highest digit never carries.
fn columns(bits: usize) -> usize {
    (NUMBER_BITS + 1).div_ceil(bits)
}

/// The digits of all numbers, column by column, and how many there are of each size.
struct Digits {
    columns: usize,
    buckets: usize,
    terms: usize,
    /// The largest of eight bits, 128, is stored as −128, which no digit is.
    digits: Vec<i8>,
    counts: Vec<u32>,
}

impl Digits {
    fn of(numbers: &[[u8; 32]], bits: usize) -> Digits {
        let (columns, buckets, terms) = (columns(bits), 1 << (bits - 1), numbers.len());
        let (mut digits, mut counts) = (vec![0_i8; columns * terms], vec![0; columns * buckets]);
        let (most, mask) = (buckets as i16, (1 << bits) - 1);
        for (term, number) in numbers.iter().enumerate() {
            let mut padded = [0; 36];
            padded[..32].copy_from_slice(number);
            let is_short = number[16..] == [0; 16];
            let (mut at, mut carried) = (0, 0);
            let of_columns = digits.chunks_exact_mut(terms).zip(counts.chunks_exact_mut(buckets));
            for (of_column, counts) in of_columns.take(if is_short { 128 / bits + 1 } else { columns }) {
                let word = padded[at / 8..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
                let digit = (word >> (at % 8) & mask) as i16 + carried;
                carried = i16::from(digit > most);
                let digit = digit - (carried << bits);
                of_column[term] = digit as i8;
                if digit != 0 {
                    counts[usize::from(digit.unsigned_abs()) - 1] += 1;
                }
                at += bits;
            }
        }
        Digits { columns, buckets, terms, digits, counts }
    }
}

/// Whether a digit, as it is stored, is below zero.
fn is_negative(digit: i8) -> bool {
    digit < 0 && digit != i8::MIN
}

/// A column's points in the order in which they are added.
#[derive(Default)]
struct Schedule {
    /// Buckets, those with the most points first; eight of them are summed up together.
    buckets: Vec<u32>,
    /// How many steps each eight take.
    steps: Vec<u32>,
    /// Of each step eight entries: a row's place, doubled, and 1 where the point is subtracted.
    entries: Vec<u32>,
    /// Where each bucket's next entry goes.
    next: Vec<u32>,
}

impl Schedule {
    /// Buckets of more points are in no particular order: in batches of thousands some time is lost, and nothing else.
    const SORTED_MAX: usize = 63;

    fn arrange(&mut self, places: &[u32], digits: &[i8], counts: &[u32]) {
        self.sort(counts);
        self.steps.clear();
        self.next.clear();
        self.next.resize(counts.len(), 0);
        let mut begin = 0;
        for eight in self.buckets.chunks(8) {
            let steps = eight.iter().map(|bucket| counts[*bucket as usize]).max().unwrap_or(0);
            for (lane, bucket) in (0..).zip(eight) {
                self.next[*bucket as usize] = begin + lane;
            }
            self.steps.push(steps);
            begin += 8 * steps;
        }
        self.entries.clear();
        self.entries.resize(begin as usize, 0);
        for (place, digit) in places.iter().zip(digits) {
            if *digit != 0 {
                let next = &mut self.next[usize::from(digit.unsigned_abs()) - 1];
                self.entries[*next as usize] = place << 1 | u32::from(is_negative(*digit));
                *next += 8;
            }
        }
    }

    /// Puts the buckets with the most points first.
    fn sort(&mut self, counts: &[u32]) {
        let key = |count: u32| Schedule::SORTED_MAX - (count as usize).min(Schedule::SORTED_MAX);
        let mut begins = [0_u32; Schedule::SORTED_MAX + 2];
        counts.iter().for_each(|count| begins[key(*count) + 1] += 1);
        for at in 1..begins.len() {
            begins[at] += begins[at - 1];
        }
        self.buckets.clear();
        self.buckets.resize(counts.len(), 0);
        for (bucket, count) in (0..).zip(counts) {
            let begin = &mut begins[key(*count)];
            self.buckets[*begin as usize] = bucket;
            *begin += 1;
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn sum(layout: Layout, terms: &Terms<'_>) -> EdwardsPoint {
    let bits = digit_bits(terms.numbers.len());
    let digits = Digits::of(&terms.numbers, bits);
    let mut schedule = Schedule::default();
    let mut bucket_sums = vec![BucketSum([0; 24]); 8 * digits.buckets];
    let mut column_sums = Vec::with_capacity(digits.columns.next_multiple_of(8));
    for first in (0..digits.columns).step_by(8) {
        for (column, of_buckets) in (first..).zip(bucket_sums.chunks_exact_mut(digits.buckets)) {
            // Columns that fill up the last eight have no points.
            let (of_column, counts) = match column < digits.columns {
                true => (
                    &digits.digits[column * digits.terms..][..digits.terms],
                    &digits.counts[column * digits.buckets..][..digits.buckets],
                ),
                false => (&[][..], &[0; 128][..digits.buckets]),
            };
            schedule.arrange(&terms.places, of_column, counts);
            fill_buckets(terms.rows, &schedule, of_buckets);
        }
        column_sums.extend(points(layout, &sum_of_columns(&bucket_sums)));
    }
    column_sums.truncate(digits.columns);
    let from_the_top = column_sums.into_iter().rev();
    from_the_top.fold(EdwardsPoint::identity(), |sum, column| shifted(sum, bits) + column)
}

/// `2^bits·point`.
fn shifted(point: EdwardsPoint, bits: usize) -> EdwardsPoint {
    let thrice = (0..bits / 3).fold(point, |point, _| point.mul_by_cofactor());
    (0..bits % 3).fold(thrice, |point, _| point + point)
}

/// Sums up the buckets of a column.
#[target_feature(enable = "avx512f,avx512ifma")]
fn fill_buckets(rows: &[Row], schedule: &Schedule, bucket_sums: &mut [BucketSum]) {
    let mut entries = schedule.entries.chunks_exact(8);
    for (eight, steps) in schedule.buckets.chunks(8).zip(&schedule.steps) {
        let mut sums = Sums::identity();
        for entries in entries.by_ref().take(*steps as usize) {
            let entries: &[u32; 8] = entries.try_into().expect("chunks of eight");
            sums = sums.add(&addends(rows, entries));
        }
        for (bucket, sum) in eight.iter().zip(BucketSum::of_lanes(&sums)) {
            bucket_sums[*bucket as usize] = sum;
        }
    }
}

/// The points of eight entries, with their signs.
#[target_feature(enable = "avx512f")]
fn addends(rows: &[Row], entries: &[u32; 8]) -> Addends {
    let row = |entry: &u32| &rows[(entry >> 1) as usize];
    let rows: [&Row; 8] = std::array::from_fn(|lane| row(&entries[lane]));
    // SAFETY: a row is 128 bytes, aligned to 64: two vectors.
    let half = |at: usize| rows.map(|row| unsafe { _mm512_load_si512(row.0.as_ptr().cast::<__m512i>().add(at)) });
    let [a, b, c, d, e, f, g, h] = transposed(half(0));
    let [i, j, k, l, m, n, o, _] = transposed(half(1));
    let addends =
        Addends { minus: Eight([a, b, c, d, e]), plus: Eight([f, g, h, i, j]), product: Eight([k, l, m, n, o]) };
    let signs = entries.iter().enumerate().fold(0, |signs, (lane, entry)| signs | ((entry & 1) as __mmask8) << lane);
    addends.negated(signs)
}

/// Eight rows of eight as columns.
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512i; 8]) -> [__m512i; 8] {
    let low = |at: usize| _mm512_unpacklo_epi64(rows[at], rows[at + 1]);
    let high = |at: usize| _mm512_unpackhi_epi64(rows[at], rows[at + 1]);
    // Of four pairs, such as (rows 0 and 1, columns 0, 2, 4, 6), to four columns.
    let columns = |pairs: [__m512i; 4]| {
        let [a, b, c, d] = pairs;
        let (even, odd) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xDD>(a, b));
        let (even_below, odd_below) = (_mm512_shuffle_i64x2::<0x88>(c, d), _mm512_shuffle_i64x2::<0xDD>(c, d));
        [
            _mm512_shuffle_i64x2::<0x88>(even, even_below),
            _mm512_shuffle_i64x2::<0x88>(odd, odd_below),
            _mm512_shuffle_i64x2::<0xDD>(even, even_below),
            _mm512_shuffle_i64x2::<0xDD>(odd, odd_below),
        ]
    };
    let [a, c, e, g] = columns([low(0), low(2), low(4), low(6)]);
    let [b, d, f, h] = columns([high(0), high(2), high(4), high(6)]);
    [a, b, c, d, e, f, g, h]
}

/// `Σ b·S_b` of each of eight columns, whose buckets stand one column after another.
#[target_feature(enable = "avx512f,avx512ifma")]
fn sum_of_columns(bucket_sums: &[BucketSum]) -> Sums {
    let buckets = bucket_sums.len() / 8;
    let (mut running, mut total) = (Sums::identity(), Sums::identity());
    for bucket in (0..buckets).rev() {
        let of_columns = std::array::from_fn(|column| &bucket_sums[column * buckets + bucket]);
        running = running.add_sums(&BucketSum::to_lanes(of_columns));
        total = total.add_sums(&running);
    }
    total
}

/// Eight sums as points of the library.
#[target_feature(enable = "avx512f")]
fn points(layout: Layout, sums: &Sums) -> [EdwardsPoint; 8] {
    let twice = |element: &Eight| add(element, element);
    // All four coordinates doubled: it is the same point.
    let x = lanes(&sub(&sums.plus, &sums.minus));
    let y = lanes(&add(&sums.plus, &sums.minus));
    let (z, t): ([Limbs; 8], [Limbs; 8]) = (lanes(&twice(&sums.z)), lanes(&twice(&sums.t)));
    std::array::from_fn(|lane| layout.point(&Coordinates { x: x[lane], y: y[lane], z: z[lane], t: t[lane] }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decompress::read_rows;
    use crate::layout;
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::scalar::Scalar;
    use curve25519_dalek::traits::VartimeMultiscalarMul;
    use proptest::prelude::*;

    /// Compares a sum with the library's, where the processor can compute it here.
    fn agrees(points: &[EdwardsPoint], numbers: &[Scalar]) -> bool {
        let Some(layout) = layout::found() else { return true };
        let encodings: Vec<[u8; 32]> = points.iter().map(|point| point.compress().0).collect();
        let mut rows = vec![Row::IDENTITY];
        assert!(read_rows(layout, &encodings, &mut rows).into_iter().all(|is_point| is_point));
        let mut terms = Terms::of(&rows, points.len());
        numbers.iter().enumerate().for_each(|(place, number)| terms.push(place + 1, number.to_bytes()));
        terms.sum(layout) == EdwardsPoint::vartime_multiscalar_mul(numbers, points)
    }

    /// Points in general, of small order, and the sum of both.
    fn point() -> impl Strategy<Value = EdwardsPoint> {
        (prop::option::weighted(0.9, 1..500_u64), prop::option::weighted(0.2, 0..8_usize)).prop_map(
            |(multiple, small)| {
                let large =
                    multiple.map_or(EdwardsPoint::identity(), |number| EdwardsPoint::mul_base(&Scalar::from(number)));
                small.map_or(large, |small| large + EIGHT_TORSION[small])
            },
        )
    }

    /// Numbers whose digits are at their ends, short ones, and any.
    fn number() -> impl Strategy<Value = Scalar> {
        let patterned = |byte: u8| move |length: usize| std::array::from_fn(|at| if at < length { byte } else { 0 });
        let of_pattern = prop::sample::select(vec![0x00_u8, 0x01, 0x7f, 0x80, 0x81, 0x88, 0xff])
            .prop_flat_map(move |byte| (0..=31_usize).prop_map(patterned(byte)));
        prop_oneof![
            any::<[u8; 32]>().prop_map(Scalar::from_bytes_mod_order),
            any::<u128>().prop_map(Scalar::from),
            of_pattern.prop_map(Scalar::from_bytes_mod_order),
            Just(-Scalar::ONE),
            Just(Scalar::from(u128::MAX)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_sum_is_the_librarys(terms in prop::collection::vec((point(), number()), 0..200)) {
            let (points, numbers): (Vec<_>, Vec<_>) = terms.into_iter().unzip();
            prop_assert!(agrees(&points, &numbers));
        }

        #[test]
        fn digits_of_any_width_give_the_number_again(number in number(), bits in 4..=8_usize) {
            let digits = Digits::of(&[number.to_bytes()], bits);
            let most = 1 << (bits - 1);
            prop_assert!(digits.digits.iter().all(|digit| digit.unsigned_abs() <= most), "{:?}", digits.digits);
            let base = Scalar::from(1_u64 << bits);
            let signed = |digit: i8| match is_negative(digit) {
                true => -Scalar::from(digit.unsigned_abs()),
                false => Scalar::from(digit.unsigned_abs()),
            };
            let value = digits.digits.iter().rev().fold(Scalar::ZERO, |sum, digit| sum * base + signed(*digit));
            prop_assert_eq!(value, number);
        }
    }

    /// Every width of digits, and one point so often that a bucket holds more than are sorted.
    #[test]
    fn a_sum_of_any_size_is_the_librarys() {
        let mut widths = std::collections::BTreeSet::new();
        for size in [1, 2, 40, 100, 200, 300, 700, 2_500] {
            widths.insert(digit_bits(size));
            let points: Vec<_> = (0..size).map(|at| EdwardsPoint::mul_base(&Scalar::from(at as u64 * 3 + 1))).collect();
            let numbers: Vec<_> = (0..size).map(|at| Scalar::from(at as u64 + 7).invert()).collect();
            assert!(agrees(&points, &numbers), "{size} points");
            assert!(agrees(&vec![points[0]; size], &vec![-Scalar::from(5_u64); size]), "{size} times one point");
        }
        assert_eq!(widths.len(), 5, "{widths:?}");
    }
}
