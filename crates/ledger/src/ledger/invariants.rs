//! The invariants of the whole state (see the crate's documentation).

use std::collections::BTreeMap;

use crate::ledger::Ledger;
use crate::state::account::NO_HOLDER;
use crate::state::bank_position::BankPosition;
use crate::state::books::BookAccount;
use crate::state::member::Role;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId, Height};

/// A violated invariant: the ledger must not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invariant {invariant} does not hold at height {height}: {what}")]
pub struct InvariantBroken {
    /// The invariant's number, such as `I1`.
    pub invariant: &'static str,
    /// The height at which it was violated.
    pub height: Height,
    /// The value found.
    pub what: String,
}

impl Ledger {
    /// Checks I0 to I2 and I4 over the whole state. Linear in the number of accounts. A partial replica, which lacks
    /// the other banks' accounts, checks only that the balance sheet balances.
    pub fn check_invariants(&self) -> Result<(), InvariantBroken> {
        if self.partial_replica.is_some() {
            return self.check_balance_sheet();
        }
        let broken = |invariant, what| Err(InvariantBroken { invariant, height: self.height(), what });
        let cbdc = self.books.balance(BookAccount::Cbdc);
        let mut wallets = 0;
        let mut held: BTreeMap<AccountId, Amount> = BTreeMap::new();
        let mut held_of_earmarks: BTreeMap<(AccountId, u64), Amount> = BTreeMap::new();
        for (_, hold) in self.holds.open() {
            let sum = held.entry(hold.payer).or_default();
            *sum = sum.plus(hold.held).unwrap_or(Amount::MAX);
            for (programme, amount) in &hold.earmarks {
                let sum = held_of_earmarks.entry((hold.payer, *programme)).or_default();
                *sum = sum.plus(*amount).unwrap_or(Amount::MAX);
            }
        }
        let mut of_holder = vec![0_i128; self.holders.len()];
        let mut open_of_holder = vec![0_u32; self.holders.len()];
        for (bank, accounts) in self.banks.iter() {
            for (serial, account) in accounts.accounts.iter().enumerate() {
                let id = AccountId::new(bank, serial as u32);
                wallets += account.posted();
                if (serial == 0) != (account.holder == NO_HOLDER) {
                    return broken("I4", format!("account {id} is both treasury and wallet"));
                }
                if account.holder != NO_HOLDER {
                    if account.holder as usize >= of_holder.len() {
                        return broken("I4", format!("wallet {id} has no holder"));
                    }
                    of_holder[account.holder as usize] += account.own();
                    open_of_holder[account.holder as usize] += u32::from(account.open);
                }
                let frozen: u128 = self.freezes.of_wallet(id).map(|(_, amount)| u128::from(amount.minor())).sum();
                if frozen != u128::from(account.frozen.minor()) {
                    return broken("I4", format!("account {id} has another sum frozen than its courts have"));
                }
                if account.held != held.remove(&id).unwrap_or_default() {
                    return broken("I4", format!("account {id} has another sum of holds than its open holds"));
                }
                for (programme, mark) in self.programmes.earmarks_of(id) {
                    let held = held_of_earmarks.remove(&(id, programme)).unwrap_or_default();
                    if mark.held != held || mark.held > mark.amount {
                        return broken("I4", format!("account {id} has another earmark held than its open holds"));
                    }
                }
                let bound: i128 =
                    self.programmes.earmarks_of(id).map(|(_, mark)| i128::from(mark.amount.minor())).sum();
                if bound != i128::from(account.earmarked.minor()) {
                    return broken("I4", format!("account {id} has another sum of earmarks than its programmes"));
                }
                if !account.open && account.posted() != 0 {
                    return broken("I4", format!("closed wallet {id} holds money"));
                }
            }
        }
        if !held.is_empty() || !held_of_earmarks.is_empty() {
            return broken("I4", "a hold has a payer or an earmark that does not exist".to_owned());
        }
        for (bank, own) in self.books.banks() {
            let lent =
                |position: &BankPosition| position.loans.iter().map(|loan| i128::from(loan.principal.minor())).sum();
            if self.positions.bank(bank).map_or(0, lent) != i128::from(own.loans.minor()) {
                return broken("I2", format!("bank {bank} has another sum of loans than the books"));
            }
        }
        if let Some(bank) = self.banks().find(|bank| self.positions.bank(*bank).is_none()) {
            return broken("I4", format!("bank {bank} has no position"));
        }
        let without_treasury = |seat: &&crate::state::member::Seat| {
            seat.member.role == Role::Bank && self.account(AccountId::treasury(BankId(seat.member.id.0))).is_none()
        };
        if let Some(seat) = self.members.seats().find(without_treasury) {
            return broken("I4", format!("bank {} has no treasury", seat.member.id));
        }
        if wallets != cbdc {
            return broken("I1", format!("wallets hold {wallets} minor units, the books say {cbdc}"));
        }
        if self.supply.net() != cbdc {
            return broken(
                "I1",
                format!("the supply terms amount to {} minor units, the books say {cbdc}", self.supply.net()),
            );
        }
        self.check_balance_sheet()?;
        for (position, holder) in self.holders.iter().enumerate() {
            let is_allowance =
                |id: AccountId| self.account(id).is_some_and(|account| account.has_allowance && account.open);
            if holder.allowance().is_some_and(|id| !is_allowance(id)) {
                return broken(
                    "I4",
                    format!("holder {} has the tier allowance on a wallet that knows nothing of it", holder.id),
                );
            }
            if i128::from(holder.posted.minor()) != of_holder[position] || holder.wallets != open_of_holder[position] {
                return broken(
                    "I4",
                    format!("holder {} has a running sum that its wallets do not amount to", holder.id),
                );
            }
        }
        Ok(())
    }

    fn check_balance_sheet(&self) -> Result<(), InvariantBroken> {
        if self.books.balances() {
            return Ok(());
        }
        let (assets, liabilities, equity) = (self.books.assets(), self.books.liabilities(), self.books.equity());
        let what = format!("assets {assets}, liabilities {liabilities}, equity {equity} minor units");
        Err(InvariantBroken { invariant: "I2", height: self.height(), what })
    }
}
