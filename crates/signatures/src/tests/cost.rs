//! The cost of verification: multiplications of eight lanes, counted on the scalar model.
//!
//! These tests check the bounds stated in the batch's module header. Equal work for good and bad signatures is compared
//! exactly.

use std::sync::LazyLock;

use super::crafted::{Case, honest};
use crate::backend::scalar_model::{MULTIPLICATIONS, ScalarModel};
use crate::{Batch, BatchSeed, DecompressedKey, PublicKey, Trust};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// The size from which clean signatures are summed on SIMD lanes.
const SUM_FROM: usize = crate::batch::SUM_FROM_ON_LANES;

/// Honest signatures with decompressed keys.
static GOOD: LazyLock<Vec<(Case, DecompressedKey)>> = LazyLock::new(|| {
    let cases: Vec<Case> = (0..300).map(honest).collect();
    let encoded: Vec<PublicKey> = cases.iter().map(|case| case.key).collect();
    let keys = PublicKey::decompress_all_by(ScalarModel, &encoded);
    let good: Vec<(Case, DecompressedKey)> =
        cases.into_iter().zip(keys).map(|(case, key)| (case, key.expect("a point"))).collect();
    // Tables that are computed at their first use are not counted below.
    let mut batch = Batch::with_capacity(SUM_FROM);
    good[..SUM_FROM].iter().for_each(|(case, key)| batch.push(key, case.parts(), &case.signature));
    assert_eq!(batch.verdicts_by(ScalarModel, BatchSeed::fixed([2; 32])), [true; SUM_FROM]);
    good
});

/// The multiplications for a batch with signatures of each kind of source, some of them bad: well-formed, with another
/// `s`.
fn cost(sources: &[(Trust, usize)], is_bad: impl Fn(usize) -> bool) -> u64 {
    let size = sources.iter().map(|(_, count)| count).sum();
    let signatures: Vec<_> = (0..size)
        .map(|at| {
            let mut signature = GOOD[at].0.signature;
            signature.0[32] ^= u8::from(is_bad(at));
            signature
        })
        .collect();
    let mut batch = Batch::with_capacity(size);
    let mut sources = sources.iter().flat_map(|(source, count)| std::iter::repeat_n(*source, *count));
    for (signature, (case, key)) in signatures.iter().zip(GOOD.iter()) {
        batch.set_trust(sources.next().expect("one source a signature"));
        batch.push(key, case.parts(), signature);
    }
    MULTIPLICATIONS.set(0);
    let verdicts = batch.verdicts_by(ScalarModel, BatchSeed::draw(&mut StdRng::seed_from_u64(5)));
    let expected: Vec<bool> = (0..size).map(|at| !is_bad(at)).collect();
    assert_eq!(verdicts, expected);
    MULTIPLICATIONS.get()
}

fn cost_of_clean(size: usize, is_bad: impl Fn(usize) -> bool) -> u64 {
    cost(&[(Trust::Clean, size)], is_bad)
}

const SIZES: [usize; 11] = [1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17];

#[test]
fn in_a_small_batch_a_bad_signature_costs_what_a_good_one_costs() {
    for size in SIZES {
        let good = cost_of_clean(size, |_| false);
        for at in [0, size / 2, size - 1] {
            assert_eq!(cost_of_clean(size, |bad| bad == at), good, "number {at} of {size} is bad");
        }
        assert_eq!(cost_of_clean(size, |_| true), good, "all {size} are bad");
    }
}

#[test]
fn more_signatures_never_cost_less_and_more_than_eight_no_more_than_apart() {
    let costs: Vec<(usize, u64)> = SIZES.iter().map(|size| (*size, cost_of_clean(*size, |_| false))).collect();
    for pair in costs.windows(2) {
        let [(fewer, less), (more, greater)] = [pair[0], pair[1]];
        assert!(less <= greater, "{fewer}: {less}, {more}: {greater}");
    }
    // The remainder after groups of eight costs no more than it does alone. (A single one is decoded by 64-bit
    // multiplications, which are not counted.)
    let alone = |size: usize| costs.iter().find(|(of, _)| *of == size).map(|(_, cost)| *cost).expect("it was measured");
    assert!(alone(16) <= 2 * alone(8) && alone(9) <= alone(8) + alone(2) && alone(12) <= alone(8) + alone(4));
}

