//! Entries: each change of a wallet's balance, with its cause.
//!
//! Nothing else changes the money in a wallet: its entries add up to its balance. Entries of a payment between accounts
//! follow from its record and its outcome ([`entries_of`]) and are stored nowhere else. All others are among a block's
//! [`Changes`](super::changes::Changes): interest and demurrage, waterfalls, captures, seizures, grants and their
//! expiry, and wallets that move. Treasuries have none.

use arrayvec::ArrayVec;

use super::context::Transition;
use super::remuneration::Current;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::command::{Command, Payment};
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId};
use crate::types::outcome::Outcome;

/// Words of an entry in its compact encoding.
const WORDS: usize = 6;

/// The cause of an entry. It decides whether the wallet is credited or debited.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Cause {
    /// Interest was posted.
    Interest = 1,
    /// The linked bank added from the deposit.
    ReverseWaterfall = 2,
    /// A transfer came in: the amount as signed.
    Received = 3,
    /// The wallet's bank moved money from the deposit.
    Funded = 4,
    /// A hold in the wallet's favour was captured.
    CaptureReceived = 5,
    /// A court's order paid to the wallet.
    SeizureReceived = 6,
    /// A programme's unbacked grant.
    Grant = 7,
    /// A programme's grant of purpose-bound money.
    TargetedGrant = 8,
    /// The balance of the account that this one replaced.
    MovedIn = 9,
    /// A transfer went out: the amount as signed.
    Paid = 10,
    /// Money went to the deposit at the wallet's bank by the holder's order.
    Defunded = 11,
    /// A hold on the wallet was captured.
    Captured = 12,
    /// The payer's fee.
    Fee = 13,
    /// The fee withheld from the payee.
    PayeeFee = 14,
    /// Demurrage was posted, or unpaid demurrage was taken from a credit.
    Demurrage = 15,
    /// The part of a credit above the holding limit went to the deposit at the linked bank.
    Waterfall = 16,
    /// A court's order took money.
    Seized = 17,
    /// Purpose-bound money left the books on its date.
    Expired = 18,
    /// The balance went to the account that replaced this one.
    MovedOut = 19,
}

impl Cause {
    /// Every cause, in the order in which entries of one command are shown: no balance between them is below zero.
    pub const ALL: [Cause; 19] = [
        Cause::Interest,
        Cause::ReverseWaterfall,
        Cause::Received,
        Cause::Funded,
        Cause::CaptureReceived,
        Cause::SeizureReceived,
        Cause::Grant,
        Cause::TargetedGrant,
        Cause::MovedIn,
        Cause::Paid,
        Cause::Defunded,
        Cause::Captured,
        Cause::Fee,
        Cause::PayeeFee,
        Cause::Demurrage,
        Cause::Waterfall,
        Cause::Seized,
        Cause::Expired,
        Cause::MovedOut,
    ];

    /// Whether the wallet is credited; otherwise it is debited.
    pub fn is_credit(self) -> bool {
        self <= Cause::MovedIn
    }

    /// The cause's name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Interest => "interest",
            Cause::ReverseWaterfall => "reverse-waterfall",
            Cause::Received => "received",
            Cause::Funded => "funded",
            Cause::CaptureReceived => "capture-received",
            Cause::SeizureReceived => "seizure-received",
            Cause::Grant => "grant",
            Cause::TargetedGrant => "targeted-grant",
            Cause::MovedIn => "moved-in",
            Cause::Paid => "paid",
            Cause::Defunded => "defunded",
            Cause::Captured => "captured",
            Cause::Fee => "fee",
            Cause::PayeeFee => "payee-fee",
            Cause::Demurrage => "demurrage",
            Cause::Waterfall => "waterfall",
            Cause::Seized => "seized",
            Cause::Expired => "expired",
            Cause::MovedOut => "moved-out",
        }
    }

    /// The cause with a number.
    pub fn from_code(code: u64) -> Option<Cause> {
        Cause::ALL.into_iter().find(|cause| *cause as u64 == code)
    }

    /// The cause with a name.
    pub fn from_name(name: &str) -> Option<Cause> {
        Cause::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

/// One change of a wallet's balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The command's index in the block; `u32::MAX` for the ledger's own work, which comes before all commands.
    pub index: u32,
    /// The wallet.
    pub wallet: AccountId,
    /// Why the balance changed, and in which direction.
    pub cause: Cause,
    /// The amount of the change, above zero.
    pub amount: Amount,
    /// The other wallet or treasury, where there is one.
    pub counterparty: Option<AccountId>,
    /// The hold's number for a capture, the programme's for a grant and its expiry, the linked bank's for a waterfall
    /// either way; otherwise 0.
    pub number: u64,
}

impl Entry {
    /// The change in minor units, below zero for a debit.
    pub fn change(&self) -> i128 {
        let amount = i128::from(self.amount.minor());
        if self.cause.is_credit() { amount } else { -amount }
    }

    /// The entry's ordinal in its block: 0 for the ledger's own work, then the commands in order.
    pub fn ordinal(&self) -> u64 {
        ordinal_of(self.index)
    }

    /// Appends the entry without its wallet's bank, its numbers without their leading zeros.
    pub fn encode(&self, out: &mut Writer) {
        out.words::<WORDS>(&[
            self.ordinal(),
            u64::from(self.wallet.serial),
            self.cause as u64,
            self.amount.minor(),
            self.counterparty.map_or(0, AccountId::to_u64),
            self.number,
        ]);
    }

