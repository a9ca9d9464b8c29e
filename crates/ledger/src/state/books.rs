//! The central bank's books, in double entry.
//!
//! Assets: securities (at average cost) and loans to banks. Liabilities: banknotes, reserves and deposit facility of
//! each bank, CBDC, offline CBDC, government. Equity is signed. `Books::post` is the only way to change a balance: it
//! debits one account and credits another with the same amount (I0), so that assets stay equal to
//! liabilities plus equity (I2), or it changes nothing.

use std::collections::BTreeMap;

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::Amount;
use crate::types::identity::BankId;

/// An account of the central bank's books.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BookAccount {
    /// Securities, at average cost.
    Securities,
    /// Loans to a bank.
    Loans(BankId),
    /// Banknotes in circulation.
    Banknotes,
    /// A bank's reserves.
    Reserves(BankId),
    /// A bank's balance on the deposit facility.
    DepositFacility(BankId),
    /// CBDC in circulation, treasuries included.
    Cbdc,
    /// CBDC loaded onto offline devices.
    Offline,
    /// The government's account.
    Government,
    /// All of equity; entries name its [`Income`] source.
    Equity,
    /// Equity by its source: credits are the central bank's earnings, debits its costs.
    Income(Income),
}

/// The source of the central bank's profit or loss since genesis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Income {
    /// Interest on wallets (a cost).
    InterestOnWallets,
    /// Negative interest on wallets.
    Demurrage,
    /// Fees to the central bank.
    Fees,
    /// Unbacked issuance (a cost).
    UnbackedIssuance,
    /// Targeted issuance out of equity (a cost until it expires).
    TargetedIssuance,
    /// Interest on reserves.
    InterestOnReserves,
    /// Interest on the deposit facility.
    InterestOnDepositFacility,
    /// Interest on loans to banks.
    InterestOnLoans,
    /// Penalties for missed reserve requirements.
    Penalties,
    /// Securities, at average cost.
    Securities,
    /// The losses on loans that resolved banks did not repay.
    LoanLosses,
}

/// The number of sources of income in the opening balance sheet of a genesis.
const SOURCES_OF_GENESIS: usize = 10;

impl Income {
    /// Every source, in the order of encodings.
    pub const ALL: [Income; 11] = [
        Income::InterestOnWallets,
        Income::Demurrage,
        Income::Fees,
        Income::UnbackedIssuance,
        Income::TargetedIssuance,
        Income::InterestOnReserves,
        Income::InterestOnDepositFacility,
        Income::InterestOnLoans,
        Income::Penalties,
        Income::Securities,
        Income::LoanLosses,
    ];

    /// The name in answers and tables.
    pub fn name(self) -> &'static str {
        match self {
            Income::InterestOnWallets => "interest_on_wallets",
            Income::Demurrage => "demurrage",
            Income::Fees => "fees",
            Income::UnbackedIssuance => "unbacked_issuance",
            Income::TargetedIssuance => "targeted_issuance",
            Income::InterestOnReserves => "interest_on_reserves",
            Income::InterestOnDepositFacility => "interest_on_deposit_facility",
            Income::InterestOnLoans => "interest_on_loans",
            Income::Penalties => "penalties",
            Income::Securities => "securities",
            Income::LoanLosses => "loan_losses",
        }
    }
}

impl BookAccount {
    /// Whether debits increase the account; credits increase all others.
    fn is_asset(self) -> bool {
        matches!(self, BookAccount::Securities | BookAccount::Loans(_))
    }
}

/// The reason why an entry cannot be posted; nothing was changed.
#[allow(missing_docs, reason = "a field is named for what it holds")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostingError {
    /// The account would fall below zero; `has` is its balance.
    TooLittle { account: BookAccount, has: Amount },
    /// The account would exceed 2^64 − 1 minor units.
    TooMuch { account: BookAccount },
}

/// The balance sheet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Books {
    pub(crate) securities: Amount,
    /// The securities' nominal value; off the balance sheet, for the average cost.
    pub(crate) securities_nominal: Amount,
    pub(crate) banknotes: Amount,
    pub(crate) cbdc: Amount,
    pub(crate) offline: Amount,
    pub(crate) government: Amount,
    pub(crate) equity: i128,
    /// The part of equity earned or lost since genesis, by [`Income`].
    pub(crate) income: [i128; Income::ALL.len()],
    pub(crate) banks: BTreeMap<BankId, BankBooks>,
}

/// One bank's accounts at the central bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BankBooks {
    /// The central bank's loans to the bank.
    pub loans: Amount,
    /// The bank's reserves.
    pub reserves: Amount,
    /// The bank's balance on the deposit facility.
    pub deposit_facility: Amount,
}

