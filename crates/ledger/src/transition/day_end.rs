//! The end of a ledger day at the banks: interest on their accounts, repayment of loans, reserve requirements.
//!
//! The first block of a later day processes the end of each day since the last block, with the rates of that day,
//! enacted before it. A maintenance period keeps the requirement and the penalty rate that it began with. A day whose
//! end changes nothing at any bank is skipped, and so are all that follow it. `unit` is the year's days × 1,000,000:
//! interest accrues as minor units × ppm × days, its whole units are posted, rounded toward zero, and the remainder
//! stays accrued.
//!
//! At the end of day D, for each bank in order of number:
//!
//! 1. Each loan accrues: at the penalty rate if it is overdue, at its own rate, or at the lending rate.
//! 2. Reserves: the part up to the requirement accrues at one rate, the part above it at the other. A running
//!    maintenance period adds the reserves to its sum. Interest is posted at once: Dr equity, Cr reserves; negative
//!    interest is a charge.
//! 3. Deposit facility: the balance accrues at the deposit rate and returns, Dr deposit facility, Cr reserves. Its
//!    interest is posted likewise.
//! 4. Each loan that matures at the beginning of D + 1 or before is repaid with its interest if the reserves suffice:
//!    Dr reserves, Cr loans and Cr equity; a remainder of interest is dropped. Negative interest is paid to the bank
//!    first. A loan that cannot be repaid is rolled to D + 2: its interest joins the principal (Dr loans, Cr equity),
//!    and it is overdue until the reserves suffice at the end of a later day.
//!
//! A resolved bank no longer earns or owes interest: its loans bear none, since that would be income that never
//! arrives, and its reserves repay them, the oldest first, whenever they mature. The operations desk realises
//! collateral and writes off the rest ([`super::operation`]).
//!
//! After all banks:
//!
//! 5. If the maintenance period ends with D, each bank whose average of day-end reserves (rounded down) is below its
//!    requirement is charged the shortfall × the penalty rate × the period's days. The next period begins at D + 1 with
//!    the length that policy then sets. If there is no period, one begins as soon as policy asks for it, without
//!    penalty.
//! 6. The base of a period's requirement is the average, over the day ends of the previous period (rounded down), of
//!    the deposits last reported; a bank's first statement also counts for the days before it. A bank that gave no
//!    statement in the previous period, and any bank in a first period, pays on the highest base or statement it ever
//!    had, and a bank that never gave one on the highest of all banks: silence is never cheaper than a statement.
//!
//! A charge takes the reserves that there are, Dr reserves, Cr equity; the rest becomes an overdue loan for one night,
//! Dr loans, Cr equity. An entry or a charge that would exceed an account's largest amount is left out, and its
//! interest stays accrued.

use std::mem;

use super::context::Transition;
use crate::ledger::Ledger;
use crate::policy::KeyRates;
use crate::state::bank_position::{BankPosition, BankStatus, Loan, Positions};
use crate::state::books::{BookAccount, Books, Income};
use crate::state::reserve_rules::ReserveRules;
use crate::types::amount::{Amount, RatePpm};
use crate::types::identity::BankId;
use crate::types::time::{LedgerDay, Timestamp};

impl Ledger {
    /// The next time at which the end of a day changes something at a bank.
    pub(crate) fn next_day_end_due(&self) -> Option<Timestamp> {
        if !self.has_day_end_work() {
            return None;
        }
        let ends = self.positions.next_day_end.0.checked_add(1)?;
        Some(LedgerDay(ends).start(self.genesis.day_offset_minutes))
    }

    /// Whether the end of the next day changes anything. If not, no later one does until something else has changed.
    fn has_day_end_work(&self) -> bool {
        // The rates and rules of the day, and those with which a period may begin.
        let offset = self.genesis.day_offset_minutes;
        let day = self.positions.next_day_end;
        let [today, rules] = [day, day.next()].map(|day| &self.policy.rates_of_day(day, offset).reserves);
        let earns_on_reserves = today.rate_above.0 != 0 || rules.rate_above.0 != 0;
        self.positions.period_days > 0
            || rules.period_days > 0
            || self.positions.banks.values().any(|position| !position.loans.is_empty())
            || self
                .books
                .banks()
                .any(|(_, bank)| !bank.deposit_facility.is_zero() || (earns_on_reserves && !bank.reserves.is_zero()))
    }

    /// The rates of a day, and the reserve rules for a period that begins after it.
    fn day_end_terms(&self, day: LedgerDay) -> Terms {
        let offset = self.genesis.day_offset_minutes;
        let (today, tomorrow) = (self.policy.rates_of_day(day, offset), self.policy.rates_of_day(day.next(), offset));
        let unit = i128::from(self.genesis.day_count.days()) * 1_000_000;
        Terms { rates: today.key_rates, rules: today.reserves, next_rules: tomorrow.reserves, unit }
    }
}

