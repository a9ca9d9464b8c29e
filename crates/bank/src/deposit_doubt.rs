//! Deposits in doubt: the state of a deposit book that is older than what this bank has done.
//!
//! A bank whose data folder was restored from an older copy, or is empty, follows the chain again from there. The chain
//! brings every funding, top-up, defund and waterfall, and they are booked; what only the bank knew, such as credits,
//! is missing. Two signs show it:
//!
//! * The chain has a settled funding or top-up of this bank that the book does not know. Its debit and its outbox
//!   record were durable before it was sent, and leave the outbox with the block that books it: so another folder made
//!   it. The deposit is debited now. What the balance does not cover is its *shortfall*: at least so much was credited
//!   after the copy was made.
//! * The chain has a command that went through this bank after this folder's last sign of life
//!   ([`crate::last_alive`]).
//!
//! From then on the bank neither reads nor moves deposits for anybody, until its back office has compared the statement
//! of deposits with its own books and accepted it. What the chain brings is booked meanwhile.
//!
//! Each change in doubt has a *revision*, and a statement has that of its first page. An acceptance names the statement
//! it was decided by. It is refused unless that one was shown last, by this process, and if a correction was made
//! since, or a deposit moved that it sets.
//!
//! # Layout of [`Column::Deposits`], each record sealed under its key, integers little-endian
//! | key | value |
//! |---|---|
//! | 4 | in doubt (1), since height (8), revision (8), revision of the last correction (8) |
//! | 4, account (u64 big-endian) | debited from the chain (8), shortfall (8), revision (8) |
//!
//! Accounts have a record while deposits are in doubt; the first record stays, so that revisions never repeat.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use cbdc_ledger::encoding::Writer;
use cbdc_ledger::{AccountId, Amount, Height};
use cbdc_storage::{Column, Direction, KeyRange, Store, WriteBatch, sealed};

use crate::deposits::{DepositError, damaged, open};

/// The first byte of the keys, besides those of the deposit book.
const DOUBT: u8 = 4;

/// What the chain has corrected of one deposit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Correction {
    /// The sum of settled fundings and top-ups that the book did not know, shortfall included.
    pub debited: Amount,
    /// The part that the balance did not cover.
    pub shortfall: Amount,
    /// The revision of the last change of this deposit, whatever it was.
    revision: u64,
}

/// Whether deposits are in doubt, and what the chain has corrected since.
#[derive(Debug, Default)]
pub struct DepositDoubt {
    in_doubt: bool,
    /// The height of the block that showed it.
    since: Height,
    revision: u64,
    /// The revision of the last correction.
    corrected: u64,
    accounts: BTreeMap<AccountId, Correction>,
    /// The revision of the statement that was shown last.
    shown: Option<u64>,
}

