//! Records about holders: their consent, their bank, their tier allowance and their class.
//!
//! A holder's request to a bank also needs the bank's signature: the record carries a [`BankConsent`].

use cbdc_signatures::{Signature, SigningKey};

use super::kind::Kind;
use super::record::{Domain, Head, Record, signing_prefix};
use crate::codec::encoding::{DecodeError, Reader, VERSION, Writer};
use crate::types::identity::{AccountId, BankId, Class, HolderId, MemberId, NetworkId};
use crate::types::time::Timestamp;

/// Bytes of a consent in a record.
const CONSENT_BYTES: usize = 80;

/// The statement to which a bank consents: that one wallet is linked to it, or moves to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsentStatement {
    /// The kind of the holder's record: [`Kind::LinkBank`] or [`Kind::MoveWallet`].
    pub kind: Kind,
    /// The bank that consents.
    pub bank: BankId,
    /// The wallet.
    pub account: AccountId,
    /// The last moment at which the consent may be used.
    pub valid_until: Timestamp,
}

impl ConsentStatement {
    /// The bytes that the bank signs, behind the prefix of [`Domain::Consent`]: version (1), kind (1), bank (2), the
    /// bank's key version (4), wallet (8), valid until (8): 24 bytes.
    pub fn to_bytes(&self, bank_key_version: u32) -> Vec<u8> {
        let mut out = Writer::with_capacity(24);
        out.u8(VERSION).u8(self.kind as u8).u16(self.bank.0).u32(bank_key_version);
        out.u64(self.account.to_u64()).u64(self.valid_until.0);
        out.finish()
    }

    /// Signs the consent as the bank.
    pub fn sign(&self, network: NetworkId, bank_key_version: u32, bank_key: &SigningKey) -> BankConsent {
        let statement = self.to_bytes(bank_key_version);
        let signature = bank_key.sign([&signing_prefix(Domain::Consent, network), &statement]);
        BankConsent { bank_key_version, valid_until: self.valid_until, signature }
    }
}

/// A bank's signature over a [`ConsentStatement`]: the bank's key version (4), reserved (4), valid until (8), signature
/// (64). 80 bytes in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BankConsent {
    /// The version of the bank's key.
    pub bank_key_version: u32,
    /// The last moment at which the consent may be used.
    pub valid_until: Timestamp,
    /// The bank's signature.
    pub signature: Signature,
}

impl BankConsent {
    fn encode(&self, out: &mut Writer) {
        out.u32(self.bank_key_version).reserved(4).u64(self.valid_until.0).raw(&self.signature.0);
    }

    fn decode(input: &mut Reader<'_>) -> Result<BankConsent, DecodeError> {
        let bank_key_version = input.u32()?;
        input.reserved(4)?;
        let valid_until = Timestamp(input.u64()?);
        Ok(BankConsent { bank_key_version, valid_until, signature: Signature(input.array()?) })
    }
}

/// The holder's standing consent that credits above the holding limit go to their deposit at a bank (the waterfall),
/// with that bank's consent: wallet (8), bank (2; 0 revokes), reserved (6), consent (80; zeros if it revokes). 120
/// bytes in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkBank {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The wallet, whose holder signs.
    pub account: AccountId,
    /// The bank; 0 revokes.
    pub bank: BankId,
    /// The bank's consent; `None` revokes.
    pub consent: Option<BankConsent>,
}

/// Moves a wallet to another bank: wallet (8), new bank (2), reserved (6), the new bank's consent (80). 120 bytes in
/// all. The outcome carries the wallet's new account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MoveWallet {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The wallet, whose holder signs.
    pub account: AccountId,
    /// The bank that takes it over.
    pub bank: BankId,
    /// That bank's consent.
    pub consent: BankConsent,
}

impl LinkBank {
    /// The statement to which the bank has consented, with its signature.
    pub fn consented(&self) -> Option<(ConsentStatement, BankConsent)> {
        let LinkBank { account, bank, consent, .. } = *self;
        let consent = consent?;
        Some((ConsentStatement { kind: Kind::LinkBank, bank, account, valid_until: consent.valid_until }, consent))
    }
}

impl MoveWallet {
    /// The statement to which the bank has consented, with its signature.
    pub fn consented(&self) -> (ConsentStatement, BankConsent) {
        let MoveWallet { account, bank, consent, .. } = *self;
        (ConsentStatement { kind: Kind::MoveWallet, bank, account, valid_until: consent.valid_until }, consent)
    }
}

/// Moves the holder's tier allowance to this wallet: wallet (8). 32 bytes in all, signed with that wallet's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DesignateWallet {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The wallet, whose holder signs.
    pub account: AccountId,
}

/// Moves a holder to another class, by the registrar: registrar (2), class (1), reserved (5), holder (16). 48 bytes in
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
        match &self.consent {
            Some(consent) => consent.encode(out),
            None => drop(out.reserved(CONSENT_BYTES)),
        }
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (account, bank) = (AccountId::decode(input)?, BankId(input.u16()?));
        input.reserved(6)?;
        let consent = match bank {
            BankId(0) => {
                input.reserved(CONSENT_BYTES)?;
                None
            }
            _ => Some(BankConsent::decode(input)?),
        };
        Ok(LinkBank { head, account, bank, consent })
    }
}

impl Record for MoveWallet {
    fn kind(&self) -> Kind {
        Kind::MoveWallet
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u64(self.account.to_u64()).u16(self.bank.0).reserved(6);
        self.consent.encode(out);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (account, bank) = (AccountId::decode(input)?, BankId(input.u16()?));
        input.reserved(6)?;
        Ok(MoveWallet { head, account, bank, consent: BankConsent::decode(input)? })
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
