//! The parts that all signed records share: the head, the signature and the signed bytes.

use cbdc_signatures::{PublicKey, Signature, SigningKey};

use super::kind::Kind;
use crate::codec::encoding::{DecodeError, Fixed, Reader, VERSION, Writer};
use crate::state::member::Role;
use crate::types::identity::{AccountId, MemberId, NetworkId};
use crate::types::time::Timestamp;

/// Bytes of the head that every record begins with.
pub const HEAD_BYTES: usize = 24;
/// The flag of a transfer whose payer allows their linked bank to top up their wallet.
pub const FLAG_REVERSE_WATERFALL: u16 = 1;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of [`signing_prefix`].
pub const PREFIX_BYTES: usize = 40;

/// The fields that every record begins with, after version and kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// [`FLAG_REVERSE_WATERFALL`] on transfers; all other bits must be zero.
    pub flags: u16,
    /// The version of the signer's key, counted from 0 with each replacement.
    pub key_version: u32,
    /// The signer's sequence number, from 1.
    pub sequence: u64,
    /// The time after which the record is refused.
    pub valid_until: Timestamp,
}

impl Head {
    pub(super) fn encode(&self, kind: Kind, out: &mut Writer) {
        let mut record = Fixed::<HEAD_BYTES>::new();
        record.u8(VERSION).u8(kind as u8).u16(self.flags).u32(self.key_version);
        record.u64(self.sequence).u64(self.valid_until.0);
        out.raw(record.as_bytes());
    }

    #[inline]
    pub(super) fn decode(input: &mut Reader<'_>) -> Result<(Kind, Head), DecodeError> {
        let mut record = input.fixed::<HEAD_BYTES>()?;
        input.known_version(record.u8())?;
        let kind = Kind::known(record.u8(), input)?;
        let flags = Head::known_flags(kind, record.u16(), input)?;
        let head =
            Head { flags, key_version: record.u32(), sequence: record.u64(), valid_until: Timestamp(record.u64()) };
        record.finish();
        Ok((kind, head))
    }

    /// The flags that a record of a kind may have.
    pub(super) fn flags_of(kind: Kind) -> u16 {
        if kind == Kind::Transfer { FLAG_REVERSE_WATERFALL } else { 0 }
    }

    /// The flags, where a record of this kind may have them.
    pub(super) fn known_flags(kind: Kind, flags: u16, input: &Reader<'_>) -> Result<u16, DecodeError> {
        if flags & !Head::flags_of(kind) != 0 {
            return Err(input.wrong("no flag that this kind does not know", u64::from(flags)));
        }
        Ok(flags)
    }
}

/// A record that can be signed, sent and stored.
pub trait Record: Sized {
    /// The record's kind.
    fn kind(&self) -> Kind;
    /// The record's head.
    fn head(&self) -> &Head;
    /// The fields after the head.
    fn encode_fields(&self, out: &mut Writer);
    /// Reads the fields after the head.
    fn decode_fields(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Appends the record as it is signed (behind the prefix) and sent (before the signature).
    fn encode(&self, out: &mut Writer) {
        self.head().encode(self.kind(), out);
        self.encode_fields(out);
    }

    /// The record's bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(160);
        self.encode(&mut out);
        out.finish()
    }

    /// Signs the record for a network.
    fn sign(self, network: NetworkId, key: &SigningKey) -> Signed<Self> {
        let signature = key.sign([&signing_prefix(Domain::Command, network), &self.to_bytes()]);
        Signed { record: self, signature }
    }
}

/// A record and its signer's signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signed<R> {
    /// The record.
    pub record: R,
    /// The signature over [`signing_prefix`] and the record.
    pub signature: Signature,
}

impl<R: Record> Signed<R> {
    /// Appends the record and its signature.
    pub fn encode(&self, out: &mut Writer) {
        self.record.encode(out);
        out.raw(&self.signature.0);
    }

    /// The record and its signature.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(160);
        self.encode(&mut out);
        out.finish()
    }

    /// Whether `key` signed the record, as a command or a part of one.
    pub fn is_signed_by(&self, network: NetworkId, key: &PublicKey) -> bool {
        let (prefix, message) = (signing_prefix(Domain::Command, network), self.record.to_bytes());
        key.decompress().is_ok_and(|key| cbdc_signatures::verify(&key, [&prefix, &message], &self.signature))
    }

    #[inline]
    pub(super) fn decode(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let record = R::decode_fields(kind, head, input)?;
        Ok(Signed { record, signature: Signature(input.array()?) })
    }
}

/// The purpose of a signature; each has its own tag, so that one can never pass for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// A command to the ledger.
    Command,
    /// A registrar's certificate of a statement.
    Certificate,
    /// A holder's agreement to what a registrar certified.
    Agreement,
    /// A bank's consent to what a holder asks of it.
    Consent,
    /// A holder's statement that opens a session with a bank.
    Session,
    /// A voting node's signature over a block's header.
    Header,
    /// A node's signature over a checkpoint that it wrote.
    Checkpoint,
}

/// The 40 bytes that precede whatever is signed: version, domain tag, network id.
pub fn signing_prefix(domain: Domain, network: NetworkId) -> [u8; PREFIX_BYTES] {
    let tag: &[u8; 7] = match domain {
        Domain::Command => b"CBDCcmd",
        Domain::Certificate => b"CBDCcrt",
        Domain::Agreement => b"CBDCagr",
        Domain::Consent => b"CBDCcns",
        Domain::Session => b"CBDCses",
        Domain::Header => b"CBDChdr",
        Domain::Checkpoint => b"CBDCchk",
    };
    let mut prefix = [0; PREFIX_BYTES];
    prefix[0] = VERSION;
    prefix[1..8].copy_from_slice(tag);
    prefix[8..].copy_from_slice(&network.0);
    prefix
}

/// The signer of a record, whose sequence numbers it uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Signer {
    /// The holder of a wallet.
    Holder(AccountId),
    /// A member in a role. A bank's member number is its bank number.
    Member(Role, MemberId),
}
