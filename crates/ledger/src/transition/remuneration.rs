//! Interest on wallets: bringing a wallet to today, and the sweep over idle wallets.
//!
//! A wallet's record says up to which day it has accrued. [`Ledger::brought_to_today`] computes, without writing, the
//! record as of today: it walks over the days since, in steps within which rates, class and balance are constant, and
//! posts at each capitalisation date on the way. Every change of a wallet's balance starts from that and stores the
//! result ([`Transition::store`]) together with its own change; a refused command stores nothing.
//!
//! Demurrage that could not be taken becomes a claim on the holder ([`Holder::claim`]), whichever wallet it fell due
//! on: the next credit to any of their wallets pays it first.
//!
//! The sweep does the same for all other wallets, a bounded number per block, from each capitalisation date until all
//! are posted. It runs only if some class had a rate other than zero since the sweep before.

use super::context::{StateAt, Transition};
use crate::ledger::Ledger;
use crate::policy::remuneration::capitalise;
use crate::state::account::{Account, NO_HOLDER};
use crate::state::books::{BookAccount, Income};
use crate::state::holder::Holder;
use crate::state::remuneration_sweep::RemunerationSweep;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId, Class};
use crate::types::outcome::{Outcome, Reason};
use crate::types::time::{LedgerDay, Timestamp};

/// An account as of today, and the postings that brought it there.
#[derive(Clone, Copy)]
pub(crate) struct Current {
    /// The account; its claim is what fell due on the wallet since it was last written, or after [`Current::join`]
    /// everything that the wallet's holder owes.
    pub(crate) account: Account,
    /// The part of the claim that is in the holder's record.
    pub(crate) known_claim: Amount,
    pub(crate) interest: Amount,
    pub(crate) demurrage: Amount,
}

/// The flows of a command between CBDC and the rest of the books, apart from issuing and redeeming.
#[derive(Clone, Copy, Default)]
pub(super) struct Flows {
    pub(super) interest: Amount,
    pub(super) demurrage: Amount,
    /// Fees to the central bank's equity.
    pub(super) fees: Amount,
    pub(super) waterfall: Option<(BankId, Amount)>,
    pub(super) reverse_waterfall: Option<(BankId, Amount)>,
}

impl Flows {
    /// Adds the postings that brought an account to today.
    pub(super) fn with(mut self, current: &Current) -> Flows {
        self.interest = saturating(self.interest, current.interest);
        self.demurrage = saturating(self.demurrage, current.demurrage);
        self
    }

    #[inline]
    fn is_none(&self) -> bool {
        self.interest.is_zero()
            && self.demurrage.is_zero()
            && self.fees.is_zero()
            && self.waterfall.is_none()
            && self.reverse_waterfall.is_none()
    }
}

pub(super) fn saturating(sum: Amount, amount: Amount) -> Amount {
    sum.plus(amount).unwrap_or(Amount::MAX)
}

impl Current {
    fn new(account: Account) -> Current {
        Current { account, known_claim: Amount::ZERO, interest: Amount::ZERO, demurrage: Amount::ZERO }
    }

    /// Joins the holder's claim with what fell due on the wallet: before anything is taken from a credit.
    #[inline(always)]
    pub(super) fn join(&mut self, holder: &Holder) {
        self.known_claim = holder.claim;
        self.account.claim = saturating(self.account.claim, holder.claim);
    }

    /// Moves changes of the holder's claim from this wallet to another of the same holder, which has joined the claim:
    /// each side has a copy, and the credit must take all of the claim, once.
    pub(super) fn hand_claim_to(&mut self, payee: &mut Current) {
        let grown = saturating(payee.account.claim, self.account.claim);
        (payee.account.claim, self.account.claim) = (grown.minus_or_zero(self.known_claim), self.known_claim);
    }

    /// Credits an amount and takes the claim from it. Returns what is kept.
    pub(super) fn credit(&mut self, amount: Amount) -> Amount {
        let account = &mut self.account;
        account.available = account.available.plus(amount).expect("all CBDC fits the range, so a wallet's does");
        amount.minus_or_zero(self.take_claim(amount))
    }