impl Books {
    /// An account's balance, minor units; below zero for equity only.
    pub fn balance(&self, account: BookAccount) -> i128 {
        let bank = |bank: BankId| self.banks.get(&bank).copied().unwrap_or_default();
        let amount = match account {
            BookAccount::Securities => self.securities,
            BookAccount::Loans(id) => bank(id).loans,
            BookAccount::Banknotes => self.banknotes,
            BookAccount::Reserves(id) => bank(id).reserves,
            BookAccount::DepositFacility(id) => bank(id).deposit_facility,
            BookAccount::Cbdc => self.cbdc,
            BookAccount::Offline => self.offline,
            BookAccount::Government => self.government,
            BookAccount::Equity => return self.equity,
            BookAccount::Income(income) => return self.income[income as usize],
        };
        i128::from(amount.minor())
    }

    /// A bank's accounts; zeros for an unknown one.
    pub fn bank(&self, bank: BankId) -> BankBooks {
        self.banks.get(&bank).copied().unwrap_or_default()
    }

    /// All banks' accounts, in order of number.
    pub fn banks(&self) -> impl Iterator<Item = (BankId, &BankBooks)> {
        self.banks.iter().map(|(id, books)| (*id, books))
    }

    /// The nominal value of the securities held; `securities` is their cost.
    pub fn securities_nominal(&self) -> Amount {
        self.securities_nominal
    }

    /// The CBDC in circulation, treasuries included.
    pub fn cbdc(&self) -> Amount {
        self.cbdc
    }

    /// Every account of the balance sheet except equity, in a fixed order.
    pub fn accounts(&self) -> Vec<BookAccount> {
        let banks = || self.banks.keys().copied();
        let mut accounts = vec![BookAccount::Securities];
        accounts.extend(banks().map(BookAccount::Loans));
        accounts.push(BookAccount::Banknotes);
        accounts.extend(banks().map(BookAccount::Reserves));
        accounts.extend(banks().map(BookAccount::DepositFacility));
        accounts.extend([BookAccount::Cbdc, BookAccount::Offline, BookAccount::Government]);
        accounts
    }

    /// The sum of all assets, minor units.
    pub fn assets(&self) -> i128 {
        self.accounts().into_iter().filter(|account| account.is_asset()).map(|account| self.balance(account)).sum()
    }

    /// The sum of all liabilities, minor units.
    pub fn liabilities(&self) -> i128 {
        self.accounts().into_iter().filter(|account| !account.is_asset()).map(|account| self.balance(account)).sum()
    }

    /// Profit (or loss, below zero) since genesis from one source.
    pub fn income(&self, income: Income) -> i128 {
        self.income[income as usize]
    }

    /// Equity, minor units; below zero after losses.
    pub fn equity(&self) -> i128 {
        self.equity
    }

    /// Whether I2 holds.
    pub fn balances(&self) -> bool {
        self.liabilities().checked_add(self.equity) == Some(self.assets())
    }

    /// Posts one entry: debits one account, credits another.
    pub(crate) fn post(&mut self, debit: BookAccount, credit: BookAccount, amount: Amount) -> Result<(), PostingError> {
        let debited = self.changed(debit, amount, debit.is_asset())?;
        let before = self.balance(debit);
        self.set(debit, debited);
        match self.changed(credit, amount, !credit.is_asset()) {
            Ok(credited) => {
                self.set(credit, credited);
                Ok(())
            }
            Err(error) => {
                self.set(debit, before);
                Err(error)
            }
        }
    }

    /// The account's balance after `amount` is added or deducted.
    fn changed(&self, account: BookAccount, amount: Amount, grows: bool) -> Result<i128, PostingError> {
        let balance = self.balance(account);
        let change = i128::from(amount.minor());
        let changed = if grows { balance + change } else { balance - change };
        if matches!(account, BookAccount::Equity | BookAccount::Income(_)) {
            return Ok(changed);
        }
        if changed < 0 {
            return Err(PostingError::TooLittle { account, has: Amount::from_minor(balance as u64) });
        }
        if changed > i128::from(u64::MAX) {
            return Err(PostingError::TooMuch { account });
        }
        Ok(changed)
    }

