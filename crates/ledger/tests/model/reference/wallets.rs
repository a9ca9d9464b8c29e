//! Wallets and persons: opening, closing, keys, links, classes, orders of a court.

use std::collections::{BTreeMap, BTreeSet};

use cbdc_ledger::command::{Certificate, FreezeKind, OpenWallet, ReplaceKey, SeizeOrder};
use cbdc_ledger::outcome::Reason;
use cbdc_ledger::{AccountId, BankId, Class, HolderId, Outcome, PublicKey};

use super::{Answer, MAX, Model, UNSOUND_KEYS, Wallet, done, minor, no};

impl Model {
    fn check_certificate(&self, certificate: &Certificate) -> Result<(), Outcome> {
        match i128::from(certificate.valid_until.0) {
            end if end < self.time.into() => no(Reason::CertificateExpired, end, self.time.into()),
            _ => Ok(()),
        }
    }

    fn check_new_key(&self, key: PublicKey) -> Result<(), Outcome> {
        if UNSOUND_KEYS.contains(&key) {
            return no(Reason::KeyUnacceptable, 0, 0);
        }
        if self.seen_keys.contains(&key) {
            return no(Reason::KeyInUse, 0, 0);
        }
        Ok(())
    }

    pub(super) fn open(&mut self, open: &OpenWallet) -> Answer {
        let (bank, holder, class, key) = (open.bank.0, open.holder, open.class, open.key);
        self.check_unsuspended(bank)?;
        if class.0 >= 8 {
            return no(Reason::UnknownClass, 0, 0);
        }
        self.check_certificate(&open.certificate)?;
        self.check_new_key(key)?;
        match self.classes.get(&holder) {
            Some(registered) if *registered != class => {
                return no(Reason::HolderClassMismatch, registered.0.into(), class.0.into());
            }
            Some(_) => {}
            None => self.registered.push(holder),
        }
        let serial = self.wallets.keys().filter(|id| id.bank.0 == bank).count() as u32 + 1;
        let id = AccountId::new(BankId(bank), serial);
        self.classes.insert(holder, class);
        self.seen_keys.insert(key);
        let wallet = Wallet {
            available: 0,
            frozen: 0,
            earmarks: BTreeMap::new(),
            accrued: 0,
            claim: 0,
            linked_bank: 0,
            allowance: self.allowance_of(holder).is_none(),
            used: BTreeSet::new(),
            key,
            key_version: 0,
            open: true,
            holder,
        };
        self.wallets.insert(id, wallet);
        done(id.to_u64().into())
    }

    /// The wallet's debts and accruals are written off with it.
    pub(super) fn close(&mut self, id: AccountId) -> Answer {
        let Some(wallet) = self.open_wallet(id) else { return no(Reason::UnknownPayee, 0, 0) };
        let balance = self.own(id) + self.earmarked(id);
        if balance > 0 {
            return no(Reason::BalanceNotZero, 0, balance);
        }
        let interest = wallet.accrued / self.unit();
        if interest > 0 {
            return no(Reason::BalanceNotZero, 0, interest);
        }
        if wallet.frozen > 0 {
            return no(Reason::FundsFrozen, 0, wallet.frozen);
        }
        let person = self.wallets[&id].holder;
        let has_others = self.wallets.iter().any(|(other, it)| *other != id && it.open && it.holder == person);
        if self.wallets[&id].allowance && has_others {
            return no(Reason::DesignatedWallet, 0, 0);
        }
        let wallet = self.wallets.get_mut(&id).unwrap();
        (wallet.claim, wallet.accrued, wallet.allowance, wallet.open) = (0, 0, false, false);
        done(0)
    }

    pub(super) fn replace_key(&mut self, replace: &ReplaceKey) -> Answer {
        let (id, class, key) = (replace.account, replace.class, replace.key);
        if self.open_wallet(id).is_none() {
            return no(Reason::UnknownPayee, 0, 0);
        }
        let registered = self.class_of(id);
        if registered != class {
            return no(Reason::HolderClassMismatch, registered.0 as i128, class.0 as i128);
        }
        self.check_certificate(&replace.certificate)?;
        let in_force = self.wallets[&id].key_version as i128;
        if in_force != i128::from(replace.version) {
            return no(Reason::CertificateSpent, in_force, replace.version.into());
        }
        self.check_new_key(key)?;
        self.seen_keys.insert(key);
        let wallet = self.wallets.get_mut(&id).unwrap();
        wallet.key = key;
        wallet.key_version += 1;
        done(0)
    }

    pub(super) fn link(&mut self, id: AccountId, bank: u16) -> Answer {
        if bank != 0 && !self.is_unsuspended(bank) {
            return no(Reason::BankNotActive, 0, 0);
        }
        self.wallets.get_mut(&id).unwrap().linked_bank = bank;
        done(0)
    }

    pub(super) fn designate(&mut self, id: AccountId) -> Answer {
        let person = self.wallets[&id].holder;
        for (other, wallet) in &mut self.wallets {
            if wallet.holder == person {
                wallet.allowance = *other == id;
            }
        }
        done(0)
    }

    pub(super) fn reclassify(&mut self, person: HolderId, class: Class) -> Answer {
        if class.0 >= 8 {
            return no(Reason::UnknownClass, 0, 0);
        }
        let Some(registered) = self.classes.get_mut(&person) else { return no(Reason::UnknownHolder, 0, 0) };
        *registered = class;
        done(0)
    }

    pub(super) fn freeze(&mut self, kind: FreezeKind, id: AccountId, amount: i128) -> Answer {
        if amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        let Some(wallet) = self.open_wallet(id) else { return no(Reason::UnknownPayee, 0, 0) };
        let frozen = match kind {
            FreezeKind::Freeze => wallet.frozen + amount,
            FreezeKind::Unfreeze => wallet.frozen - amount,
        };
        if frozen > MAX {
            return no(Reason::Overflow, 0, amount);
        }
        if frozen < 0 {
            return no(Reason::FreezeExceeded, wallet.frozen, amount);
        }
        self.wallets.get_mut(&id).unwrap().frozen = frozen;
        done(0)
    }

    pub(super) fn seize(&mut self, order: &SeizeOrder) -> Answer {
        let (id, to, amount) = (order.account, order.to, minor(order.amount));
        if amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        if id == to {
            return no(Reason::SameAccount, 0, 0);
        }
        if self.open_wallet(id).is_none() || self.open_wallet(to).is_none() {
            return no(Reason::UnknownPayee, 0, 0);
        }
        let released = minor(order.released);
        let wallet = self.wallets.get_mut(&id).unwrap();
        if released > wallet.frozen {
            return no(Reason::FreezeExceeded, wallet.frozen, released);
        }
        let taken = amount.min(wallet.available);
        wallet.available -= taken;
        wallet.frozen = wallet.frozen - released + amount - taken;
        if wallet.frozen > MAX {
            return no(Reason::Overflow, 0, amount);
        }
        let payee = self.wallets.get_mut(&to).unwrap();
        payee.available += taken;
        self.take_claim(to, taken);
        done(taken)
    }
}