impl Transition<'_> {
    /// Processes the end of every day before today.
    pub(super) fn end_days(&mut self) {
        while self.ledger.positions.next_day_end < self.today && self.ledger.has_day_end_work() {
            let terms = self.ledger.day_end_terms(self.ledger.positions.next_day_end);
            let Ledger { positions, books, .. } = &mut *self.ledger;
            let tomorrow = LedgerDay(positions.next_day_end.0 + 1);
            end_day(positions, books, &terms, tomorrow);
            positions.next_day_end = tomorrow;
            self.changes.work.days_closed += 1;
        }
        self.ledger.positions.next_day_end = self.today;
    }
}

/// The terms of policy for the end of a day.
struct Terms {
    rates: KeyRates,
    rules: ReserveRules,
    next_rules: ReserveRules,
    /// Accrued interest in one minor unit.
    unit: i128,
}

/// Ends the day before `tomorrow` at all banks.
fn end_day(positions: &mut Positions, books: &mut Books, terms: &Terms, tomorrow: LedgerDay) {
    let (in_period, period_rules) = (positions.period_days > 0, positions.period_rules);
    for (bank, position) in &mut positions.banks {
        let requirement = period_rules.requirement(position.requirement_base);
        let mut bank = BankDayEnd { terms, tomorrow, bank: *bank, position, books };
        if bank.position.status == BankStatus::Resolved {
            bank.repay_what_it_can();
            continue;
        }
        bank.accrue_loans();
        bank.remunerate_reserves(in_period.then_some(requirement));
        bank.unwind_deposit();
        bank.settle_due_loans();
    }
    let next_period = u64::from(positions.period_start.0) + u64::from(positions.period_days);
    if in_period && u64::from(tomorrow.0) >= next_period {
        charge_shortfalls(positions, books, terms, tomorrow);
        begin_period(positions, terms, tomorrow);
    } else if !in_period && terms.next_rules.period_days > 0 {
        begin_period(positions, terms, tomorrow);
    }
}

fn charge_shortfalls(positions: &mut Positions, books: &mut Books, terms: &Terms, tomorrow: LedgerDay) {
    let (days, rules) = (positions.period_days, positions.period_rules);
    let liable = |status: BankStatus| !matches!(status, BankStatus::Resolved | BankStatus::Dismissed);
    for (bank, position) in positions.banks.iter_mut().filter(|(_, position)| liable(position.status)) {
        let average = position.day_end_sum / u128::from(days);
        let requirement = u128::from(rules.requirement(position.requirement_base).minor());
        // At most 2^64 × 2^31 × 2^16.
        let shortfall = requirement.saturating_sub(average) as i128;
        let penalty = shortfall * i128::from(rules.shortfall_rate.0) * i128::from(days) / terms.unit;
        if let Some(penalty) = amount_of(penalty) {
            BankDayEnd { terms, tomorrow, bank: *bank, position, books }.charge(penalty, Income::Penalties);
        }
    }
}

fn begin_period(positions: &mut Positions, terms: &Terms, first: LedgerDay) {
    let days_before = u128::from(positions.period_days);
    let highest = positions.banks.values().map(|position| position.highest_base).max().unwrap_or_default();
    (positions.period_start, positions.period_days) = (first, terms.next_rules.period_days);
    positions.period_rules = terms.next_rules;
    for position in positions.banks.values_mut() {
        position.requirement_base = match position.reported_sum.checked_div(days_before) {
            _ if position.highest_base.is_zero() && !position.has_reported => highest,
            Some(average) if position.has_reported => amount_of(average as i128).unwrap_or(Amount::MAX),
            _ => position.highest_base,
        };
        position.highest_base = position.highest_base.max(position.requirement_base);
        (position.has_reported, position.reported_sum, position.day_end_sum) = (false, 0, 0);
    }
}

/// One bank at the end of the day before `tomorrow`.
struct BankDayEnd<'a> {
    terms: &'a Terms,
    tomorrow: LedgerDay,
    bank: BankId,
    position: &'a mut BankPosition,
    books: &'a mut Books,
}

