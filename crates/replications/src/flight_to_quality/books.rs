//! Money in the model: whole minor units, in accounts at banks, as reserves, as CBDC, and on the state's account.
//!
//! Money that leaves or enters a customer's account leaves or enters the bank's reserves as well; a loan and deposit
//! interest are the two cases in which a bank creates deposits. So at every step, to the unit:
//!
//! 1. each bank: reserves + bonds + loans + lent = deposits + borrowed + worth, with worth kept by profits and losses;
//! 2. each bank's deposits are the sum of its accounts;
//! 3. central bank: bonds + loans taken over = Σ reserves + CBDC + the state's account;
//! 4. lent and borrowed between banks are equal;
//! 5. the wealth of all is the public debt.

use std::ops::Range;

/// Minor units.
pub type Money = i64;

/// Minor units in a model unit, which is the wage at the start.
pub const UNIT: f64 = 1e6;

/// Whole minor units nearest to `amount`.
pub fn whole(amount: f64) -> Money {
    amount.round() as Money
}

/// A bank's balance sheet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BalanceSheet {
    /// At the central bank; below zero only between a payment and the session that covers it.
    pub reserves: Money,
    /// Government bonds.
    pub bonds: Money,
    /// Loans to firms.
    pub loans: Money,
    /// Claims on other banks.
    pub lent: Money,
    /// Customers' accounts.
    pub deposits: Money,
    /// Owed to other banks.
    pub borrowed: Money,
    /// Net worth, kept by profits and losses.
    pub worth: Money,
}

/// Accounts of one sector, those of a customer next to each other.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    starts: Vec<u32>,
    banks: Vec<u8>,
    deposits: Vec<Money>,
}

impl Accounts {
    /// Accounts at the banks given for each customer, empty.
    pub fn new(banks_of: &[Vec<u8>]) -> Self {
        let mut starts = vec![0];
        let mut banks = Vec::new();
        for customer in banks_of {
            banks.extend_from_slice(customer);
            starts.push(banks.len() as u32);
        }
        let deposits = vec![0; banks.len()];
        Self { starts, banks, deposits }
    }

    /// Number of accounts.
    pub fn count(&self) -> usize {
        self.deposits.len()
    }

    /// The accounts of a customer.
    pub fn of(&self, customer: usize) -> Range<usize> {
        self.starts[customer] as usize..self.starts[customer + 1] as usize
    }

    /// The bank of an account.
    pub fn bank(&self, account: usize) -> usize {
        usize::from(self.banks[account])
    }

    /// Balance of an account.
    pub fn deposit(&self, account: usize) -> Money {
        self.deposits[account]
    }

    /// A customer's balance at all banks.
    pub fn total(&self, customer: usize) -> Money {
        self.deposits[self.of(customer)].iter().sum()
    }

    /// Pays in, split equally; reserves come with it.
    pub fn pay_in(&mut self, customer: usize, amount: Money, sheets: &mut [BalanceSheet]) {
        let range = self.of(customer);
        let each = amount / range.len() as Money;
        let mut rest = amount - each * range.len() as Money;
        for account in range {
            self.move_in(account, each + rest, sheets);
            rest = 0;
        }
    }

    /// Takes up to `amount`, from the accounts equally as far as their balances allow; returns the amount taken.
    pub fn pay_out(&mut self, customer: usize, amount: Money, sheets: &mut [BalanceSheet]) -> Money {
        let range = self.of(customer);
        let mut rest = amount;
        for account in range.clone() {
            let fair = rest / (range.end - account) as Money;
            let taken = fair.min(self.deposits[account]);
            self.move_in(account, -taken, sheets);
            rest -= taken;
        }
        for account in range {
            let taken = rest.min(self.deposits[account]);
            self.move_in(account, -taken, sheets);
            rest -= taken;
        }
        amount - rest
    }

    /// Changes an account with the bank's reserves.
    pub fn move_in(&mut self, account: usize, amount: Money, sheets: &mut [BalanceSheet]) {
        let sheet = &mut sheets[usize::from(self.banks[account])];
        self.deposits[account] += amount;
        sheet.deposits += amount;
        sheet.reserves += amount;
    }

    /// Changes an account at the bank's profit or loss: interest credited, or a loss borne by depositors.
    pub fn write(&mut self, account: usize, amount: Money, sheets: &mut [BalanceSheet]) {
        let sheet = &mut sheets[usize::from(self.banks[account])];
        self.deposits[account] += amount;
        sheet.deposits += amount;
        sheet.worth -= amount;
    }