impl DepositDoubt {
    pub fn load(store: &Arc<dyn Store>) -> Result<DepositDoubt, DepositError> {
        let mut doubt = DepositDoubt::default();
        let mut failed = None;
        store.scan(Column::Deposits, &KeyRange::with_prefix([DOUBT]), Direction::Forward, &mut |key, record| {
            match doubt.read(key, record) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(doubt), Err)
    }

    fn read(&mut self, key: &[u8], record: &[u8]) -> Result<(), DepositError> {
        let mut input = open(key, record)?;
        if key.len() == 1 {
            self.in_doubt = input.u8().map_err(|error| damaged(key, error))? != 0;
        }
        let mut number = || input.u64().map_err(|error| damaged(key, error));
        let (first, second, third) = (number()?, number()?, number()?);
        if key.len() == 1 {
            (self.since, self.revision, self.corrected) = (Height(first), second, third);
            return Ok(());
        }
        let account: Option<[u8; 8]> = key[1..].try_into().ok();
        let account = account.and_then(|bytes| AccountId::from_u64(u64::from_be_bytes(bytes)));
        let account = account.ok_or_else(|| damaged(key, "its key is no account"))?;
        let [debited, shortfall] = [first, second].map(Amount::from_minor);
        self.accounts.insert(account, Correction { debited, shortfall, revision: third });
        Ok(())
    }

    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// The height of the block that showed that deposits are in doubt.
    pub fn since(&self) -> Height {
        self.since
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Notes that a statement is shown.
    pub fn show(&mut self) {
        self.shown = Some(self.revision);
    }

    /// Whether deposits are in doubt and the statement of a revision was shown last.
    pub fn is_shown(&self, revision: u64) -> bool {
        self.in_doubt && self.shown == Some(revision)
    }

    /// The number of deposits that the chain has corrected, and the sum of shortfalls.
    pub fn totals(&self) -> (u64, u128) {
        let corrected = self.accounts.values().filter(|correction| correction.debited > Amount::ZERO);
        corrected.fold((0, 0), |(count, sum), found| (count + 1, sum + u128::from(found.shortfall.minor())))
    }

    pub fn correction(&self, account: AccountId) -> Correction {
        self.accounts.get(&account).copied().unwrap_or_default()
    }

    /// Begins the doubt; false if there was one already.
    pub fn begin(&mut self, batch: &mut WriteBatch, height: Height) -> bool {
        if self.in_doubt {
            return false;
        }
        (self.in_doubt, self.since) = (true, height);
        self.revision += 1;
        self.put(batch);
        true
    }

    /// Notes a correction: a deposit was debited by what the chain shows.
    pub fn corrected(&mut self, batch: &mut WriteBatch, account: AccountId, debited: Amount, shortfall: Amount) {
        let before = self.correction(account);
        let sum = |a: Amount, b: Amount| a.plus(b).unwrap_or(Amount::MAX);
        self.change(batch, account, (sum(before.debited, debited), sum(before.shortfall, shortfall)));
        self.corrected = self.revision;
        self.put(batch);
    }

    /// Notes that a deposit changed otherwise, if deposits are in doubt.
    pub fn moved(&mut self, batch: &mut WriteBatch, account: AccountId) {
        if self.in_doubt {
            let Correction { debited, shortfall, .. } = self.correction(account);
            self.change(batch, account, (debited, shortfall));
            self.put(batch);
        }
    }

    /// Whether the statement of a revision was shown last, and nothing that an acceptance is about has changed since.
    pub fn allows(&self, revision: u64, set: impl IntoIterator<Item = AccountId>) -> bool {
        let is_current = self.is_shown(revision) && self.corrected <= revision;
        is_current && set.into_iter().all(|account| self.correction(account).revision <= revision)
    }

    /// Ends the doubt.
    pub fn end(&mut self, batch: &mut WriteBatch) {
        for account in std::mem::take(&mut self.accounts).into_keys() {
            batch.delete(Column::Deposits, account_key(account));
        }
        (self.in_doubt, self.shown) = (false, None);
        self.revision += 1;
        self.put(batch);
    }

    fn change(&mut self, batch: &mut WriteBatch, account: AccountId, (debited, shortfall): (Amount, Amount)) {
        self.revision += 1;
        let key = account_key(account);
        let mut value = Writer::with_capacity(24 + sealed::SEAL_BYTES);
        value.u64(debited.minor()).u64(shortfall.minor()).u64(self.revision);
        batch.put(Column::Deposits, key, sealed::seal(&key, &value.finish()));
        self.accounts.insert(account, Correction { debited, shortfall, revision: self.revision });
    }

    fn put(&self, batch: &mut WriteBatch) {
        let mut value = Writer::with_capacity(25 + sealed::SEAL_BYTES);
        value.u8(u8::from(self.in_doubt)).u64(self.since.0).u64(self.revision).u64(self.corrected);
        batch.put(Column::Deposits, [DOUBT], sealed::seal(&[DOUBT], &value.finish()));
    }
}

fn account_key(account: AccountId) -> [u8; 9] {
    let mut key = [DOUBT; 9];
    key[1..].copy_from_slice(&account.to_u64().to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::BankId;
    use cbdc_storage::{Durability, MemoryStore};

    use super::*;

    #[test]
    fn a_doubt_survives_being_stored_and_ends_for_good() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let [first, second] = [1, 2].map(|serial| AccountId::new(BankId(1), serial));
        let amount = Amount::from_minor;
        let mut doubt = DepositDoubt::load(&store).unwrap();
        let mut batch = WriteBatch::new();
        doubt.moved(&mut batch, first);
        assert!(!doubt.in_doubt() && batch.is_empty(), "nothing is noted without doubt");
        assert!(doubt.begin(&mut batch, Height(7)) && !doubt.begin(&mut batch, Height(8)));
        doubt.corrected(&mut batch, first, amount(9), amount(4));
        doubt.corrected(&mut batch, first, amount(2), amount(2));
        doubt.moved(&mut batch, second);
        store.write(batch, Durability::Buffered).unwrap();

        let mut doubt = DepositDoubt::load(&store).unwrap();
        assert_eq!((doubt.in_doubt(), doubt.since(), doubt.totals()), (true, Height(7), (1, 6)));
        let found = doubt.correction(first);
        assert_eq!((found.debited, found.shortfall), (amount(11), amount(6)));
        assert_eq!(doubt.correction(second), Correction { revision: doubt.revision(), ..Correction::default() });
        let mut batch = WriteBatch::new();
        doubt.end(&mut batch);
        store.write(batch, Durability::Buffered).unwrap();

        let again = DepositDoubt::load(&store).unwrap();
        assert_eq!((again.in_doubt(), again.totals()), (false, (0, 0)));
        assert!(again.revision() > doubt.revision() - 1 && again.revision() > 4);
    }

    #[test]
    fn only_the_statement_that_was_shown_last_is_accepted_and_only_while_it_holds() {
        let [first, second, third] = [1, 2, 3].map(|serial| AccountId::new(BankId(1), serial));
        let (mut doubt, mut batch) = (DepositDoubt::default(), WriteBatch::new());
        doubt.begin(&mut batch, Height(7));
        let unseen = |doubt: &DepositDoubt| (0..=doubt.revision() + 1).all(|revision| !doubt.allows(revision, []));
        assert!(unseen(&doubt), "none was shown, though nothing was corrected");
        doubt.show();
        let older = doubt.revision();
        assert!(doubt.allows(older, []));
        doubt.moved(&mut batch, second);
        assert!(doubt.allows(older, [first, third]) && !doubt.allows(older, [second]), "it moved since");
        doubt.show();
        let newer = doubt.revision();
        assert!(doubt.allows(newer, [second]) && !doubt.allows(older, []) && !doubt.allows(newer + 1, []));
        doubt.corrected(&mut batch, first, Amount::from_minor(9), Amount::from_minor(4));
        assert!(unseen(&doubt), "a correction was made since");
        doubt.show();
        assert!(doubt.allows(doubt.revision(), [first, second, third]));
        doubt.end(&mut batch);
        assert!(unseen(&doubt));
    }
}
