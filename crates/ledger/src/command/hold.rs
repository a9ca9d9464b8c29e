//! Holds: the payer promises money to a payee, whose bank captures it once or voids the hold.

use super::kind::Kind;
use super::record::{Head, Record};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId};
use crate::types::time::Timestamp;

/// Holds money for a payee: payer (8), payee (8), maximum (8), largest fee (8), expires at (8), reference (16). 80
/// bytes in all, signed by the payer's holder. The outcome carries the hold's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlaceHold {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The payer's wallet.
    pub from: AccountId,
    /// The payee's wallet.
    pub to: AccountId,
    /// The most that may be captured.
    pub maximum: Amount,
    /// The largest fee that the payer accepts.
    pub max_fee: Amount,
    /// The time from which the hold cannot be captured and its money returns to the payer.
    pub expires_at: Timestamp,
    /// A reference, free for the payer.
    pub reference: [u8; 16],
}

/// The way in which a hold ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReleaseKind {
    /// Pays the amount to the payee and returns the rest.
    Capture,
    /// Returns everything; the amount is zero.
    Void,
}

/// Ends a hold: bank (2), reserved (6), hold's number (8), amount (8). 48 bytes in all, signed by the payee's bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReleaseHold {
    /// Capture or void.
    pub kind: ReleaseKind,
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The payee's bank, which signs.
    pub bank: BankId,
    /// The hold's number.
    pub hold: u64,
    /// The amount captured; zero in a void.
    pub amount: Amount,
}

impl Record for PlaceHold {
    fn kind(&self) -> Kind {
        Kind::Hold
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u64(self.from.to_u64()).u64(self.to.to_u64()).u64(self.maximum.minor()).u64(self.max_fee.minor());
        out.u64(self.expires_at.0).raw(&self.reference);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(PlaceHold {
            head,
            from: AccountId::decode(input)?,
            to: AccountId::decode(input)?,
            maximum: Amount::from_minor(input.u64()?),
            max_fee: Amount::from_minor(input.u64()?),
            expires_at: Timestamp(input.u64()?),
            reference: input.array()?,
        })
    }
}

impl Record for ReleaseHold {
    fn kind(&self) -> Kind {
        match self.kind {
            ReleaseKind::Capture => Kind::Capture,
            ReleaseKind::Void => Kind::Void,
        }
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.bank.0).reserved(6).u64(self.hold).u64(self.amount.minor());
    }

    fn decode_fields(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = match kind {
            Kind::Capture => ReleaseKind::Capture,
            Kind::Void => ReleaseKind::Void,
            other => return Err(input.wrong("the kind of a hold's end", other as u64)),
        };
        let bank = BankId(input.u16()?);
        input.reserved(6)?;
        let (hold, amount) = (input.u64()?, Amount::from_minor(input.u64()?));
        if kind == ReleaseKind::Void && !amount.is_zero() {
            return Err(input.wrong("amount 0 in a void", amount.minor()));
        }
        Ok(ReleaseHold { kind, head, bank, hold, amount })
    }
}
