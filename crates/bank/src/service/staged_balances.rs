//! Balances for accepting deposits, which come in several requests: they are kept in memory until the last one, and set
//! all at once or not at all. Those for another statement replace them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cbdc_ledger::{AccountId, Amount};

/// Balances by account.
pub type Balances = BTreeMap<AccountId, Amount>;

/// The balances of one request.
///
/// # Errors
/// The account that has two.
pub fn each_once(balances: impl IntoIterator<Item = (AccountId, Amount)>) -> Result<Balances, AccountId> {
    let mut each = Balances::new();
    for (account, balance) in balances {
        if each.insert(account, balance).is_some() {
            return Err(account);
        }
    }
    Ok(each)
}

/// The balances that were given so far.
#[derive(Default)]
pub struct StagedBalances(Mutex<Staged>);

#[derive(Default)]
struct Staged {
    statement: u64,
    balances: Balances,
}

impl StagedBalances {
    /// Adds balances for a statement, and returns how many there are now. A balance may come again, as in a repeated
    /// request.
    ///
    /// # Errors
    /// The account that has another balance already; all are forgotten then, so that they can be sent again.
    pub fn add(&self, statement: u64, mut balances: Balances) -> Result<u64, AccountId> {
        let mut staged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if staged.statement != statement {
            *staged = Staged { statement, ..Staged::default() };
        }
        let has_another = |account: &AccountId, balance: &Amount| {
            staged.balances.get(account).is_some_and(|before| before != balance)
        };
        if let Some((account, _)) = balances.iter().find(|(account, balance)| has_another(account, balance)) {
            let account = *account;
            *staged = Staged::default();
            return Err(account);
        }
        staged.balances.append(&mut balances);
        Ok(staged.balances.len() as u64)
    }

    /// Hands them out, and forgets them.
    pub fn take(&self) -> Balances {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).balances
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::BankId;

    use super::*;

    fn balance(serial: u32, minor: u64) -> (AccountId, Amount) {
        (AccountId::new(BankId(1), serial), Amount::from_minor(minor))
    }

    #[test]
    fn balances_of_one_statement_add_up_and_those_of_another_replace_them() {
        let staged = StagedBalances::default();
        let of = |balances: &[(AccountId, Amount)]| each_once(balances.iter().copied()).unwrap();
        assert_eq!(staged.add(7, of(&[balance(1, 5)])), Ok(1));
        assert_eq!(staged.add(7, of(&[balance(2, 6)])), Ok(2));
        assert_eq!(staged.add(7, of(&[balance(2, 6)])), Ok(2), "repeated");
        assert_eq!(staged.take(), of(&[balance(1, 5), balance(2, 6)]));
        assert_eq!(staged.take(), of(&[]));
        assert_eq!(staged.add(7, of(&[balance(1, 5)])), Ok(1));
        assert_eq!(staged.add(8, of(&[balance(3, 1)])), Ok(1));
        assert_eq!(staged.take(), of(&[balance(3, 1)]));
    }

    #[test]
    fn a_balance_that_contradicts_another_lets_all_be_sent_again() {
        let staged = StagedBalances::default();
        let of = |balances: &[(AccountId, Amount)]| each_once(balances.iter().copied()).unwrap();
        let account = balance(1, 0).0;
        assert_eq!(each_once([balance(1, 5), balance(2, 5), balance(1, 5)]), Err(account));
        assert_eq!(staged.add(7, of(&[balance(1, 5)])), Ok(1));
        assert_eq!(staged.add(7, of(&[balance(3, 6), balance(1, 4)])), Err(account));
        assert_eq!(staged.add(7, of(&[balance(1, 4)])), Ok(1));
        assert_eq!(staged.take(), of(&[balance(1, 4)]));
    }
}
