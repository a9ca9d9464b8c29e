//! Signatures that every program must accept, and that it must refuse.

use cbdc_ledger::encoding::hex;
use cbdc_ledger::{PublicKey, Signature};
use serde_json::{Value, json};

use super::{key, seed};

/// The order of the group, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The points whose order divides 8, in every encoding, and two of them with a sign bit that means nothing.
const SMALL_ORDER: [&str; 14] = [
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

const MESSAGE: &[u8] = b"a message of any length";

fn verdict(public_key: PublicKey, message: &[u8], signature: [u8; 64]) -> bool {
    let key = public_key.decompress();
    key.is_ok_and(|key| cbdc_signatures::verify(&key, [&[], message], &Signature(signature)))
}

fn case(why: &str, public_key: PublicKey, message: &[u8], signature: [u8; 64], is_valid: bool) -> Value {
    assert_eq!(verdict(public_key, message, signature), is_valid, "{why}");
    json!({
        "why": why,
        "key": hex(&public_key.0),
        "message": hex(message),
        "signature": hex(&signature),
    })
}

/// The same number modulo the order of the group.
pub fn plus_order(mut response: [u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    for (byte, order) in response.iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    response
}

fn small_order() -> [PublicKey; 14] {
    SMALL_ORDER.map(|digits| digits.parse().unwrap())
}

pub fn vectors() -> Value {
    let (public_key, good) = (key(7).public_key(), key(7).sign([&[], MESSAGE]).0);
    let changed = |at: usize, to: u8| {
        let mut signature = good;
        signature[at] ^= to;
        signature
    };
    let mut malleable = good;
    malleable[32..].copy_from_slice(&plus_order(good[32..].try_into().unwrap()));
    let mut no_point = good;
    let off_curve = (0..=255).map(|byte| PublicKey([byte; 32])).find(|key| key.decompress().is_err()).unwrap();
    no_point[..32].copy_from_slice(&off_curve.0);
    let signed: Vec<Value> = [&b""[..], &[0x72], &[0; 112], &[0xff; 300]]
        .map(|message| {
            let signature = key(9).sign([&[], message]).0;
            let mut vector = case("made by a sound program", key(9).public_key(), message, signature, true);
            vector["seed"] = json!(seed(9));
            vector
        })
        .to_vec();
    let valid_by_cofactor: Vec<Value> = small_order()
        .iter()
        .flat_map(|a| small_order().map(|r| (*a, r)))
        .map(|(a, r)| {
            let signature: [u8; 64] = std::array::from_fn(|at| if at < 32 { r.0[at] } else { 0 });
            case("A and R of small order, s = 0", a, b"Zcash", signature, true)
        })
        .collect();
    let refused = vec![
        case("s is not canonical: the order of the group was added", public_key, MESSAGE, malleable, false),
        case("s is the order of the group", public_key, MESSAGE, [[0; 32], ORDER].concat().try_into().unwrap(), false),
        case("R encodes no point", public_key, MESSAGE, no_point, false),
        case("the key encodes no point", off_curve, MESSAGE, good, false),
        case("a bit of R is altered", public_key, MESSAGE, changed(0, 1), false),
        case("a bit of s is altered", public_key, MESSAGE, changed(32, 1), false),
        case("another message", public_key, b"a message of any lengtH", good, false),
        case("another key", key(8).public_key(), MESSAGE, good, false),
        case("zeros", public_key, MESSAGE, [0; 64], false),
    ];
    let keys_refused: Vec<Value> = small_order()
        .iter()
        .map(|key| ("anybody can sign for it: a point of small order", *key))
        .chain([("it encodes no point", off_curve)])
        .map(|(why, key)| {
            assert!(key.check_for_account().is_err(), "{why}: {key}");
            json!({ "why": why, "key": key.to_string() })
        })
        .collect();
    json!({
        "signed": signed,
        "valid_by_cofactor": valid_by_cofactor,
        "refused": refused,
        "keys_refused_for_wallets": keys_refused,
    })
}
