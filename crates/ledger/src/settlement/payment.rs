//! Transfer, fund and defund: money from account to account. The sum of all wallets stays as it is.

use super::{Settled, Settlement, refuse};
use crate::account::Account;
use crate::amount::Amount;
use crate::command::{Payment, PaymentKind};
use crate::identity::AccountId;
use crate::outcome::{Outcome, Reason};
use crate::policy::{day_limit, holding_limit, payment_limit};

impl Settlement<'_> {
    pub(super) fn payment(&mut self, payment: &Payment) -> Settled {
        if payment.amount.is_zero() {
            return refuse(Reason::AmountZero);
        }
        if payment.from == payment.to {
            return refuse(Reason::SameAccount);
        }
        match payment.kind {
            PaymentKind::Transfer => self.transfer(payment),
            PaymentKind::Defund => self.defund(payment),
            PaymentKind::Fund => self.fund(payment),
        }
    }

    /// Wallet to wallet: limits of the payer, money, limits of the payee, then the change.
    fn transfer(&mut self, payment: &Payment) -> Settled {
        let payer = *self.ledger.account(payment.from).expect("the payer was admitted");
        let Some(payee) = self.ledger.open_wallet(payment.to).copied() else { return refuse(Reason::UnknownPayee) };
        let is_own = payer.holder == payee.holder;
        if !is_own {
            let parameters = self.ledger.parameters();
            let person = self.ledger.holders.get(payer.holder as usize).expect("every wallet has a holder");
            payment_limit::check(parameters, person, payment.amount)?;
            day_limit::check(parameters, person, self.today, payment.amount)?;
        }
        check_spendable(&payer, payment.amount)?;
        if !is_own {
            self.check_credit(&payee, payment.amount)?;
        }
        self.move_money(payment.from, payment.to, payment.amount)?;
        if !is_own {
            self.take_off_holder(payer.holder, payment.amount);
            self.add_to_holder(payee.holder, payment.amount);
            self.count_as_paid_today(payer.holder, payment.amount);
        }
        Ok(Outcome::settled())
    }

    /// Treasury to a customer's wallet.
    fn fund(&mut self, payment: &Payment) -> Settled {
        if !payment.from.is_treasury() || payment.to.bank != payment.from.bank {
            return refuse(Reason::WrongBank);
        }
        let treasury = *self.ledger.account(payment.from).expect("an active bank has a treasury");
        let Some(wallet) = self.ledger.open_wallet(payment.to).copied() else { return refuse(Reason::UnknownPayee) };
        check_spendable(&treasury, payment.amount)?;
        self.check_credit(&wallet, payment.amount)?;
        self.move_money(payment.from, payment.to, payment.amount)?;
        self.add_to_holder(wallet.holder, payment.amount);
        Ok(Outcome::settled())
    }

    /// Wallet to the treasury of its own bank.
    fn defund(&mut self, payment: &Payment) -> Settled {
        if payment.to != AccountId::treasury(payment.from.bank) {
            return refuse(Reason::WrongBank);
        }
        self.active_bank(payment.to.bank)?;
        let wallet = *self.ledger.account(payment.from).expect("the payer was admitted");
        check_spendable(&wallet, payment.amount)?;
        self.treasury_credit(payment.to.bank, payment.amount)?;
        self.move_money(payment.from, payment.to, payment.amount)?;
        self.take_off_holder(wallet.holder, payment.amount);
        Ok(Outcome::settled())
    }

    /// Whether the payee's person may be credited, and the sums fit.
    fn check_credit(&self, payee: &Account, amount: Amount) -> Result<(), Outcome> {
        let person = self.ledger.holders.get(payee.holder as usize).expect("every wallet has a holder");
        holding_limit::check(self.ledger.parameters(), person, amount)?;
        // A person's sum is at least any of their wallets', so this covers the wallet too.
        match person.posted.plus(amount) {
            Some(_) => Ok(()),
            None => Err(Outcome::refused(Reason::Overflow, 0, amount.minor())),
        }
    }

    /// Moves checked money; refuses, before anything has changed, what does not fit.
    fn move_money(&mut self, from: AccountId, to: AccountId, amount: Amount) -> Result<(), Outcome> {
        let overflow = Outcome::refused(Reason::Overflow, 0, amount.minor());
        let payer = self.ledger.account(from).and_then(|account| account.available.minus(amount)).ok_or(overflow)?;
        let payee = self.ledger.account(to).and_then(|account| account.available.plus(amount)).ok_or(overflow)?;
        self.account_mut(from).available = payer;
        self.account_mut(to).available = payee;
        Ok(())
    }

    fn add_to_holder(&mut self, position: u32, amount: Amount) {
        let holder = self.ledger.holders.get_mut(position as usize).expect("every wallet has a holder");
        holder.posted = holder.posted.plus(amount).expect("the credit was checked");
    }

    fn take_off_holder(&mut self, position: u32, amount: Amount) {
        let holder = self.ledger.holders.get_mut(position as usize).expect("every wallet has a holder");
        holder.posted = holder.posted.minus(amount).expect("a person's sum is at least what one wallet has available");
    }

    fn count_as_paid_today(&mut self, position: u32, amount: Amount) {
        let today = self.today;
        let holder = self.ledger.holders.get_mut(position as usize).expect("every wallet has a holder");
        // Without a day limit the sum may reach the end of the range; it then stays there, above any limit.
        holder.paid_today = holder.paid_on(today).plus(amount).unwrap_or(Amount::MAX);
        holder.day = today;
    }
}

fn check_spendable(payer: &Account, amount: Amount) -> Result<(), Outcome> {
    let spendable = payer.spendable();
    if spendable >= amount {
        return Ok(());
    }
    let reason = if payer.available >= amount { Reason::FundsFrozen } else { Reason::InsufficientFunds };
    Err(Outcome::refused(reason, spendable.minor(), amount.minor()))
}
