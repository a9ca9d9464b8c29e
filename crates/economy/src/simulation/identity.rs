//! Identities: the equations that must hold, to the unit, at the end of every day.
//!
//! | identity | left | right |
//! |---|---|---|
//! | banknotes | households + firms + vaults | banknotes in the ledger's books |
//! | CBDC | households + firms + treasuries | CBDC in the ledger's books |
//! | deposits of bank b | households + firms + investors at b | deposits on b's balance sheet |
//! | loans of bank b | households + firms at b | loans on b's balance sheet |
//! | wholesale funding of bank b | investors' claim on b | funding on b's balance sheet |
//! | bonds | central bank + banks + investors | the government's debt |
//! | balance sheet of bank b | assets | liabilities + equity |
//! | interbank loans | Σ lent − Σ borrowed | 0 |
//! | settlement of bank b | what it owes other banks and the government | 0 |
//! | worth | Σ sectors | 0 |
//! | flows of a sector | worth today − worth yesterday | Σ of its flows today |
//!
//! A wallet's column follows the ledger by outcomes; at the end of a period every wallet is compared with the ledger's
//! own record, and the ledger checks its own invariants (I0 to I2, I4).

use cbdc_ledger::books::BookAccount;

use super::Economy;
use crate::accounts::Sector;
use crate::authority::account;
use crate::error::{BrokenIdentity, EconomyError};

/// The most that a sector may be worth or owe, minor units.
const WORTH_MAX: i128 = 200_000_000_000_000_000;

