//! Opening and closing wallets, and replacing their keys.
//!
//! A wallet can be closed when it is empty and no court order stands against it: a lien on later credits would be lost
//! with it. Accrued interest keeps it open until it is posted. Its unpaid demurrage stays with the holder, and is
//! written off with their last wallet. A holder's first wallet gets the tier allowance; while the holder has others, it
//! can be closed only after another was designated.
//!
//! A key signs for one wallet of the network, once: a key that any wallet at any bank has or had is refused, so that a
//! retired key cannot come back, and no certificate opens two wallets.

use cbdc_signatures::PublicKey;

use super::context::{Settled, Transition, refuse};
use super::remuneration::{Flows, saturating};
use crate::command::{CloseWallet, OpenWallet, ReplaceKey};
use crate::policy::remuneration::capitalise;
use crate::state::account::Account;
use crate::state::bank_accounts::{BankAccounts, key_bytes};
use crate::state::holder::{Holder, holder_key};
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId, Class, HolderId};
use crate::types::outcome::{Outcome, Reason};
use crate::types::time::Timestamp;

impl Transition<'_> {
    /// The result is the new wallet's account id.
    pub(super) fn open_wallet(&mut self, open: &OpenWallet) -> Settled {
        self.at().unsuspended_bank(open.bank)?;
        if !open.class.is_known() {
            return refuse(Reason::UnknownClass);
        }
        self.check_end(open.certificate.valid_until)?;
        self.check_new_key(open.key)?;
        let known = self.ledger.holder_position(open.holder);
        if let Some(position) = known {
            self.check_class(position, open.class)?;
        }
        let serial = self.bank_accounts(open.bank).accounts.len();
        let Ok(serial) = u32::try_from(serial) else { return refuse(Reason::Overflow) };

        let holder = known.unwrap_or_else(|| self.register_holder(open.holder, open.class));
        let today = self.today;
        let accounts = self.bank_accounts(open.bank);
        accounts.accounts.push(Account::new(holder, today));
        accounts.keys.push(open.key);
        let keys = &accounts.keys;
        accounts.key_index.insert(serial, |serial| key_bytes(keys, serial));
        let id = AccountId::new(open.bank, serial);
        let holder = self.ledger.holders.get_mut(holder as usize).expect("the holder is registered");
        holder.wallets += 1;
        if holder.allowance().is_none() {
            holder.set_allowance(Some(id));
            self.account_mut(id).has_allowance = true;
        }
        self.bank_accounts(open.bank).dirty.mark(serial as usize);
        self.key_changed(id);
        Ok(Outcome::settled_with(id.to_u64()))
    }

    pub(super) fn close_wallet(&mut self, close: &CloseWallet) -> Settled {
        self.at().payee_wallet(close.account)?;
        // Interest that is due today counts: money in the wallet is the holder's.
        let mut current = self.at().current_with_claim(close.account);
        let wallet = current.account;
        if wallet.posted() != 0 {
            let balance = u64::try_from(wallet.posted()).unwrap_or(u64::MAX);
            return Err(Outcome::refused(Reason::BalanceNotZero, 0, balance));
        }
        // So does interest that has accrued but is not due yet.
        let (accrued, remainder) = capitalise(wallet.accrued, self.ledger.genesis.day_count);
        if accrued > 0 {
            return Err(Outcome::refused(Reason::BalanceNotZero, 0, u64::try_from(accrued).unwrap_or(u64::MAX)));
        }
        if !wallet.frozen.is_zero() {
            return Err(Outcome::refused(Reason::FundsFrozen, 0, wallet.frozen.minor()));
        }
        if wallet.has_allowance && self.at().holder(wallet.holder).wallets > 1 {
            return refuse(Reason::DesignatedWallet);
        }
        let owed = accrued.unsigned_abs() + u128::from(remainder < 0);
        let owed = u64::try_from(owed).map_or(Amount::MAX, Amount::from_minor);
        self.post_flows(&Flows::default().with(&current))?;
        // The debt stays with the holder, accrued demurrage included and rounded up, so that nobody escapes it by
        // closing wallets. With the last wallet it is written off.
        if self.at().holder(wallet.holder).wallets == 1 {
            current.account.claim = Amount::ZERO;
        } else {
            current.account.claim = saturating(current.account.claim, owed);
        }
        (current.account.open, current.account.has_allowance) = (false, false);
        current.account.accrued = 0;
        self.store(close.account, &current, Amount::ZERO, Amount::ZERO);
        let holder = self.holder_mut(wallet.holder);
        holder.wallets -= 1;
        let allowance = holder.allowance().filter(|allowance| *allowance != close.account);
        holder.set_allowance(allowance);
        self.key_changed(close.account);
        Ok(Outcome::settled())
    }

    pub(super) fn replace_key(&mut self, replace: &ReplaceKey) -> Settled {
        let wallet = *self.at().payee_wallet(replace.account)?;
        self.check_class(wallet.holder, replace.class)?;
        self.check_end(replace.certificate.valid_until)?;
        if replace.version != wallet.key_version {
            let (in_force, named) = (u64::from(wallet.key_version), u64::from(replace.version));
            return Err(Outcome::refused(Reason::CertificateSpent, in_force, named));
        }
        self.check_new_key(replace.key)?;
        // A version is stored beside one flag bit.
        if wallet.key_version >= u32::MAX >> 1 {
            return refuse(Reason::Overflow);
        }
        self.account_mut(replace.account).key_version += 1;
        let serial = replace.account.serial;
        let accounts = self.bank_accounts(replace.account.bank);
        let retired = accounts.keys.replace(serial as usize, replace.key).expect("every wallet has a key");
        accounts.retire_key(retired, serial);
        self.key_changed(replace.account);
        Ok(Outcome::settled())
    }

    pub(super) fn bank_accounts(&mut self, bank: BankId) -> &mut BankAccounts {
        self.ledger.banks.get_mut(bank).expect("an admitted bank has accounts")
    }

    /// Checks that a key is a sound point and new to the network.
    fn check_new_key(&self, key: PublicKey) -> Result<(), Outcome> {
        if key.check_for_account().is_err() {
            return refuse(Reason::KeyUnacceptable);
        }
        if self.ledger.banks.iter().any(|(_, accounts)| accounts.has_seen_key(key)) {
            return refuse(Reason::KeyInUse);
        }
        Ok(())
    }

    /// Checks that a certificate or a consent has not expired.
    pub(super) fn check_end(&self, valid_until: Timestamp) -> Result<(), Outcome> {
        if valid_until < self.time {
            return Err(Outcome::refused(Reason::CertificateExpired, valid_until.0, self.time.0));
        }
        Ok(())
    }

    fn check_class(&self, position: u32, class: Class) -> Result<(), Outcome> {
        let registered = self.ledger.holders.get(position as usize).expect("the holder was just found").class;
        if registered != class {
            return Err(Outcome::refused(Reason::HolderClassMismatch, u64::from(registered.0), u64::from(class.0)));
        }
        Ok(())
    }

    fn register_holder(&mut self, id: HolderId, class: Class) -> u32 {
        let holders = &mut self.ledger.holders;
        let position = holders.push(Holder::new(id, class)) as u32;
        self.ledger.recent_payments.push_default();
        self.ledger.holder_index.insert(position, |position| holder_key(holders, position));
        position
    }
}
