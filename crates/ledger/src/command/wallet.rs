//! Opening and closing wallets and replacing their keys: asked by the wallet's bank, with the registrar's certificate.
//!
//! The certificate joins a holder, a class and a key. Without it a bank could invent holders to evade limits, or
//! put its own key over a customer's wallet.

use cbdc_signatures::{PublicKey, Signature, SigningKey};

use super::kind::Kind;
use super::record::{Domain, Head, Record, signing_prefix};
use crate::codec::encoding::{DecodeError, Reader, VERSION, Writer};
use crate::types::identity::{AccountId, BankId, Class, HolderId, MemberId, NetworkId};

/// A registrar's signature over (holder, class, key).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The registrar who signs.
    pub registrar: MemberId,
    /// The version of the registrar's key.
    pub registrar_key_version: u32,
    /// The registrar's signature.
    pub signature: Signature,
}

impl Certificate {
    /// What the registrar signs, behind the prefix of [`Domain::Certificate`]: version, class, 2 reserved bytes,
    /// the registrar's key version, holder (16), key (32): 56 bytes.
    pub fn statement(holder: HolderId, class: Class, key: PublicKey, registrar_key_version: u32) -> Vec<u8> {
        let mut out = Writer::with_capacity(56);
        out.u8(VERSION).u8(class.0).reserved(2).u32(registrar_key_version).raw(&holder.0).raw(&key.0);
        out.finish()
    }

    /// Certifies a holder, a class and a key.
    pub fn sign(
        network: NetworkId,
        registrar: MemberId,
        registrar_key_version: u32,
        registrar_key: &SigningKey,
        (holder, class, key): (HolderId, Class, PublicKey),
    ) -> Certificate {
        let statement = Certificate::statement(holder, class, key, registrar_key_version);
        let signature = registrar_key.sign([&signing_prefix(Domain::Certificate, network), &statement]);
        Certificate { registrar, registrar_key_version, signature }
    }

    fn encode(&self, out: &mut Writer) {
        out.u16(self.registrar.0).reserved(2).u32(self.registrar_key_version).raw(&self.signature.0);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Certificate, DecodeError> {
        let registrar = MemberId(input.u16()?);
        input.reserved(2)?;
        Ok(Certificate { registrar, registrar_key_version: input.u32()?, signature: Signature(input.array()?) })
    }
}

/// Opens a wallet: bank (2), class (1), reserved (5), holder (16), key (32), certificate (72). 152 bytes in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenWallet {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The wallet's bank, which signs.
    pub bank: BankId,
    /// The holder's class, which the certificate names.
    pub class: Class,
    /// The holder.
    pub holder: HolderId,
    /// The key that signs for the wallet from then on.
    pub key: PublicKey,
    /// The registrar's certificate of holder, class and key.
    pub certificate: Certificate,
}

/// Closes an empty wallet: account (8). 32 bytes in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseWallet {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The wallet; its bank signs.
    pub account: AccountId,
}

/// Puts a new key over a wallet: account (8), class (1), reserved (7), key (32), certificate of the new key (72). 144
/// bytes in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplaceKey {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The wallet; its bank signs.
    pub account: AccountId,
    /// The holder's class, which the certificate names.
    pub class: Class,
    /// The key that signs for the wallet from then on.
    pub key: PublicKey,
    /// The registrar's certificate of holder, class and key.
    pub certificate: Certificate,
}

impl Record for OpenWallet {
    fn kind(&self) -> Kind {
        Kind::OpenWallet
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.bank.0).u8(self.class.0).reserved(5).raw(&self.holder.0).raw(&self.key.0);
        self.certificate.encode(out);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bank = BankId(input.u16()?);
        let class = Class(input.u8()?);
        input.reserved(5)?;
        let holder = HolderId(input.array()?);
        let key = PublicKey(input.array()?);
        Ok(OpenWallet { head, bank, class, holder, key, certificate: Certificate::decode(input)? })
    }
}

impl Record for CloseWallet {
    fn kind(&self) -> Kind {
        Kind::CloseWallet
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u64(self.account.to_u64());
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(CloseWallet { head, account: AccountId::decode(input)? })
    }
}

impl Record for ReplaceKey {
    fn kind(&self) -> Kind {
        Kind::ReplaceKey
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u64(self.account.to_u64()).u8(self.class.0).reserved(7).raw(&self.key.0);
        self.certificate.encode(out);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (account, class) = (AccountId::decode(input)?, Class(input.u8()?));
        input.reserved(7)?;
        let key = PublicKey(input.array()?);
        Ok(ReplaceKey { head, account, class, key, certificate: Certificate::decode(input)? })
    }
}
