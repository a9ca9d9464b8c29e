//! Signatures that no honest signer makes, with the verdict each must get, and the verifiers to compare.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha512};

use super::backends::has_avx512;
use crate::backend::Backend;
use crate::backend::scalar_model::ScalarModel;
use crate::{Batch, BatchSeed, DecompressedKey, PublicKey, Signature, SigningKey, verify};

/// The order `l` of the prime-order subgroup, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// All encodings that ZIP-215 accepts for the eight points of small order: 8 canonical ones, then 6 that are not.
pub const SMALL_ORDER_ENCODINGS: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// A signature, its key and its message in two parts.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub key: PublicKey,
    pub prefix: Vec<u8>,
    pub body: Vec<u8>,
    pub signature: Signature,
}

impl Case {
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.prefix, &self.body]
    }

    fn message(&self) -> Vec<u8> {
        self.parts().concat()
    }

    /// The verdict of [`verify`]; a key that is not a point makes every signature invalid.
    pub fn single_verdict(&self) -> bool {
        self.key.decompress().is_ok_and(|key| verify(&key, self.parts(), &self.signature))
    }

    /// The verdict of `ed25519-zebra` on this signature alone: the reference.
    pub fn zebra_verdict(&self) -> bool {
        let signature = ed25519_zebra::Signature::from_bytes(&self.signature.0);
        ed25519_zebra::VerificationKey::try_from(self.key.0)
            .is_ok_and(|key| key.verify(&signature, &self.message()).is_ok())
    }

    /// The verdict of a rule without the cofactor: ed25519-dalek's.
    pub fn cofactorless_verdict(&self) -> bool {
        use ed25519_dalek::Verifier;
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature.0);
        ed25519_dalek::VerifyingKey::from_bytes(&self.key.0)
            .is_ok_and(|key| key.verify(&self.message(), &signature).is_ok())
    }

    /// The verdict of ed25519-dalek's strict rule, which refuses `A` and `R` of small order too.
    pub fn strict_verdict(&self) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature.0);
        ed25519_dalek::VerifyingKey::from_bytes(&self.key.0)
            .is_ok_and(|key| key.verify_strict(&self.message(), &signature).is_ok())
    }
}

/// The verdicts of one batch of all `cases` whose key is a point, in order; false for the others, which cannot be
/// pushed.
///
/// Every backend and the scalar model verify them; fails if they differ.
pub fn batch_verdicts(cases: &[Case]) -> Vec<bool> {
    let encoded: Vec<PublicKey> = cases.iter().map(|case| case.key).collect();
    let judge = |keys: Vec<Option<DecompressedKey>>, backend: &dyn Fn(&Batch<'_>) -> Vec<bool>| {
        let mut batch = Batch::on_backend(Backend::Portable);
        for (case, key) in cases.iter().zip(&keys) {
            if let Some(key) = key {
                batch.push(key, case.parts(), &case.signature);
            }
        }
        let mut verdicts = backend(&batch).into_iter();
        let of_cases = keys.iter().map(|key| key.is_some() && verdicts.next().expect("one verdict a push")).collect();
        assert_eq!(verdicts.next(), None, "a batch gives no more verdicts than it has signatures");
        of_cases
    };
    let seed = || BatchSeed::draw(&mut StdRng::seed_from_u64(1));
    let portable: Vec<bool> =
        judge(PublicKey::decompress_all_on(Backend::Portable, &encoded), &|batch| batch.verdicts(seed()));
    // The model is slow: it gets the smaller batches, and few of the others.
    if cases.len() <= 12 || cases.len() % 32 == 1 {
        let model =
            judge(PublicKey::decompress_all_by(ScalarModel, &encoded), &|batch| batch.verdicts_by(ScalarModel, seed()));
        assert_eq!(model, portable, "the scalar model against the portable backend");
    }
    let _has_avx512 = has_avx512();
    #[cfg(target_arch = "x86_64")]
    if _has_avx512 {
        let simd = Backend::Avx512.avx512().expect("it is available");
        let found = judge(PublicKey::decompress_all_by(simd, &encoded), &|batch| batch.verdicts_by(simd, seed()));
        assert_eq!(found, portable, "AVX-512 against the portable backend");
    }
    portable
}

/// The names of the cases on which a verifier differs from `ed25519-zebra`.
pub fn disagreements(cases: &[Case], verdicts: &[bool]) -> Vec<String> {
    assert_eq!(cases.len(), verdicts.len());
    cases
        .iter()
        .zip(verdicts)
        .filter(|(case, verdict)| case.zebra_verdict() != **verdict)
        .map(|(case, _)| case.name.clone())
        .collect()
}

