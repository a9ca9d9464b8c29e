//! `proto/vectors/*.json`: known answers for clients in any language, made here and checked here.
//!
//! docs/reference/wire.md says what each file holds. Every vector that is to be accepted is accepted here, and every
//! one that is to be refused is refused here, by the code that nodes run. A change of a file breaks what others have
//! signed or built; only if that is what you mean, regenerate with
//! `UPDATE_FIXTURES=1 cargo test -p cbdc-client --test client vectors` and read the difference.

mod accounts;
mod merkle_trees;
mod receipts;
mod records;
mod signatures;
mod streams;

use cbdc_ledger::encoding::hex;
use cbdc_ledger::{Genesis, NetworkId, SigningKey};
use serde_json::{Value, json};

use crate::support;

/// The network of every vector.
fn genesis() -> Genesis {
    support::genesis(None)
}

fn network() -> NetworkId {
    genesis().network()
}

/// A key by its seed, which is one byte repeated 32 times.
fn key(seed: u8) -> SigningKey {
    support::key(seed)
}

fn seed(byte: u8) -> String {
    hex(&[byte; 32])
}

/// A number of 64 bits, as a text of decimal digits: some languages' JSON numbers are exact to 53 bits only.
fn number(value: u64) -> Value {
    json!(value.to_string())
}

#[test]
fn vectors_are_those_that_clients_are_tested_with() {
    let folder = format!("{}/../../proto/vectors", env!("CARGO_MANIFEST_DIR"));
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let files = [
        ("accounts.json", accounts::vectors()),
        ("genesis.json", receipts::genesis_vectors()),
        ("merkle.json", merkle_trees::vectors()),
        ("receipts.json", receipts::vectors()),
        ("records.json", records::vectors()),
        ("signatures.json", signatures::vectors()),
        ("streams.json", streams::vectors()),
    ];
    for (name, value) in &files {
        let path = format!("{folder}/{name}");
        let text = serde_json::to_string_pretty(value).unwrap() + "\n";
        if update {
            std::fs::write(&path, &text).unwrap();
        }
        let pinned = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(text == pinned, "{name} differs from what is made here: see the head of this file");
    }
    let mut found: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    found.sort();
    assert_eq!(found, files.map(|(name, _)| name), "files that nothing makes");
}
