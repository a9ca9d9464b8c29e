//! Wallets and holders: opening, closing, keys, links, classes, orders of a court.

use std::collections::{BTreeMap, BTreeSet};

use cbdc_ledger::command::{FreezeKind, FreezeOrder, LinkBank, MoveWallet, OpenWallet, ReplaceKey, SeizeOrder};
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::Reason;
use cbdc_ledger::{AccountId, BankId, Class, HolderId, Outcome, PublicKey, Timestamp};

use super::{Answer, MAX, Model, UNSOUND_KEYS, Wallet, done, minor, no};

impl Model {
    fn check_end(&self, valid_until: Timestamp) -> Result<(), Outcome> {
        match i128::from(valid_until.0) {
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
        self.check_end(open.certificate.valid_until)?;
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
            frozen_by: BTreeMap::new(),
            moved_to: None,
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

    /// What the wallet owes stays with the holder, and is written off with their last one.
    pub(super) fn close(&mut self, id: AccountId) -> Answer {
        let Some(wallet) = self.open_wallet(id) else { return self.no_payee(id) };
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
        let holder = self.wallets[&id].holder;
        let has_others = self.wallets.iter().any(|(other, it)| *other != id && it.open && it.holder == holder);
        if self.wallets[&id].allowance && has_others {
            return no(Reason::DesignatedWallet, 0, 0);
        }
        self.settle_due(id);
        let (unit, wallet) = (self.unit(), self.wallets.get_mut(&id).unwrap());
        let owed = (-wallet.accrued).max(0);
        (wallet.accrued, wallet.allowance, wallet.open) = (0, false, false);
        if !has_others {
            self.claims.remove(&holder);
        } else if owed > 0 {
            *self.claims.entry(holder).or_default() += (owed + unit - 1) / unit;
        }
        done(0)
    }

    pub(super) fn replace_key(&mut self, replace: &ReplaceKey) -> Answer {
        let (id, class, key) = (replace.account, replace.class, replace.key);
        if self.open_wallet(id).is_none() {
            return self.no_payee(id);
        }
        let registered = self.class_of(id);
        if registered != class {
            return no(Reason::HolderClassMismatch, registered.0 as i128, class.0 as i128);
        }
        self.check_end(replace.certificate.valid_until)?;
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

    pub(super) fn link(&mut self, link: &LinkBank) -> Answer {
        let (id, bank) = (link.account, link.bank.0);
        if let Some(consent) = &link.consent {
            self.check_end(consent.valid_until)?;
        }
        if bank != 0 && !self.is_unsuspended(bank) {
            return no(Reason::BankNotActive, 0, 0);
        }
        self.wallets.get_mut(&id).unwrap().linked_bank = bank;
        done(0)
    }

    pub(super) fn move_wallet(&mut self, order: &MoveWallet) -> Answer {
        if order.bank == order.account.bank {
            return no(Reason::SameBank, 0, 0);
        }
        self.check_end(order.consent.valid_until)?;
        self.check_unsuspended(order.bank.0)?;
        done(self.relocate(order.account, order.bank.0).to_u64().into())
    }

    /// Moves everything of a wallet to a new account; the old one only names it.
    fn relocate(&mut self, from: AccountId, bank: u16) -> AccountId {
        self.settle_due(from);
        let serial = self.wallets.keys().filter(|id| id.bank.0 == bank).count() as u32 + 1;
        let to = AccountId::new(BankId(bank), serial);
        let old = self.wallets.get_mut(&from).unwrap();
        let mut new = old.clone();
        if new.linked_bank == from.bank.0 {
            new.linked_bank = bank;
        }
        (old.available, old.frozen, old.accrued) = (0, 0, 0);
        (old.earmarks, old.frozen_by) = (BTreeMap::new(), BTreeMap::new());
        (old.allowance, old.open, old.moved_to) = (false, false, Some(to));
        self.wallets.insert(to, new);
        for hold in self.holds.values_mut() {
            for wallet in [&mut hold.payer, &mut hold.payee] {
                if *wallet == from {
                    *wallet = to;
                }
            }
        }
        to
    }

    /// Customers and money of the banks that the committee has handed over in this block.
    pub(super) fn hand_customers_over(&mut self) {
        for (from, to) in std::mem::take(&mut self.handovers) {
            let open = self.wallets.iter().filter(|(id, wallet)| id.bank.0 == from && wallet.open);
            for wallet in open.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.relocate(wallet, to);
            }
            self.hand_money_over(from, to);
        }
    }

    pub(super) fn designate(&mut self, id: AccountId) -> Answer {
        let holder = self.wallets[&id].holder;
        match self.allowance_of(holder) {
            Some(before) if before == id => return done(0),
            before => before.into_iter().chain([id]).for_each(|wallet| self.settle_due(wallet)),
        }
        for (other, wallet) in &mut self.wallets {
            if wallet.holder == holder {
                wallet.allowance = *other == id;
            }
        }
        done(0)
    }

    pub(super) fn reclassify(&mut self, holder: HolderId, class: Class) -> Answer {
        if class.0 >= 8 {
            return no(Reason::UnknownClass, 0, 0);
        }
        let Some(registered) = self.classes.get_mut(&holder) else { return no(Reason::UnknownHolder, 0, 0) };
        *registered = class;
        done(0)
    }

    pub(super) fn freeze(&mut self, order: &FreezeOrder) -> Answer {
        let (id, amount) = (order.account, minor(order.amount));
        if amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        let Some(wallet) = self.open_wallet(id) else { return self.no_payee(id) };
        match order.kind {
            FreezeKind::Freeze if wallet.frozen + amount > MAX => return no(Reason::Overflow, 0, amount),
            FreezeKind::Freeze => self.freeze_by(id, order.court.0, amount),
            FreezeKind::Unfreeze => self.lift(id, order.court.0, amount)?,
        }
        self.settle_due(id);
        done(0)
    }

    fn freeze_by(&mut self, id: AccountId, court: u16, amount: i128) {
        let wallet = self.wallets.get_mut(&id).unwrap();
        wallet.frozen += amount;
        if amount > 0 {
            *wallet.frozen_by.entry(court).or_default() += amount;
        }
    }

    /// Lifts what a court has frozen itself, then what dismissed courts have, in the order of their numbers.
    fn lift(&mut self, id: AccountId, court: u16, amount: i128) -> Result<(), Outcome> {
        let mut courts: Vec<u16> = vec![court];
        let others = self.wallets[&id].frozen_by.keys().copied();
        courts.extend(others.filter(|other| *other != court && !self.active(Role::Court, *other)));
        let frozen = |court: &u16| self.wallets[&id].frozen_by.get(court).copied().unwrap_or(0);
        let liftable: i128 = courts.iter().map(frozen).sum();
        if amount > liftable {
            return no(Reason::FreezeExceeded, liftable, amount);
        }
        let wallet = self.wallets.get_mut(&id).unwrap();
        wallet.frozen -= amount;
        let mut left = amount;
        for court in courts {
            let part = wallet.frozen_by.entry(court).or_default();
            let lifted = left.min(*part);
            (*part, left) = (*part - lifted, left - lifted);
        }
        wallet.frozen_by.retain(|_, part| *part > 0);
        Ok(())
    }

    pub(super) fn seize(&mut self, order: &SeizeOrder) -> Answer {
        let (id, to, amount) = (order.account, order.to, minor(order.amount));
        if amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        if id == to {
            return no(Reason::SameAccount, 0, 0);
        }
        for account in [id, to] {
            if self.open_wallet(account).is_none() {
                return self.no_payee(account);
            }
        }
        self.lift(id, order.court.0, minor(order.released))?;
        self.settle_due(id);
        let wallet = self.wallets.get_mut(&id).unwrap();
        let taken = amount.min(wallet.available);
        wallet.available -= taken;
        self.freeze_by(id, order.court.0, amount - taken);
        if self.wallets[&id].frozen > MAX {
            return no(Reason::Overflow, 0, amount);
        }
        let payee = self.wallets.get_mut(&to).unwrap();
        payee.available += taken;
        self.take_claim(to, taken);
        done(taken)
    }
}
