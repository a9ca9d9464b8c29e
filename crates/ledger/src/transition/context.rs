//! The ledger while a block is being applied: the context that every command's module works on.

use super::changes::{Changes, KeyChange};
use crate::command::Signer;
use crate::ledger::Ledger;
use crate::policy::Parameters;
use crate::state::account::Account;
use crate::state::bank_position::BankStatus;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId};
use crate::types::outcome::{Outcome, Reason};
use crate::types::time::{LedgerDay, Timestamp};

/// The result of a command: settled with an outcome, or refused with one.
pub(super) type Settled = Result<Outcome, Outcome>;

pub(super) fn refuse<T>(reason: Reason) -> Result<T, Outcome> {
    Err(Outcome::refused(reason, 0, 0))
}

/// The ledger while a block is being applied.
pub(super) struct Transition<'a> {
    pub(super) ledger: &'a mut Ledger,
    pub(super) time: Timestamp,
    pub(super) today: LedgerDay,
    pub(super) first_of_month: LedgerDay,
    pub(super) changes: Changes,
    /// The index of the command that is being settled; `u32::MAX` before the first.
    pub(super) index: u32,
    /// The remaining budget of the kind of work in progress, which the ledger does by itself in this block.
    pub(super) work_left: u32,
}

/// The ledger as a command sees it at a block's time. It only reads: [`Transition`] stores what it computes, and a
/// quote reports it.
#[derive(Clone, Copy)]
pub(super) struct StateAt<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) time: Timestamp,
    pub(super) today: LedgerDay,
    pub(super) first_of_month: LedgerDay,
}

impl<'a> StateAt<'a> {
    pub(super) fn new(ledger: &'a Ledger, time: Timestamp) -> StateAt<'a> {
        let today = time.ledger_day(ledger.genesis.day_offset_minutes);
        StateAt { ledger, time, today, first_of_month: today.first_of_month() }
    }

    pub(super) fn parameters(&self) -> &'a Parameters {
        self.ledger.parameters()
    }

    /// Checks that a bank is a member and not resolved; a suspended bank still serves the customers it has.
    pub(super) fn active_bank(&self, bank: BankId) -> Result<(), Outcome> {
        let is_resolved = self.ledger.positions.status(bank) == Some(BankStatus::Resolved);
        match self.ledger.members.bank(bank) {
            Some(_) if !is_resolved => Ok(()),
            _ => refuse(Reason::BankNotActive),
        }
    }

    /// Checks that a bank may take new customers and new money.
    pub(super) fn unsuspended_bank(&self, bank: BankId) -> Result<(), Outcome> {
        self.active_bank(bank)?;
        match self.ledger.positions.status(bank) {
            Some(BankStatus::Active) => Ok(()),
            _ => refuse(Reason::BankSuspended),
        }
    }
}

impl<'a> Transition<'a> {
    pub(super) fn new(ledger: &'a mut Ledger, time: Timestamp) -> Transition<'a> {
        let today = time.ledger_day(ledger.genesis.day_offset_minutes);
        let (first_of_month, work_left) = (today.first_of_month(), ledger.parameters().work_per_block.0);
        Transition { ledger, time, today, first_of_month, changes: Changes::default(), index: u32::MAX, work_left }
    }
}

impl Transition<'_> {
    pub(super) fn at(&self) -> StateAt<'_> {
        StateAt { ledger: self.ledger, time: self.time, today: self.today, first_of_month: self.first_of_month }
    }

    /// Takes one unit from the work budget of the block; `false` if it is used up.
    pub(super) fn take_work(&mut self) -> bool {
        let has_work = self.work_left > 0;
        self.work_left = self.work_left.saturating_sub(1);
        has_work
    }

    /// Uses an admitted signer's sequence number.
    #[inline(always)]
    pub(super) fn consume(&mut self, signer: Signer, sequence: u64) {
        match signer {
            Signer::Holder(id) => self.account_mut(id).window.consume(sequence),
            Signer::Member(role, id) => {
                let seat = self.ledger.members.seat_mut(role, id).expect("the signer was admitted");
                seat.window.consume(sequence);
            }
        }
    }

    /// An existing account, for writing: its record enters the effects root.
    pub(super) fn account_mut(&mut self, id: AccountId) -> &mut Account {
        let bank = self.ledger.banks.get_mut(id.bank).expect("the account was looked up before");
        bank.dirty.mark(id.serial as usize);
        bank.accounts.get_mut(id.serial as usize).expect("the account was looked up before")
    }

    pub(super) fn key_changed(&mut self, account: AccountId) {
        let wallet = self.ledger.account(account).expect("the wallet was just changed");
        let key = self.ledger.key(account).filter(|_| wallet.open);
        self.changes.keys.push(KeyChange { account, key, version: wallet.key_version });
    }

    /// The bank's treasury balance after a credit, if it fits.
    pub(super) fn treasury_credit(&self, bank: BankId, amount: Amount) -> Result<Amount, Outcome> {
        let treasury = self.ledger.account(AccountId::treasury(bank));
        let balance = treasury.ok_or(Outcome::refused(Reason::BankNotActive, 0, 0))?.available;
        balance.plus(amount).ok_or(Outcome::refused(Reason::Overflow, 0, amount.minor()))
    }
}
