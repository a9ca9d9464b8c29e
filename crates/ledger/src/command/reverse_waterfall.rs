//! Reverse waterfall: a transfer above the payer's balance, which the payer's linked bank tops up from their deposit.
//!
//! It takes two signatures and two sequence numbers: the payer signs a transfer with the flag
//! [`FLAG_REVERSE_WATERFALL`], and the bank signs all of it together with the most that it will add.

use cbdc_signatures::Signature;

use super::kind::Kind;
use super::payment::{Payment, PaymentKind};
use super::record::{FLAG_REVERSE_WATERFALL, Head, Record, Signed};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::Amount;
use crate::types::identity::BankId;

/// Bank (2), reserved (6), maximum (8), the payer's transfer with its signature (136). 176 bytes in all. Its sequence
/// number is the bank's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReverseWaterfall {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The payer's linked bank, which signs.
    pub bank: BankId,
    /// The most that may be drawn from the bank's reserves.
    pub maximum: Amount,
    /// The payer's signed transfer.
    pub transfer: Signed<Payment>,
}

impl Record for ReverseWaterfall {
    fn kind(&self) -> Kind {
        Kind::ReverseWaterfall
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.bank.0).reserved(6).u64(self.maximum.minor());
        self.transfer.encode(out);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bank = BankId(input.u16()?);
        input.reserved(6)?;
        let maximum = Amount::from_minor(input.u64()?);
        let (kind, transfer_head) = Head::decode(input)?;
        let record = Payment::decode_fields(kind, transfer_head, input)?;
        if record.kind != PaymentKind::Transfer || record.head.flags & FLAG_REVERSE_WATERFALL == 0 {
            return Err(input.wrong("a transfer that allows the reverse waterfall", kind as u64));
        }
        let transfer = Signed { record, signature: Signature(input.array()?) };
        Ok(ReverseWaterfall { head, bank, maximum, transfer })
    }
}
