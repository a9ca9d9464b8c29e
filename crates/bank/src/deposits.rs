//! The bank's deposit book: each customer's deposit, and the money on its way to their wallet.
//!
//! Each wallet of this bank has a deposit, and so has a wallet of another bank whose holder linked it to this one.
//!
//! # Rules
//! * A *credit* (salary, cash) adds to the balance, once per request id.
//! * *Funding*, and a *top-up* of a payment above the wallet's balance (reverse waterfall), move an amount from the
//!   balance into transit, together with the outbox record of the command (`deposit_service` writes both at once). The
//!   command's outcome ends the transit: the settled part is now in the wallet, the rest returns to the balance. A
//!   funding settles in full or not at all; a top-up, whose amount is the most that the bank promised, settles what the
//!   payer lacked.
//! * A settled *defund* adds to the balance, and so does a *waterfall*: the part of a credit above the holding limit.
//! * So deposit + in transit + wallet stays constant over funding, defunding and waterfalls (**I3**). Arithmetic is
//!   checked.
//!
//! Balances are kept in memory (those of the bank's own wallets by serial) and written with each change. This module
//! changes both together; the caller writes the batch before it releases the lock.
//!
//! # Layout of [`Column::Deposits`], each record sealed under its key, integers little-endian
//! | key | value |
//! |---|---|
//! | 0, account (u64 big-endian) | balance (8), in transit (8) |
//! | 1, request id (16) | a credit: account (8), amount (8) |
//! | 2, request id (16) | a funding: account (8), amount (8), sequence (8), then, once its outcome is known, |
//! | | height (8), index (4), outcome (24) |
//! | 3, request id (16) | what the back office asked for (`request_book`) |
//! | 4, or 4 and an account | deposits in doubt (`deposit_doubt`) |
//! | 5 | the folder's last sign of life (`last_alive`) |
//!
//! Ids are kept as long as the book.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use cbdc_ledger::encoding::{DecodeError, Reader, Writer};
use cbdc_ledger::{AccountId, Amount, BankId, Height, Outcome, Reason};
use cbdc_storage::{Column, Direction, KeyRange, Store, StoreError, WriteBatch, sealed};

const ACCOUNT: u8 = 0;
const CREDIT: u8 = 1;
const FUNDING: u8 = 2;

/// The largest balance that credits may reach, minor units: settled defunds must always fit above it.
pub const BALANCE_MAX: Amount = Amount::from_minor(1 << 62);

/// A caller's id for a request, so that a repetition acts only once.
pub type RequestId = [u8; 16];

/// One customer's deposit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Deposit {
    pub balance: Amount,
    /// The amount debited and on its way to the wallet.
    pub in_transit: Amount,
}

/// A command's position in the chain, and its outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderedOutcome {
    pub height: Height,
    pub index: u32,
    pub outcome: Outcome,
}

/// A credit that was booked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credit {
    pub account: AccountId,
    pub amount: Amount,
}

/// A funding that was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Funding {
    pub account: AccountId,
    pub amount: Amount,
    /// The bank's sequence number of the command.
    pub sequence: u64,
    /// The outcome; `None` while it is in transit.
    pub ordered: Option<OrderedOutcome>,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum DepositError {
    #[error("the deposit book cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("the record {key} of the deposit book is damaged: {reason}; restore this node's data folder from a backup")]
    Damaged { key: String, reason: String },
    #[error("the deposit of {account} cannot take {amount} minor units more: the sum would exceed 2^64 - 1")]
    Overflow { account: AccountId, amount: Amount },
    #[error(
        "the deposit of {account} has {in_transit} minor units in transit, less than the {amount} that arrived; the \
        deposit book does not fit the chain"
    )]
    TransitTooSmall { account: AccountId, in_transit: Amount, amount: Amount },
}

/// All deposits of one bank.
pub struct DepositBook {
    bank: BankId,
    /// Deposits of this bank's wallets, by serial.
    deposits: Vec<Deposit>,
    /// Deposits of other banks' wallets.
    linked: BTreeMap<AccountId, Deposit>,
    balance_total: u128,
    in_transit_total: u128,
}

