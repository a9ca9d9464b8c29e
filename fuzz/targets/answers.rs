//! Answers as a bank or the central bank sends them, packed or as a run.

#![no_main]

use cbdc_proto::answers::Answers;
use cbdc_proto::{packed, v1};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(answers) = packed::unpack(bytes) {
        assert_eq!(packed::unpack(&packed::pack(&answers)), Ok(answers));
    }
    if let Ok(message) = v1::OutcomeBatch::decode(bytes) {
        let Ok(answers) = Answers::from_message(message) else { return };
        if let Ok(list) = answers.unpacked() {
            assert_eq!(list.len(), answers.len());
        }
    }
});
