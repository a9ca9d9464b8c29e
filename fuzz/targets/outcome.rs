//! Outcomes, in full and in their compact form.

#![no_main]

use cbdc_ledger::Outcome;
use cbdc_ledger::encoding::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Outcome::decode(&mut Reader::new("fuzz", bytes));
    let _ = Outcome::decode_compact(&mut Reader::new("fuzz", bytes));
});
