//! Fixed vectors: RFC 8032, the small-order matrix of ZIP-215, crafted signatures with pinned verdicts.

use curve25519_dalek::constants::EIGHT_TORSION;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use rand::seq::SliceRandom;
use rand::{TryCryptoRng, TryRng};

use super::backends::has_avx512;
use super::crafted::{
    Case, SMALL_ORDER_ENCODINGS, batch_verdicts, bytes_of_hex, disagreements, honest, small_order_matrix, table,
};
use crate::{
    Backend, Batch, BatchSeed, KeyError, PublicKey, PublicKeyParseError, Signature, SigningKey, Trust, verify,
};

/// RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, both halves of the signature.
const RFC_8032: [(&str, &str, &[u8], &str, &str); 3] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        &[],
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        &[0x72],
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        &[0xaf, 0x82],
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac",
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
];

#[test]
fn rfc_8032_signatures_are_made_and_accepted_wherever_the_message_is_cut() {
    for (seed, public_key, message, commitment, response) in RFC_8032 {
        let signing_key = SigningKey::from_seed(bytes_of_hex(seed));
        let expected = [bytes_of_hex(commitment), bytes_of_hex(response)].concat();
        assert_eq!(signing_key.public_key().to_string(), public_key);
        for cut in 0..=message.len() {
            let parts: [&[u8]; 2] = message.split_at(cut).into();
            let signature = signing_key.sign(parts);
            assert_eq!(signature.0.as_slice(), expected);
            let key = signing_key.public_key().decompress().expect("a point");
            assert!(verify(&key, parts, &signature));
            assert!(!verify(&key, [message, b"more"], &signature));
        }
    }
}

#[test]
fn all_196_signatures_of_the_small_order_matrix_are_valid_alone_and_in_one_batch() {
    let cases = small_order_matrix();
    assert_eq!(cases.len(), 196);
    for case in &cases {
        assert!(case.single_verdict() && case.zebra_verdict(), "{} must be valid under ZIP-215", case.name);
    }
    assert!(batch_verdicts(&cases).into_iter().all(|valid| valid));
}

#[test]
fn the_canonical_small_order_encodings_are_those_of_the_eight_torsion_points() {
    let canonical: Vec<PublicKey> = EIGHT_TORSION.iter().map(|point| PublicKey(point.compress().0)).collect();
    let listed: Vec<PublicKey> = SMALL_ORDER_ENCODINGS.iter().map(|hex| PublicKey(bytes_of_hex(hex))).collect();
    assert_eq!(listed[..8], canonical);
    for key in &listed[8..] {
        let point = key.decompress().expect("a point");
        assert!(EIGHT_TORSION.contains(point.dalek_point()) && !canonical.contains(key), "{key}");
    }
}

#[test]
fn crafted_signatures_get_their_pinned_verdicts_alone_and_from_zebra() {
    for row in table() {
        assert_eq!(row.case.single_verdict(), row.valid, "alone: {}", row.case.name);
        assert_eq!(row.case.zebra_verdict(), row.valid, "zebra: {}", row.case.name);
        assert_eq!(row.case.cofactorless_verdict(), row.valid_cofactorless, "without cofactor: {}", row.case.name);
    }
}

#[test]
fn crafted_signatures_get_their_pinned_verdicts_in_any_batch_and_any_order() {
    for round in 0..300_u64 {
        let mut random = StdRng::seed_from_u64(round);
        let mut members: Vec<(Case, bool)> = table().into_iter().map(|row| (row.case, row.valid)).collect();
        members.extend((0..round % 60).map(|number| (honest(number), true)));
        if round % 4 == 0 {
            members.extend(small_order_matrix().into_iter().map(|case| (case, true)));
        }
        members.shuffle(&mut random);
        let (cases, expected): (Vec<Case>, Vec<bool>) = members.into_iter().unzip();
        // From batches of one to one batch of all: every way of summing occurs.
        let batch_size = 1 + (round as usize * 7) % cases.len();
        for (cases, expected) in cases.chunks(batch_size).zip(expected.chunks(batch_size)) {
            for ((case, verdict), expected) in cases.iter().zip(batch_verdicts(cases)).zip(expected) {
                assert_eq!(verdict, *expected, "{} in a batch of {}, round {round}", case.name, cases.len());
            }
        }
    }
}

