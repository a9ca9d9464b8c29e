//! Pippenger's algorithm, with eight additions at a time.
//!
//! 1. Every scalar is written in signed digits of `w` bits, each from `−(2^(w−1) − 1)` to `2^(w−1)`. A digit's index is
//!    its *window*.
//! 2. In each window the points with the digit `±b` belong to bucket `b`; those of negative digits are subtracted.
//! 3. Buckets with about as many points are filled together, one in each lane: a step adds its next point to each, or
//!    the identity if a bucket has no more. So no lane waits for another, and nothing but the points is read.
//! 4. The window's sum is `Σ b·S_b` over its buckets: from the largest `b` down, a running sum of the buckets, and the
//!    sum of all the running sums. Eight windows do that together, one in each lane.
//! 5. The windows are combined from the highest down (Horner's rule), with `w` doublings between two.
//!
//! `w` is chosen to minimise the cost of 3 and 4 ([`digit_bits`]).

use super::{SCALAR_BITS, Term, Terms};
use crate::backend::Simd;
use crate::point::{CachedPoint, CachedX8, ExtendedPoint, ExtendedX8, StoredPoint};

/// The sum of the terms, whose scalars are below `2^SCALAR_BITS`.
#[inline(always)]
pub(super) fn multiply<S: Simd>(simd: S, points: &[CachedPoint], terms: &Terms) -> ExtendedPoint {
    let bits = digit_bits(terms.len());
    let digits = Digits::of(terms, bits);
    let mut schedule = Schedule::default();
    let mut buckets = vec![StoredPoint::IDENTITY; 8 * digits.buckets];
    let mut windows = Vec::with_capacity(digits.windows.next_multiple_of(8));
    for first in (0..digits.windows).step_by(8) {
        for (window, buckets) in (first..).zip(buckets.chunks_exact_mut(digits.buckets)) {
            if window < digits.windows {
                schedule.arrange(terms, digits.of_window(window), digits.counts_of_window(window));
                fill_buckets(simd, points, &schedule, buckets);
            } else {
                // Windows that pad the last group of eight have no points.
                buckets.fill(StoredPoint::IDENTITY);
            }
        }
        windows.extend(sum_of_windows(simd, &buckets).points());
    }
    windows.truncate(digits.windows);
    horner(simd, &windows, bits)
}

/// The digit width, in bits, with the least cost for a number of points.
fn digit_bits(points: usize) -> usize {
    // In additions of eight lanes: those into the buckets of all windows (half of the points have scalars of half the
    // length), and those that combine buckets, which take a third longer.
    let cost = |bits: &usize| {
        let windows = windows(*bits);
        points * windows * 3 / 4 / 8 + windows.div_ceil(8) * (2 << (bits - 1)) * 4 / 3
    };
    (4..=8).min_by_key(cost).expect("the range is not empty")
}

/// The number of windows; the highest digit never carries.
fn windows(bits: usize) -> usize {
    (SCALAR_BITS + 1).div_ceil(bits)
}

/// The digits of all scalars, window by window, and how many there are of each absolute value.
struct Digits {
    windows: usize,
    buckets: usize,
    terms: usize,
    /// The largest digit of eight bits, 128, is stored as −128, which is not a digit.
    digits: Vec<i8>,
    counts: Vec<u32>,
}

impl Digits {
    fn of(all: &Terms, bits: usize) -> Digits {
        let (windows, buckets, terms) = (windows(bits), 1 << (bits - 1), all.len());
        let (mut digits, mut counts) = (vec![0_i8; windows * terms], vec![0; windows * buckets]);
        let (most, mask) = (buckets as i16, (1 << bits) - 1);
        for (term, Term { scalar, .. }) in all.iter().enumerate() {
            let mut padded = [0; 36];
            padded[..32].copy_from_slice(scalar);
            let is_short = scalar[16..] == [0; 16];
            let (mut at, mut carried) = (0, 0);
            let of_windows = digits.chunks_exact_mut(terms).zip(counts.chunks_exact_mut(buckets));
            for (of_window, counts) in of_windows.take(if is_short { 128 / bits + 1 } else { windows }) {
                let word = padded[at / 8..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
                let digit = (word >> (at % 8) & mask) as i16 + carried;
                carried = i16::from(digit > most);
                let digit = digit - (carried << bits);
                of_window[term] = digit as i8;
                if digit != 0 {
                    counts[usize::from(digit.unsigned_abs()) - 1] += 1;
                }
                at += bits;
            }
        }
        Digits { windows, buckets, terms, digits, counts }
    }

    fn of_window(&self, window: usize) -> &[i8] {
        &self.digits[window * self.terms..][..self.terms]
    }

    fn counts_of_window(&self, window: usize) -> &[u32] {
        &self.counts[window * self.buckets..][..self.buckets]
    }
}

/// Whether a digit, as stored, is below zero.
fn is_negative(digit: i8) -> bool {
    digit < 0 && digit != i8::MIN
}

/// The points of a window in the order in which they are added.
#[derive(Default)]
struct Schedule {
    /// Buckets, those with the most points first; eight of them are filled together.
    buckets: Vec<u32>,
    /// The number of steps for each group of eight.
    steps: Vec<u32>,
    /// Eight entries per step: a point's index, doubled, plus 1 if it is subtracted.
    entries: Vec<u32>,
    /// The position of each bucket's next entry.
    next: Vec<u32>,
}

impl Schedule {
    /// The most points by which buckets are sorted; larger ones are in no particular order, which costs some time in
    /// batches of thousands and nothing else.
    const SORTED_MAX: usize = 63;