    fn set(&mut self, account: BookAccount, balance: i128) {
        let amount = Amount::from_minor(u64::try_from(balance).unwrap_or_default());
        match account {
            BookAccount::Securities => self.securities = amount,
            BookAccount::Loans(bank) => self.banks.entry(bank).or_default().loans = amount,
            BookAccount::Banknotes => self.banknotes = amount,
            BookAccount::Reserves(bank) => self.banks.entry(bank).or_default().reserves = amount,
            BookAccount::DepositFacility(bank) => self.banks.entry(bank).or_default().deposit_facility = amount,
            BookAccount::Cbdc => self.cbdc = amount,
            BookAccount::Offline => self.offline = amount,
            BookAccount::Government => self.government = amount,
            BookAccount::Equity => self.equity = balance,
            BookAccount::Income(income) => {
                self.equity += balance - self.income[income as usize];
                self.income[income as usize] = balance;
            }
        }
    }

    /// Appends the balance sheet.
    pub fn encode(&self, out: &mut Writer) {
        self.encode_with(&self.income, out);
    }

    /// Appends the opening balance sheet, as in genesis: with the sources of income that existed when its layout was
    /// fixed. A later source never changes the bytes of a genesis, whose hash is the network's id.
    pub(crate) fn encode_opening(&self, out: &mut Writer) {
        self.encode_with(&self.income[..SOURCES_OF_GENESIS], out);
    }

    fn encode_with(&self, income: &[i128], out: &mut Writer) {
        for amount in
            [self.securities, self.securities_nominal, self.banknotes, self.cbdc, self.offline, self.government]
        {
            out.u64(amount.minor());
        }
        out.i128(self.equity);
        income.iter().for_each(|income| {
            out.i128(*income);
        });
        out.u32(self.banks.len() as u32);
        for (bank, books) in &self.banks {
            out.u16(bank.0).u64(books.loans.minor()).u64(books.reserves.minor()).u64(books.deposit_facility.minor());
        }
    }

    /// Reads what [`Books::encode`] wrote.
    pub fn decode(input: &mut Reader<'_>) -> Result<Books, DecodeError> {
        Books::decode_with(Income::ALL.len(), input)
    }

    /// Reads an opening balance sheet.
    pub(crate) fn decode_opening(input: &mut Reader<'_>) -> Result<Books, DecodeError> {
        Books::decode_with(SOURCES_OF_GENESIS, input)
    }

    fn decode_with(sources: usize, input: &mut Reader<'_>) -> Result<Books, DecodeError> {
        let mut amount = || input.u64().map(Amount::from_minor);
        let (securities, securities_nominal) = (amount()?, amount()?);
        let (banknotes, cbdc, offline, government) = (amount()?, amount()?, amount()?, amount()?);
        let equity = input.i128()?;
        let mut income = [0; Income::ALL.len()];
        for sum in &mut income[..sources] {
            *sum = input.i128()?;
        }
        let mut banks = BTreeMap::new();
        for _ in 0..input.u32()? {
            let bank = BankId(input.u16()?);
            if banks.last_key_value().is_some_and(|(last, _)| *last >= bank) {
                return Err(input.wrong("banks in ascending order", u64::from(bank.0)));
            }
            let mut amount = || input.u64().map(Amount::from_minor);
            banks.insert(bank, BankBooks { loans: amount()?, reserves: amount()?, deposit_facility: amount()? });
        }
        Ok(Books { securities, securities_nominal, banknotes, cbdc, offline, government, equity, income, banks })
    }

    /// BLAKE3 of the encoded balance sheet, as headers carry it.
    pub fn digest(&self) -> [u8; 32] {
        let mut out = Writer::with_capacity(256);
        self.encode(&mut out);
        *blake3::hash(&out.finish()).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_cannot_be_posted_changes_nothing() {
        let bank = BankId(1);
        let mut books = Books { securities: Amount::from_minor(100), ..Books::default() };
        books.post(BookAccount::Loans(bank), BookAccount::Reserves(bank), Amount::from_minor(50)).unwrap();
        let before = books.clone();
        let refused = books.post(BookAccount::Reserves(bank), BookAccount::Cbdc, Amount::from_minor(51));
        assert_eq!(
            refused,
            Err(PostingError::TooLittle { account: BookAccount::Reserves(bank), has: Amount::from_minor(50) })
        );
        books.cbdc = Amount::MAX;
        let refused = books.post(BookAccount::Reserves(bank), BookAccount::Cbdc, Amount::from_minor(1));
        assert_eq!(refused, Err(PostingError::TooMuch { account: BookAccount::Cbdc }));
        books.cbdc = Amount::ZERO;
        assert_eq!(books, before);
    }

    #[test]
    fn equity_may_be_negative_and_the_sheet_still_balances() {
        let mut books = Books::default();
        books.post(BookAccount::Income(Income::UnbackedIssuance), BookAccount::Cbdc, Amount::from_minor(7)).unwrap();
        assert_eq!((books.equity(), books.assets(), books.liabilities()), (-7, 0, 7));
        assert!(books.balances());
    }
}
