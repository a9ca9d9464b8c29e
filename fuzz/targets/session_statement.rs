//! Session statements, which anybody may send to a bank.

#![no_main]

use cbdc_ledger::command::SignedSession;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(signed) = SignedSession::from_bytes(bytes) {
        assert_eq!(signed.to_bytes()[..], *bytes, "there is one form of each statement");
    }
});
