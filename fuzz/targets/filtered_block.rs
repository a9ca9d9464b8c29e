//! Filtered blocks: a partial replica follows one, and reads its commands.

#![no_main]

use std::sync::LazyLock;

use cbdc_ledger::filtered_block::{bank_of, read_command};
use cbdc_ledger::{BankId, Genesis, Ledger};
use libfuzzer_sys::fuzz_target;

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| {
    Genesis::from_bytes(include_bytes!("../seeds/genesis/genesis")).expect("the fixture is a genesis")
});

fuzz_target!(|bytes: &[u8]| {
    let _ = bank_of(bytes);
    let Some((position, filtered_block)) = bytes.split_first_chunk::<8>() else { return };
    let [a, b, c, d, e, f, g, h] = *position;
    let _ = read_command(filtered_block, u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let mut ledger = Ledger::of_bank(GENESIS.clone(), BankId(1)).expect("the fixture has bank 1");
    let header = *ledger.tip();
    let _ = ledger.follow(&header, filtered_block);
});
