//! The operations desk's bookings for a bank, and the bank's statement of its deposits.
//!
//! Every operation requires an amount, and a bank that is a member and not resolved; a suspended bank is served. The
//! last two of the table are for resolved banks alone.
//!
//! | operation | entries | refused when |
//! |---|---|---|
//! | banknotes, government | reserves against banknotes or government | the debited account has too little |
//! | buy securities | Dr securities, Cr reserves: the cost | the cost rounds to nothing |
//! | sell securities | Dr reserves the proceeds, Cr securities the average cost, | more is sold than is held; |
//! | | the difference to or from equity | the proceeds round to nothing; too few reserves |
//! | place a deposit | Dr reserves, Cr deposit facility | too few reserves |
//! | lend, refinance | Dr loans, Cr reserves | the loan would mature today or earlier; |
//! | | | collateral after the haircut does not cover all loans |
//! | pledge, release | none: a note in the collateral register | too little is pledged; the rest does not cover loans |
//! | realise collateral | Dr securities, Cr loans, at market value | more than is pledged or owed |
//! | write off loans | Dr equity, Cr loans | reserves or collateral are left; more than is owed |
//!
//! Cost and proceeds are nominal × price, the average cost is securities × nominal ÷ nominal held, all rounded down.
//! [`super::day_end`] describes what facilities and loans earn and when they are unwound.

use super::context::{Settled, Transition, refuse};
use crate::command::{DepositStatement, Operation, OperationKind};
use crate::policy::reserves::after_haircut;
use crate::state::bank_position::{BankPosition, BankStatus, Loan};
use crate::state::books::{BookAccount, Income};
use crate::types::amount::{Amount, RatePpm};
use crate::types::identity::BankId;
use crate::types::outcome::{Outcome, Reason};
use crate::types::time::LedgerDay;

