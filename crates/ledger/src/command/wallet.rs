//! Opening and closing wallets and replacing their keys: requested by the wallet's bank, certified by the registrar,
//! agreed to by the holder.
//!
//! The registrar certifies a [`Statement`]: a holder, a class and a key, and the one purpose of the certificate. The
//! holder signs the same statement with the new key, which shows that they have it and agree. So no bank can invent
//! holders to evade limits, open a wallet for somebody who did not ask for it, or replace a wallet's key by itself, and
//! no certificate serves twice: opening a wallet uses its key up, replacing a key raises the key's version.

use cbdc_signatures::{PublicKey, Signature, SigningKey};

use super::kind::Kind;
use super::record::{Domain, Head, Record, signing_prefix};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::identity::{AccountId, BankId, Class, HolderId, MemberId, NetworkId};
use crate::types::time::Timestamp;

/// The version of statements. Those of version 1 named no purpose, bank or end, and only the registrar signed them.
const STATEMENT_VERSION: u8 = 2;

/// The one use of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CertifiedFor {
    /// To open a wallet at a bank.
    Open(BankId),
    /// To replace one version of a wallet's key.
    ReplaceKey {
        /// The wallet.
        account: AccountId,
        /// The version of the key that is replaced.
        version: u32,
    },
}

/// The statement that a registrar certifies and the holder agrees to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statement {
    /// The purpose for which the key is certified.
    pub purpose: CertifiedFor,
    /// The holder whose key it is.
    pub holder: HolderId,
    /// The holder's class.
    pub class: Class,
    /// The key.
    pub key: PublicKey,
    /// The last moment at which the certificate may be used.
    pub valid_until: Timestamp,
}

impl Statement {
    /// The signed bytes, behind the prefix of [`Domain::Certificate`] for the registrar and of [`Domain::Agreement`]
    /// for the holder: version (1; this is 2), purpose (1; 1 open, 2 replace a key), class (1), reserved (1), the
    /// registrar's key version (4), the wallet, or on opening the bank's treasury (8), the version replaced (4),
    /// reserved (4), valid until (8), holder (16), key (32): 80 bytes.
    pub fn to_bytes(&self, registrar_key_version: u32) -> Vec<u8> {
        let (purpose, account, version) = match self.purpose {
            CertifiedFor::Open(bank) => (1, AccountId::treasury(bank), 0),
            CertifiedFor::ReplaceKey { account, version } => (2, account, version),
        };
        let mut out = Writer::with_capacity(80);
        out.u8(STATEMENT_VERSION).u8(purpose).u8(self.class.0).reserved(1).u32(registrar_key_version);
        out.u64(account.to_u64()).u32(version).reserved(4).u64(self.valid_until.0);
        out.raw(&self.holder.0).raw(&self.key.0);
        out.finish()
    }

    /// Certifies the statement as a registrar.
    pub fn certify(
        &self,
        network: NetworkId,
        registrar: MemberId,
        registrar_key_version: u32,
        registrar_key: &SigningKey,
    ) -> Certificate {
        let statement = self.to_bytes(registrar_key_version);
        let signature = registrar_key.sign([&signing_prefix(Domain::Certificate, network), &statement]);
        Certificate { registrar, registrar_key_version, valid_until: self.valid_until, signature }
    }

    /// Whether the certified key has signed an agreement to the statement.
    pub fn is_agreed(&self, network: NetworkId, certificate: &Certificate, agreement: Signature) -> bool {
        let statement = self.to_bytes(certificate.registrar_key_version);
        let prefix = signing_prefix(Domain::Agreement, network);
        let key = self.key.decompress();
        key.is_ok_and(|key| cbdc_signatures::verify(&key, [&prefix, &statement], &agreement))
    }

    /// Signs an agreement to the certified statement with the key that it names.
    pub fn agree(&self, network: NetworkId, certificate: &Certificate, key: &SigningKey) -> Signature {
        let statement = self.to_bytes(certificate.registrar_key_version);
        key.sign([&signing_prefix(Domain::Agreement, network), &statement])
    }
}

/// A registrar's signature over a [`Statement`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The registrar who signs.
    pub registrar: MemberId,
    /// The version of the registrar's key.
    pub registrar_key_version: u32,
    /// The last moment at which it may be used.
    pub valid_until: Timestamp,
    /// The registrar's signature.
    pub signature: Signature,
}

impl Certificate {
    fn encode(&self, out: &mut Writer) {
        out.u16(self.registrar.0).reserved(2).u32(self.registrar_key_version).u64(self.valid_until.0);
        out.raw(&self.signature.0);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Certificate, DecodeError> {
        let registrar = MemberId(input.u16()?);
        input.reserved(2)?;
        let (registrar_key_version, valid_until) = (input.u32()?, Timestamp(input.u64()?));
        Ok(Certificate { registrar, registrar_key_version, valid_until, signature: Signature(input.array()?) })
    }
}

/// Opens a wallet: bank (2), class (1), reserved (5), holder (16), key (32), certificate (80), agreement (64). 224
/// bytes in all.
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
    /// The registrar's certificate of the opening.
    pub certificate: Certificate,
    /// The key's signature over the certified statement: the holder wants the wallet.
    pub agreement: Signature,
}

impl OpenWallet {
    /// The statement that registrar and holder have signed.
    pub fn statement(&self) -> Statement {
        let OpenWallet { bank, class, holder, key, certificate, .. } = *self;
        Statement { purpose: CertifiedFor::Open(bank), holder, class, key, valid_until: certificate.valid_until }
    }
}

/// Closes an empty wallet: account (8). 32 bytes in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseWallet {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The wallet; its bank signs.
    pub account: AccountId,
}

/// Replaces a wallet's key: account (8), class (1), reserved (3), version replaced (4), key (32), certificate of the
/// new key (80), agreement (64). 216 bytes in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplaceKey {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The wallet; its bank signs.
    pub account: AccountId,
    /// The holder's class, which the certificate names.
    pub class: Class,
    /// The version of the key that is replaced.
    pub version: u32,
    /// The key that signs for the wallet from then on.
    pub key: PublicKey,
    /// The registrar's certificate of the replacement.
    pub certificate: Certificate,
    /// The new key's signature over the certified statement: the holder has it.
    pub agreement: Signature,
}

impl ReplaceKey {
    /// The statement that registrar and holder have signed, for a wallet of `holder`.
    pub fn statement(&self, holder: HolderId) -> Statement {
        let ReplaceKey { account, class, version, key, certificate, .. } = *self;
        let purpose = CertifiedFor::ReplaceKey { account, version };
        Statement { purpose, holder, class, key, valid_until: certificate.valid_until }
    }
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
        out.raw(&self.agreement.0);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bank = BankId(input.u16()?);
        let class = Class(input.u8()?);
        input.reserved(5)?;
        let holder = HolderId(input.array()?);
        let key = PublicKey(input.array()?);
        let (certificate, agreement) = (Certificate::decode(input)?, Signature(input.array()?));
        Ok(OpenWallet { head, bank, class, holder, key, certificate, agreement })
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
        out.u64(self.account.to_u64()).u8(self.class.0).reserved(3).u32(self.version).raw(&self.key.0);
        self.certificate.encode(out);
        out.raw(&self.agreement.0);
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (account, class) = (AccountId::decode(input)?, Class(input.u8()?));
        input.reserved(3)?;
        let (version, key) = (input.u32()?, PublicKey(input.array()?));
        let (certificate, agreement) = (Certificate::decode(input)?, Signature(input.array()?));
        Ok(ReplaceKey { head, account, class, version, key, certificate, agreement })
    }
}
