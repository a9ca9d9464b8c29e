//! Commands: what reads again is the same command.

#![no_main]

use cbdc_ledger::Command;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(command) = Command::from_bytes(bytes) {
        assert_eq!(Command::from_bytes(&command.to_bytes()), Ok(command));
    }
});
