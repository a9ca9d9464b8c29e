//! Money between a bank's reserves and its treasury: issue and redeem, and reserves between banks.
//!
//! Issuing takes two signatures: the bank signs an [`IssuanceRequest`] (40 bytes), and the operator agrees by signing
//! an [`IssuanceOrder`] that carries the whole request. Neither can issue alone.

use cbdc_signatures::Signature;

use super::kind::Kind;
use super::record::{Head, Record, Signed};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::Amount;
use crate::types::identity::{BankId, MemberId};

/// The direction between reserves and CBDC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IssuanceKind {
    /// Reserves of the bank become CBDC in its treasury.
    Issue,
    /// CBDC in the bank's treasury becomes reserves again.
    Redeem,
}

impl IssuanceKind {
    fn kind(self) -> Kind {
        match self {
            IssuanceKind::Issue => Kind::Issue,
            IssuanceKind::Redeem => Kind::Redeem,
        }
    }

    fn of(kind: Kind, input: &Reader<'_>) -> Result<Self, DecodeError> {
        match kind {
            Kind::Issue => Ok(IssuanceKind::Issue),
            Kind::Redeem => Ok(IssuanceKind::Redeem),
            other => Err(input.wrong("the kind of an issuance", other as u64)),
        }
    }
}

/// A bank's request: bank (2), reserved (6), amount (8). Its sequence number is the bank's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IssuanceRequest {
    /// Issue or redeem.
    pub kind: IssuanceKind,
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The bank that asks and signs.
    pub bank: BankId,
    /// The amount that is moved.
    pub amount: Amount,
}

/// The operator's order on a bank's signed request: operator (2), reserved (6), the request with its signature (104).
/// 136 bytes in all. Its sequence number is the operator's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IssuanceOrder {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The operator who signs.
    pub operator: MemberId,
    /// The bank's signed request.
    pub request: Signed<IssuanceRequest>,
}

/// Moves reserves between banks: from (2), to (2), reserved (4), amount (8). 40 bytes in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReservesTransfer {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The bank that pays and signs.
    pub from: BankId,
    /// The bank that is paid.
    pub to: BankId,
    /// The amount that is moved.
    pub amount: Amount,
}

impl Record for IssuanceRequest {
    fn kind(&self) -> Kind {
        self.kind.kind()
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.bank.0).reserved(6).u64(self.amount.minor());
    }

    fn decode_fields(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = IssuanceKind::of(kind, input)?;
        let bank = BankId(input.u16()?);
        input.reserved(6)?;
        Ok(IssuanceRequest { kind, head, bank, amount: Amount::from_minor(input.u64()?) })
    }
}

impl Signed<IssuanceRequest> {
    /// Reads a signed request as a bank sends it, before an operator's order carries it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new("issuance request", bytes);
        let (kind, head) = Head::decode(&mut input)?;
        let signed = Signed::decode(kind, head, &mut input)?;
        input.finish()?;
        Ok(signed)
    }
}

impl Record for IssuanceOrder {
    fn kind(&self) -> Kind {
        self.request.record.kind()
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.operator.0).reserved(6);
        self.request.encode(out);
    }

    fn decode_fields(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let operator = MemberId(input.u16()?);
        input.reserved(6)?;
        let (request_kind, request_head) = Head::decode(input)?;
        if request_kind != kind {
            return Err(input.wrong("an order of the same kind as its request", request_kind as u64));
        }
        let record = IssuanceRequest::decode_fields(request_kind, request_head, input)?;
        let request = Signed { record, signature: Signature(input.array()?) };
        Ok(IssuanceOrder { head, operator, request })
    }
}

impl Record for ReservesTransfer {
    fn kind(&self) -> Kind {
        Kind::ReservesTransfer
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.from.0).u16(self.to.0).reserved(4).u64(self.amount.minor());
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let from = BankId(input.u16()?);
        let to = BankId(input.u16()?);
        input.reserved(4)?;
        Ok(ReservesTransfer { head, from, to, amount: Amount::from_minor(input.u64()?) })
    }
}