#[test]
fn each_bad_signature_of_a_large_batch_is_found_and_no_good_one_lost() {
    let honest: Vec<Case> = (0..300).map(honest).collect();
    let bad_sets: [&[usize]; 6] =
        [&[], &[0], &[299], &[149, 150], &[3, 4, 5, 77, 180, 298], &(0..300).step_by(2).collect::<Vec<_>>()];
    for bad in bad_sets {
        let mut cases = honest.clone();
        for &position in bad {
            cases[position].body[0] ^= 1;
        }
        let expected: Vec<bool> = (0..300).map(|position| !bad.contains(&position)).collect();
        assert_eq!(batch_verdicts(&cases), expected, "bad ones: {bad:?}");
    }
    let mut all_bad = honest;
    all_bad.iter_mut().for_each(|case| case.body[0] ^= 1);
    assert_eq!(batch_verdicts(&all_bad), vec![false; 300]);
}

#[test]
fn an_empty_batch_has_no_verdicts() {
    let batch = Batch::with_capacity(0);
    assert!(batch.is_empty());
    assert_eq!(batch.verdicts(BatchSeed::draw(&mut SysRng)), Vec::<bool>::new());
}

/// A generator that gives no randomness.
struct Exhausted;

impl TryRng for Exhausted {
    type Error = std::fmt::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Err(std::fmt::Error)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Err(std::fmt::Error)
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
        Err(std::fmt::Error)
    }
}

impl TryCryptoRng for Exhausted {}

#[test]
fn without_a_secret_seed_and_from_suspect_sources_the_verdicts_are_the_same() {
    let mut cases: Vec<Case> = (0..60).map(honest).collect();
    cases[17].body[0] ^= 1;
    cases[40].signature.0[0] ^= 1;
    let expected: Vec<bool> = cases.iter().map(Case::zebra_verdict).collect();
    let keys: Vec<_> = cases.iter().map(|case| case.key.decompress().expect("a point")).collect();
    let avx512 = has_avx512().then_some(Backend::Avx512);
    for backend in std::iter::once(Backend::Portable).chain(avx512) {
        for suspects in [0..0, 0..60, 10..41, 41..60] {
            let mut batch = Batch::on_backend(backend);
            for (at, (case, key)) in cases.iter().zip(&keys).enumerate() {
                batch.set_trust(if suspects.contains(&at) { Trust::Suspect } else { Trust::Clean });
                batch.push(key, case.parts(), &case.signature);
            }
            assert_eq!(batch.verdicts(BatchSeed::draw(&mut SysRng)), expected, "{backend}, suspects {suspects:?}");
            assert_eq!(batch.verdicts(BatchSeed::draw(&mut Exhausted)), expected, "{backend}, without a seed");
        }
    }
}

/// The canary: if a rule without the cofactor were used, the comparison with zebra would fail.
#[test]
fn the_comparison_with_zebra_catches_a_rule_without_cofactor() {
    let (cases, pinned): (Vec<Case>, Vec<bool>) =
        table().into_iter().map(|row| (row.case, row.valid != row.valid_cofactorless)).unzip();
    let pinned_names: Vec<String> =
        cases.iter().zip(pinned).filter(|(_, differs)| *differs).map(|(case, _)| case.name.clone()).collect();
    let single: Vec<bool> = cases.iter().map(Case::single_verdict).collect();
    let cofactorless: Vec<bool> = cases.iter().map(Case::cofactorless_verdict).collect();
    let strict: Vec<bool> = cases.iter().map(Case::strict_verdict).collect();

    assert_eq!(disagreements(&cases, &single), Vec::<String>::new());
    assert_eq!(disagreements(&cases, &batch_verdicts(&cases)), Vec::<String>::new());
    assert_eq!(disagreements(&cases, &cofactorless), pinned_names);
    assert!(pinned_names.contains(&"R with a component of order 2".to_owned()));
    assert!(disagreements(&cases, &strict).len() > pinned_names.len());

    let matrix = small_order_matrix();
    let cofactorless: Vec<bool> = matrix.iter().map(Case::cofactorless_verdict).collect();
    let accepted = cofactorless.iter().filter(|valid| **valid).count();
    assert!(accepted < 100, "without cofactor most of the 196 are refused; {accepted} were accepted");
}

#[test]
fn opening_an_account_refuses_small_order_and_bytes_that_are_no_point() {
    for hex in SMALL_ORDER_ENCODINGS {
        let key = PublicKey(bytes_of_hex(hex));
        assert!(key.decompress().is_ok(), "{key} is a point");
        assert_eq!(key.check_for_account(), Err(KeyError::SmallOrder { found: key }));
    }
    let mut no_point = PublicKey([0; 32]);
    no_point.0[0] = 2;
    assert_eq!(no_point.check_for_account(), Err(KeyError::NotAPoint { found: no_point }));
    assert_eq!(no_point.decompress().expect_err("no point has y = 2"), KeyError::NotAPoint { found: no_point });
    assert_eq!(honest(1).key.check_for_account(), Ok(()));
}