    /// Reads what [`Entry::encode`] wrote, for a wallet of `bank`.
    pub fn decode(input: &mut Reader<'_>, bank: BankId) -> Result<Entry, DecodeError> {
        let [ordinal, serial, cause, amount, counterparty, number] = input.words::<WORDS>()?;
        if ordinal > u64::from(u32::MAX) {
            return Err(input.wrong("an ordinal below 2^32", ordinal));
        }
        let index = (ordinal as u32).wrapping_sub(1);
        let known = Cause::from_code(cause).ok_or_else(|| input.wrong("the number of a cause", cause))?;
        if amount == 0 {
            return Err(input.wrong("an amount above 0", amount));
        }
        let of_account = AccountId::from_u64(counterparty);
        let of_account = of_account.ok_or_else(|| input.wrong("an account id below 2^48", counterparty))?;
        Ok(Entry {
            index,
            wallet: AccountId::new(bank, input.half(serial)?),
            cause: known,
            amount: Amount::from_minor(amount),
            counterparty: Some(of_account).filter(|_| counterparty != 0),
            number,
        })
    }
}

/// The ordinal, among the entries of its block, of what a command did: 0 for the ledger's own work (`u32::MAX`), then
/// the commands in order.
pub fn ordinal_of(index: u32) -> u64 {
    u64::from(index.wrapping_add(1))
}

/// The entries that follow from a command's record and outcome: those of a payment that settled. Treasuries have none.
pub fn entries_of(command: &Command, index: u32, outcome: &Outcome) -> ArrayVec<Entry, 5> {
    let (payment, bank) = match command {
        Command::Payment(payment) => (&payment.record, BankId(0)),
        Command::ReverseWaterfall(order) => (&order.record.transfer.record, order.record.bank),
        _ => return ArrayVec::new(),
    };
    if !outcome.is_settled() {
        return ArrayVec::new();
    }
    entries_of_payment(payment, bank, index, outcome)
}

fn entries_of_payment(payment: &Payment, bank: BankId, index: u32, outcome: &Outcome) -> ArrayVec<Entry, 5> {
    let mut entries = ArrayVec::new();
    let mut enter = |wallet: AccountId, cause, amount: Amount, counterparty, number| {
        if !wallet.is_treasury() && !amount.is_zero() {
            entries.push(Entry { index, wallet, cause, amount, counterparty, number });
        }
    };
    let (from, to, charges) = (payment.from, payment.to, outcome.charges());
    let (into, out_of) = (
        if from.is_treasury() { Cause::Funded } else { Cause::Received },
        if to.is_treasury() { Cause::Defunded } else { Cause::Paid },
    );
    enter(from, Cause::ReverseWaterfall, charges.reverse_waterfall, None, u64::from(bank.0));
    enter(from, out_of, payment.amount, Some(to), 0);
    enter(from, Cause::Fee, charges.fee, None, 0);
    enter(to, into, payment.amount, Some(from), 0);
    enter(to, Cause::PayeeFee, charges.payee_fee, None, 0);
    entries
}

impl Transition<'_> {
    /// Records a change of a wallet that no payment's record and outcome show. An amount of zero is no change.
    pub(super) fn enter(
        &mut self,
        wallet: AccountId,
        cause: Cause,
        amount: Amount,
        counterparty: Option<AccountId>,
        number: u64,
    ) {
        if !amount.is_zero() {
            self.changes.entries.push(Entry { index: self.index, wallet, cause, amount, counterparty, number });
        }
    }

    /// Records the postings that brought a wallet to today and credited it.
    #[cold]
    #[inline(never)]
    pub(super) fn enter_posted(&mut self, wallet: AccountId, current: &Current) {
        self.enter(wallet, Cause::Interest, current.interest, None, 0);
        self.enter(wallet, Cause::Demurrage, current.demurrage, None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_written() {
        let wallet = AccountId::new(BankId(7), u32::MAX);
        let first = Entry {
            index: u32::MAX,
            wallet,
            cause: Cause::Interest,
            amount: Amount::from_minor(1),
            counterparty: None,
            number: 0,
        };
        for cause in Cause::ALL {
            let (counterparty, number) = (Some(AccountId::new(BankId(u16::MAX), 0)), u64::MAX);
            let last = Entry { index: u32::MAX - 1, cause, amount: Amount::MAX, counterparty, number, ..first };
            for entry in [Entry { cause, ..first }, last] {
                let mut out = Writer::default();
                entry.encode(&mut out);
                let mut input = Reader::new("entry", out.as_bytes());
                assert_eq!(Entry::decode(&mut input, wallet.bank), Ok(entry));
                assert!(input.is_empty());
            }
            assert_eq!(Cause::from_name(cause.name()), Some(cause));
        }
    }

    #[test]
    fn causes_that_credit_come_before_those_that_debit() {
        assert!(Cause::ALL.is_sorted());
        let debit = Entry {
            index: 0,
            wallet: AccountId::new(BankId(1), 1),
            cause: Cause::Paid,
            amount: Amount::MAX,
            counterparty: None,
            number: 0,
        };
        assert_eq!(debit.change(), -i128::from(u64::MAX));
        assert_eq!(Entry { cause: Cause::MovedIn, ..debit }.change(), i128::from(u64::MAX));
    }
}