impl Economy<'_> {
    /// Net worth of each sector: financial assets less debts.
    pub(super) fn worth_of_sectors(&self) -> [i128; 6] {
        let sum = |column: &[i64]| column.iter().map(|minor| i128::from(*minor)).sum::<i128>();
        let books = self.authority.ledger().books();
        let (households, firms, investors) = (&self.households, &self.firms, &self.investors);
        let mut worth = [0; 6];
        worth[Sector::Households as usize] =
            sum(&households.deposit_minor) + sum(&households.cash_minor) + sum(&households.cbdc_minor)
                - sum(&households.loan_minor);
        worth[Sector::Firms as usize] =
            sum(&firms.deposit_minor) + sum(&firms.cash_minor) + sum(&firms.cbdc_minor) - sum(&firms.loan_minor);
        worth[Sector::Banks as usize] = (0..self.banks.len()).map(|bank| i128::from(self.sheet_of(bank))).sum();
        worth[Sector::Government as usize] = books.balance(BookAccount::Government) - i128::from(self.bonds_minor);
        worth[Sector::CentralBank as usize] = books.equity();
        worth[Sector::Investors as usize] =
            sum(&investors.deposit_minor) + sum(&investors.wholesale_minor) + i128::from(investors.bonds_minor);
        worth
    }

    /// A bank's assets less its liabilities other than equity.
    pub(super) fn sheet_of(&self, index: usize) -> i64 {
        let bank = &self.banks[index];
        self.at_central_bank(index)
            + self.treasury(bank.id)
            + bank.vault_minor
            + bank.bonds_minor
            + bank.loans_minor
            + bank.estate_minor
            + bank.interbank_minor
            - bank.deposits_minor
            - bank.wholesale_minor
            - bank.clearing_minor
            - bank.fiscal_minor
    }

    pub(super) fn check_identities(&mut self) -> Result<(), EconomyError> {
        self.check_banknotes_and_cbdc()?;
        self.check_banks()?;
        let worth = self.worth_of_sectors();
        self.check_range(&worth)?;
        self.equal("net worth over all sectors is nothing", ("sum", worth.iter().sum()), ("nothing", 0))?;
        for sector in Sector::ALL {
            let change = worth[sector as usize] - self.worth[sector as usize];
            let left = (format!("the change of {}' worth", sector.name()), change);
            self.equal("flows explain the change of worth", left, ("its flows", self.flows_today.net(sector)))?;
        }
        self.worth = worth;
        let today = std::mem::take(&mut self.flows_today);
        self.flows_period.add(&today);
        let time = &self.values.time;
        if (self.day.number + 1).is_multiple_of(time.period_days) || self.day.number + 1 == time.days {
            self.check_wallets()?;
        }
        Ok(())
    }

    /// Keeps every sector's worth far below the range of 64 bits, so that no sum of a further day can overflow.
    pub(super) fn check_range(&self, worth: &[i128; 6]) -> Result<(), EconomyError> {
        let beyond = Sector::ALL.into_iter().find(|sector| worth[*sector as usize].abs() > WORTH_MAX);
        match beyond {
            None => Ok(()),
            Some(sector) => Err(EconomyError::OutOfRange {
                day: self.day.number,
                sector: sector.name(),
                worth: worth[sector as usize],
                most: WORTH_MAX,
            }),
        }
    }

    fn check_banknotes_and_cbdc(&self) -> Result<(), EconomyError> {
        let sum = |column: &[i64]| column.iter().map(|minor| i128::from(*minor)).sum::<i128>();
        let books = self.authority.ledger().books();
        let vaults: i128 = self.banks.iter().map(|bank| i128::from(bank.vault_minor)).sum();
        let held = sum(&self.households.cash_minor) + sum(&self.firms.cash_minor) + vaults;
        self.equal("banknotes", ("what is held", held), ("the ledger's books", books.balance(BookAccount::Banknotes)))?;
        let treasuries: i128 = self.banks.iter().map(|bank| i128::from(self.treasury(bank.id))).sum();
        let held = sum(&self.households.cbdc_minor) + sum(&self.firms.cbdc_minor) + treasuries;
        self.equal("CBDC", ("what is held", held), ("the ledger's books", books.balance(BookAccount::Cbdc)))?;
        let banks: i128 = self.banks.iter().map(|bank| i128::from(bank.bonds_minor)).sum();
        let held = books.balance(BookAccount::Securities) + banks + i128::from(self.investors.bonds_minor);
        self.equal("bonds", ("what is held", held), ("the government's debt", i128::from(self.bonds_minor)))
    }

    fn check_banks(&self) -> Result<(), EconomyError> {
        let mut deposits = self.investors.deposit_minor.clone();
        let mut loans = vec![0_i64; self.banks.len()];
        let customers = [
            (&self.households.bank, &self.households.deposit_minor, &self.households.loan_minor),
            (&self.firms.bank, &self.firms.deposit_minor, &self.firms.loan_minor),
        ];
        for (banks, deposit, loan) in customers {
            for (index, bank) in banks.iter().enumerate() {
                deposits[usize::from(*bank)] += deposit[index];
                loans[usize::from(*bank)] += loan[index];
            }
        }
        let between: i64 = self.banks.iter().map(|bank| bank.interbank_minor).sum();
        self.equal("interbank loans", ("lent less borrowed", i128::from(between)), ("nothing", 0))?;
        for (index, bank) in self.banks.iter().enumerate() {
            let id = bank.id;
            let wide = i128::from;
            let pairs = [
                ("deposits", deposits[index], bank.deposits_minor),
                ("loans", loans[index], bank.loans_minor),
                ("wholesale funding", self.investors.wholesale_minor[index], bank.wholesale_minor),
                ("the balance sheet", self.sheet_of(index), bank.equity_minor),
                ("what is left to settle", bank.clearing_minor.abs() + bank.fiscal_minor.abs(), 0),
            ];
            for (identity, left, right) in pairs {
                let (left_name, right_name) =
                    (format!("bank {id} by its customers or assets"), format!("bank {id}'s own account"));
                self.equal(identity, (left_name, wide(left)), (right_name, wide(right)))?;
            }
        }
        Ok(())
    }

    /// Compares every wallet with the ledger's record, and checks the ledger's own invariants.
    fn check_wallets(&self) -> Result<(), EconomyError> {
        let ledger = self.authority.ledger();
        let columns =
            [(&self.households.wallet, &self.households.cbdc_minor), (&self.firms.wallet, &self.firms.cbdc_minor)];
        for (wallets, balances) in columns {
            for (wallet, balance) in wallets.iter().zip(balances) {
                let Some(id) = account(*wallet) else { continue };
                let on_ledger = ledger.account(id).map_or(0, |account| account.posted());
                if on_ledger != i128::from(*balance) {
                    let left = (format!("wallet {id} in the simulation"), i128::from(*balance));
                    self.equal("wallets", left, ("the ledger's record", on_ledger))?;
                }
            }
        }
        ledger.check_invariants()?;
        Ok(())
    }

    fn equal(
        &self,
        identity: &'static str,
        left: (impl Into<String>, i128),
        right: (impl Into<String>, i128),
    ) -> Result<(), EconomyError> {
        if left.1 == right.1 {
            return Ok(());
        }
        Err(EconomyError::Identity(Box::new(BrokenIdentity {
            day: self.day.number,
            date: self.day.ledger_day.to_string(),
            identity,
            left_name: left.0.into(),
            left: left.1,
            right_name: right.0.into(),
            right: right.1,
        })))
    }
}
