//! The cost of verifying a signature on one thread, for each batch size, against `ed25519-zebra`.
//!
//! Every signature has its own key and a message of 120 bytes (about a transfer). Ours has the keys decompressed, as
//! the cache of active wallets keeps them; zebra decompresses them each time, as its interface does. Names are
//! `verify::operation/batch=size`; the throughput shown is in signatures a second. `single` checks the same signatures
//! one by one; `portable_batch` is the backend of a machine without AVX-512; `one_bad` and `all_bad` show the price of
//! finding bad ones, and `suspect` that of a verdict for each signature whatever the others are.
//!
//! Run: `cargo bench -p cbdc-signatures --bench verify`.

use std::hint::black_box;

use cbdc_signatures::{Backend, Batch, BatchSeed, DecompressedKey, Signature, SigningKey, Trust, verify};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

const BATCH_SIZES: [usize; 13] = [1, 2, 3, 4, 5, 8, 16, 32, 64, 128, 256, 512, 1024];
const PREFIX: &[u8] = b"cbdc/v1/transfer";
const BODY_BYTES: usize = 104;

struct Signed {
    key: DecompressedKey,
    body: [u8; BODY_BYTES],
    signature: Signature,
}

fn signed(number: usize) -> Signed {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let mut body = [0; BODY_BYTES];
    body[..8].copy_from_slice(&number.to_le_bytes());
    let signing_key = SigningKey::from_seed(seed);
    Signed {
        key: signing_key.public_key().decompress().expect("a public key of a signing key is a point"),
        body,
        signature: signing_key.sign([PREFIX, &body]),
    }
}

/// The signature with another message: well-formed, and wrong.
fn spoilt(signed: &Signed) -> Signed {
    let mut body = signed.body;
    body[BODY_BYTES - 1] ^= 1;
    Signed { key: signed.key.clone(), body, signature: signed.signature }
}

fn verdicts(signatures: &[Signed], backend: Backend) -> Vec<bool> {
    verdicts_with_trust(signatures, backend, Trust::Clean)
}

fn verdicts_with_trust(signatures: &[Signed], backend: Backend, trust: Trust) -> Vec<bool> {
    let mut batch = Batch::on_backend(backend);
    batch.set_trust(trust);
    for signed in signatures {
        batch.push(&signed.key, [PREFIX, &signed.body], &signed.signature);
    }
    batch.verdicts(BatchSeed::draw(&mut SysRng))
}

fn zebra_accepts(signatures: &[Signed]) -> bool {
    let mut batch = ed25519_zebra::batch::Verifier::new();
    for signed in signatures {
        let message = [PREFIX, &signed.body].concat();
        batch.queue((
            ed25519_zebra::VerificationKeyBytes::from(signed.key.public_key().0),
            ed25519_zebra::Signature::from_bytes(&signed.signature.0),
            &message,
        ));
    }
    let coefficients = StdRng::try_from_rng(&mut SysRng).expect("a running operating system gives random bytes");
    batch.verify(coefficients).is_ok()
}

fn measure(criterion: &mut Criterion, operation: &str, size: usize, mut routine: impl FnMut()) {
    let mut group = criterion.benchmark_group(format!("verify::{operation}"));
    group.throughput(Throughput::Elements(size as u64));
    group.bench_function(format!("batch={size}"), |bencher| bencher.iter(&mut routine));
    group.finish();
}

fn valid_among(verdicts: Vec<bool>) -> usize {
    verdicts.into_iter().filter(|valid| *valid).count()
}

fn benchmark(criterion: &mut Criterion) {
    for size in BATCH_SIZES {
        let honest: Vec<Signed> = (0..size).map(signed).collect();
        let all_bad: Vec<Signed> = honest.iter().map(spoilt).collect();
        let mut one_bad: Vec<Signed> = (0..size).map(signed).collect();
        one_bad[size / 2] = spoilt(&one_bad[size / 2]);

        measure(criterion, "batch", size, || {
            assert_eq!(valid_among(verdicts(black_box(&honest), Backend::selected())), size);
        });
        measure(criterion, "portable_batch", size, || {
            assert_eq!(valid_among(verdicts(black_box(&honest), Backend::Portable)), size);
        });
        measure(criterion, "zebra_batch", size, || {
            assert!(zebra_accepts(black_box(&honest)));
        });
        measure(criterion, "single", size, || {
            for signed in black_box(&honest) {
                assert!(verify(&signed.key, [PREFIX, &signed.body], &signed.signature));
            }
        });
        measure(criterion, "one_bad", size, || {
            assert_eq!(valid_among(verdicts(black_box(&one_bad), Backend::selected())), size - 1);
        });
        measure(criterion, "suspect", size, || {
            let found = verdicts_with_trust(black_box(&all_bad), Backend::selected(), Trust::Suspect);
            assert_eq!(valid_among(found), 0);
        });
        measure(criterion, "all_bad", size, || {
            assert_eq!(valid_among(verdicts(black_box(&all_bad), Backend::selected())), 0);
        });
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
