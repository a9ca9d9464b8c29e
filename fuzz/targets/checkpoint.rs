//! Checkpoints, in chunks: the first two bytes say where the rest is cut.

#![no_main]

use cbdc_ledger::checkpoint::Loader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first_chunk::<2>() else { return };
    let (first, second) = bytes.split_at(usize::from(u16::from_le_bytes(*cut)).min(bytes.len()));
    let mut loader = Loader::default();
    if loader.chunk(first).is_ok() && loader.chunk(second).is_ok() {
        if let Ok(ledger) = loader.finish([0; 32]) {
            assert_eq!(ledger.check_invariants(), Ok(()));
        }
    }
});
