//! Programmes: paying a cohort holder by holder, and taking unspent purpose-bound money back when it expires.
//!
//! Both are bounded by policy's work per block and continue in later blocks. An earmark cannot be spent from its expiry
//! on, whether or not it has been taken back yet.

use super::context::Transition;
use super::entry::Cause;
use super::remuneration::Flows;
use crate::state::books::{BookAccount, Income};
use crate::state::programme::{Earmark, Funding, Grant, Programme, Purpose};
use crate::types::amount::Amount;
use crate::types::identity::AccountId;
use crate::types::outcome::{Outcome, Reason};

impl Funding {
    fn account(self) -> BookAccount {
        match self {
            Funding::Equity => BookAccount::Income(Income::TargetedIssuance),
            Funding::Government => BookAccount::Government,
        }
    }
}

impl Transition<'_> {
    /// Pays the next holders of the programmes in progress.
    pub(super) fn pay_programmes(&mut self) {
        while let Some(number) = self.ledger.programmes.next_paying() {
            let programme = *self.ledger.programmes.get(number).expect("a programme that pays exists");
            let cohort = programme.grant.cohort;
            let is_full = cohort.first != 0 && programme.paid >= cohort.first;
            let is_over = programme.grant.purpose.is_some_and(|purpose| purpose.expires_at <= self.time);
            if is_full || is_over || programme.next_holder >= programme.end {
                self.ledger.programmes.paid_out(number);
                continue;
            }
            if !self.take_work() {
                return;
            }
            let outcome =
                self.member_of_cohort(&programme).map(|wallet| self.pay_grant(number, &programme.grant, wallet));
            let programme = self.ledger.programmes.get_mut(number).expect("a programme that pays exists");
            programme.next_holder += 1;
            match outcome {
                Some(Ok(())) => programme.paid += 1,
                Some(Err(_)) => programme.refused += 1,
                None => {}
            }
            self.changes.work.holders_paid += u32::from(matches!(outcome, Some(Ok(()))));
        }
    }

    /// The wallet of the next holder, if they belong to the cohort.
    fn member_of_cohort(&self, programme: &Programme) -> Option<AccountId> {
        let holder = self.ledger.holders.get(programme.next_holder as usize)?;
        let cohort = &programme.grant.cohort;
        let wallet = holder.allowance().filter(|_| holder.class == cohort.class)?;
        (cohort.bank.is_none_or(|bank| bank == wallet.bank)).then_some(wallet)
    }

    fn pay_grant(&mut self, number: u64, grant: &Grant, wallet: AccountId) -> Result<(), Outcome> {
        let amount = grant.amount_each;
        self.at().check_supply(wallet.bank, amount)?;
        match grant.purpose {
            None => self.pay_unbacked(number, wallet, amount)?,
            Some(purpose) => self.pay_targeted(number, &purpose, wallet, amount)?,
        }
        self.count_issuance(wallet.bank, amount);
        Ok(())
    }

    fn pay_unbacked(&mut self, number: u64, wallet: AccountId, amount: Amount) -> Result<(), Outcome> {
        let overflow = Outcome::refused(Reason::Overflow, 0, amount.minor());
        let unbacked = self.ledger.supply.unbacked.plus(amount).ok_or(overflow)?;
        let mut current = self.at().current(wallet);
        // Interest and this credit must fit together.
        let cbdc = self.ledger.books.cbdc().plus(amount).and_then(|cbdc| cbdc.plus(current.interest));
        cbdc.ok_or(overflow)?;
        let credit = self.at().credit(&mut current, amount)?;
        let flows = Flows { waterfall: credit.waterfall, ..Flows::default() }.with(&current);
        self.post(BookAccount::Income(Income::UnbackedIssuance), BookAccount::Cbdc, amount)?;
        if let Err(refusal) = self.post_flows(&flows) {
            let undone = self.post(BookAccount::Cbdc, BookAccount::Income(Income::UnbackedIssuance), amount);
            undone.expect("the entry was just posted");
            return Err(refusal);
        }
        self.ledger.supply.unbacked = unbacked;
        self.store(wallet, &current, credit.credited, Amount::ZERO);
        self.enter(wallet, Cause::Grant, amount, None, number);
        self.note_deposits(wallet, wallet, &flows);
        Ok(())
    }

    fn pay_targeted(
        &mut self,
        number: u64,
        purpose: &Purpose,
        wallet: AccountId,
        amount: Amount,
    ) -> Result<(), Outcome> {
        let overflow = Outcome::refused(Reason::Overflow, 0, amount.minor());
        let targeted = self.ledger.supply.targeted.plus(amount).ok_or(overflow)?;
        self.post(purpose.funding.account(), BookAccount::Cbdc, amount)?;
        self.ledger.supply.targeted = targeted;
        let account = self.account_mut(wallet);
        account.earmarked = account.earmarked.plus(amount).expect("all CBDC fits the range, so a wallet's does");
        self.change_earmark(wallet, number, |earmark| {
            earmark.amount = earmark.amount.plus(amount).expect("all CBDC fits the range, so an earmark does");
        });
        self.enter(wallet, Cause::TargetedGrant, amount, None, number);
        Ok(())
    }

    /// Changes a programme's earmark on a wallet; an earmark of zero is removed.
    pub(super) fn change_earmark(&mut self, wallet: AccountId, programme: u64, change: impl FnOnce(&mut Earmark)) {
        let none = Earmark { amount: Amount::ZERO, held: Amount::ZERO };
        let mut earmark = self.ledger.programmes.earmark(wallet, programme).unwrap_or(none);
        change(&mut earmark);
        self.ledger.programmes.set_earmark(wallet, programme, earmark);
    }

    /// Takes expired earmarks back.
    pub(super) fn expire_earmarks(&mut self) {
        while let Some((number, wallet)) = self.ledger.programmes.expired_by(self.time) {
            let Some(wallet) = wallet else {
                self.ledger.programmes.close(number);
                continue;
            };
            // A hold never outlives the earmark that it draws on, unless expired holds are still waiting to be
            // processed.
            let is_held = self.ledger.programmes.earmark(wallet, number).is_some_and(|earmark| !earmark.held.is_zero());
            if is_held || !self.take_work() {
                return;
            }
            self.expire_earmark(wallet, number);
        }
    }

    fn expire_earmark(&mut self, wallet: AccountId, number: u64) {
        let programme = self.ledger.programmes.get(number).expect("an expired programme exists");
        let purpose = programme.grant.purpose.expect("only programmes with a purpose expire");
        let earmark = self.ledger.programmes.earmark(wallet, number).expect("the earmark was just found");
        let amount = earmark.amount;
        let posted = self.post(BookAccount::Cbdc, purpose.funding.account(), amount);
        posted.expect("the earmark is CBDC, and its funding account had the money before");
        let terms = &mut self.ledger.supply;
        terms.expired = terms.expired.plus(amount).expect("no more expires than was targeted");
        let account = self.account_mut(wallet);
        account.earmarked = account.earmarked.minus_or_zero(amount);
        self.change_earmark(wallet, number, |earmark| earmark.amount = Amount::ZERO);
        self.enter(wallet, Cause::Expired, amount, None, number);
        let programme = self.ledger.programmes.get_mut(number).expect("an expired programme exists");
        programme.expired = programme.expired.plus(amount).expect("no more expires than was paid");
        self.changes.work.earmarks_expired += 1;
    }
}
