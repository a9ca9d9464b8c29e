//! A court's orders on a wallet: freeze, unfreeze and seize an amount.

use super::kind::Kind;
use super::record::{Head, Record};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, MemberId};

/// Whether an order freezes or unfreezes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FreezeKind {
    /// Adds the amount to what the holder may not spend.
    Freeze,
    /// Deducts the amount from what the holder may not spend.
    Unfreeze,
}

/// Court (2), reserved (6), account (8), amount (8), order number (16). 64 bytes in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FreezeOrder {
    /// Freeze or unfreeze.
    pub kind: FreezeKind,
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The court that signs.
    pub court: MemberId,
    /// The wallet that the order concerns.
    pub account: AccountId,
    /// The amount that the order claims.
    pub amount: Amount,
    /// The court's own number of the order.
    pub order: [u8; 16],
}

/// Takes money from a wallet: court (2), reserved (6), account (8), amount (8), the order's wallet (8), released (8),
/// order number (16). 80 bytes in all. The outcome carries the amount taken; the rest is a lien on later credits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeizeOrder {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The court that signs.
    pub court: MemberId,
    /// The wallet that the order concerns.
    pub account: AccountId,
    /// The amount that the order claims.
    pub amount: Amount,
    /// The wallet that the order pays to.
    pub to: AccountId,
    /// The part of earlier freezes that this order replaces; other orders' freezes stay.
    pub released: Amount,
    /// The court's own number of the order.
    pub order: [u8; 16],
}

impl Record for SeizeOrder {
    fn kind(&self) -> Kind {
        Kind::Seize
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.court.0).reserved(6).u64(self.account.to_u64()).u64(self.amount.minor());
        out.u64(self.to.to_u64()).u64(self.released.minor()).raw(&self.order);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let court = MemberId(input.u16()?);
        input.reserved(6)?;
        let (account, amount) = (AccountId::decode(input)?, Amount::from_minor(input.u64()?));
        let (to, released) = (AccountId::decode(input)?, Amount::from_minor(input.u64()?));
        Ok(SeizeOrder { head, court, account, amount, to, released, order: input.array()? })
    }
}

impl Record for FreezeOrder {
    fn kind(&self) -> Kind {
        match self.kind {
            FreezeKind::Freeze => Kind::Freeze,
            FreezeKind::Unfreeze => Kind::Unfreeze,
        }
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.court.0).reserved(6).u64(self.account.to_u64()).u64(self.amount.minor()).raw(&self.order);
    }

    fn decode_fields(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = match kind {
            Kind::Freeze => FreezeKind::Freeze,
            Kind::Unfreeze => FreezeKind::Unfreeze,
            other => return Err(input.wrong("the kind of a freezing order", other as u64)),
        };
        let court = MemberId(input.u16()?);
        input.reserved(6)?;
        let account = AccountId::decode(input)?;
        Ok(FreezeOrder { kind, head, court, account, amount: Amount::from_minor(input.u64()?), order: input.array()? })
    }
}
