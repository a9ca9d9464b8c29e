//! Issuance requests, which travel alone from a bank.

#![no_main]

use cbdc_ledger::Signed;
use cbdc_ledger::command::IssuanceRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Signed::<IssuanceRequest>::from_bytes(bytes);
});
