//! Account numbers: text, id and the eight bytes of a record.

use cbdc_ledger::encoding::hex;
use cbdc_ledger::{AccountId, BankId};
use serde_json::{Value, json};

use super::number;

pub fn vectors() -> Value {
    let accounts = [(1, 7), (1, 0), (2, 1), (0, u32::MAX), (65_535, 0), (3, 123_456), (65_535, u32::MAX)];
    let accounts = accounts.map(|(bank, serial)| AccountId::new(BankId(bank), serial)).map(|account| {
        assert_eq!(account.to_string().parse(), Ok(account));
        json!({
            "account": account.to_string(),
            "bank": account.bank.0,
            "serial": account.serial,
            "id": number(account.to_u64()),
            "bytes": hex(&account.to_u64().to_le_bytes()),
        })
    });
    let read = ["XC96 0000 1000 0000 007", "xc96000010000000007", "IBAN XC96-0000-1000-0000-007"].map(|text| {
        let account: AccountId = text.parse().unwrap();
        json!({ "text": text, "account": account.to_string() })
    });
    let refused = [
        ("a check digit is wrong", "XC97000010000000007"),
        ("a digit is wrong", "XC96000010000000008"),
        ("a digit is missing", "XC9600001000000000"),
        ("there is a digit too many", "XC960000100000000070"),
        ("another country", "DE96000010000000007"),
        ("the bank number is above 65535", "XC65655360000000000"),
        ("the serial is above 4294967295", "XC25000014294967296"),
        ("nothing", ""),
    ]
    .map(|(why, text)| {
        assert!(text.parse::<AccountId>().is_err(), "{why}: {text}");
        json!({ "why": why, "text": text })
    });
    json!({ "accounts": accounts, "also_read": read, "refused": refused })
}
