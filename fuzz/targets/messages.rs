//! Messages with records inside: signed payments, outcomes, headers, receipts.

#![no_main]

use cbdc_proto::{convert, v1};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 4 {
        0 => {
            let Ok(message) = v1::SignedPayment::decode(bytes) else { return };
            let Ok(payment) = convert::payment_from_message(&message) else { return };
            let again = convert::payment_to_message(&payment);
            assert_eq!(convert::payment_from_message(&again).ok(), Some(payment));
        }
        1 => {
            let Ok(message) = v1::Outcome::decode(bytes) else { return };
            let _ = convert::outcome_from_message(&message);
        }
        2 => {
            let Ok(message) = v1::SignedHeader::decode(bytes) else { return };
            let Ok(header) = convert::header_from_message(&message) else { return };
            let again = convert::header_to_message(&header);
            assert_eq!(convert::header_from_message(&again).ok(), Some(header));
        }
        _ => {
            let Ok(message) = v1::Receipt::decode(bytes) else { return };
            let Ok(receipt) = convert::receipt_from_message(&message) else { return };
            let again = convert::receipt_to_message(&receipt);
            assert_eq!(convert::receipt_from_message(&again).ok(), Some(receipt));
        }
    }
});
