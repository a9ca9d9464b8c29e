//! Every position in a batch: a bad signature gets its own verdict there and does not affect the others.

use super::crafted::{Case, batch_verdicts, honest, small_order_matrix, table};

/// The size up to which batches meet every way of verifying except the large sums, and every lane.
const SIZES_MAX: usize = if cfg!(miri) { 2 } else { 26 };

fn spoilt(mut case: Case, way: usize) -> Case {
    match way % 5 {
        0 => case.body.push(1),
        // Another R, a point or not; another s, canonical or not.
        1 => case.signature.0[0] ^= 1,
        2 => case.signature.0[31] ^= 0x80,
        3 => case.signature.0[32] ^= 1,
        _ => case.signature.0[63] |= 0x80,
    }
    case
}

#[test]
fn a_bad_signature_at_any_place_of_a_batch_of_any_size_is_the_only_one_refused() {
    let honest: Vec<Case> = (0..SIZES_MAX as u64).map(honest).collect();
    for size in 1..=SIZES_MAX {
        for position in 0..size {
            let mut cases = honest[..size].to_vec();
            cases[position] = spoilt(cases[position].clone(), size + position);
            let expected: Vec<bool> = (0..size).map(|at| at != position).collect();
            assert_eq!(batch_verdicts(&cases), expected, "number {position} of {size} is bad");
        }
    }
}

#[test]
fn a_good_signature_at_any_place_among_bad_ones_is_the_only_one_accepted() {
    let bad: Vec<Case> = (0..SIZES_MAX as u64).map(|number| spoilt(honest(number), number as usize)).collect();
    for size in 1..=SIZES_MAX.min(17) {
        for position in 0..size {
            let mut cases = bad[..size].to_vec();
            cases[position] = honest(position as u64);
            let expected: Vec<bool> = (0..size).map(|at| at == position).collect();
            assert_eq!(batch_verdicts(&cases), expected, "number {position} of {size} is good");
        }
    }
}

/// Crafted signatures of every class, each in every lane and in pairs.
#[test]
fn crafted_signatures_get_their_pinned_verdicts_in_every_lane() {
    let matrix = small_order_matrix().into_iter().step_by(29).map(|case| (case, true));
    let rows: Vec<(Case, bool)> = table().into_iter().map(|row| (row.case, row.valid)).chain(matrix).collect();
    for size in [1, 2, 3, 4, 8] {
        for shift in 0..if cfg!(miri) { 1 } else { size } {
            let mut shifted = rows.clone();
            shifted.rotate_left(shift);
            for rows in shifted.chunks(size) {
                let (cases, expected): (Vec<Case>, Vec<bool>) = rows.iter().cloned().unzip();
                for ((case, verdict), expected) in cases.iter().zip(batch_verdicts(&cases)).zip(expected) {
                    assert_eq!(verdict, expected, "{} in a batch of {size}, shifted by {shift}", case.name);
                }
            }
        }
    }
}