impl DepositBook {
    /// Loads all deposits.
    pub fn load(store: &Arc<dyn Store>, bank: BankId) -> Result<DepositBook, DepositError> {
        let mut book =
            DepositBook { bank, deposits: Vec::new(), linked: BTreeMap::new(), balance_total: 0, in_transit_total: 0 };
        let mut failed = None;
        store.scan(Column::Deposits, &KeyRange::with_prefix([ACCOUNT]), Direction::Forward, &mut |key, record| {
            match decode_deposit(key, record) {
                Ok((account, deposit)) => {
                    book.set(account, deposit);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(book), Err)
    }

    pub fn get(&self, account: AccountId) -> Deposit {
        let deposit = match account.bank == self.bank {
            true => self.deposits.get(account.serial as usize),
            false => self.linked.get(&account),
        };
        deposit.copied().unwrap_or_default()
    }

    /// Whether a wallet of another bank ever had money on a deposit here.
    pub fn has_linked(&self, account: AccountId) -> bool {
        self.linked.contains_key(&account)
    }

    /// The sum of balances, and the sum in transit.
    pub fn totals(&self) -> (u128, u128) {
        (self.balance_total, self.in_transit_total)
    }

    fn set(&mut self, account: AccountId, deposit: Deposit) {
        let entry = if account.bank == self.bank {
            let index = account.serial as usize;
            if index >= self.deposits.len() {
                self.deposits.resize(index + 1, Deposit::default());
            }
            &mut self.deposits[index]
        } else {
            self.linked.entry(account).or_default()
        };
        let before = std::mem::replace(entry, deposit);
        self.balance_total =
            self.balance_total - u128::from(before.balance.minor()) + u128::from(deposit.balance.minor());
        self.in_transit_total =
            self.in_transit_total - u128::from(before.in_transit.minor()) + u128::from(deposit.in_transit.minor());
    }

    fn store(&mut self, batch: &mut WriteBatch, account: AccountId, deposit: Deposit) {
        self.set(account, deposit);
        let key = account_key(account);
        let mut value = Writer::with_capacity(16 + sealed::SEAL_BYTES);
        value.u64(deposit.balance.minor()).u64(deposit.in_transit.minor());
        batch.put(Column::Deposits, key, sealed::seal(&key, &value.finish()));
    }

    /// Books money paid in from outside.
    pub fn credit(&mut self, batch: &mut WriteBatch, account: AccountId, amount: Amount) -> Result<Deposit, Outcome> {
        let deposit = self.get(account);
        let balance = deposit.balance.plus(amount).filter(|balance| *balance <= BALANCE_MAX);
        let balance = balance.ok_or(Outcome::refused(Reason::DepositTooLarge, BALANCE_MAX.minor(), amount.minor()))?;
        let after = Deposit { balance, ..deposit };
        self.store(batch, account, after);
        Ok(after)
    }

    /// Moves money from the balance into transit.
    pub fn begin_transit(
        &mut self,
        batch: &mut WriteBatch,
        account: AccountId,
        amount: Amount,
    ) -> Result<Deposit, Outcome> {
        let deposit = self.get(account);
        let short = Outcome::refused(Reason::DepositTooSmall, deposit.balance.minor(), amount.minor());
        let balance = deposit.balance.minus(amount).ok_or(short)?;
        let overflow = Outcome::refused(Reason::DepositTooLarge, u64::MAX, amount.minor());
        let in_transit = deposit.in_transit.plus(amount).ok_or(overflow)?;
        let after = Deposit { balance, in_transit };
        self.store(batch, account, after);
        Ok(after)
    }

    /// Ends a transit: `arrived` is in the wallet now, the rest returns to the balance.
    pub fn end_transit(
        &mut self,
        batch: &mut WriteBatch,
        account: AccountId,
        amount: Amount,
        arrived: Amount,
    ) -> Result<(), DepositError> {
        let Deposit { balance, in_transit } = self.get(account);
        let too_small = |amount| DepositError::TransitTooSmall { account, in_transit, amount };
        let left = in_transit.minus(amount).ok_or(too_small(amount))?;
        let returned = amount.minus(arrived).ok_or(too_small(arrived))?;
        let balance = balance.plus(returned).ok_or(DepositError::Overflow { account, amount })?;
        self.store(batch, account, Deposit { balance, in_transit: left });
        Ok(())
    }

    /// Books money that settled from the deposit into the wallet although the book did not know it. Returns what the
    /// balance did not cover.
    pub fn debit_settled(&mut self, batch: &mut WriteBatch, account: AccountId, amount: Amount) -> Amount {
        let deposit = self.get(account);
        let balance = deposit.balance.minus_or_zero(amount);
        self.store(batch, account, Deposit { balance, ..deposit });
        amount.minus_or_zero(deposit.balance)
    }

    /// Sets a balance, as the back office's own books have it.
    pub fn set_balance(&mut self, batch: &mut WriteBatch, account: AccountId, balance: Amount) {
        let deposit = self.get(account);
        self.store(batch, account, Deposit { balance, ..deposit });
    }

    /// Books money that arrived from the wallet: a settled defund, or a waterfall.
    pub fn arrived(&mut self, batch: &mut WriteBatch, account: AccountId, amount: Amount) -> Result<(), DepositError> {
        let deposit = self.get(account);
        let balance = deposit.balance.plus(amount).ok_or(DepositError::Overflow { account, amount })?;
        self.store(batch, account, Deposit { balance, ..deposit });
        Ok(())
    }
}

fn account_key(account: AccountId) -> [u8; 9] {
    let mut key = [ACCOUNT; 9];
    key[1..].copy_from_slice(&account.to_u64().to_be_bytes());
    key
}

pub(crate) fn request_key(kind: u8, request: &RequestId) -> [u8; 17] {
    let mut key = [kind; 17];
    key[1..].copy_from_slice(request);
    key
}

pub(crate) fn damaged(key: &[u8], reason: impl std::fmt::Display) -> DepositError {
    DepositError::Damaged { key: cbdc_ledger::encoding::hex(key), reason: reason.to_string() }
}

/// Reads a sealed record of the books.
pub(crate) fn open<'a>(key: &[u8], record: &'a [u8]) -> Result<Reader<'a>, DepositError> {
    sealed::open(key, record).map(|bytes| Reader::new("deposit record", bytes)).map_err(|damage| damaged(key, damage))
}

/// Up to `limit` accounts that have a deposit, in order, beginning with `from`.
pub fn accounts_from(store: &dyn Store, from: u64, limit: usize) -> Result<Vec<AccountId>, DepositError> {
    let mut first = [ACCOUNT; 9];
    first[1..].copy_from_slice(&from.to_be_bytes());
    let mut accounts = Vec::new();
    let mut failed = None;
    store.scan(
        Column::Deposits,
        &KeyRange::between(first, [ACCOUNT + 1]),
        Direction::Forward,
        &mut |key, record| {
            match decode_deposit(key, record) {
                _ if accounts.len() == limit => return ControlFlow::Break(()),
                Ok((account, _)) => accounts.push(account),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        },
    )?;
    failed.map_or(Ok(accounts), Err)
}

fn decode_deposit(key: &[u8], record: &[u8]) -> Result<(AccountId, Deposit), DepositError> {
    let account: Option<[u8; 8]> = key.get(1..).and_then(|bytes| bytes.try_into().ok());
    let account = account.and_then(|bytes| AccountId::from_u64(u64::from_be_bytes(bytes)));
    let account = account.ok_or_else(|| damaged(key, "its key is no account"))?;
    let mut input = open(key, record)?;
    let mut amount = || input.u64().map(Amount::from_minor).map_err(|error| damaged(key, error));
    Ok((account, Deposit { balance: amount()?, in_transit: amount()? }))
}

/// The credit booked under a request id.
pub fn credit_of(store: &dyn Store, request: &RequestId) -> Result<Option<Credit>, DepositError> {
    let key = request_key(CREDIT, request);
    let Some(record) = store.get(Column::Deposits, &key)? else { return Ok(None) };
    let mut input = open(&key, &record)?;
    let mut decode =
        || Ok(Credit { account: AccountId::decode(&mut input)?, amount: Amount::from_minor(input.u64()?) });
    decode().map(Some).map_err(|error: DecodeError| damaged(&key, error))
}

pub fn put_credit(batch: &mut WriteBatch, request: &RequestId, credit: &Credit) {
    let key = request_key(CREDIT, request);
    let mut value = Writer::with_capacity(32);
    value.u64(credit.account.to_u64()).u64(credit.amount.minor());
    batch.put(Column::Deposits, key, sealed::seal(&key, &value.finish()));
}

/// The funding begun under a request id.
pub fn funding_of(store: &dyn Store, request: &RequestId) -> Result<Option<Funding>, DepositError> {
    let key = request_key(FUNDING, request);
    let Some(record) = store.get(Column::Deposits, &key)? else { return Ok(None) };
    let mut input = open(&key, &record)?;
    let mut decode = || {
        let (account, amount) = (AccountId::decode(&mut input)?, Amount::from_minor(input.u64()?));
        let sequence = input.u64()?;
        let ordered = match input.is_empty() {
            true => None,
            false => {
                let (height, index) = (Height(input.u64()?), input.u32()?);
                Some(OrderedOutcome { height, index, outcome: Outcome::decode(&mut input)? })
            }
        };
        Ok(Funding { account, amount, sequence, ordered })
    };
    decode().map(Some).map_err(|error: DecodeError| damaged(&key, error))
}

pub fn put_funding(batch: &mut WriteBatch, request: &RequestId, funding: &Funding) {
    let key = request_key(FUNDING, request);
    let mut value = Writer::with_capacity(80);
    value.u64(funding.account.to_u64()).u64(funding.amount.minor()).u64(funding.sequence);
    if let Some(ordered) = &funding.ordered {
        value.u64(ordered.height.0).u32(ordered.index);
        ordered.outcome.encode(&mut value);
    }
    batch.put(Column::Deposits, key, sealed::seal(&key, &value.finish()));
}

/// Deletes a funding that was returned without an outcome: the same request may begin again.
pub fn delete_funding(batch: &mut WriteBatch, request: &RequestId) {
    batch.delete(Column::Deposits, request_key(FUNDING, request));
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_storage::{Durability, MemoryStore};
    use proptest::prelude::*;

    const BANK: BankId = BankId(1);

    #[derive(Clone, Debug)]
    enum Step {
        Credit(u32, u64),
        Begin(u32, u64),
        /// The share of the amount in transit that arrives, in percent.
        End(usize, u64),
        Defund(u32, u64),
    }

    /// Two wallets of this bank, and one of another bank that is linked to this one.
    fn account(number: u32) -> AccountId {
        AccountId::new(if number == 3 { BankId(2) } else { BANK }, number)
    }

    fn step() -> impl Strategy<Value = Step> {
        let amount = prop_oneof![0_u64..1_000, (1_u64 << 61)..(1 << 62)];
        prop_oneof![
            (1_u32..4, amount.clone()).prop_map(|(serial, amount)| Step::Credit(serial, amount)),
            (1_u32..4, 0_u64..1_500).prop_map(|(serial, amount)| Step::Begin(serial, amount)),
            (any::<usize>(), 0_u64..=100).prop_map(|(which, percent)| Step::End(which, percent)),
            (1_u32..4, 0_u64..500).prop_map(|(serial, amount)| Step::Defund(serial, amount)),
        ]
    }

    proptest! {
        /// Deposit + in transit + wallet changes only by credits, and the store agrees with memory.
        #[test]
        fn money_is_neither_made_nor_lost_between_deposit_and_wallet(
            steps in proptest::collection::vec(step(), 1..80)
        ) {
            let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
            let mut book = DepositBook::load(&store, BANK).unwrap();
            let (mut credited, mut wallets, mut in_flight) = (0_i128, [0_u64; 4], Vec::new());
            for step in steps {
                let mut batch = WriteBatch::new();
                match step {
                    Step::Credit(serial, amount) => {
                        let booked = book.credit(&mut batch, account(serial), Amount::from_minor(amount));
                        credited += booked.map_or(0, |_| i128::from(amount));
                    }
                    Step::Begin(serial, amount) => {
                        if book.begin_transit(&mut batch, account(serial), Amount::from_minor(amount)).is_ok() {
                            in_flight.push((serial, amount));
                        }
                    }
                    Step::End(which, percent) if !in_flight.is_empty() => {
                        let (serial, amount) = in_flight.swap_remove(which % in_flight.len());
                        let arrived = amount * percent / 100;
                        let [amount, into_wallet] = [amount, arrived].map(Amount::from_minor);
                        book.end_transit(&mut batch, account(serial), amount, into_wallet).unwrap();
                        wallets[serial as usize] += arrived;
                    }
                    Step::End(..) => {}
                    Step::Defund(serial, amount) => {
                        let amount = amount.min(wallets[serial as usize]);
                        wallets[serial as usize] -= amount;
                        book.arrived(&mut batch, account(serial), Amount::from_minor(amount)).unwrap();
                    }
                }
                store.write(batch, Durability::Buffered).unwrap();
                let (balances, in_transit) = book.totals();
                let in_wallets: u64 = wallets.iter().sum();
                prop_assert_eq!(balances as i128 + in_transit as i128 + i128::from(in_wallets), credited);
            }
            let again = DepositBook::load(&store, BANK).unwrap();
            prop_assert_eq!(again.totals(), book.totals());
            for serial in 1..4 {
                prop_assert_eq!(again.get(account(serial)), book.get(account(serial)));
            }
        }
    }

    #[test]
    fn more_than_the_balance_cannot_be_funded() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut book = DepositBook::load(&store, BANK).unwrap();
        let (mut batch, account) = (WriteBatch::new(), AccountId::new(BANK, 1));
        book.credit(&mut batch, account, Amount::from_minor(5)).unwrap();
        let refused = book.begin_transit(&mut batch, account, Amount::from_minor(6)).unwrap_err();
        assert_eq!(refused, Outcome::refused(Reason::DepositTooSmall, 5, 6));
        assert_eq!(book.get(account).balance, Amount::from_minor(5));
    }

    #[test]
    fn wallets_of_two_banks_with_one_serial_have_a_deposit_each() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut book = DepositBook::load(&store, BANK).unwrap();
        let (own, linked) = (AccountId::new(BANK, 7), AccountId::new(BankId(2), 7));
        let mut batch = WriteBatch::new();
        book.arrived(&mut batch, own, Amount::from_minor(5)).unwrap();
        book.arrived(&mut batch, linked, Amount::from_minor(8)).unwrap();
        store.write(batch, Durability::Buffered).unwrap();
        let again = DepositBook::load(&store, BANK).unwrap();
        assert_eq!([own, linked].map(|account| again.get(account).balance.minor()), [5, 8]);
        assert_eq!(again.totals(), (13, 0));
        assert_eq!((again.has_linked(own), again.has_linked(linked)), (false, true));
    }