    fn arrange(&mut self, terms: &Terms, digits: &[i8], counts: &[u32]) {
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
        for (term, digit) in terms.iter().zip(digits) {
            if *digit != 0 {
                let next = &mut self.next[usize::from(digit.unsigned_abs()) - 1];
                self.entries[*next as usize] = term.index << 1 | u32::from(is_negative(*digit) != term.is_negative);
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

/// Sums the points of each bucket of a window.
#[inline(always)]
fn fill_buckets<S: Simd>(simd: S, points: &[CachedPoint], schedule: &Schedule, buckets: &mut [StoredPoint]) {
    let mut entries = schedule.entries.as_chunks::<8>().0.iter();
    for (eight, steps) in schedule.buckets.chunks(8).zip(&schedule.steps) {
        let mut sums = ExtendedX8::identity(simd);
        for _ in 0..*steps {
            let Some(entries) = entries.next() else { break };
            sums = sums.add_cached(&load_entries(simd, points, entries)).extended();
        }
        let sums = sums.store();
        for lane in 0..eight.len() {
            buckets[eight[lane] as usize] = sums[lane];
        }
    }
}

/// The points of eight entries, with their signs.
#[inline(always)]
fn load_entries<S: Simd>(simd: S, points: &[CachedPoint], entries: &[u32; 8]) -> CachedX8<S> {
    let [a, b, c, d, e, f, g, h] = *entries;
    let gathered = [
        &points[(a >> 1) as usize],
        &points[(b >> 1) as usize],
        &points[(c >> 1) as usize],
        &points[(d >> 1) as usize],
        &points[(e >> 1) as usize],
        &points[(f >> 1) as usize],
        &points[(g >> 1) as usize],
        &points[(h >> 1) as usize],
    ];
    let mut signs = 0;
    for lane in 0..8 {
        signs |= ((entries[lane] & 1) as u8) << lane;
    }
    CachedX8::load(simd, gathered).negate_where(signs)
}

/// `Σ b·S_b` in each of eight windows, whose buckets are stored one window after another.
#[inline(always)]
fn sum_of_windows<S: Simd>(simd: S, buckets: &[StoredPoint]) -> ExtendedX8<S> {
    let count = buckets.len() / 8;
    let (mut running, mut total) = (ExtendedX8::identity(simd), ExtendedX8::identity(simd));
    for bucket in (0..count).rev() {
        let of_windows = [
            &buckets[bucket],
            &buckets[count + bucket],
            &buckets[2 * count + bucket],
            &buckets[3 * count + bucket],
            &buckets[4 * count + bucket],
            &buckets[5 * count + bucket],
            &buckets[6 * count + bucket],
            &buckets[7 * count + bucket],
        ];
        running = running.add(&ExtendedX8::load(simd, of_windows)).extended();
        total = total.add(&running).extended();
    }
    total
}

/// `Σ 2^(bits·i)·windows[i]`.
#[inline(always)]
fn horner<S: Simd>(simd: S, windows: &[ExtendedPoint], bits: usize) -> ExtendedPoint {
    let [others @ .., highest] = windows else { return ExtendedPoint::IDENTITY };
    let mut sum = *highest;
    for window in others.iter().rev() {
        sum = sum.double_times_by(simd, bits).add(window);
    }
    sum
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::scalar::Scalar;
    use proptest::prelude::*;

    use super::*;

    fn terms(scalar: Scalar) -> Terms {
        Terms { base: Term { index: 0, is_negative: false, scalar: scalar.to_bytes() }, others: Vec::new() }
    }

    fn check_digits(scalar: Scalar, bits: usize) -> Result<(), TestCaseError> {
        let digits = Digits::of(&terms(scalar), bits);
        let most = 1 << (bits - 1);
        prop_assert!(digits.digits.iter().all(|digit| digit.unsigned_abs() <= most), "{:?}", digits.digits);
        let base = Scalar::from(1_u64 << bits);
        let signed = |digit: i8| match is_negative(digit) {
            true => -Scalar::from(digit.unsigned_abs()),
            false => Scalar::from(digit.unsigned_abs()),
        };
        let value = digits.digits.iter().rev().fold(Scalar::ZERO, |sum, digit| sum * base + signed(*digit));
        prop_assert_eq!(value, scalar);
        Ok(())
    }

    proptest! {
        #[test]
        fn digits_of_any_width_give_the_number_again(bytes: [u8; 32], bits in 4..=8_usize) {
            check_digits(Scalar::from_bytes_mod_order(bytes), bits)?;
        }

        #[test]
        fn digits_of_a_short_number_give_it_again(number: u128, bits in 4..=8_usize) {
            check_digits(Scalar::from(number), bits)?;
        }
    }
}
