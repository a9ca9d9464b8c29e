//! Receipts as a holder keeps them: bytes that prove themselves with genesis alone.

use cbdc_client::{Anchor, BlockPosition, ClientError, Height, MemberId, Reason, Timestamp, VerifiedReceipt};
use cbdc_ledger::Genesis;
use cbdc_ledger::encoding::{hex, hex_decode};

use crate::support::receipt::receipt;
use crate::support::{anchor, central_bank_key, genesis, key};

fn verified(anchor: &Anchor) -> VerifiedReceipt {
    VerifiedReceipt::check(receipt(anchor, &central_bank_key()), anchor).unwrap()
}

/// The bytes of a vector, which is a file of hexadecimal digits.
fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/vectors/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let digits = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    hex_decode(&digits.split_whitespace().collect::<String>()).unwrap()
}

/// A holder's receipt must be readable years later: neither its bytes nor those of genesis may change.
#[test]
fn a_receipt_kept_from_an_earlier_version_still_proves_its_payment() {
    let anchor = Anchor::new(Genesis::from_bytes(&vector("genesis")).unwrap());
    let kept = VerifiedReceipt::from_bytes(&vector("receipt"), &anchor).unwrap();
    assert_eq!(kept.position(), BlockPosition { height: Height(17), index: 2 });
    assert_eq!((kept.outcome().reason, kept.time()), (Reason::Settled, Timestamp(2)));
    assert_eq!(kept.signers(), [MemberId(1)]);
    assert_eq!(kept.command().head().sequence, 3);
}

#[test]
fn today_the_same_bytes_are_written() {
    let found = hex(&genesis(None).to_bytes());
    assert_eq!(found, hex(&vector("genesis")), "genesis");
    assert_eq!(hex(&verified(&anchor()).to_bytes()), hex(&vector("receipt")), "receipt");
}

#[test]
fn a_saved_receipt_is_checked_with_genesis_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (anchor, path) = (anchor(), folder.path().join("payment.receipt"));
    std::fs::write(&path, verified(&anchor).to_bytes()).unwrap();
    assert_eq!(VerifiedReceipt::load(&path, &anchor).unwrap(), verified(&anchor));
    let missing = VerifiedReceipt::load(&folder.path().join("other.receipt"), &anchor);
    assert!(matches!(missing, Err(ClientError::File { .. })));
}

#[test]
fn a_receipt_with_any_bit_changed_is_refused() {
    let anchor = anchor();
    let bytes = verified(&anchor).to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let read = VerifiedReceipt::from_bytes(&changed, &anchor);
        assert!(read.is_err(), "bit {bit} of {} changed nothing", bytes.len() * 8);
    }
}

#[test]
fn a_receipt_cut_short_is_refused() {
    let anchor = anchor();
    let bytes = verified(&anchor).to_bytes();
    assert!((0..bytes.len()).all(|length| VerifiedReceipt::from_bytes(&bytes[..length], &anchor).is_err()));
}

#[test]
fn only_the_central_banks_keys_in_genesis_count() {
    let anchor = anchor();
    // Another member's key, and nobody's.
    for seed in [2, 99] {
        let found = VerifiedReceipt::check(receipt(&anchor, &key(seed)), &anchor);
        assert!(matches!(found, Err(ClientError::Proof(_))), "signed by key {seed}");
    }
    let mut unsigned = receipt(&anchor, &central_bank_key());
    unsigned.header.signatures.clear();
    assert!(VerifiedReceipt::check(unsigned, &anchor).is_err());
}

#[test]
fn a_receipt_of_another_network_is_refused() {
    let other = Anchor::new(Genesis { created_at: Timestamp(2), ..genesis(None) });
    assert!(matches!(VerifiedReceipt::from_bytes(&verified(&anchor()).to_bytes(), &other), Err(ClientError::Proof(_))));
}
