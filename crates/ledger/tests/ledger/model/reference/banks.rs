//! Banks at the central bank: issuance, reserves, operations, and what the end of a day does to them.

use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::books::BookAccount;
use cbdc_ledger::command::{Operation, OperationKind};
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::Reason;
use cbdc_ledger::{BankId, Outcome};

use super::{Answer, MAX, Model, done, minor, no};

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Position {
    pub status: BankStatus,
    pub collateral: i128,
    pub deposits_reported: i128,
    /// Since the maintenance period began.
    pub has_reported: bool,
    pub has_ever_reported: bool,
    /// The last statement at the end of each day of the maintenance period.
    pub reported: Vec<i128>,
    pub highest_base: i128,
    pub requirement_base: i128,
    pub day_end_sum: i128,
    pub loans: Vec<Loan>,
    pub accrued_on_reserves: i128,
    pub accrued_on_deposit: i128,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Loan {
    pub principal: i128,
    pub rate: Option<i128>,
    pub matures: i128,
    pub overdue: bool,
    pub accrued: i128,
}

fn reserves_of(bank: u16) -> BookAccount {
    BookAccount::Reserves(BankId(bank))
}

fn loans_of(bank: u16) -> BookAccount {
    BookAccount::Loans(BankId(bank))
}

impl Model {
    // Status.

    fn is_resolved(&self, bank: u16) -> bool {
        self.positions.get(&bank).is_some_and(|position| position.status == BankStatus::Resolved)
    }

    pub fn is_unsuspended(&self, bank: u16) -> bool {
        self.active(Role::Bank, bank) && self.positions[&bank].status == BankStatus::Active
    }

    pub(super) fn check_active(&self, bank: u16) -> Result<(), Outcome> {
        match self.active(Role::Bank, bank) && !self.is_resolved(bank) {
            true => Ok(()),
            false => no(Reason::BankNotActive, 0, 0),
        }
    }

    pub(super) fn check_unsuspended(&self, bank: u16) -> Result<(), Outcome> {
        self.check_active(bank)?;
        if self.is_unsuspended(bank) { Ok(()) } else { no(Reason::BankSuspended, 0, 0) }
    }

    /// Whether the bank's dismissal would leave wallets, money or loans behind.
    /// What a bank has left goes to the one that took its customers: the treasury by way of reserves, loans first.
    pub(super) fn hand_money_over(&mut self, from: u16, to: u16) {
        let treasury = self.treasuries[&from];
        if treasury > 0
            && self.terms.redeemed + treasury <= MAX
            && self.entry(BookAccount::Cbdc, reserves_of(from), treasury).is_ok()
        {
            self.terms.redeemed += treasury;
            self.treasuries.insert(from, 0);
        }
        let repaid = self.reserves_of(from).min(self.loans_of(from));
        if repaid > 0 && self.entry(reserves_of(from), loans_of(from), repaid).is_ok() {
            self.take_off_loans(from, repaid);
        }
        let rest = self.reserves_of(from);
        if rest > 0 {
            let _ = self.entry(reserves_of(from), reserves_of(to), rest);
        }
    }

    pub(super) fn would_strand(&self, bank: u16) -> bool {
        let accounts =
            [reserves_of(bank), loans_of(bank), BookAccount::DepositFacility(BankId(bank))].map(|it| self.balance(it));
        let has_wallets = self.wallets.iter().any(|(id, wallet)| id.bank.0 == bank && wallet.open);
        has_wallets || accounts.iter().any(|balance| *balance != 0) || self.treasuries[&bank] != 0
    }

    // Issuance and reserves.

    /// Quota of the bank, then cap.
    pub(super) fn check_issuance_limits(&self, bank: u16, amount: i128) -> Result<(), Outcome> {
        let (issued, supply) = (self.issued_today(bank) + amount, self.supply() + amount);
        match self.policy().quota_for(bank) {
            Some(quota) if issued.min(MAX) > quota => return no(Reason::IssuanceQuota, quota, issued),
            _ => {}
        }
        match self.policy().cap {
            Some(cap) if supply.min(MAX) > cap => no(Reason::SupplyCap, cap, supply),
            _ => Ok(()),
        }
    }

    pub(super) fn issue(&mut self, bank: u16, amount: i128) -> Answer {
        self.check_unsuspended(bank)?;
        self.check_issuance_limits(bank, amount)?;
        if self.treasuries[&bank] + amount > MAX || self.terms.issued + amount > MAX {
            return no(Reason::Overflow, 0, amount);
        }
        self.entry(reserves_of(bank), BookAccount::Cbdc, amount)?;
        *self.treasuries.get_mut(&bank).unwrap() += amount;
        self.terms.issued += amount;
        self.issuances.push((bank, self.today(), amount));
        done(0)
    }

    pub(super) fn redeem(&mut self, bank: u16, amount: i128) -> Answer {
        self.check_active(bank)?;
        if amount > self.treasuries[&bank] {
            return no(Reason::InsufficientFunds, self.treasuries[&bank], amount);
        }
        if self.terms.redeemed + amount > MAX {
            return no(Reason::Overflow, 0, amount);
        }
        self.entry(BookAccount::Cbdc, reserves_of(bank), amount)?;
        *self.treasuries.get_mut(&bank).unwrap() -= amount;
        self.terms.redeemed += amount;
        done(0)
    }

    pub(super) fn transfer_reserves(&mut self, from: u16, to: u16, amount: i128) -> Answer {
        if amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        if from == to {
            return no(Reason::SameAccount, 0, 0);
        }
        self.check_active(to)?;
        self.entry(reserves_of(from), reserves_of(to), amount)?;
        done(0)
    }

    // Operations.

    pub(super) fn operate(&mut self, operation: &Operation) -> Answer {
        let (bank, amount) = (operation.bank.0, minor(operation.amount));
        if amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        let works_off = matches!(operation.kind, OperationKind::RealiseCollateral | OperationKind::WriteOffLoans);
        match works_off {
            true if !self.is_resolved(bank) => return no(Reason::BankNotResolved, 0, 0),
            true => {}
            false => self.check_active(bank)?,
        }
        let reserves = reserves_of(bank);
        match operation.kind {
            OperationKind::RealiseCollateral => {
                let (pledged, owed) = (self.positions[&bank].collateral, self.loans_of(bank));
                if amount > pledged.min(owed) {
                    return no(Reason::InsufficientFunds, if amount > pledged { pledged } else { owed }, amount);
                }
                if self.securities_nominal + amount > MAX {
                    return no(Reason::Overflow, 0, amount);
                }
                self.entry(BookAccount::Securities, loans_of(bank), amount)?;
                self.securities_nominal += amount;
                self.positions.get_mut(&bank).unwrap().collateral -= amount;
                self.take_off_loans(bank, amount);
            }
            OperationKind::WriteOffLoans => {
                let left = (self.reserves_of(bank) + self.positions[&bank].collateral).min(MAX);
                if left > 0 {
                    return no(Reason::RecoverableFirst, left, amount);
                }
                if amount > self.loans_of(bank) {
                    return no(Reason::InsufficientFunds, self.loans_of(bank), amount);
                }
                self.entry(BookAccount::Equity, loans_of(bank), amount)?;
                self.take_off_loans(bank, amount);
            }
            OperationKind::WithdrawBanknotes => self.entry(reserves, BookAccount::Banknotes, amount)?,
            OperationKind::DepositBanknotes => self.entry(BookAccount::Banknotes, reserves, amount)?,
            OperationKind::CollectForGovernment => self.entry(reserves, BookAccount::Government, amount)?,
            OperationKind::PayFromGovernment => self.entry(BookAccount::Government, reserves, amount)?,
            OperationKind::PlaceDeposit => {
                self.entry(reserves, BookAccount::DepositFacility(operation.bank), amount)?;
            }
            OperationKind::BuySecurities => self.buy(bank, amount, operation.price_ppm.into())?,
            OperationKind::SellSecurities => self.sell(bank, amount, operation.price_ppm.into())?,
            OperationKind::Lend => self.lend(bank, amount, None, self.today() + 1)?,
            OperationKind::Refinance => {
                let matures = i128::from(operation.matures.0);
                if matures <= self.today() {
                    return no(Reason::MaturityPast, self.today() + 1, matures);
                }
                self.lend(bank, amount, Some(operation.rate.0.into()), matures)?;
            }
            OperationKind::Pledge => {
                let position = self.positions.get_mut(&bank).unwrap();
                position.collateral += amount;
                if position.collateral > MAX {
                    return no(Reason::Overflow, 0, amount);
                }
            }
            OperationKind::ReleaseCollateral => {
                let rest = self.positions[&bank].collateral - amount;
                if rest < 0 {
                    return no(Reason::InsufficientFunds, self.positions[&bank].collateral, amount);
                }
                let (covers, loans) = (self.policy().after_haircut(rest), self.loans_of(bank));
                if covers < loans {
                    return no(Reason::CollateralTooLow, covers, loans);
                }
                self.positions.get_mut(&bank).unwrap().collateral = rest;
            }
        }
        done(0)
    }

    /// The oldest loans first.
    fn take_off_loans(&mut self, bank: u16, amount: i128) {
        let loans = &mut self.positions.get_mut(&bank).unwrap().loans;
        let mut left = amount;
        while left > 0 {
            let taken = left.min(loans[0].principal);
            loans[0].principal -= taken;
            left -= taken;
            if loans[0].principal == 0 {
                loans.remove(0);
            }
        }
    }

    fn buy(&mut self, bank: u16, nominal: i128, price_ppm: i128) -> Result<(), Outcome> {
        let cost = nominal * price_ppm / 1_000_000;
        if cost == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        if cost > MAX {
            return no(Reason::Overflow, 0, nominal);
        }
        if self.securities_nominal + nominal > MAX {
            return no(Reason::Overflow, 0, nominal);
        }
        self.entry(BookAccount::Securities, reserves_of(bank), cost)?;
        self.securities_nominal += nominal;
        Ok(())
    }

    fn sell(&mut self, bank: u16, nominal: i128, price_ppm: i128) -> Result<(), Outcome> {
        if nominal > self.securities_nominal {
            return no(Reason::SecuritiesTooFew, self.securities_nominal, nominal);
        }
        let proceeds = nominal * price_ppm / 1_000_000;
        if proceeds == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        if proceeds > MAX {
            return no(Reason::Overflow, 0, nominal);
        }
        let reserves = self.reserves_of(bank);
        if proceeds > reserves {
            return no(Reason::InsufficientReserves, reserves, proceeds);
        }
        // A product of two full amounts needs all 128 bits.
        let (securities, held) = (self.balance(BookAccount::Securities) as u128, self.securities_nominal as u128);
        let cost = (securities * nominal as u128 / held) as i128;
        self.entry(reserves_of(bank), BookAccount::Securities, cost.min(proceeds))?;
        self.entry(reserves_of(bank), BookAccount::Equity, (proceeds - cost).max(0))?;
        self.entry(BookAccount::Equity, BookAccount::Securities, (cost - proceeds).max(0))?;
        self.securities_nominal -= nominal;
        Ok(())
    }

    fn lend(&mut self, bank: u16, amount: i128, rate: Option<i128>, matures: i128) -> Result<(), Outcome> {
        let covers = self.policy().after_haircut(self.positions[&bank].collateral);
        let loans = self.loans_of(bank) + amount;
        if covers < loans {
            return no(Reason::CollateralTooLow, covers, loans);
        }
        self.entry(loans_of(bank), reserves_of(bank), amount)?;
        let loan = Loan { principal: amount, rate, matures, overdue: false, accrued: 0 };
        self.positions.get_mut(&bank).unwrap().loans.push(loan);
        Ok(())
    }

    // The end of a day.

    pub(super) fn end_days_of_banks(&mut self, today: i128) {
        for day in self.today()..today {
            let banks: Vec<u16> = self.positions.keys().copied().collect();
            for bank in banks {
                if self.is_resolved(bank) {
                    self.work_off(bank);
                    continue;
                }
                self.accrue_loans(bank, day);
                self.remunerate_reserves(bank, day);
                self.return_deposit(bank, day);
                self.repay_loans(bank, day);
            }
            self.end_maintenance_period(day);
        }
    }

    /// A resolved bank's money repays its loans.
    fn work_off(&mut self, bank: u16) {
        let facility = BookAccount::DepositFacility(BankId(bank));
        let _ = self.entry(facility, reserves_of(bank), self.balance(facility));
        let amount = self.reserves_of(bank).min(self.loans_of(bank));
        self.entry(reserves_of(bank), loans_of(bank), amount).unwrap();
        self.take_off_loans(bank, amount);
        self.positions.get_mut(&bank).unwrap().loans.iter_mut().for_each(|loan| loan.overdue = true);
    }

    /// The requirement of the maintenance period in flight.
    fn requirement(&self, bank: u16) -> i128 {
        if self.period_days == 0 { 0 } else { self.period_policy.requirement(self.positions[&bank].requirement_base) }
    }

    fn remunerate_reserves(&mut self, bank: u16, day: i128) {
        let reserves = self.reserves_of(bank);
        let below = reserves.min(self.requirement(bank));
        let (up_to, above) = (self.rates_on(day).reserve_rate_up_to, self.rates_on(day).reserve_rate_above);
        let has_period = self.period_days > 0;
        let position = self.positions.get_mut(&bank).unwrap();
        if has_period {
            position.day_end_sum += reserves;
            position.reported.push(position.deposits_reported);
        }
        let accrued = position.accrued_on_reserves + below * up_to + (reserves - below) * above;
        self.positions.get_mut(&bank).unwrap().accrued_on_reserves = self.post_to_bank(bank, accrued, day);
    }

    fn return_deposit(&mut self, bank: u16, day: i128) {
        let facility = BookAccount::DepositFacility(BankId(bank));
        let deposit = self.balance(facility);
        if deposit == 0 {
            return;
        }
        let accrued = self.positions[&bank].accrued_on_deposit + deposit * self.rates_on(day).deposit_rate;
        // What does not fit stays on the facility.
        let _ = self.entry(facility, reserves_of(bank), deposit);
        self.positions.get_mut(&bank).unwrap().accrued_on_deposit = self.post_to_bank(bank, accrued, day);
    }

    /// Pays or charges the whole units of what has accrued, and returns the rest; all of it where it does not fit.
    fn post_to_bank(&mut self, bank: u16, accrued: i128, day: i128) -> i128 {
        let posted = accrued / self.unit();
        let is_posted = match posted {
            0.. => self.entry(BookAccount::Equity, reserves_of(bank), posted).is_ok(),
            _ => self.charge(bank, -posted, day),
        };
        if is_posted { accrued % self.unit() } else { accrued }
    }

    /// Takes money off a bank's reserves; what they lack becomes an overdue loan. Nothing is taken where that does not
    /// fit.
    fn charge(&mut self, bank: u16, amount: i128, day: i128) -> bool {
        let taken = amount.min(self.reserves_of(bank));
        let rest = amount - taken;
        if amount > MAX || self.loans_of(bank) + rest > MAX {
            return false;
        }
        self.entry(reserves_of(bank), BookAccount::Equity, taken).unwrap();
        if rest > 0 {
            self.entry(loans_of(bank), BookAccount::Equity, rest).unwrap();
            let loan = Loan { principal: rest, rate: None, matures: day + 2, overdue: true, accrued: 0 };
            self.positions.get_mut(&bank).unwrap().loans.push(loan);
        }
        true
    }

    fn accrue_loans(&mut self, bank: u16, day: i128) {
        let (lending, penalty) = (self.rates_on(day).lending_rate, self.rates_on(day).penalty_rate);
        for loan in &mut self.positions.get_mut(&bank).unwrap().loans {
            let rate = if loan.overdue { penalty } else { loan.rate.unwrap_or(lending) };
            loan.accrued += loan.principal * rate;
        }
    }

    fn repay_loans(&mut self, bank: u16, day: i128) {
        let mut index = 0;
        while index < self.positions[&bank].loans.len() {
            let is_gone = self.positions[&bank].loans[index].matures <= day + 1 && self.repay(bank, index, day);
            if !is_gone {
                index += 1;
            }
        }
    }

    /// Repays a loan that matures, and removes it; or rolls it over, with its interest, to the end of the next day.
    fn repay(&mut self, bank: u16, index: usize, day: i128) -> bool {
        let mut loan = self.positions[&bank].loans[index].clone();
        let interest = loan.accrued / self.unit();
        let is_posted = |entry: Result<(), Outcome>| entry.is_ok();
        if interest < 0 && is_posted(self.entry(BookAccount::Equity, reserves_of(bank), -interest)) {
            loan.accrued %= self.unit();
        }
        if self.reserves_of(bank) >= loan.principal + interest.max(0) {
            self.entry(reserves_of(bank), loans_of(bank), loan.principal).unwrap();
            self.entry(reserves_of(bank), BookAccount::Equity, interest.max(0)).unwrap();
            self.positions.get_mut(&bank).unwrap().loans.remove(index);
            return true;
        }
        if interest > 0 && is_posted(self.entry(loans_of(bank), BookAccount::Equity, interest)) {
            loan.principal += interest;
            loan.accrued %= self.unit();
        }
        (loan.overdue, loan.matures) = (true, day + 2);
        self.positions.get_mut(&bank).unwrap().loans[index] = loan;
        false
    }

    fn end_maintenance_period(&mut self, day: i128) {
        let has_period = self.period_days > 0;
        if has_period && day + 1 < self.period_start + self.period_days {
            return;
        }
        let banks: Vec<u16> = self.positions.keys().copied().collect();
        if has_period {
            for bank in &banks {
                if matches!(self.positions[bank].status, BankStatus::Resolved | BankStatus::Dismissed) {
                    continue;
                }
                let average = self.positions[bank].day_end_sum / self.period_days;
                let shortfall = (self.requirement(*bank) - average).max(0);
                let penalty = shortfall * self.period_policy.shortfall_rate * self.period_days / self.unit();
                self.charge(*bank, penalty, day);
            }
        }
        let next = self.rates_on(day + 1).clone();
        let period_days = next.period_days;
        if has_period || period_days > 0 {
            let days_before = self.period_days;
            let highest = self.positions.values().map(|position| position.highest_base).max().unwrap_or(0);
            (self.period_start, self.period_days) = (day + 1, period_days);
            self.period_policy = next;
            for position in self.positions.values_mut() {
                let has_ever_reported = position.has_reported || position.highest_base > 0;
                let base = match (has_ever_reported, position.has_reported, days_before) {
                    (false, ..) => highest,
                    (true, true, 1..) => position.reported.iter().sum::<i128>() / days_before,
                    (true, ..) => position.highest_base,
                };
                position.requirement_base = base;
                position.highest_base = position.highest_base.max(base);
                position.has_reported = false;
                position.reported.clear();
                position.day_end_sum = 0;
            }
        }
    }
}
