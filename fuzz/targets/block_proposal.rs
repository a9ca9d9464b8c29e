//! Block proposals: the entries of the log.

#![no_main]

use cbdc_ledger::BlockProposal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proposal) = BlockProposal::decode(bytes) {
        let _ = proposal.encoded_commands().count();
    }
});
