//! Headers, alone and signed.

#![no_main]

use cbdc_ledger::encoding::{Reader, Writer};
use cbdc_ledger::{Header, SignedHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Header::from_bytes(bytes) {
        assert_eq!(header.to_bytes()[..], bytes[..]);
    }
    if let Ok(signed) = SignedHeader::decode(&mut Reader::new("fuzz", bytes)) {
        let mut again = Writer::default();
        signed.encode(&mut again);
        assert!(bytes.starts_with(again.as_bytes()));
    }
});
