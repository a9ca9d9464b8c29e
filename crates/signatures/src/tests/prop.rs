//! Properties: on any mixture of honest, damaged and crafted signatures, all verdicts are zebra's.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;

use super::backends::cases;
use super::crafted::{Case, batch_verdicts, honest, small_order_matrix, table};
use crate::backend::scalar_model::ScalarModel;
use crate::{DecompressedKey, PublicKey};

static CRAFTED: LazyLock<Vec<Case>> =
    LazyLock::new(|| table().into_iter().map(|row| row.case).chain(small_order_matrix()).collect());
static HONEST: LazyLock<Vec<Case>> = LazyLock::new(|| (0..64).map(honest).collect());

fn any_case() -> impl Strategy<Value = Case> {
    let honest = (0..HONEST.len()).prop_map(|number| HONEST[number].clone());
    let crafted = (0..CRAFTED.len()).prop_map(|number| CRAFTED[number].clone());
    let undamaged = prop_oneof![3 => honest, 1 => crafted];
    prop_oneof![
        3 => undamaged.clone(),
        1 => (undamaged, 0..3_usize, 0..512_usize).prop_map(|(case, target, bit)| damaged(case, target, bit)),
    ]
}

/// The case with one bit flipped: in the key, the signature or the body.
fn damaged(mut case: Case, target: usize, bit: usize) -> Case {
    let bytes: &mut [u8] = match target {
        0 => &mut case.key.0,
        1 => &mut case.signature.0,
        _ => &mut case.body,
    };
    let bit = bit % (8 * bytes.len());
    bytes[bit / 8] ^= 1 << (bit % 8);
    case
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn verdicts_alone_in_a_batch_and_in_reverse_order_are_zebras(cases in vec(any_case(), 0..130)) {
        let expected: Vec<bool> = cases.iter().map(Case::zebra_verdict).collect();
        let single: Vec<bool> = cases.iter().map(Case::single_verdict).collect();
        prop_assert_eq!(&single, &expected);
        prop_assert_eq!(&batch_verdicts(&cases), &expected);

        let reversed: Vec<Case> = cases.into_iter().rev().collect();
        let mut verdicts = batch_verdicts(&reversed);
        verdicts.reverse();
        prop_assert_eq!(&verdicts, &expected);
    }

    #[test]
    fn keys_that_are_read_together_are_what_each_is_alone(keys in vec(any::<[u8; 32]>().prop_map(PublicKey), 0..20)) {
        let by_process = PublicKey::decompress_all(&keys);
        let by_model = PublicKey::decompress_all_by(ScalarModel, &keys);
        for ((key, by_process), by_model) in keys.iter().zip(by_process).zip(by_model) {
            let parts = |key: &DecompressedKey| (key.public_key(), *key.dalek_point());
            let alone = key.decompress().ok().as_ref().map(parts);
            prop_assert_eq!(by_process.as_ref().map(parts), alone);
            prop_assert_eq!(by_model.as_ref().map(parts), alone);
        }
    }

    #[test]
    fn any_bytes_as_key_and_signature_get_zebras_verdict(key: [u8; 32], halves: [[u8; 32]; 2], body: Vec<u8>) {
        let mut case = HONEST[0].clone();
        case.key.0 = key;
        case.signature.0[..32].copy_from_slice(&halves[0]);
        case.signature.0[32..].copy_from_slice(&halves[1]);
        case.body = body;
        prop_assert_eq!(case.key.decompress().is_ok(), ed25519_zebra::VerificationKey::try_from(key).is_ok());
        prop_assert_eq!(case.single_verdict(), case.zebra_verdict());
        // Together with enough others that SIMD lanes verify them.
        let company: Vec<Case> = HONEST[..20].iter().cloned().chain([case.clone()]).collect();
        let expected: Vec<bool> = company.iter().map(Case::zebra_verdict).collect();
        prop_assert_eq!(batch_verdicts(&company), expected);
    }
}
