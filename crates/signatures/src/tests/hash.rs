//! SHA-512 on eight lanes: AVX-512 against the scalar model, and both against sha2.

use proptest::prelude::*;

use super::backends::{cases, on_both};
use crate::hash::{Message, Sha512All, sha512};

const MESSAGES_MAX: usize = if cfg!(miri) { 4 } else { 40 };

#[test]
fn the_standards_example_is_hashed() {
    let expected = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    let messages = [[&b"a"[..], &b"b"[..], &[], &b"c"[..]]; 9];
    for hash in on_both(|| Sha512All(&messages)) {
        assert_eq!(hash.map(|byte| format!("{byte:02x}")).concat(), expected);
    }
}

proptest! {
    #![proptest_config(cases(500))]

    /// Lengths around the ends of blocks, equal and mixed, in any number.
    #[test]
    fn every_message_has_the_hash_that_it_has_alone(
        lengths in prop_oneof![
            (0..700_usize, 0..MESSAGES_MAX).prop_map(|(length, count)| vec![length; count]),
            prop::collection::vec(100..260_usize, 0..MESSAGES_MAX),
        ],
        seed in any::<u8>(),
    ) {
        let bytes: Vec<Vec<u8>> = lengths
            .iter()
            .enumerate()
            .map(|(number, length)| (0..*length).map(|at| (at * 31 + number * 7) as u8 ^ seed).collect())
            .collect();
        let messages: Vec<Message<'_>> = bytes
            .iter()
            .map(|bytes| {
                let (left, right) = bytes.split_at(bytes.len() / 3);
                [left, &right[..0], right, &[]]
            })
            .collect();
        let alone: Vec<[u8; 64]> = messages.iter().map(sha512).collect();
        prop_assert_eq!(on_both(|| Sha512All(&messages)), alone);
    }
}
