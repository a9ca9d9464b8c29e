//! Payments: the one record of retail traffic, 72 bytes and a signature.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 24 | head: kind 1 transfer, 2 defund, 3 fund |
//! | 24 | 8 | payer account |
//! | 32 | 8 | payee account |
//! | 40 | 8 | amount, minor units |
//! | 48 | 8 | largest fee the payer accepts, minor units |
//! | 56 | 16 | reference, free for the payer |
//!
//! A *transfer* and a *defund* are signed by the payer's holder; a *fund* by the bank whose treasury pays.

use super::{HEAD_BYTES, Head, Kind, Record, SIGNATURE_BYTES, Signer};
use crate::amount::Amount;
use crate::encoding::{DecodeError, Reader, Writer};
use crate::identity::{AccountId, MemberId};
use crate::member::Role;

/// Bytes of a payment without its signature.
pub const PAYMENT_BYTES: usize = HEAD_BYTES + 48;
/// Bytes of a payment with its signature: the unit of packed batches.
pub const SIGNED_PAYMENT_BYTES: usize = PAYMENT_BYTES + SIGNATURE_BYTES;

const _: () = assert!(PAYMENT_BYTES == 72 && SIGNED_PAYMENT_BYTES == 136);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PaymentKind {
    /// From a holder's wallet to another wallet.
    Transfer,
    /// From a holder's wallet to the treasury of its bank, which credits the holder's deposit.
    Defund,
    /// From a bank's treasury to the wallet of one of its customers, whose deposit the bank debited.
    Fund,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payment {
    pub kind: PaymentKind,
    pub head: Head,
    pub from: AccountId,
    pub to: AccountId,
    pub amount: Amount,
    pub max_fee: Amount,
    pub reference: [u8; 16],
}

impl Payment {
    pub fn signer(&self) -> Signer {
        match self.kind {
            PaymentKind::Transfer | PaymentKind::Defund => Signer::Holder(self.from),
            PaymentKind::Fund => Signer::Member(Role::Bank, MemberId(self.from.bank.0)),
        }
    }
}

impl Record for Payment {
    fn kind(&self) -> Kind {
        match self.kind {
            PaymentKind::Transfer => Kind::Transfer,
            PaymentKind::Defund => Kind::Defund,
            PaymentKind::Fund => Kind::Fund,
        }
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u64(self.from.to_u64()).u64(self.to.to_u64());
        out.u64(self.amount.minor()).u64(self.max_fee.minor()).raw(&self.reference);
    }

    fn decode_fields(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = match kind {
            Kind::Transfer => PaymentKind::Transfer,
            Kind::Defund => PaymentKind::Defund,
            Kind::Fund => PaymentKind::Fund,
            other => return Err(input.wrong("the kind of a payment", other as u64)),
        };
        Ok(Payment {
            kind,
            head,
            from: AccountId::decode(input)?,
            to: AccountId::decode(input)?,
            amount: Amount::from_minor(input.u64()?),
            max_fee: Amount::from_minor(input.u64()?),
            reference: input.array()?,
        })
    }
}