#[test]
fn a_large_batch_costs_one_sum_and_one_verdict_each_however_many_are_bad() {
    let verdict = cost_of_clean(8, |_| false).div_ceil(8);
    for size in [SUM_FROM, SUM_FROM + 3, 2 * SUM_FROM] {
        let good = cost_of_clean(size, |_| false);
        let one = cost_of_clean(size, |at| at == size / 3);
        let some = cost_of_clean(size, |at| at % 16 == 3);
        let all = cost_of_clean(size, |_| true);
        assert_eq!((one, some), (all, all), "of {size} signatures one, some or all are bad");
        let last_lanes = cost_of_clean(8, |_| false);
        assert!(all <= good + size as u64 * verdict + last_lanes, "{size}: good {good}, all bad {all}, each {verdict}");
    }
}

#[test]
fn a_sum_is_taken_where_it_is_cheaper_than_verdicts() {
    let verdict = cost_of_clean(8, |_| false) as f64 / 8.0;
    let sum = |size: usize| cost_of_clean(size, |_| false) as f64 / size as f64;
    println!("{:?} {}", [16, 24, 32, 64, 128, 256].map(|n| (n, sum(n))), verdict);
    assert!(sum(SUM_FROM) < 1.1 * verdict, "{} a sum of {SUM_FROM}, {verdict} a verdict", sum(SUM_FROM));
    assert!(sum(300) < 0.9 * verdict, "{} in a sum of 300, {verdict} a verdict", sum(300));
}

#[test]
fn bad_signatures_of_suspect_sources_cost_what_good_ones_cost_and_the_others_nothing() {
    for (clean, suspect) in [(SUM_FROM, 8), (SUM_FROM + 10, 3), (4, 12), (0, SUM_FROM + 4)] {
        let sources = [(Trust::Clean, clean), (Trust::Suspect, suspect)];
        let good = cost(&sources, |_| false);
        assert_eq!(cost(&sources, |at| at == clean), good, "{clean} clean, {suspect} suspect: one is bad");
        assert_eq!(cost(&sources, |at| at >= clean), good, "{clean} clean, {suspect} suspect: all suspects are bad");
        let apart = cost(&sources[..1], |_| false) + cost_of_clean(suspect.min(SUM_FROM - 1), |_| false);
        assert!(suspect >= SUM_FROM || good <= apart, "{clean} clean, {suspect} suspect: {good}, apart {apart}");
    }
    // Suspects are never summed, however many.
    let verdict = cost_of_clean(8, |_| false) / 8;
    let suspects = cost(&[(Trust::Suspect, 2 * SUM_FROM)], |_| true);
    assert!(suspects <= 2 * SUM_FROM as u64 * verdict + 8 * verdict, "{suspects}");
}

#[test]
fn what_cannot_be_read_costs_less() {
    let good = cost_of_clean(16, |_| false);
    let mut batch = Batch::with_capacity(16);
    let signatures: Vec<_> = GOOD[..16]
        .iter()
        .map(|(case, _)| {
            let mut signature = case.signature;
            signature.0[63] |= 0x80;
            signature
        })
        .collect();
    for (signature, (case, key)) in signatures.iter().zip(GOOD.iter()) {
        batch.push(key, case.parts(), signature);
    }
    MULTIPLICATIONS.set(0);
    assert_eq!(batch.verdicts_by(ScalarModel, BatchSeed::fixed([1; 32])), [false; 16]);
    assert!(MULTIPLICATIONS.get() < good / 4, "{} against {good}", MULTIPLICATIONS.get());
}