    /// Takes the claim from a credit of `credited`, which is on the account already, and returns it.
    pub(super) fn take_claim(&mut self, credited: Amount) -> Amount {
        let account = &mut self.account;
        let taken = account.claim.min(credited).min(account.spendable());
        account.claim = account.claim.minus_or_zero(taken);
        account.available = account.available.minus_or_zero(taken);
        self.demurrage = saturating(self.demurrage, taken);
        taken
    }
}

impl Ledger {
    /// A wallet or treasury as of the last block's ledger day, with due interest and demurrage posted.
    pub fn account_today(&self, id: AccountId) -> Option<Account> {
        Some(self.brought_to_today(*self.account(id)?, self.today()).account)
    }

    /// The unpaid demurrage that a wallet's holder owes: the holder's claim, and what fell due on this wallet since it
    /// was last written.
    pub fn claim_on(&self, id: AccountId) -> Option<Amount> {
        let (wallet, holder) = (self.account_today(id)?, self.holder_of(id)?);
        Some(saturating(wallet.claim, holder.claim))
    }

    /// Interest accrued up to the end of yesterday but not posted, and likewise demurrage, over all wallets, in minor
    /// units rounded toward zero for each wallet. Linear in the number of wallets.
    pub fn unposted_interest(&self) -> (u128, u128) {
        self.interest_until(self.today())
    }

    /// Like [`Ledger::unposted_interest`], with what accrues until the end of the day before `day` by the rates in
    /// force.
    pub(crate) fn interest_until(&self, day: LedgerDay) -> (u128, u128) {
        let day_count = self.genesis.day_count;
        let (mut interest, mut demurrage) = (0, 0);
        for bank in self.banks() {
            for (_, account) in self.wallets_of(bank).filter(|(_, account)| account.open) {
                let current = self.brought_to_today(*account, day);
                let (due, _) = capitalise(current.account.accrued, day_count);
                interest += u128::from(current.interest.minor()) + due.max(0).unsigned_abs();
                demurrage += u128::from(current.demurrage.minor()) + due.min(0).unsigned_abs();
            }
        }
        (interest, demurrage)
    }

    #[inline(always)]
    pub(crate) fn brought_to_today(&self, account: Account, today: LedgerDay) -> Current {
        let mut current = Current::new(account);
        if account.accrued_to < today && account.open {
            self.accrue(&mut current, today);
        }
        current
    }

    fn accrue(&self, current: &mut Current, today: LedgerDay) {
        let rates = self.policy.rates();
        let unit = u128::from(self.genesis.day_count.days()) * 1_000_000;
        let mut day = current.account.accrued_to;
        let mut next_date = rates.next_capitalisation(day);
        while day < today {
            let (tiers, same_until) = self.tiers_of(&current.account, day);
            let has_nothing_to_post = tiers.is_zero() && current.account.accrued.unsigned_abs() < unit;
            // Without a rate a date posts nothing, however many of them pass.
            let end = if has_nothing_to_post { same_until } else { same_until.min(next_date) }.min(today);
            let own = current.account.own().unsigned_abs();
            let days = i128::from(end.0 - day.0);
            current.account.accrued += tiers.accrual(own, current.account.has_allowance) * days;
            day = end;
            if day == next_date {
                self.post_interest(current);
            }
            if day >= next_date {
                next_date = rates.next_capitalisation(day);
            }
        }
        current.account.accrued_to = today;
    }

    /// The tiers of a wallet on a day, and the first later day that may have others.
    fn tiers_of(&self, account: &Account, day: LedgerDay) -> (&crate::policy::Tiers, LedgerDay) {
        let rates = self.policy.rates().all();
        let next = rates.partition_point(|rates| rates.from <= day);
        let (class, class_until) = self.class_on(account.holder, day);
        let until = rates.get(next).map_or(class_until, |next| next.from.min(class_until));
        (&rates[next.saturating_sub(1)].tiers[class.index()], until)
    }

    /// A holder's class at the end of a day, and the first later day that may have another.
    fn class_on(&self, holder: u32, day: LedgerDay) -> (Class, LedgerDay) {
        let last_day = LedgerDay(u32::MAX);
        if let Some(history) = self.class_history.get(holder) {
            let next = history.partition_point(|(from, _)| *from <= day);
            let until = history.get(next).map_or(last_day, |(from, _)| *from);
            return (history[next.saturating_sub(1)].1, until);
        }
        (self.holder_at(holder).expect("every wallet has a holder").class, last_day)
    }

