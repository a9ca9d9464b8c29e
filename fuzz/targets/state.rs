//! Records of the state: accounts, books, identities.

#![no_main]

use cbdc_ledger::account::Account;
use cbdc_ledger::books::Books;
use cbdc_ledger::encoding::Reader;
use cbdc_ledger::{AccountId, Class};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Account::decode(&mut Reader::new("fuzz", bytes));
    let _ = Books::decode(&mut Reader::new("fuzz", bytes));
    let _ = AccountId::decode(&mut Reader::new("fuzz", bytes));
    let _ = Class::decode(&mut Reader::new("fuzz", bytes));
});