impl BankDayEnd<'_> {
    /// Repays a resolved bank's loans from its reserves and its overnight deposit, as far as they go.
    fn repay_what_it_can(&mut self) {
        let before = self.books.bank(self.bank);
        self.enter(BookAccount::DepositFacility(self.bank), BookAccount::Reserves(self.bank), before.deposit_facility);
        let amount = self.books.bank(self.bank).reserves.min(before.loans);
        if self.enter(BookAccount::Reserves(self.bank), BookAccount::Loans(self.bank), amount) {
            self.position.repay(amount);
        }
        self.position.loans.iter_mut().for_each(|loan| loan.overdue = true);
    }

    /// Step 2.
    fn remunerate_reserves(&mut self, requirement: Option<Amount>) {
        let (rules, reserves) = (&self.terms.rules, self.books.bank(self.bank).reserves);
        let mut up_to = Amount::ZERO;
        if let Some(requirement) = requirement {
            up_to = reserves.min(requirement);
            self.position.day_end_sum += u128::from(reserves.minor());
            self.position.reported_sum += u128::from(self.position.deposits_reported.minor());
        }
        let above = reserves.minus_or_zero(up_to);
        let interest = a_day(up_to, rules.rate_up_to) + a_day(above, rules.rate_above);
        self.position.accrued_on_reserves =
            self.post_interest(self.position.accrued_on_reserves + interest, Income::InterestOnReserves);
    }

    /// Step 3.
    fn unwind_deposit(&mut self) {
        let deposit = self.books.bank(self.bank).deposit_facility;
        if deposit.is_zero() {
            return;
        }
        let accrued = self.position.accrued_on_deposit + a_day(deposit, self.terms.rates.deposit);
        self.enter(BookAccount::DepositFacility(self.bank), BookAccount::Reserves(self.bank), deposit);
        self.position.accrued_on_deposit = self.post_interest(accrued, Income::InterestOnDepositFacility);
    }

    /// Step 1.
    fn accrue_loans(&mut self) {
        let rates = &self.terms.rates;
        for loan in &mut self.position.loans {
            let rate = if loan.overdue { rates.penalty } else { loan.rate.unwrap_or(rates.lending) };
            loan.accrued += a_day(loan.principal, rate);
        }
    }

    /// Step 4.
    fn settle_due_loans(&mut self) {
        for loan in mem::take(&mut self.position.loans) {
            let left = if loan.matures <= self.tomorrow { self.repay_or_roll(loan) } else { Some(loan) };
            self.position.loans.extend(left);
        }
    }

    /// The remainder of a loan that is due: nothing, or the loan rolled to the next day.
    fn repay_or_roll(&mut self, mut loan: Loan) -> Option<Loan> {
        if loan.accrued < 0 {
            loan.accrued = -self.post_interest(-loan.accrued, Income::InterestOnLoans);
        }
        let interest = amount_of(loan.accrued.max(0) / self.terms.unit);
        let due = interest.and_then(|interest| loan.principal.plus(interest));
        if let (Some(interest), Some(due)) = (interest, due) {
            let (reserves, loans) = (BookAccount::Reserves(self.bank), BookAccount::Loans(self.bank));
            if self.books.bank(self.bank).reserves >= due {
                self.enter(reserves, loans, loan.principal);
                self.enter(reserves, BookAccount::Income(Income::InterestOnLoans), interest);
                return None;
            }
            if self.enter(loans, BookAccount::Income(Income::InterestOnLoans), interest) {
                (loan.principal, loan.accrued) = (due, loan.accrued % self.terms.unit);
            }
        }
        (loan.overdue, loan.matures) = (true, self.day_after_tomorrow());
        Some(loan)
    }

    /// Posts the whole units of interest accrued in the bank's favour; returns the remainder, which stays accrued.
    fn post_interest(&mut self, accrued: i128, income: Income) -> i128 {
        let unit = self.terms.unit;
        let Some(interest) = amount_of((accrued / unit).abs()) else { return accrued };
        let is_posted = if accrued < 0 {
            self.charge(interest, income)
        } else {
            self.enter(BookAccount::Income(income), BookAccount::Reserves(self.bank), interest)
        };
        if is_posted { accrued % unit } else { accrued }
    }

    /// Takes an amount that the bank owes from its reserves, and lends it what is lacking. `false` if the loan would
    /// not fit; then nothing is taken.
    fn charge(&mut self, amount: Amount, income: Income) -> bool {
        let before = self.books.bank(self.bank);
        let taken = amount.min(before.reserves);
        let lacking = amount.minus_or_zero(taken);
        if before.loans.plus(lacking).is_none() {
            return false;
        }
        self.enter(BookAccount::Reserves(self.bank), BookAccount::Income(income), taken);
        if !lacking.is_zero() {
            self.enter(BookAccount::Loans(self.bank), BookAccount::Income(income), lacking);
            let matures = self.day_after_tomorrow();
            self.position.loans.push(Loan { principal: lacking, rate: None, matures, overdue: true, accrued: 0 });
        }
        true
    }

    /// Posts an entry unless it would exceed an account's largest amount. An entry of zero opens no account.
    fn enter(&mut self, debit: BookAccount, credit: BookAccount, amount: Amount) -> bool {
        amount.is_zero() || self.books.post(debit, credit, amount).is_ok()
    }

    fn day_after_tomorrow(&self) -> LedgerDay {
        self.tomorrow.next()
    }
}

/// A day's interest, in minor units × ppm × days. Below 2^95, so that the sum over all possible days fits.
fn a_day(principal: Amount, rate: RatePpm) -> i128 {
    i128::from(principal.minor()) * i128::from(rate.0)
}

/// The amount of minor units; `None` if no account can hold it.
fn amount_of(minor: i128) -> Option<Amount> {
    u64::try_from(minor).ok().map(Amount::from_minor)
}
