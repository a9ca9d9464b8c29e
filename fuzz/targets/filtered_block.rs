//! Filtered blocks: a partial replica follows one, and reads its commands. Two bytes give the length of the header that
//! stands before the filtered block.

#![no_main]

use std::sync::LazyLock;

use cbdc_ledger::filtered_block::{bank_of, read_command};
use cbdc_ledger::{BankId, Genesis, Header, Ledger};
use libfuzzer_sys::fuzz_target;

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| {
    Genesis::from_bytes(include_bytes!("../seeds/genesis/genesis")).expect("the seed is a genesis")
});

fuzz_target!(|bytes: &[u8]| {
    let Some((length, bytes)) = bytes.split_first_chunk::<2>() else { return };
    let length = u16::from_le_bytes(*length);
    let (header, filtered_block) = bytes.split_at(usize::from(length).min(bytes.len()));
    let _ = bank_of(filtered_block);
    let _ = read_command(filtered_block, 0, u32::from(length));
    let Ok(header) = Header::from_bytes(header) else { return };
    let mut ledger = Ledger::of_bank(GENESIS.clone(), BankId(1)).expect("the seed has bank 1");
    if ledger.follow(&header, filtered_block).is_ok() {
        assert_eq!(*ledger.tip(), header);
    }
});
