//! The progress of posting wallets' interest.

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::identity::AccountId;
use crate::types::time::LedgerDay;

/// The progress of posting the interest of idle wallets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RemunerationSweep {
    /// The capitalisation date up to which every wallet is posted.
    pub(crate) done: LedgerDay,
    /// The date being posted, and the next wallet; `None` between sweeps.
    pub(crate) in_flight: Option<(LedgerDay, AccountId)>,
}

impl RemunerationSweep {
    pub(crate) fn encode(&self, out: &mut Writer) {
        let (date, next) = self.in_flight.unwrap_or_default();
        out.u32(self.done.0).u8(u8::from(self.in_flight.is_some())).u32(date.0).u64(next.to_u64());
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<RemunerationSweep, DecodeError> {
        let (done, is_in_flight) = (LedgerDay(input.u32()?), input.boolean()?);
        let in_flight = (LedgerDay(input.u32()?), AccountId::decode(input)?);
        Ok(RemunerationSweep { done, in_flight: is_in_flight.then_some(in_flight) })
    }
}
