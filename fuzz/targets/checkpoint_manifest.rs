//! The manifest of a checkpoint on disk.

#![no_main]

use cbdc_storage::CheckpointManifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = CheckpointManifest::from_bytes(bytes) {
        assert_eq!(manifest.to_bytes()[..], bytes[..]);
    }
});