impl Transition<'_> {
    pub(super) fn operation(&mut self, operation: &Operation) -> Settled {
        let Operation { kind, bank, amount, price_ppm, .. } = *operation;
        if amount.is_zero() {
            return refuse(Reason::AmountZero);
        }
        match (kind.is_resolution(), self.ledger.positions.status(bank)) {
            (true, Some(BankStatus::Resolved)) => {}
            (true, _) => return refuse(Reason::BankNotResolved),
            (false, _) => self.at().active_bank(bank)?,
        }
        let reserves = BookAccount::Reserves(bank);
        match kind {
            OperationKind::WithdrawBanknotes => self.book(reserves, BookAccount::Banknotes, amount),
            OperationKind::DepositBanknotes => self.book(BookAccount::Banknotes, reserves, amount),
            OperationKind::CollectForGovernment => self.book(reserves, BookAccount::Government, amount),
            OperationKind::PayFromGovernment => self.book(BookAccount::Government, reserves, amount),
            OperationKind::PlaceDeposit => self.book(reserves, BookAccount::DepositFacility(bank), amount),
            OperationKind::BuySecurities => self.buy_securities(bank, amount, price_ppm),
            OperationKind::SellSecurities => self.sell_securities(bank, amount, price_ppm),
            OperationKind::Lend => self.lend(bank, amount, None, self.tomorrow()),
            OperationKind::Refinance => self.refinance(operation),
            OperationKind::Pledge => self.pledge(bank, amount),
            OperationKind::ReleaseCollateral => self.release_collateral(bank, amount),
            OperationKind::RealiseCollateral => self.realise_collateral(bank, amount),
            OperationKind::WriteOffLoans => self.write_off_loans(bank, amount),
        }
    }

    /// Records the deposits that the bank reports: they enter the average on which the next maintenance period is
    /// based. A bank's first statement also counts for the days of the running period that ended before it.
    pub(super) fn deposit_statement(&mut self, statement: &DepositStatement) -> Settled {
        let positions = &self.ledger.positions;
        let ended = if positions.period_days > 0 {
            positions.next_day_end.0.saturating_sub(positions.period_start.0)
        } else {
            0
        };
        let position = self.position_mut(statement.bank);
        if !position.has_ever_reported {
            position.reported_sum = u128::from(statement.deposits.minor()) * u128::from(ended);
            position.has_ever_reported = true;
        }
        (position.deposits_reported, position.has_reported) = (statement.deposits, true);
        position.highest_base = position.highest_base.max(statement.deposits);
        Ok(Outcome::settled())
    }

    /// An operation that is one entry.
    fn book(&mut self, debit: BookAccount, credit: BookAccount, amount: Amount) -> Settled {
        self.post(debit, credit, amount).map(|()| Outcome::settled())
    }

    fn buy_securities(&mut self, bank: BankId, nominal: Amount, price_ppm: u32) -> Settled {
        let cost = at_price(nominal, price_ppm)?;
        let overflow = Outcome::refused(Reason::Overflow, 0, nominal.minor());
        let held = self.ledger.books.securities_nominal.plus(nominal).ok_or(overflow)?;
        self.post(BookAccount::Securities, BookAccount::Reserves(bank), cost)?;

        self.ledger.books.securities_nominal = held;
        Ok(Outcome::settled())
    }

    fn sell_securities(&mut self, bank: BankId, nominal: Amount, price_ppm: u32) -> Settled {
        let books = &self.ledger.books;
        let held = books.securities_nominal;
        let Some(left) = held.minus(nominal) else {
            return Err(Outcome::refused(Reason::SecuritiesTooFew, held.minor(), nominal.minor()));
        };
        let proceeds = at_price(nominal, price_ppm)?;
        let cost = average_cost(books.securities, nominal, held);
        let reserves = books.bank(bank).reserves;
        if reserves < proceeds {
            return Err(Outcome::refused(Reason::InsufficientReserves, reserves.minor(), proceeds.minor()));
        }

        let (gain, loss) = (proceeds.minus_or_zero(cost), cost.minus_or_zero(proceeds));
        let (reserves, securities) = (BookAccount::Reserves(bank), BookAccount::Securities);
        for (debit, credit, amount) in [
            (reserves, securities, cost.min(proceeds)),
            (reserves, BookAccount::Income(Income::Securities), gain),
            (BookAccount::Income(Income::Securities), securities, loss),
        ] {
            let posted = self.post(debit, credit, amount);
            posted.expect("the reserves cover the proceeds, and no part of the securities costs more than all");
        }
        self.ledger.books.securities_nominal = left;
        Ok(Outcome::settled())
    }

    fn refinance(&mut self, operation: &Operation) -> Settled {
        let Operation { bank, amount, rate, matures, .. } = *operation;
        if matures <= self.today {
            let (earliest, found) = (u64::from(self.tomorrow().0), u64::from(matures.0));
            return Err(Outcome::refused(Reason::MaturityPast, earliest, found));
        }
        self.lend(bank, amount, Some(rate), matures)
    }

    fn lend(&mut self, bank: BankId, principal: Amount, rate: Option<RatePpm>, matures: LedgerDay) -> Settled {
        let loans = self.ledger.books.bank(bank).loans.plus(principal);
        let collateral = self.position_mut(bank).collateral;
        let covered = self.covered_by(collateral);
        if loans.is_none_or(|loans| loans > covered) {
            return Err(collateral_too_low(covered, loans.unwrap_or(Amount::MAX)));
        }
        self.post(BookAccount::Loans(bank), BookAccount::Reserves(bank), principal)?;

        let loan = Loan { principal, rate, matures, overdue: false, accrued: 0 };
        self.position_mut(bank).loans.push(loan);
        Ok(Outcome::settled())
    }

    fn pledge(&mut self, bank: BankId, value: Amount) -> Settled {
        let position = self.position_mut(bank);
        let overflow = Outcome::refused(Reason::Overflow, 0, value.minor());
        position.collateral = position.collateral.plus(value).ok_or(overflow)?;
        Ok(Outcome::settled())
    }

    fn release_collateral(&mut self, bank: BankId, value: Amount) -> Settled {
        let pledged = self.position_mut(bank).collateral;
        let Some(left) = pledged.minus(value) else {
            return Err(Outcome::refused(Reason::InsufficientFunds, pledged.minor(), value.minor()));
        };
        let (covered, loans) = (self.covered_by(left), self.ledger.books.bank(bank).loans);
        if covered < loans {
            return Err(collateral_too_low(covered, loans));
        }
        self.position_mut(bank).collateral = left;
        Ok(Outcome::settled())
    }

    /// Takes collateral over as the central bank's own securities, at the market value in the register.
    fn realise_collateral(&mut self, bank: BankId, value: Amount) -> Settled {
        let pledged = self.position_mut(bank).collateral;
        let Some(left) = pledged.minus(value) else {
            return Err(Outcome::refused(Reason::InsufficientFunds, pledged.minor(), value.minor()));
        };
        self.check_owed(bank, value)?;
        let overflow = Outcome::refused(Reason::Overflow, 0, value.minor());
        let nominal = self.ledger.books.securities_nominal.plus(value).ok_or(overflow)?;
        self.post(BookAccount::Securities, BookAccount::Loans(bank), value)?;

        self.ledger.books.securities_nominal = nominal;
        let position = self.position_mut(bank);
        position.collateral = left;
        position.repay(value);
        Ok(Outcome::settled())
    }

    /// A loss comes last: reserves and collateral pay first.
    fn write_off_loans(&mut self, bank: BankId, amount: Amount) -> Settled {
        let (reserves, collateral) = (self.ledger.books.bank(bank).reserves, self.position_mut(bank).collateral);
        let recoverable = reserves.plus(collateral).unwrap_or(Amount::MAX);
        if !recoverable.is_zero() {
            return Err(Outcome::refused(Reason::RecoverableFirst, recoverable.minor(), amount.minor()));
        }
        self.check_owed(bank, amount)?;
        self.post(BookAccount::Income(Income::LoanLosses), BookAccount::Loans(bank), amount)?;

        self.position_mut(bank).repay(amount);
        Ok(Outcome::settled())
    }

    fn check_owed(&self, bank: BankId, amount: Amount) -> Result<(), Outcome> {
        let owed = self.ledger.books.bank(bank).loans;
        if amount > owed {
            return Err(Outcome::refused(Reason::InsufficientFunds, owed.minor(), amount.minor()));
        }
        Ok(())
    }

    /// The loans that collateral covers under the haircut in force.
    fn covered_by(&self, collateral: Amount) -> Amount {
        after_haircut(collateral, self.ledger.parameters().haircut_ppm)
    }

    fn tomorrow(&self) -> LedgerDay {
        self.today.next()
    }

    fn position_mut(&mut self, bank: BankId) -> &mut BankPosition {
        self.ledger.positions.banks.get_mut(&bank).expect("an active bank has a position")
    }
}

fn collateral_too_low(covered: Amount, loans: Amount) -> Outcome {
    Outcome::refused(Reason::CollateralTooLow, covered.minor(), loans.minor())
}

/// Nominal × price, rounded down; refused if it rounds to nothing.
fn at_price(nominal: Amount, price_ppm: u32) -> Result<Amount, Outcome> {
    match u64::try_from(u128::from(nominal.minor()) * u128::from(price_ppm) / 1_000_000) {
        Ok(0) => refuse(Reason::AmountZero),
        Ok(minor) => Ok(Amount::from_minor(minor)),
        Err(_) => Err(Outcome::refused(Reason::Overflow, 0, nominal.minor())),
    }
}

/// The average cost of `nominal` of the `held` securities, rounded down; all of the cost when all are sold.
fn average_cost(securities: Amount, nominal: Amount, held: Amount) -> Amount {
    let cost = u128::from(securities.minor()) * u128::from(nominal.minor()) / u128::from(held.minor());
    Amount::from_minor(u64::try_from(cost).unwrap_or(u64::MAX))
}
