//! One bank's wallets and treasury, with their keys.

use cbdc_signatures::PublicKey;

use super::account::{Account, NO_HOLDER};
use super::cow_vec::CowVec;
use super::dirty_set::DirtySet;
use super::index::Index;
use super::key_table::KeyTable;
use super::merkle_map::MerkleMap;
use crate::types::amount::Amount;
use crate::types::time::LedgerDay;

/// One bank's accounts: serial 0 is its treasury.
#[derive(Clone, Default)]
pub(crate) struct BankAccounts {
    pub(crate) accounts: CowVec<Account>,
    pub(crate) keys: KeyTable,
    /// Keys that were replaced: none of them may ever sign for a wallet again, at any bank.
    pub(crate) retired_keys: MerkleMap<32, ()>,
    pub(crate) key_index: Index,
    /// Accounts changed by the block in progress; empty between blocks.
    pub(crate) dirty: DirtySet,
    /// Gross issuance on `issued_day`.
    pub(crate) issued_today: Amount,
    pub(crate) issued_day: LedgerDay,
}

impl BankAccounts {
    /// A bank that has only its treasury.
    pub(crate) fn with_treasury() -> BankAccounts {
        let mut accounts = BankAccounts::default();
        // A treasury earns no interest, so no day remains for which it has yet to accrue.
        accounts.accounts.push(Account::new(NO_HOLDER, LedgerDay(u32::MAX)));
        accounts.keys.push(PublicKey([0; 32]));
        accounts
    }

    /// Gross issuance on `day`.
    pub(crate) fn issued_on(&self, day: LedgerDay) -> Amount {
        if self.issued_day == day { self.issued_today } else { Amount::ZERO }
    }

    pub(crate) fn has_seen_key(&self, key: PublicKey) -> bool {
        let current = self.key_index.find(&key.0, |serial| key_bytes(&self.keys, serial));
        current.is_some() || self.retired_keys.contains(&key.0)
    }

    pub(crate) fn retire_key(&mut self, retired: PublicKey, serial: u32) {
        self.key_index.remove(&retired.0, serial);
        let keys = &self.keys;
        self.key_index.insert(serial, |serial| key_bytes(keys, serial));
        self.retired_keys.insert(retired.0, ());
    }

    /// Removes the key of a wallet that has moved from the index: it signs for another account now.
    pub(crate) fn forget_key(&mut self, serial: u32) {
        if let Some(key) = self.keys.get(serial as usize) {
            self.key_index.remove(&key.0, serial);
        }
    }

    /// Builds the index, which no checkpoint holds.
    pub(crate) fn index(&mut self) {
        let keys = &self.keys;
        // A treasury has no key.
        self.key_index = Index::over(1..keys.len().max(1) as u32, |serial| key_bytes(keys, serial));
        let moved = self.accounts.iter().enumerate().filter(|(_, account)| account.moved_to().is_some());
        for serial in moved.map(|(serial, _)| serial as u32).collect::<Vec<_>>() {
            self.forget_key(serial);
        }
    }

    /// Sets an account's record, and its key if one is given; a serial behind the last adds an account.
    pub(crate) fn set(&mut self, serial: u32, record: Account, key: Option<PublicKey>) {
        let index = serial as usize;
        match self.accounts.get_mut(index) {
            Some(known) => *known = record,
            None => {
                self.accounts.push(record);
                self.keys.push(PublicKey([0; 32]));
            }
        }
        if let Some(key) = key {
            let before = self.keys.replace(index, key).expect("there is a key for each account");
            if before != key {
                self.key_index.remove(&before.0, serial);
                let keys = &self.keys;
                self.key_index.insert(serial, |serial| key_bytes(keys, serial));
            }
        }
        if record.moved_to().is_some() {
            self.forget_key(serial);
        }
    }
}

pub(crate) fn key_bytes(keys: &KeyTable, serial: u32) -> &[u8] {
    keys.get(serial as usize).map_or(&[], |key| &key.0)
}
