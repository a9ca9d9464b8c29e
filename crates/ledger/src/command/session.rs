//! The statement by which a holder opens a session with a bank. It is not a command: it is never ordered and moves
//! nothing.
//!
//! The holder names the bank, so that no bank can pass on another bank's challenge and open a session there with the
//! answer. What the challenge consists of is up to the bank.

use cbdc_signatures::{PublicKey, Signature, SigningKey};

use super::record::{Domain, SIGNATURE_BYTES, signing_prefix};
use crate::codec::encoding::{DecodeError, Fixed, Reader, VERSION};
use crate::types::identity::{AccountId, BankId, NetworkId};
use crate::types::time::Timestamp;

/// Bytes of a statement.
pub const SESSION_STATEMENT_BYTES: usize = 56;
/// Bytes of a statement with its signature.
pub const SIGNED_SESSION_BYTES: usize = SESSION_STATEMENT_BYTES + SIGNATURE_BYTES;

/// The statement that a holder signs, behind the prefix of [`Domain::Session`]: version (1), reserved (1), bank (2),
/// key version (4), wallet (8), expires at (8), challenge (32): 56 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionStatement {
    /// The bank that the session is with: the wallet's own, or one that it is linked to.
    pub bank: BankId,
    /// The version of the wallet's key.
    pub key_version: u32,
    /// The wallet.
    pub account: AccountId,
    /// The end of the session, as the bank gave it with the challenge.
    pub expires_at: Timestamp,
    /// The bank's challenge.
    pub challenge: [u8; 32],
}

/// A [`SessionStatement`] and the signature of the wallet's key: 120 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignedSession {
    /// The statement.
    pub statement: SessionStatement,
    /// The signature over it.
    pub signature: Signature,
}

impl SessionStatement {
    /// The statement's bytes.
    pub fn to_bytes(&self) -> [u8; SESSION_STATEMENT_BYTES] {
        let mut out = Fixed::<SESSION_STATEMENT_BYTES>::new();
        out.u8(VERSION).reserved(1).u16(self.bank.0).u32(self.key_version).u64(self.account.to_u64());
        out.u64(self.expires_at.0).raw(&self.challenge);
        *out.as_bytes()
    }

    /// Signs the statement with the wallet's key.
    pub fn sign(self, network: NetworkId, key: &SigningKey) -> SignedSession {
        let signature = key.sign([&signing_prefix(Domain::Session, network), &self.to_bytes()[..]]);
        SignedSession { statement: self, signature }
    }
}

impl SignedSession {
    /// The statement and its signature.
    pub fn to_bytes(&self) -> [u8; SIGNED_SESSION_BYTES] {
        let mut out = Fixed::<SIGNED_SESSION_BYTES>::new();
        out.raw(&self.statement.to_bytes()).raw(&self.signature.0);
        *out.as_bytes()
    }

    /// Reads what [`SignedSession::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<SignedSession, DecodeError> {
        let mut input = Reader::new("a session statement", bytes);
        input.version()?;
        input.reserved(1)?;
        let (bank, key_version) = (BankId(input.u16()?), input.u32()?);
        let (account, expires_at) = (AccountId::decode(&mut input)?, Timestamp(input.u64()?));
        let statement = SessionStatement { bank, key_version, account, expires_at, challenge: input.array()? };
        let signature = Signature(input.array()?);
        input.finish()?;
        Ok(SignedSession { statement, signature })
    }

    /// Whether the signature is the key's.
    pub fn is_signed_by(&self, network: NetworkId, key: PublicKey) -> bool {
        let prefix = signing_prefix(Domain::Session, network);
        let key = key.decompress();
        key.is_ok_and(|key| cbdc_signatures::verify(&key, [&prefix[..], &self.statement.to_bytes()], &self.signature))
    }
}
