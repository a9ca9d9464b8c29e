//! Batches of commands as they come in on a stream: a batch keeps the very bytes.

#![no_main]

use cbdc_ledger::CommandBatch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(batch) = CommandBatch::decode(bytes.to_vec().into(), 64) {
        assert_eq!(&batch.bytes()[..], bytes);
        assert!(batch.len() <= 64);
    }
});