pub fn honest(number: u64) -> Case {
    let mut seed = [0x42; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let signing_key = SigningKey::from_seed(seed);
    let prefix = b"cbdc/v1/transfer".to_vec();
    // Lengths on both sides of a block of SHA-512.
    let body = number.to_le_bytes().repeat(1 + (number % 40) as usize);
    Case {
        name: format!("honest {number}"),
        key: signing_key.public_key(),
        signature: signing_key.sign([&prefix, &body]),
        prefix,
        body,
    }
}

/// The 14 by 14 matrix of ZIP-215's published test: `A` and `R` of small order, `s = 0`, message "Zcash". All are
/// valid.
pub fn small_order_matrix() -> Vec<Case> {
    let encodings = SMALL_ORDER_ENCODINGS.map(bytes_of_hex);
    let mut cases = Vec::new();
    for (row, key) in encodings.iter().enumerate() {
        for (column, commitment) in encodings.iter().enumerate() {
            cases.push(Case {
                name: format!("small order, A {row}, R {column}"),
                key: PublicKey(*key),
                prefix: b"Zca".to_vec(),
                body: b"sh".to_vec(),
                signature: join(*commitment, [0; 32]),
            });
        }
    }
    cases
}

/// One crafted case with its pinned verdicts.
pub struct Row {
    pub case: Case,
    /// The verdict under ZIP-215, the rule of this crate.
    pub valid: bool,
    /// The verdict of ed25519-dalek's `verify`, which has no cofactor and compares the bytes of `R`.
    pub valid_cofactorless: bool,
}

/// The table of crafted cases. The scalars are fixed, so every run sees the same bytes.
pub fn table() -> Vec<Row> {
    let a = scalar("secret of the key");
    let r = scalar("secret of the commitment");
    let other = scalar("another secret");
    let (key, commitment) = ((a * B).compress().0, (r * B).compress().0);
    let [order_8, order_4, order_2] = [EIGHT_TORSION[1], EIGHT_TORSION[2], EIGHT_TORSION[4]];
    let encoded = |point: EdwardsPoint| point.compress().0;
    let encodings = SMALL_ORDER_ENCODINGS.map(bytes_of_hex);
    // y = p + 3: unreduced, of large order, with an unknown discrete logarithm.
    let large_order_not_canonical = {
        let mut bytes = encodings[12];
        bytes[0] += 3;
        bytes
    };
    // No point has y = 2.
    let mut no_point = [0; 32];
    no_point[0] = 2;

    let mut rows = Vec::new();
    let mut row = |name: &str, case: Case, valid: bool, valid_cofactorless: bool| {
        rows.push(Row { case: Case { name: name.to_owned(), ..case }, valid, valid_cofactorless });
    };

    row("made by hand, honestly", forge(key, commitment, a, r, Any), true, true);
    row(
        "another message",
        {
            let mut case = forge(key, commitment, a, r, Any);
            case.body.push(0);
            case
        },
        false,
        false,
    );
    row("another secret", forge(key, commitment, other, r, Any), false, false);
    row("R negated", forge(key, encoded(-(r * B)), a, r, Any), false, false);

    row("s + l", with_response(forge(key, commitment, a, r, Any), |s| add(s, ORDER)), false, false);
    row(
        "s = l where s = 0 is valid",
        with_response(forge(encodings[0], encodings[0], a, r, Any), |_| ORDER),
        false,
        false,
    );
    row(
        "s = 0 where A and R are the identity",
        with_response(forge(encodings[0], encodings[0], a, r, Any), |_| [0; 32]),
        true,
        true,
    );
    for bit in [5, 6, 7] {
        let name = format!("bit {} of s set", 248 + bit);
        row(
            &name,
            with_response(forge(key, commitment, a, r, Any), |mut s| {
                s[31] |= 1 << bit;
                s
            }),
            false,
            false,
        );
    }
    row("s all ones", with_response(forge(key, commitment, a, r, Any), |_| [0xff; 32]), false, false);

    row("key of order 1", forge(encodings[0], commitment, Scalar::ZERO, r, Any), true, true);
    row("key of order 1, sign bit set", forge(encodings[8], commitment, Scalar::ZERO, r, Any), true, true);
    row("key of order 1, y = p + 1", forge(encodings[10], commitment, Scalar::ZERO, r, Any), true, true);
    row("key of order 1, y = p + 1, sign bit set", forge(encodings[11], commitment, Scalar::ZERO, r, Any), true, true);
    row("key of order 1, wrong response", forge(encodings[0], commitment, a, r, Any), false, false);
    row("key of order 2, odd k", forge(encoded(order_2), commitment, Scalar::ZERO, r, Odd), true, false);
    row("key of order 2, sign bit set, odd k", forge(encodings[9], commitment, Scalar::ZERO, r, Odd), true, false);
    row("key of order 4, y = p, odd k", forge(encodings[12], commitment, Scalar::ZERO, r, Odd), true, false);
    row("key of order 8, odd k", forge(encoded(order_8), commitment, Scalar::ZERO, r, Odd), true, false);
    row(
        "key of order 8, k a multiple of 8",
        forge(encoded(order_8), commitment, Scalar::ZERO, r, MultipleOf8),
        true,
        true,
    );

    row("key with a component of order 2, odd k", forge(encoded(a * B + order_2), commitment, a, r, Odd), true, false);
    row("key with a component of order 8, odd k", forge(encoded(a * B + order_8), commitment, a, r, Odd), true, false);
    row(
        "key with a component of order 8, k a multiple of 8",
        forge(encoded(a * B + order_8), commitment, a, r, MultipleOf8),
        true,
        true,
    );
    row(
        "key with a component of order 8, another secret",
        forge(encoded(a * B + order_8), commitment, other, r, Odd),
        false,
        false,
    );

    row("R with a component of order 2", forge(key, encoded(r * B + order_2), a, r, Any), true, false);
    row("R with a component of order 4", forge(key, encoded(r * B + order_4), a, r, Any), true, false);
    row("R with a component of order 8", forge(key, encoded(r * B + order_8), a, r, Any), true, false);
    row(
        "R with a component of order 8, another secret",
        forge(key, encoded(r * B + order_8), other, r, Any),
        false,
        false,
    );
    row(
        "key and R with components that do not cancel",
        forge(encoded(a * B + order_2), encoded(r * B + order_8), a, r, Any),
        true,
        false,
    );
    row(
        "key and R with components that cancel",
        forge(encoded(a * B + order_2), encoded(r * B + order_2), a, r, Odd),
        true,
        true,
    );

    row("R the identity", forge(key, encodings[0], a, Scalar::ZERO, Any), true, true);
    row("R the identity, sign bit set", forge(key, encodings[8], a, Scalar::ZERO, Any), true, false);
    row("R the identity, y = p + 1", forge(key, encodings[10], a, Scalar::ZERO, Any), true, false);
    row("R of order 2, sign bit set", forge(key, encodings[9], a, Scalar::ZERO, Any), true, false);
    row("R of order 4, y = p", forge(key, encodings[12], a, Scalar::ZERO, Any), true, false);
    row("R of order 8", forge(key, encoded(order_8), a, Scalar::ZERO, Any), true, false);
    row("R of order 8, another secret", forge(key, encoded(order_8), other, Scalar::ZERO, Any), false, false);

    row("key not canonical, of large order", forge(large_order_not_canonical, commitment, a, r, Any), false, false);
    row("R not canonical, of large order", forge(key, large_order_not_canonical, a, r, Any), false, false);
    row("R no point", forge(key, no_point, a, r, Any), false, false);
    row("key no point", forge(no_point, commitment, a, r, Any), false, false);

    // With equal coefficients these three would pass together: their errors sum to zero.
    let error = scalar("error");
    row("error + e", with_response(forge(key, commitment, a, r, Any), |s| add_mod_order(s, error)), false, false);
    row(
        "error - e",
        with_response(forge(key, commitment, a, r, Any), |s| add_mod_order(s, -error - error)),
        false,
        false,
    );
    row(
        "error + e, once more",
        with_response(forge(key, commitment, a, r, Any), |s| add_mod_order(s, error)),
        false,
        false,
    );
    rows
}

/// The property for which the message is chosen.
#[derive(Clone, Copy)]
enum Challenge {
    Any,
    /// `k` is odd, so that `k·T` is the identity only if `T` of small order is.
    Odd,
    /// `k·T` is the identity for every `T` of small order.
    MultipleOf8,
}
use Challenge::{Any, MultipleOf8, Odd};

/// A signature with `s = r + k·a` on a message whose `k` has the wanted property; `A` and `R` may be any bytes.
fn forge(key: [u8; 32], commitment: [u8; 32], a: Scalar, r: Scalar, wished: Challenge) -> Case {
    let prefix = b"crafted".to_vec();
    for attempt in 0..1_000_u32 {
        let body = attempt.to_le_bytes().to_vec();
        let hash = Sha512::new().chain_update(commitment).chain_update(key).chain_update(&prefix).chain_update(&body);
        let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let suits = match wished {
            Any => true,
            Odd => challenge.as_bytes()[0] % 2 == 1,
            MultipleOf8 => challenge.as_bytes()[0].is_multiple_of(8),
        };
        if suits {
            let signature = join(commitment, (r + challenge * a).to_bytes());
            return Case { name: String::new(), key: PublicKey(key), prefix, body, signature };
        }
    }
    unreachable!("one challenge in eight suits")
}

fn with_response(mut case: Case, change: impl FnOnce([u8; 32]) -> [u8; 32]) -> Case {
    let (commitment, response) = case.signature.halves();
    case.signature = join(commitment, change(response));
    case
}

fn join(commitment: [u8; 32], response: [u8; 32]) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&commitment);
    bytes[32..].copy_from_slice(&response);
    Signature(bytes)
}

fn scalar(label: &str) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&Sha512::digest(label).into())
}

/// Sum of two integers of 256 bits, little-endian.
fn add(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    let mut sum = [0; 32];
    let mut carry = 0_u16;
    for position in 0..32 {
        let total = u16::from(left[position]) + u16::from(right[position]) + carry;
        sum[position] = (total & 0xff) as u8;
        carry = total >> 8;
    }
    assert_eq!(carry, 0, "the sum fits 256 bits");
    sum
}

fn add_mod_order(response: [u8; 32], error: Scalar) -> [u8; 32] {
    (Scalar::from_bytes_mod_order(response) + error).to_bytes()
}

pub fn bytes_of_hex(hex: &str) -> [u8; 32] {
    hex.parse::<PublicKey>().expect("64 hexadecimal digits").0
}
