//! Holders: pseudonymous people and firms, across banks, with the running sums that limits by holder need.

use super::cow_vec::CowVec;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId, Class, HolderId};
use crate::types::time::{LedgerDay, Month};

/// Bytes of a holder record in checkpoints.
pub const HOLDER_BYTES: usize = 64;

// One cache line.
const _: () = assert!(size_of::<Holder>() == 64);

/// A holder's record: one cache line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(align(64))]
pub struct Holder {
    /// The pseudonymous id.
    pub id: HolderId,
    /// The posted balance of all the holder's wallets: available, held and locked.
    pub posted: Amount,
    /// Settled outgoing payments on `day`.
    pub paid_today: Amount,
    /// Settled outgoing payments in the calendar month of `day`.
    pub paid_this_month: Amount,
    /// The ledger day of the last settled outgoing payment.
    pub day: LedgerDay,
    /// Open wallets at all banks.
    pub wallets: u32,
    /// Demurrage that the holder could not pay when it was due, on whichever wallet: taken from later credits to any of
    /// them, written off with the last.
    pub claim: Amount,
    /// The serial of the wallet with the allowance; serial and bank are separate fields, which pack with the class.
    /// Bank 0 is none.
    allowance_serial: u32,
    allowance_bank: BankId,
    /// The class in force.
    pub class: Class,
}

impl Holder {
    pub(crate) fn new(id: HolderId, class: Class) -> Holder {
        Holder {
            id,
            posted: Amount::ZERO,
            paid_today: Amount::ZERO,
            paid_this_month: Amount::ZERO,
            day: LedgerDay(0),
            wallets: 0,
            claim: Amount::ZERO,
            allowance_serial: 0,
            allowance_bank: BankId(0),
            class,
        }
    }

    /// The open wallet that has the holder's tier allowance and receives cohort payments.
    pub fn allowance(&self) -> Option<AccountId> {
        // No wallet belongs to bank 0.
        (self.allowance_bank != BankId(0)).then(|| AccountId::new(self.allowance_bank, self.allowance_serial))
    }

    pub(crate) fn set_allowance(&mut self, wallet: Option<AccountId>) {
        let wallet = wallet.unwrap_or(AccountId::new(BankId(0), 0));
        (self.allowance_bank, self.allowance_serial) = (wallet.bank, wallet.serial);
    }

    /// Applies a change of the claim on one wallet's copy of it, from `known` to `claim`.
    #[inline]
    pub(crate) fn change_claim(&mut self, known: Amount, claim: Amount) {
        let grown = self.claim.plus(claim.minus_or_zero(known)).unwrap_or(Amount::MAX);
        self.claim = grown.minus_or_zero(known.minus_or_zero(claim));
    }

    /// Settled outgoing payments on `day`.
    pub fn paid_on(&self, day: LedgerDay) -> Amount {
        if self.day == day { self.paid_today } else { Amount::ZERO }
    }

    /// Settled outgoing payments in `month`.
    pub fn paid_in(&self, month: Month) -> Amount {
        if self.day.month() == month { self.paid_this_month } else { Amount::ZERO }
    }

    /// Settled outgoing payments from the first day of the present month on: no payment is from a later month.
    pub(crate) fn paid_since(&self, first_of_month: LedgerDay) -> Amount {
        if self.day >= first_of_month { self.paid_this_month } else { Amount::ZERO }
    }

    /// Records a settled outgoing payment. Without a limit a sum may reach the end of the range; it then stays there,
    /// above any limit.
    pub(crate) fn note_payment(&mut self, today: LedgerDay, first_of_month: LedgerDay, amount: Amount) {
        self.paid_this_month = self.paid_since(first_of_month).plus(amount).unwrap_or(Amount::MAX);
        self.paid_today = self.paid_on(today).plus(amount).unwrap_or(Amount::MAX);
        self.day = today;
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.raw(&self.id.0).u64(self.posted.minor()).u64(self.paid_today.minor()).u64(self.paid_this_month.minor());
        out.u32(self.day.0).u32(self.wallets);
        // The claim uses the bytes that allowance and class leave free, so that a record without a claim keeps its
        // former encoding: an account id takes six bytes.
        let claim = self.claim.minor();
        let allowance = AccountId::new(self.allowance_bank, self.allowance_serial).to_u64();
        out.u64(allowance | claim << 48).u8(self.class.0).raw(&(claim >> 16).to_le_bytes()[..6]).reserved(1);
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Holder, DecodeError> {
        let id = HolderId(input.array()?);
        let posted = Amount::from_minor(input.u64()?);
        let paid_today = Amount::from_minor(input.u64()?);
        let paid_this_month = Amount::from_minor(input.u64()?);
        let (day, wallets) = (LedgerDay(input.u32()?), input.u32()?);
        let packed = input.u64()?;
        let class = Class::decode(input)?;
        let [a, b, c, d, e, f] = input.array()?;
        input.reserved(1)?;
        let claim = Amount::from_minor(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]) << 16 | packed >> 48);
        let (allowance_bank, allowance_serial) = (BankId((packed >> 32) as u16), packed as u32);
        if allowance_bank == BankId(0) && allowance_serial != 0 {
            return Err(input.wrong("a wallet's id, or 0", u64::from(allowance_serial)));
        }
        Ok(Holder {
            id,
            posted,
            paid_today,
            paid_this_month,
            day,
            wallets,
            claim,
            allowance_serial,
            allowance_bank,
            class,
        })
    }
}

pub(crate) fn holder_key(holders: &CowVec<Holder>, position: u32) -> &[u8] {
    holders.get(position as usize).map_or(&[], |holder| &holder.id.0)
}