    /// Sums of deposits by bank.
    pub fn by_bank(&self, banks: usize) -> Vec<Money> {
        let mut sums = vec![0; banks];
        for (bank, deposit) in self.banks.iter().zip(&self.deposits) {
            sums[usize::from(*bank)] += deposit;
        }
        sums
    }
}

/// The public side: central bank and state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Public {
    /// Bonds outstanding; constant.
    pub debt: Money,
    /// Bonds at the central bank.
    pub bonds: Money,
    /// Loans that the agency took over from banks.
    pub loans: Money,
    /// CBDC in circulation.
    pub cbdc: Money,
    /// The state's account.
    pub account: Money,
}

/// An identity that does not hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("step {step}: {what}: expected {expected}, found {found} minor units")]
pub struct Imbalance {
    /// The step.
    pub step: usize,
    /// Name of the identity.
    pub what: String,
    /// One side.
    pub expected: Money,
    /// The other.
    pub found: Money,
}

/// Checks the five identities.
///
/// # Errors
/// The first that does not hold.
pub fn check(
    step: usize,
    sheets: &[BalanceSheet],
    households: &Accounts,
    firms: &Accounts,
    household_cbdc: Money,
    public: &Public,
) -> Result<(), Imbalance> {
    let equal = |what: &str, expected: Money, found: Money| match expected == found {
        true => Ok(()),
        false => Err(Imbalance { step, what: what.to_owned(), expected, found }),
    };
    let (of_households, of_firms) = (households.by_bank(sheets.len()), firms.by_bank(sheets.len()));
    for (bank, sheet) in sheets.iter().enumerate() {
        let assets = sheet.reserves + sheet.bonds + sheet.loans + sheet.lent;
        equal("a bank's assets and liabilities", assets, sheet.deposits + sheet.borrowed + sheet.worth)?;
        equal("a bank's deposits and its accounts", sheet.deposits, of_households[bank] + of_firms[bank])?;
    }
    let sum = |part: fn(&BalanceSheet) -> Money| sheets.iter().map(part).sum::<Money>();
    equal("CBDC issued and held", public.cbdc, household_cbdc)?;
    equal(
        "the central bank's assets and liabilities",
        public.bonds + public.loans,
        sum(|s| s.reserves) + public.cbdc + public.account,
    )?;
    equal("claims and debts between banks", sum(|s| s.lent), sum(|s| s.borrowed))?;
    equal("bonds issued and held", public.debt, public.bonds + sum(|s| s.bonds))?;
    let loans = sum(|s| s.loans) + public.loans;
    equal(
        "public debt and the wealth of all",
        public.debt,
        sum(|s| s.worth) + sum(|s| s.deposits) + public.cbdc + public.account - loans,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_banks() -> (Accounts, Vec<BalanceSheet>) {
        (Accounts::new(&[vec![0, 1], vec![1], vec![0, 1]]), vec![BalanceSheet::default(); 2])
    }

    #[test]
    fn what_is_paid_in_can_be_paid_out_to_the_unit() {
        let (mut accounts, mut sheets) = two_banks();
        accounts.pay_in(0, 101, &mut sheets);
        assert_eq!((accounts.deposit(0), accounts.deposit(1)), (51, 50));
        assert_eq!((sheets[0].reserves, sheets[1].deposits), (51, 50));
        assert_eq!(accounts.pay_out(0, 60, &mut sheets), 60);
        assert_eq!(accounts.pay_out(0, 60, &mut sheets), 41);
        assert_eq!((accounts.total(0), sheets[0].reserves, sheets[1].reserves), (0, 0, 0));
    }

    #[test]
    fn an_uneven_customer_pays_from_where_money_is() {
        let (mut accounts, mut sheets) = two_banks();
        accounts.move_in(0, 3, &mut sheets);
        accounts.move_in(1, 97, &mut sheets);
        assert_eq!(accounts.pay_out(0, 80, &mut sheets), 80);
        assert_eq!((accounts.deposit(0), accounts.deposit(1)), (0, 20));
    }

    #[test]
    fn a_unit_too_much_is_found() {
        let (mut households, mut sheets) = two_banks();
        let firms = Accounts::new(&[]);
        households.pay_in(1, 10, &mut sheets);
        let public = Public { debt: 10, bonds: 10, ..Public::default() };
        check(1, &sheets, &households, &firms, 0, &public).expect("all of it is public debt");
        sheets[1].worth += 1;
        let imbalance = check(1, &sheets, &households, &firms, 0, &public).expect_err("worth from nothing");
        assert_eq!((imbalance.expected, imbalance.found), (10, 11));
    }
}
