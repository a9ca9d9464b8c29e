//! Genesis: what reads makes a ledger.

#![no_main]

use cbdc_ledger::{Genesis, Ledger};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(genesis) = Genesis::from_bytes(bytes) {
        assert_eq!(Genesis::from_bytes(&genesis.to_bytes()).as_ref(), Ok(&genesis));
        assert!(Ledger::new(genesis).is_ok());
    }
});