    /// Posts accrued interest. Interest that would not fit stays accrued.
    fn post_interest(&self, current: &mut Current) {
        let (due, remainder) = capitalise(current.account.accrued, self.genesis.day_count);
        let Ok(amount) = u64::try_from(due.unsigned_abs()).map(Amount::from_minor) else { return };
        if due > 0 {
            let interest = saturating(current.interest, amount);
            let posted = self.holder_at(current.account.holder).expect("every wallet has a holder").posted;
            let sums = [posted, self.books.cbdc(), self.supply.interest];
            if sums.iter().any(|sum| sum.plus(interest).is_none()) {
                return;
            }
            current.interest = interest;
            current.account.available = saturating(current.account.available, amount);
        } else {
            let taken = amount.min(current.account.spendable());
            current.account.available = current.account.available.minus_or_zero(taken);
            current.demurrage = saturating(current.demurrage, taken);
            current.account.claim = saturating(current.account.claim, amount.minus_or_zero(taken));
        }
        current.account.accrued = remainder;
    }

    /// The time at which the sweep next has wallets to post: now if one is in progress or due, else the next
    /// capitalisation date that ends a day with a rate.
    pub(crate) fn next_remuneration_due(&self) -> Option<Timestamp> {
        if self.sweep.in_flight.is_some() {
            return Some(self.tip.time);
        }
        let rates = self.policy.rates();
        let today = self.today();
        if rates.any_rate_between(self.sweep.done, rates.last_capitalisation(today)) {
            return Some(self.tip.time);
        }
        // The first date that ends a day with a rate: under the rates so far, or under those from tomorrow on.
        let first_rate = rates.first_rate_from(self.sweep.done)?;
        let next = rates.next_capitalisation(today.max(first_rate));
        Some(next.start(self.genesis.day_offset_minutes))
    }
}

