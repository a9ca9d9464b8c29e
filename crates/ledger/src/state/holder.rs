//! Holders: pseudonymous people and firms, across banks, with the running sums that limits by holder need.

use super::cow_vec::CowVec;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, Class, HolderId};
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
    /// Posted on all the holder's wallets: available, held and locked.
    pub posted: Amount,
    /// Settled outgoing payments on `day`.
    pub paid_today: Amount,
    /// Settled outgoing payments in the calendar month of `day`.
    pub paid_this_month: Amount,
    /// The ledger day of the last settled outgoing payment.
    pub day: LedgerDay,
    /// Open wallets at all banks.
    pub wallets: u32,
    /// The class in force.
    pub class: Class,
    /// The open wallet that the holder's tier allowance belongs to and that cohort payments go to.
    pub allowance: Option<AccountId>,
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
            class,
            allowance: None,
        }
    }

    /// Settled outgoing payments on `day`.
    pub fn paid_on(&self, day: LedgerDay) -> Amount {
        if self.day == day { self.paid_today } else { Amount::ZERO }
    }

    /// Settled outgoing payments in `month`.
    pub fn paid_in(&self, month: Month) -> Amount {
        if self.day.month() == month { self.paid_this_month } else { Amount::ZERO }
    }

    /// Settled outgoing payments from the first day of the present month on: no payment is of a later month.
    pub(crate) fn paid_since(&self, first_of_month: LedgerDay) -> Amount {
        if self.day >= first_of_month { self.paid_this_month } else { Amount::ZERO }
    }

    /// Notes a settled outgoing payment. Without a limit a sum may reach the end of the range; it then stays there,
    /// above any limit.
    pub(crate) fn note_payment(&mut self, today: LedgerDay, first_of_month: LedgerDay, amount: Amount) {
        self.paid_this_month = self.paid_since(first_of_month).plus(amount).unwrap_or(Amount::MAX);
        self.paid_today = self.paid_on(today).plus(amount).unwrap_or(Amount::MAX);
        self.day = today;
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.raw(&self.id.0).u64(self.posted.minor()).u64(self.paid_today.minor()).u64(self.paid_this_month.minor());
        out.u32(self.day.0).u32(self.wallets);
        // No wallet has id 0: serial 0 of bank 0 would be the central bank's own treasury.
        let allowance = self.allowance.map_or(0, AccountId::to_u64);
        out.u64(allowance).u8(self.class.0).reserved(7);
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Holder, DecodeError> {
        let id = HolderId(input.array()?);
        let posted = Amount::from_minor(input.u64()?);
        let paid_today = Amount::from_minor(input.u64()?);
        let paid_this_month = Amount::from_minor(input.u64()?);
        let (day, wallets) = (LedgerDay(input.u32()?), input.u32()?);
        let allowance = match input.u64()? {
            0 => None,
            id => Some(AccountId::from_u64(id).ok_or_else(|| input.wrong("an account id below 2^48", id))?),
        };
        let class = Class::decode(input)?;
        input.reserved(7)?;
        Ok(Holder { id, posted, paid_today, paid_this_month, day, wallets, class, allowance })
    }
}

pub(crate) fn holder_key(holders: &CowVec<Holder>, position: u32) -> &[u8] {
    holders.get(position as usize).map_or(&[], |holder| &holder.id.0)
}
