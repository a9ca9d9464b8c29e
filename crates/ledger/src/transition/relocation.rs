//! Wallets that move to another bank, by their holder's signature or, if their bank is resolved, by the committee's.
//!
//! 1. The wallet gets a new account at the new bank, with the next serial there, since an account's number names its
//!    bank. The record moves as it is: balance, holds as payer and as payee, earmarks, what is frozen and by which
//!    court, accrued interest, tier allowance, key and its version. A link to the old bank becomes one to the new bank.
//!    Whatever others have promised to the wallet's holder keeps nobody from moving: of the holds as payee only a
//!    bounded number is rewritten, and the others are found through the old account ([`crate::hold`]).
//! 2. The old account is closed and names its successor ([`Account::moved_to`]). A payment to it is refused with
//!    `WALLET_MOVED` and the new account, not passed on: a payer signs whom they pay.
//! 3. No CBDC is made or lost, and no reserves move: CBDC is a claim on the central bank, not on the bank that serves
//!    it. The wallet's deposit is the old bank's debt and stays with it.
//!
//! A holder's move requires the consent of the new bank. The committee moves all customers of a resolved bank, a
//! bounded number per block; then its treasury is redeemed, its reserves repay its loans, and the rest goes to the bank
//! that took the customers over. A bank without wallets, money and loans can be dismissed.

use super::context::{Settled, Transition, refuse};
use super::entry::Cause;
use super::remuneration::{Current, Flows};
use crate::command::MoveWallet;
use crate::state::account::Account;
use crate::state::bank_accounts::key_bytes;
use crate::state::bank_position::Handover;
use crate::state::books::BookAccount;
use crate::state::hold::{HANDED_ON_MAX, HOLDS_MAX};
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId};
use crate::types::outcome::{Outcome, Reason};

impl Transition<'_> {
    /// The result is the wallet's new account id.
    pub(super) fn move_wallet(&mut self, order: &MoveWallet) -> Settled {
        if order.bank == order.account.bank {
            return refuse(Reason::SameBank);
        }
        self.check_end(order.consent.valid_until)?;
        self.at().unsuspended_bank(order.bank)?;
        let moved = self.relocate(order.account, order.bank)?;
        Ok(Outcome::settled_with(moved.to_u64()))
    }

    /// Moves an open wallet to a bank that is a member.
    fn relocate(&mut self, from: AccountId, bank: BankId) -> Result<AccountId, Outcome> {
        let serial = self.bank_accounts(bank).accounts.len();
        let Ok(serial) = u32::try_from(serial) else { return refuse(Reason::Overflow) };
        let to = AccountId::new(bank, serial);
        let current = self.at().current(from);
        self.post_flows(&Flows::default().with(&current))?;

        // Nothing can be refused from here on.
        let mut record = Account { claim: Amount::ZERO, ..current.account };
        if record.linked_bank == from.bank {
            record.linked_bank = bank;
        }
        let closed = Account {
            available: Amount::ZERO,
            held: Amount::ZERO,
            locked: Amount::ZERO,
            earmarked: Amount::ZERO,
            frozen: Amount::ZERO,
            accrued: i128::from(to.to_u64()),
            has_allowance: false,
            open: false,
            ..current.account
        };
        // The holder's sum changes only by interest, the claim by what fell due on this wallet.
        self.store(from, &Current { account: closed, ..current }, Amount::ZERO, Amount::ZERO);
        let key = self.ledger.key(from).expect("every wallet has a key");
        self.bank_accounts(from.bank).forget_key(from.serial);
        let accounts = self.bank_accounts(bank);
        accounts.accounts.push(record);
        accounts.keys.push(key);
        let keys = &accounts.keys;
        accounts.key_index.insert(serial, |serial| key_bytes(keys, serial));
        accounts.dirty.mark(serial as usize);
        let holder = self.holder_mut(record.holder);
        let allowance = holder.allowance().map(|allowance| if allowance == from { to } else { allowance });
        holder.set_allowance(allowance);
        self.ledger.holds.hand_on(from, to);
        self.ledger.programmes.hand_on(from, to);
        self.ledger.freezes.hand_on(from, to);
        self.key_changed(from);
        self.key_changed(to);
        let balance = u64::try_from(record.posted()).map(Amount::from_minor);
        let balance = balance.expect("all CBDC fits the range, so a wallet's does");
        self.enter(from, Cause::MovedOut, balance, Some(to), 0);
        self.enter(to, Cause::MovedIn, balance, Some(from), 0);
        Ok(to)
    }

    /// Continues to move the customers of resolved banks.
    pub(super) fn hand_customers_over(&mut self) {
        let handovers = self.ledger.positions.banks().filter_map(|(bank, position)| Some((bank, position.handover?)));
        for (bank, handover) in handovers.collect::<Vec<_>>() {
            let last = self.bank_accounts(bank).accounts.len() as u32;
            let mut next = handover.next;
            while next < last {
                if !self.take_work() {
                    return self.set_handover(bank, Some(Handover { next, ..handover }));
                }
                let wallet = AccountId::new(bank, next);
                if self.ledger.open_wallet(wallet).is_some() {
                    // Each hold that is rewritten counts as work.
                    let holds = self.ledger.holds.of_wallet(wallet, 0).take(HOLDS_MAX + HANDED_ON_MAX).count();
                    self.work_left = self.work_left.saturating_sub(u32::try_from(holds).unwrap_or(u32::MAX));
                    let moved = self.relocate(wallet, handover.to);
                    self.changes.work.wallets_moved += u32::from(moved.is_ok());
                }
                next += 1;
            }
            self.hand_money_over(bank, handover.to);
            self.set_handover(bank, None);
        }
    }

    fn set_handover(&mut self, bank: BankId, handover: Option<Handover>) {
        let position = self.ledger.positions.banks.get_mut(&bank);
        position.expect("an admitted bank has a position").handover = handover;
    }

    /// Hands over the money of a bank without customers: its treasury is redeemed, its reserves repay its loans, and
    /// the rest goes to the bank that took the customers over. Money that would exceed an account's range stays.
    fn hand_money_over(&mut self, bank: BankId, to: BankId) {
        let treasury = AccountId::treasury(bank);
        let available = self.ledger.account(treasury).map_or(Amount::ZERO, |account| account.available);
        let redeemed = self.ledger.supply.redeemed.plus(available);
        if let (false, Some(redeemed)) = (available.is_zero(), redeemed)
            && self.post(BookAccount::Cbdc, BookAccount::Reserves(bank), available).is_ok()
        {
            self.ledger.supply.redeemed = redeemed;
            self.account_mut(treasury).available = Amount::ZERO;
        }
        let before = self.ledger.books.bank(bank);
        let repaid = before.reserves.min(before.loans);
        if !repaid.is_zero() && self.post(BookAccount::Reserves(bank), BookAccount::Loans(bank), repaid).is_ok() {
            let position = self.ledger.positions.banks.get_mut(&bank);
            position.expect("an admitted bank has a position").repay(repaid);
        }
        let rest = self.ledger.books.bank(bank).reserves;
        if !rest.is_zero()
            && let Err(refusal) = self.post(BookAccount::Reserves(bank), BookAccount::Reserves(to), rest)
        {
            debug_assert_eq!(refusal.reason, Reason::Overflow);
        }
    }
}