impl Transition<'_> {
    /// Stores an account that was brought to today and changed, and its holder's sum: increased by interest and
    /// credits, reduced by demurrage and debits. Postings become entries of the wallet; the flows are posted
    /// separately.
    #[inline]
    pub(super) fn store(&mut self, id: AccountId, current: &Current, credited: Amount, debited: Amount) {
        if current.account.holder == NO_HOLDER {
            *self.account_mut(id) = current.account;
        } else {
            self.store_wallet(id, current, credited, debited);
        }
    }

    /// Like [`Transition::store`], for a wallet. Returns its holder.
    #[inline(always)]
    pub(super) fn store_wallet(
        &mut self,
        id: AccountId,
        current: &Current,
        credited: Amount,
        debited: Amount,
    ) -> &mut Holder {
        // The claim is on the holder, whichever wallet it arose on.
        *self.account_mut(id) = Account { claim: Amount::ZERO, ..current.account };
        if !(current.interest.is_zero() && current.demurrage.is_zero()) {
            self.enter_posted(id, current);
        }
        let holder = self.holder_mut(current.account.holder);
        if current.account.claim != current.known_claim {
            holder.change_claim(current.known_claim, current.account.claim);
        }
        let grown = holder.posted.plus(current.interest).and_then(|sum| sum.plus(credited));
        let sum = grown.and_then(|sum| sum.minus(current.demurrage)).and_then(|sum| sum.minus(debited));
        holder.posted = sum.expect("all CBDC fits the range, and a holder has at least what one wallet pays");
        holder
    }

    /// Posts flows to the books and the supply terms, or refuses and changes nothing.
    #[inline]
    pub(super) fn post_flows(&mut self, flows: &Flows) -> Result<(), Outcome> {
        if flows.is_none() { Ok(()) } else { self.post_all(flows) }
    }

    fn post_all(&mut self, flows: &Flows) -> Result<(), Outcome> {
        let (waterfall_bank, waterfall) = flows.waterfall.unwrap_or_default();
        let (reverse_bank, reverse) = flows.reverse_waterfall.unwrap_or_default();
        let terms = &self.ledger.supply;
        let mut after = *terms;
        let sums = [
            (&mut after.interest, flows.interest),
            (&mut after.demurrage, flows.demurrage),
            (&mut after.fees, flows.fees),
            (&mut after.waterfall, waterfall),
            (&mut after.reverse_waterfall, reverse),
        ];
        for (term, amount) in sums {
            *term = term.plus(amount).ok_or(Outcome::refused(Reason::Overflow, 0, amount.minor()))?;
        }
        let books = &self.ledger.books;
        let cbdc = books.cbdc().plus(flows.interest).and_then(|cbdc| cbdc.plus(reverse));
        let reserves = books.bank(waterfall_bank).reserves.plus(waterfall);
        if cbdc.is_none() || reserves.is_none() {
            return Err(Outcome::refused(Reason::Overflow, 0, reverse.max(waterfall).minor()));
        }
        let entries = [
            // Reserves first: only this entry can fail for lack of money.
            (BookAccount::Reserves(reverse_bank), BookAccount::Cbdc, reverse),
            (BookAccount::Income(Income::InterestOnWallets), BookAccount::Cbdc, flows.interest),
            (BookAccount::Cbdc, BookAccount::Income(Income::Demurrage), flows.demurrage),
            (BookAccount::Cbdc, BookAccount::Income(Income::Fees), flows.fees),
            (BookAccount::Cbdc, BookAccount::Reserves(waterfall_bank), waterfall),
        ];
        for (debit, credit, amount) in entries.into_iter().filter(|(_, _, amount)| !amount.is_zero()) {
            self.post(debit, credit, amount)?;
        }
        self.ledger.supply = after;
        Ok(())
    }

    /// Continues to post wallets up to the last capitalisation date.
    pub(super) fn sweep_interest(&mut self) {
        let rates = self.ledger.policy.rates();
        let date = rates.last_capitalisation(self.today);
        let RemunerationSweep { done, in_flight } = self.ledger.sweep;
        let (date, mut next) = match in_flight {
            Some(in_flight) => in_flight,
            None if date > done && rates.any_rate_between(done, date) => (date, AccountId::default()),
            None => {
                self.ledger.sweep.done = done.max(date);
                return;
            }
        };
        while self.work_left > 0 {
            let Some(wallet) = self.account_at_or_after(next) else {
                self.ledger.sweep = RemunerationSweep { done: date, in_flight: None };
                return;
            };
            self.take_work();
            if self.ledger.open_wallet(wallet).is_some() {
                self.changes.work.wallets_swept += 1;
                self.post_due_interest(wallet);
            }
            next = AccountId::from_u64(wallet.to_u64() + 1).unwrap_or(AccountId::new(BankId(u16::MAX), u32::MAX));
        }
        self.ledger.sweep.in_flight = Some((date, next));
    }

    /// Brings a wallet to today if that posts anything or ends a day that had a rate.
    pub(super) fn post_due_interest(&mut self, wallet: AccountId) {
        let before = *self.ledger.account(wallet).expect("the wallet was just found");
        let current = self.ledger.brought_to_today(before, self.today);
        let changes_nothing = Account { accrued_to: before.accrued_to, ..current.account } == before;
        if changes_nothing {
            return;
        }
        if self.post_flows(&Flows::default().with(&current)).is_ok() {
            self.store(wallet, &current, Amount::ZERO, Amount::ZERO);
        }
    }

    /// The first account at or after an id, in order of bank and serial.
    fn account_at_or_after(&self, from: AccountId) -> Option<AccountId> {
        for (bank, accounts) in self.ledger.banks.from(from.bank) {
            let first = if bank == from.bank { from.serial } else { 0 };
            if (first as usize) < accounts.accounts.len() {
                return Some(AccountId::new(bank, first));
            }
        }
        None
    }
}

impl StateAt<'_> {
    /// An account as of today.
    #[inline]
    pub(super) fn current(&self, id: AccountId) -> Current {
        let account = *self.ledger.account(id).expect("the account was looked up before");
        self.ledger.brought_to_today(account, self.today)
    }

    /// Like [`StateAt::current`], joined with the holder's claim: for a wallet that is credited.
    pub(super) fn current_with_claim(&self, id: AccountId) -> Current {
        let mut current = self.current(id);
        current.join(self.holder(current.account.holder));
        current
    }
}
