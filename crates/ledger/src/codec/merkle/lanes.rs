//! BLAKE3 of many short inputs of the same length, as many at once as the processor has SIMD lanes.
//!
//! [`blake3::keyed_hash`] uses vectors only within one long input. The function below it takes several inputs; it is
//! public but outside the crate's stability promise, so a test compares it with [`blake3::keyed_hash`].

use blake3::IncrementCounter;
use blake3::platform::Platform;

use super::Hash;

/// Flags of BLAKE3's specification, section 2.1.
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// Inputs hashed at once: enough for any vector, few enough for the stack.
const GROUP: usize = 64;

/// The keyed hash of each input. `N` must be a multiple of BLAKE3's block of 64 bytes, up to its chunk of 1,024.
pub(super) fn keyed_hashes<const N: usize>(key: &Hash, inputs: &[[u8; N]]) -> Vec<Hash> {
    const { assert!(N > 0 && N.is_multiple_of(64) && N <= 1024) };
    let key = blake3::platform::words_from_le_bytes_32(key);
    let platform = Platform::detect();
    let mut hashes = vec![[0; 32]; inputs.len()];
    for (inputs, hashes) in inputs.chunks(GROUP).zip(hashes.chunks_mut(GROUP)) {
        let mut group = [&inputs[0]; GROUP];
        group.iter_mut().zip(inputs).for_each(|(slot, input)| *slot = input);
        let (start, end, out) = (CHUNK_START, CHUNK_END | ROOT, hashes.as_flattened_mut());
        platform.hash_many(&group[..inputs.len()], &key, 0, IncrementCounter::No, KEYED_HASH, start, end, out);
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree<const N: usize>() {
        for count in [0, 1, 2, 15, 16, 17, 63, 64, 65, 200] {
            let input = |number: usize| std::array::from_fn(|at| (number * 31 + at * 7) as u8);
            let inputs: Vec<[u8; N]> = (0..count).map(input).collect();
            let one_by_one: Vec<Hash> =
                inputs.iter().map(|input| *blake3::keyed_hash(super::super::LEAF_KEY, input).as_bytes()).collect();
            assert_eq!(keyed_hashes(super::super::LEAF_KEY, &inputs), one_by_one, "{count} inputs of {N} bytes");
        }
    }

    #[test]
    fn hashes_in_simd_lanes_are_those_of_one_input_at_a_time() {
        agree::<64>();
        agree::<192>();
        agree::<1024>();
    }
}
