//! Checkpoints: chunks, each after its length of four bytes, under whatever root they have.

#![no_main]

use cbdc_ledger::checkpoint::{Loader, RootHasher};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut loader, mut hasher, mut rest) = (Loader::default(), RootHasher::default(), bytes);
    while let Some((length, bytes)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX).min(bytes.len());
        let (chunk, others) = bytes.split_at(length);
        if loader.chunk(chunk).is_err() {
            return;
        }
        hasher.chunk(chunk);
        rest = others;
    }
    if let Ok(ledger) = loader.finish(hasher.root()) {
        assert_eq!(ledger.check_invariants(), Ok(()));
    }
});
