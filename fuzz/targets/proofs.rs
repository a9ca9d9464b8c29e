//! What a client reads of other nodes to follow the chain's signers: membership changes, the digests of sections, and
//! signatures of checkpoints.

#![no_main]

use cbdc_ledger::checkpoint_signature::CheckpointSignature;
use cbdc_ledger::membership_change::MembershipChange;
use cbdc_ledger::sections::Sections;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(change) = MembershipChange::from_bytes(bytes) {
        assert_eq!(change.to_bytes(), bytes);
    }
    if let Ok(signature) = CheckpointSignature::from_bytes(bytes) {
        assert_eq!(signature.to_bytes(), bytes);
    }
    if let Some(sections) = Sections::from_bytes(bytes) {
        assert_eq!(sections.to_bytes(), bytes);
    }
});
