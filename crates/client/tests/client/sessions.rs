//! The session statement as a client in any language must make it: a known answer.

use cbdc_client::{AccountId, Anchor, BankId, SigningKey, Timestamp};
use cbdc_ledger::Genesis;
use cbdc_ledger::command::{SessionStatement, SignedSession};
use cbdc_ledger::encoding::{hex, hex_decode};

/// The bytes of a vector, which is a file of hexadecimal digits.
fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/vectors/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let digits = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    hex_decode(&digits.split_whitespace().collect::<String>()).unwrap()
}

const CHALLENGE: [u8; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    31,
];

fn key() -> SigningKey {
    SigningKey::from_seed([7; 32])
}

/// The wallet 7 of bank 1, key version 3, until 1,800,000,000,000.
fn statement() -> SessionStatement {
    SessionStatement {
        bank: BankId(1),
        key_version: 3,
        account: AccountId::new(BankId(1), 7),
        expires_at: Timestamp(1_800_000_000_000),
        challenge: CHALLENGE,
    }
}

#[test]
fn a_statement_is_signed_as_the_documentation_lays_it_out() {
    let anchor = Anchor::new(Genesis::from_bytes(&vector("genesis")).unwrap());
    let expected = vector("session-statement");
    let signed = statement().sign(anchor.network(), &key());
    assert_eq!(hex(&signed.to_bytes()), hex(&expected));

    // docs/reference/sessions.md, field by field.
    let mut by_hand = vec![1, 0];
    by_hand.extend(1_u16.to_le_bytes());
    by_hand.extend(3_u32.to_le_bytes());
    by_hand.extend(((1_u64 << 32) + 7).to_le_bytes());
    by_hand.extend(1_800_000_000_000_u64.to_le_bytes());
    by_hand.extend(CHALLENGE);
    assert_eq!(hex(&by_hand), hex(&expected[..56]));
    // docs/reference/records.md: version, domain tag, network id.
    let prefix = [&[1][..], b"CBDCses", &anchor.network().0].concat();
    let signature = key().sign([&prefix[..], &by_hand]);
    assert_eq!(hex(&signature.0), hex(&expected[56..]));
}

#[test]
fn the_known_statement_opens_what_it_names_and_with_any_bit_changed_nothing() {
    let anchor = Anchor::new(Genesis::from_bytes(&vector("genesis")).unwrap());
    let (bytes, public_key) = (vector("session-statement"), key().public_key());
    let read = SignedSession::from_bytes(&bytes).unwrap();
    assert_eq!(read.statement, statement());
    assert!(read.is_signed_by(anchor.network(), public_key));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let opens =
            SignedSession::from_bytes(&changed).is_ok_and(|read| read.is_signed_by(anchor.network(), public_key));
        assert!(!opens, "bit {bit} changed nothing");
    }
    for length in 0..bytes.len() {
        assert!(SignedSession::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
}