    #[test]
    fn no_more_arrives_than_was_in_transit() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut book = DepositBook::load(&store, BANK).unwrap();
        let (mut batch, account) = (WriteBatch::new(), AccountId::new(BANK, 1));
        let amount = Amount::from_minor;
        book.credit(&mut batch, account, amount(9)).unwrap();
        book.begin_transit(&mut batch, account, amount(5)).unwrap();
        for (taken, arrived) in [(6, 0), (5, 6)] {
            let refused = book.end_transit(&mut batch, account, amount(taken), amount(arrived));
            assert!(matches!(refused, Err(DepositError::TransitTooSmall { .. })), "{taken} {arrived}");
        }
        assert_eq!(book.get(account), Deposit { balance: amount(4), in_transit: amount(5) });
    }

    #[test]
    fn requests_survive_being_stored() {
        let store = MemoryStore::new();
        let (account, amount) = (AccountId::new(BANK, 7), Amount::from_minor(9));
        let credit = Credit { account, amount };
        let ordered =
            OrderedOutcome { height: Height(3), index: 2, outcome: Outcome::refused(Reason::HoldingLimit, 1, 2) };
        let open = Funding { account, amount, sequence: 11, ordered: None };
        let done = Funding { ordered: Some(ordered), ..open };
        let mut batch = WriteBatch::new();
        put_credit(&mut batch, &[1; 16], &credit);
        put_funding(&mut batch, &[1; 16], &open);
        put_funding(&mut batch, &[2; 16], &done);
        store.write(batch, Durability::Buffered).unwrap();
        assert_eq!(credit_of(&store, &[1; 16]).unwrap(), Some(credit));
        assert_eq!(funding_of(&store, &[1; 16]).unwrap(), Some(open));
        assert_eq!(funding_of(&store, &[2; 16]).unwrap(), Some(done));
        assert_eq!(credit_of(&store, &[2; 16]).unwrap(), None);
    }
}
