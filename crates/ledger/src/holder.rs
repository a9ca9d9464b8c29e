//! Holders: pseudonymous persons and firms, across banks, with the running sums that person-wide limits need.

use crate::amount::Amount;
use crate::encoding::{DecodeError, Reader, Writer};
use crate::identity::{Class, HolderId};
use crate::time::LedgerDay;

/// Bytes of a holder record in checkpoints.
pub const HOLDER_BYTES: usize = 48;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    pub id: HolderId,
    /// Posted on all the holder's wallets: available, held and locked.
    pub posted: Amount,
    /// Settled outgoing payments on `day`.
    pub paid_today: Amount,
    /// The ledger day that `paid_today` is of.
    pub day: LedgerDay,
    /// Open wallets at all banks.
    pub wallets: u32,
    pub class: Class,
}

impl Holder {
    pub(crate) fn new(id: HolderId, class: Class) -> Holder {
        Holder { id, posted: Amount::ZERO, paid_today: Amount::ZERO, day: LedgerDay(0), wallets: 0, class }
    }

    /// Settled outgoing payments on `day`.
    pub fn paid_on(&self, day: LedgerDay) -> Amount {
        if self.day == day { self.paid_today } else { Amount::ZERO }
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.raw(&self.id.0).u64(self.posted.minor()).u64(self.paid_today.minor());
        out.u32(self.day.0).u32(self.wallets).u8(self.class.0).reserved(7);
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Holder, DecodeError> {
        let id = HolderId(input.array()?);
        let posted = Amount::from_minor(input.u64()?);
        let paid_today = Amount::from_minor(input.u64()?);
        let holder = Holder {
            id,
            posted,
            paid_today,
            day: LedgerDay(input.u32()?),
            wallets: input.u32()?,
            class: Class(input.u8()?),
        };
        input.reserved(7)?;
        Ok(holder)
    }
}
