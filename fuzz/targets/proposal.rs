//! Proposals: the blocks of the log.

#![no_main]

use cbdc_ledger::Proposal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proposal) = Proposal::decode(bytes) {
        let _ = proposal.encoded_commands().count();
    }
});