#[test]
fn decompression_accepts_the_encodings_that_zebra_accepts() {
    // Every y from p - 1 to 2^255 - 1, and the first small ones, with either sign bit.
    for low_byte in 0..=255_u8 {
        for (fill, high_byte) in [(0xff, 0x7f), (0xff, 0xff), (0, 0), (0, 0x80)] {
            let mut bytes = [fill; 32];
            bytes[0] = low_byte;
            bytes[31] = high_byte;
            let zebra_accepts = ed25519_zebra::VerificationKey::try_from(bytes).is_ok();
            assert_eq!(PublicKey(bytes).decompress().is_ok(), zebra_accepts, "{}", PublicKey(bytes));
        }
    }
}

#[test]
fn a_public_key_is_shown_and_parsed_as_hexadecimal() {
    let (_, text, ..) = RFC_8032[0];
    let key: PublicKey = text.parse().expect("64 digits");
    assert_eq!(key.to_string(), text);
    assert_eq!(format!("{key:?}"), format!("PublicKey({text})"));
    assert_eq!(text.to_uppercase().parse(), Ok(key));
    assert_eq!(text[1..].parse::<PublicKey>(), Err(PublicKeyParseError::Length { found_digits: 63 }));
    assert_eq!("".parse::<PublicKey>(), Err(PublicKeyParseError::Length { found_digits: 0 }));
    let spoilt = text.replacen("75a", "7ä+", 1);
    assert_eq!(spoilt.parse::<PublicKey>(), Err(PublicKeyParseError::Digit { position: 2, found: 'ä' }));
    assert!(format!("{:?}", Signature([0xab; 64])).starts_with("Signature(abab"));
}

#[test]
fn debug_output_of_a_signing_key_shows_the_public_half_only() {
    let (seed, public_key, ..) = RFC_8032[0];
    let shown = format!("{:?}", SigningKey::from_seed(bytes_of_hex(seed)));
    assert_eq!(shown, format!("SigningKey(of {public_key})"));
}

#[test]
fn generated_keys_differ_and_sign() {
    let [first, second] =
        [(); 2].map(|()| SigningKey::generate(&mut SysRng).expect("a running operating system gives random bytes"));
    assert_ne!(first.public_key(), second.public_key());
    let signature = first.sign([b"prefix", b"body"]);
    let [first, second] = [first, second].map(|key| key.public_key().decompress().expect("a point"));
    assert!(verify(&first, [b"prefix", b"body"], &signature));
    assert!(!verify(&second, [b"prefix", b"body"], &signature));
}

/// Numbers of Wycheproof's vectors that RFC 8032 rejects and ZIP-215 accepts.
///
/// 151: `R` is the identity, encoded with the sign bit set although `x = 0`. RFC 8032 (5.1.3) rejects the encoding;
/// ZIP-215 accepts either sign bit there, so that batches and single verification agree.
const WYCHEPROOF_BEYOND_RFC_8032: [u32; 1] = [151];

#[test]
fn wycheproofs_signatures_get_wycheproofs_results() {
    let (mut numbers, mut cases, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    let lines = include_str!("wycheproof_ed25519.txt").lines().filter(|line| !line.starts_with('#'));
    let mut of_another_length = 0;
    for line in lines {
        let fields: Vec<&str> = line.split(' ').collect();
        let [number, result, _flags, key, message, signature] = fields[..] else { panic!("six fields: {line}") };
        let bytes = |hex: &str| -> Vec<u8> {
            let digits = hex.trim_matches('-').as_bytes().chunks(2);
            digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
        };
        let Ok(signature) = <[u8; 64]>::try_from(bytes(signature)) else {
            // Our type cannot represent it: a signature has 64 bytes.
            assert_eq!(result, "invalid", "number {number}");
            of_another_length += 1;
            continue;
        };
        numbers.push(number.parse::<u32>().unwrap());
        cases.push(Case {
            name: format!("Wycheproof {number}"),
            key: PublicKey(bytes_of_hex(key)),
            prefix: Vec::new(),
            body: bytes(message),
            signature: Signature(signature),
        });
        expected.push(result == "valid");
    }
    assert_eq!((cases.len() + of_another_length, expected.iter().filter(|valid| **valid).count() > 50), (151, true));
    let single: Vec<bool> = cases.iter().map(Case::single_verdict).collect();
    let beyond: Vec<u32> =
        numbers.iter().zip(single.iter().zip(&expected)).filter(|(_, (s, e))| s != e).map(|(n, _)| *n).collect();
    assert_eq!(beyond, WYCHEPROOF_BEYOND_RFC_8032);
    assert_eq!(disagreements(&cases, &single), Vec::<String>::new());
    assert_eq!(batch_verdicts(&cases), single);
}
