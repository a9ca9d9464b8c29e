//! Batches on every backend against single verification and `ed25519-zebra`.

#![no_main]

use std::sync::LazyLock;

use cbdc_signatures::{Backend, Batch, BatchSeed, DecompressedKey, PublicKey, Signature, SigningKey, Trust, verify};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

const PREFIX: &[u8] = b"fuzz";

/// Honest signatures, for the fuzzer to spoil.
static HONEST: LazyLock<Vec<(PublicKey, Vec<u8>, Signature)>> = LazyLock::new(|| {
    let honest = |number: u8| {
        let key = SigningKey::from_seed([number; 32]);
        let body = vec![number; usize::from(number) * 23];
        (key.public_key(), body.clone(), key.sign([PREFIX, &body]))
    };
    (0..16).map(honest).collect()
});

fuzz_target!(|bytes: &[u8]| {
    // Each instruction: which signature (4 bits), whether to replace A, R or s by the bytes that follow, or flip a bit.
    let mut input = bytes.iter().copied();
    let mut signatures = Vec::new();
    while let (Some(which), true) = (input.next(), signatures.len() < 200) {
        let (mut key, mut body, mut signature) = HONEST[usize::from(which & 0xf)].clone();
        let mut replace = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = input.next().unwrap_or(0));
        match which >> 4 {
            0 => replace(&mut key.0),
            1 => replace(&mut signature.0[..32]),
            2 => replace(&mut signature.0[32..]),
            3 => replace(&mut signature.0),
            4 => {
                replace(&mut key.0);
                replace(&mut signature.0[..32]);
            }
            5 => {
                let bit = input.next().unwrap_or(0);
                signature.0[usize::from(bit / 4)] ^= 1 << (bit % 8);
            }
            6 => body.push(which),
            _ => {}
        }
        signatures.push((key, body, signature));
    }

    let expected: Vec<bool> = signatures
        .iter()
        .map(|(key, body, signature)| {
            let signature = ed25519_zebra::Signature::from_bytes(&signature.0);
            let message = [PREFIX, body].concat();
            ed25519_zebra::VerificationKey::try_from(key.0).is_ok_and(|key| key.verify(&signature, &message).is_ok())
        })
        .collect();
    let encoded: Vec<PublicKey> = signatures.iter().map(|(key, ..)| *key).collect();
    let keys: Vec<Option<DecompressedKey>> = PublicKey::decompress_all(&encoded);
    for ((key, (_, body, signature)), expected) in keys.iter().zip(&signatures).zip(&expected) {
        assert_eq!(key.as_ref().is_some_and(|key| verify(key, [PREFIX, body], signature)), *expected);
    }
    let backends = if Backend::Avx512.is_available() {
        [Backend::Portable, Backend::Avx512].as_slice()
    } else {
        static TOLD: std::sync::Once = std::sync::Once::new();
        TOLD.call_once(|| eprintln!("AVX-512 is NOT fuzzed: this processor has none"));
        &[Backend::Portable]
    };
    for &backend in backends {
        let mut batch = Batch::on_backend(backend);
        for (key, (_, body, signature)) in keys.iter().zip(&signatures) {
            if let Some(key) = key {
                batch.set_trust(if body.len() % 3 == 0 { Trust::Suspect } else { Trust::Clean });
                batch.push(key, [PREFIX, body], signature);
            }
        }
        let mut verdicts = batch.verdicts(BatchSeed::draw(&mut StdRng::seed_from_u64(7))).into_iter();
        let found: Vec<bool> = keys.iter().map(|key| key.is_some() && verdicts.next() == Some(true)).collect();
        assert_eq!(found, expected, "{backend}");
    }
});
