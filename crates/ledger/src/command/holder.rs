//! Records about holders: their consent, their tier allowance and their class.

use super::kind::Kind;
use super::record::{Head, Record};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::identity::{AccountId, BankId, Class, HolderId, MemberId};

/// The holder's standing consent that what a credit brings above the holding limit goes to their deposit at a bank
/// (the waterfall): wallet (8), bank (2; 0 revokes), reserved (6). 40 bytes in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkBank {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The wallet, whose holder signs.
    pub account: AccountId,
    /// The bank; 0 revokes.
    pub bank: BankId,
}

/// Makes this wallet the one that the holder's tier allowance belongs to: wallet (8). 32 bytes in all, signed with
/// that wallet's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DesignateWallet {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The wallet, whose holder signs.
    pub account: AccountId,
}

/// The registrar puts a holder into another class: registrar (2), class (1), reserved (5), holder (16). 48 bytes in
/// all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reclassify {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The registrar who signs.
    pub registrar: MemberId,
    /// The new class.
    pub class: Class,
    /// The holder.
    pub holder: HolderId,
}

impl Record for LinkBank {
    fn kind(&self) -> Kind {
        Kind::LinkBank
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u64(self.account.to_u64()).u16(self.bank.0).reserved(6);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (account, bank) = (AccountId::decode(input)?, BankId(input.u16()?));
        input.reserved(6)?;
        Ok(LinkBank { head, account, bank })
    }
}

impl Record for DesignateWallet {
    fn kind(&self) -> Kind {
        Kind::DesignateWallet
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u64(self.account.to_u64());
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(DesignateWallet { head, account: AccountId::decode(input)? })
    }
}

impl Record for Reclassify {
    fn kind(&self) -> Kind {
        Kind::Reclassify
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.registrar.0).u8(self.class.0).reserved(5).raw(&self.holder.0);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (registrar, class) = (MemberId(input.u16()?), Class(input.u8()?));
        input.reserved(5)?;
        Ok(Reclassify { head, registrar, class, holder: HolderId(input.array()?) })
    }
}
