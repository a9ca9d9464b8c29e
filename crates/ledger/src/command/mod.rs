//! What may be asked of the ledger: signed records of fixed layout.
//!
//! # Layout
//! Every record begins with the same head of 24 bytes; integers are little-endian:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version (1) |
//! | 1 | 1 | kind ([`Kind`]) |
//! | 2 | 2 | flags ([`Head::flags`]; unknown flags are refused) |
//! | 4 | 4 | version of the key that signs (0 for a wallet's first key) |
//! | 8 | 8 | sequence number of the signer |
//! | 16 | 8 | valid until, ms since 1970 UTC |
//!
//! The kind's own fields follow, then the signature (64 bytes). What is signed is [`signing_prefix`] followed by the
//! record without that signature: the prefix (version, domain tag, network id) travels nowhere, so a record signed
//! for one network means nothing on another.
//!
//! # Rooms
//! [`payment`] (transfer, fund, defund), [`reverse_waterfall`], [`mod@hold`] (hold, capture, void), [`wallet`] (open,
//! close, replace key), [`holder`] (link a bank, designate a wallet, reclassify), [`issuance`] (issue, redeem, reserves
//! transfer), [`operation`] (the operations desk, banks' statements), [`order`] (freeze, unfreeze, seize),
//! [`committee`] (propose, vote).

pub mod committee;
pub mod hold;
pub mod holder;
pub mod issuance;
pub mod operation;
pub mod order;
pub mod payment;
pub mod reverse_waterfall;
pub mod wallet;

use crate::encoding::{DecodeError, Fixed, Reader, VERSION, Writer};
use crate::genesis::NetworkId;
use crate::identity::{AccountId, MemberId};
use crate::member::Role;
use crate::time::Timestamp;
use cbdc_signatures::{Signature, SigningKey};

pub use committee::{Ballot, Choice, GovernanceAction, GovernanceProposal};
pub use hold::{PlaceHold, ReleaseHold, ReleaseKind};
pub use holder::{DesignateWallet, LinkBank, Reclassify};
pub use issuance::{IssuanceKind, IssuanceOrder, IssuanceRequest, ReservesTransfer};
pub use operation::{DepositStatement, Operation, OperationKind};
pub use order::{FreezeKind, FreezeOrder, SeizeOrder};
pub use payment::{Payment, PaymentKind};
pub use reverse_waterfall::ReverseWaterfall;
pub use wallet::{Certificate, CloseWallet, OpenWallet, ReplaceKey};

/// Bytes of the head that every record begins with.
pub const HEAD_BYTES: usize = 24;
/// The flag of a transfer whose payer allows their linked bank to top their wallet up.
pub const FLAG_REVERSE_WATERFALL: u16 = 1;
/// The first byte of a payment in its compact form, where other commands have their version.
const COMPACT_PAYMENT: u8 = 0;
const _: () = assert!(COMPACT_PAYMENT != VERSION);
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of [`signing_prefix`].
pub const PREFIX_BYTES: usize = 40;

/// The kind of a record, its second byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    Transfer = 1,
    Defund = 2,
    Fund = 3,
    Hold = 4,
    Capture = 5,
    Void = 6,
    ReverseWaterfall = 7,
    OpenWallet = 16,
    CloseWallet = 17,
    ReplaceKey = 18,
    LinkBank = 19,
    DesignateWallet = 20,
    Reclassify = 21,
    Issue = 32,
    Redeem = 33,
    ReservesTransfer = 34,
    WithdrawBanknotes = 35,
    DepositBanknotes = 36,
    CollectForGovernment = 37,
    PayFromGovernment = 38,
    BuySecurities = 39,
    SellSecurities = 40,
    PlaceDeposit = 41,
    Lend = 42,
    Refinance = 43,
    Pledge = 44,
    ReleaseCollateral = 45,
    DepositStatement = 46,
    RealiseCollateral = 47,
    Freeze = 48,
    Unfreeze = 49,
    Seize = 50,
    WriteOffLoans = 51,
    Propose = 64,
    Vote = 65,
}

impl Kind {
    pub const ALL: [Kind; 35] = [
        Kind::Transfer,
        Kind::Defund,
        Kind::Fund,
        Kind::Hold,
        Kind::Capture,
        Kind::Void,
        Kind::ReverseWaterfall,
        Kind::OpenWallet,
        Kind::CloseWallet,
        Kind::ReplaceKey,
        Kind::LinkBank,
        Kind::DesignateWallet,
        Kind::Reclassify,
        Kind::Issue,
        Kind::Redeem,
        Kind::ReservesTransfer,
        Kind::WithdrawBanknotes,
        Kind::DepositBanknotes,
        Kind::CollectForGovernment,
        Kind::PayFromGovernment,
        Kind::BuySecurities,
        Kind::SellSecurities,
        Kind::PlaceDeposit,
        Kind::Lend,
        Kind::Refinance,
        Kind::Pledge,
        Kind::ReleaseCollateral,
        Kind::RealiseCollateral,
        Kind::WriteOffLoans,
        Kind::DepositStatement,
        Kind::Freeze,
        Kind::Unfreeze,
        Kind::Seize,
        Kind::Propose,
        Kind::Vote,
    ];

    pub fn from_u8(kind: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|known| *known as u8 == kind)
    }

    /// The kind of a record that is being read.
    fn known(kind: u8, input: &Reader<'_>) -> Result<Kind, DecodeError> {
        Kind::from_u8(kind).ok_or_else(|| input.wrong("a known kind of record", u64::from(kind)))
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Transfer => "transfer",
            Kind::Defund => "defund",
            Kind::Fund => "fund",
            Kind::Hold => "hold",
            Kind::Capture => "capture",
            Kind::Void => "void",
            Kind::ReverseWaterfall => "reverse-waterfall",
            Kind::OpenWallet => "open-wallet",
            Kind::CloseWallet => "close-wallet",
            Kind::ReplaceKey => "replace-key",
            Kind::LinkBank => "link-bank",
            Kind::DesignateWallet => "designate-wallet",
            Kind::Reclassify => "reclassify",
            Kind::Issue => "issue",
            Kind::Redeem => "redeem",
            Kind::ReservesTransfer => "reserves-transfer",
            Kind::WithdrawBanknotes => "withdraw-banknotes",
            Kind::DepositBanknotes => "deposit-banknotes",
            Kind::CollectForGovernment => "collect-for-government",
            Kind::PayFromGovernment => "pay-from-government",
            Kind::BuySecurities => "buy-securities",
            Kind::SellSecurities => "sell-securities",
            Kind::PlaceDeposit => "place-deposit",
            Kind::Lend => "lend",
            Kind::Refinance => "refinance",
            Kind::Pledge => "pledge",
            Kind::ReleaseCollateral => "release-collateral",
            Kind::RealiseCollateral => "realise-collateral",
            Kind::WriteOffLoans => "write-off-loans",
            Kind::DepositStatement => "deposit-statement",
            Kind::Freeze => "freeze",
            Kind::Unfreeze => "unfreeze",
            Kind::Seize => "seize",
            Kind::Propose => "propose",
            Kind::Vote => "vote",
        }
    }
}

/// The fields that every record begins with, after version and kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// [`FLAG_REVERSE_WATERFALL`] on transfers; all other bits must be zero.
    pub flags: u16,
    /// The version of the signer's key, counted from 0 with each replacement.
    pub key_version: u32,
    /// The signer's sequence number, from 1.
    pub sequence: u64,
    /// After this time the record is refused.
    pub valid_until: Timestamp,
}

impl Head {
    fn encode(&self, kind: Kind, out: &mut Writer) {
        let mut record = Fixed::<HEAD_BYTES>::new();
        record.u8(VERSION).u8(kind as u8).u16(self.flags).u32(self.key_version);
        record.u64(self.sequence).u64(self.valid_until.0);
        out.raw(record.as_bytes());
    }

    #[inline]
    fn decode(input: &mut Reader<'_>) -> Result<(Kind, Head), DecodeError> {
        let mut record = input.fixed::<HEAD_BYTES>()?;
        input.known_version(record.u8())?;
        let kind = Kind::known(record.u8(), input)?;
        let flags = Head::known_flags(kind, record.u16(), input)?;
        let head =
            Head { flags, key_version: record.u32(), sequence: record.u64(), valid_until: Timestamp(record.u64()) };
        record.finish();
        Ok((kind, head))
    }

    /// The flags, where a record of this kind may have them.
    fn known_flags(kind: Kind, flags: u16, input: &Reader<'_>) -> Result<u16, DecodeError> {
        let known = if kind == Kind::Transfer { FLAG_REVERSE_WATERFALL } else { 0 };
        if flags & !known != 0 {
            return Err(input.wrong("no flag that this kind does not know", u64::from(flags)));
        }
        Ok(flags)
    }
}

/// What a record of one shape must tell so that it can be signed, sent and stored.
pub trait Record: Sized {
    fn kind(&self) -> Kind;
    fn head(&self) -> &Head;
    /// The fields after the head.
    fn encode_fields(&self, out: &mut Writer);
    fn decode_fields(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The record as it is signed (behind the prefix) and sent (before the signature).
    fn encode(&self, out: &mut Writer) {
        self.head().encode(self.kind(), out);
        self.encode_fields(out);
    }

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
    pub record: R,
    pub signature: Signature,
}

impl<R: Record> Signed<R> {
    pub fn encode(&self, out: &mut Writer) {
        self.record.encode(out);
        out.raw(&self.signature.0);
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(160);
        self.encode(&mut out);
        out.finish()
    }

    #[inline]
    fn decode(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let record = R::decode_fields(kind, head, input)?;
        Ok(Signed { record, signature: Signature(input.array()?) })
    }
}

/// What a signature is for; each has its own tag, so that one can never pass for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// A command to the ledger.
    Command,
    /// A registrar's certificate of (holder, class, key).
    Certificate,
    /// A voting node's signature over a block's header.
    Header,
}

/// The 40 bytes that precede whatever is signed: version, domain tag, network id.
pub fn signing_prefix(domain: Domain, network: NetworkId) -> [u8; PREFIX_BYTES] {
    let tag: &[u8; 7] = match domain {
        Domain::Command => b"CBDCcmd",
        Domain::Certificate => b"CBDCcrt",
        Domain::Header => b"CBDChdr",
    };
    let mut prefix = [0; PREFIX_BYTES];
    prefix[0] = VERSION;
    prefix[1..8].copy_from_slice(tag);
    prefix[8..].copy_from_slice(&network.0);
    prefix
}

/// Anything that may be asked of the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    Payment(Signed<Payment>),
    OpenWallet(Box<Signed<OpenWallet>>),
    CloseWallet(Signed<CloseWallet>),
    ReplaceKey(Box<Signed<ReplaceKey>>),
    Issuance(Box<Signed<IssuanceOrder>>),
    ReservesTransfer(Signed<ReservesTransfer>),
    Freeze(Box<Signed<FreezeOrder>>),
    Propose(Box<Signed<GovernanceProposal>>),
    Vote(Signed<Ballot>),
    ReverseWaterfall(Box<Signed<ReverseWaterfall>>),
    Hold(Box<Signed<PlaceHold>>),
    Release(Signed<ReleaseHold>),
    LinkBank(Signed<LinkBank>),
    DesignateWallet(Signed<DesignateWallet>),
    Reclassify(Signed<Reclassify>),
    Operation(Signed<Operation>),
    DepositStatement(Signed<DepositStatement>),
    Seize(Box<Signed<SeizeOrder>>),
}

/// Whose key signs a record, and whose sequence numbers it uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Signer {
    /// The holder of a wallet.
    Holder(AccountId),
    /// A member in a role. A bank's member number is its bank number.
    Member(Role, MemberId),
}

impl Command {
    pub fn kind(&self) -> Kind {
        match self {
            Command::Payment(signed) => signed.record.kind(),
            Command::OpenWallet(signed) => signed.record.kind(),
            Command::CloseWallet(signed) => signed.record.kind(),
            Command::ReplaceKey(signed) => signed.record.kind(),
            Command::Issuance(signed) => signed.record.kind(),
            Command::ReservesTransfer(signed) => signed.record.kind(),
            Command::Freeze(signed) => signed.record.kind(),
            Command::Propose(signed) => signed.record.kind(),
            Command::Vote(signed) => signed.record.kind(),
            Command::ReverseWaterfall(signed) => signed.record.kind(),
            Command::Hold(signed) => signed.record.kind(),
            Command::Release(signed) => signed.record.kind(),
            Command::LinkBank(signed) => signed.record.kind(),
            Command::DesignateWallet(signed) => signed.record.kind(),
            Command::Reclassify(signed) => signed.record.kind(),
            Command::Operation(signed) => signed.record.kind(),
            Command::DepositStatement(signed) => signed.record.kind(),
            Command::Seize(signed) => signed.record.kind(),
        }
    }

    pub fn head(&self) -> &Head {
        match self {
            Command::Payment(signed) => signed.record.head(),
            Command::OpenWallet(signed) => signed.record.head(),
            Command::CloseWallet(signed) => signed.record.head(),
            Command::ReplaceKey(signed) => signed.record.head(),
            Command::Issuance(signed) => signed.record.head(),
            Command::ReservesTransfer(signed) => signed.record.head(),
            Command::Freeze(signed) => signed.record.head(),
            Command::Propose(signed) => signed.record.head(),
            Command::Vote(signed) => signed.record.head(),
            Command::ReverseWaterfall(signed) => signed.record.head(),
            Command::Hold(signed) => signed.record.head(),
            Command::Release(signed) => signed.record.head(),
            Command::LinkBank(signed) => signed.record.head(),
            Command::DesignateWallet(signed) => signed.record.head(),
            Command::Reclassify(signed) => signed.record.head(),
            Command::Operation(signed) => signed.record.head(),
            Command::DepositStatement(signed) => signed.record.head(),
            Command::Seize(signed) => signed.record.head(),
        }
    }

    /// Who signs last, over everything before the signature. Its sequence number is the head's.
    pub fn signer(&self) -> Signer {
        match self {
            Command::Payment(signed) => signed.record.signer(),
            Command::OpenWallet(signed) => Signer::Member(Role::Bank, MemberId(signed.record.bank.0)),
            Command::CloseWallet(signed) => Signer::Member(Role::Bank, MemberId(signed.record.account.bank.0)),
            Command::ReplaceKey(signed) => Signer::Member(Role::Bank, MemberId(signed.record.account.bank.0)),
            Command::Issuance(signed) => Signer::Member(Role::Operator, signed.record.operator),
            Command::ReservesTransfer(signed) => Signer::Member(Role::Bank, MemberId(signed.record.from.0)),
            Command::Freeze(signed) => Signer::Member(Role::Court, signed.record.court),
            Command::Propose(signed) => Signer::Member(Role::Committee, signed.record.member),
            Command::Vote(signed) => Signer::Member(Role::Committee, signed.record.member),
            Command::ReverseWaterfall(signed) => Signer::Member(Role::Bank, MemberId(signed.record.bank.0)),
            Command::Hold(signed) => Signer::Holder(signed.record.from),
            Command::Release(signed) => Signer::Member(Role::Bank, MemberId(signed.record.bank.0)),
            Command::LinkBank(signed) => Signer::Holder(signed.record.account),
            Command::DesignateWallet(signed) => Signer::Holder(signed.record.account),
            Command::Reclassify(signed) => Signer::Member(Role::Registrar, signed.record.registrar),
            Command::Operation(signed) => Signer::Member(Role::Operator, signed.record.operator),
            Command::DepositStatement(signed) => Signer::Member(Role::Bank, MemberId(signed.record.bank.0)),
            Command::Seize(signed) => Signer::Member(Role::Court, signed.record.court),
        }
    }

    pub fn signature(&self) -> &Signature {
        match self {
            Command::Payment(signed) => &signed.signature,
            Command::OpenWallet(signed) => &signed.signature,
            Command::CloseWallet(signed) => &signed.signature,
            Command::ReplaceKey(signed) => &signed.signature,
            Command::Issuance(signed) => &signed.signature,
            Command::ReservesTransfer(signed) => &signed.signature,
            Command::Freeze(signed) => &signed.signature,
            Command::Propose(signed) => &signed.signature,
            Command::Vote(signed) => &signed.signature,
            Command::ReverseWaterfall(signed) => &signed.signature,
            Command::Hold(signed) => &signed.signature,
            Command::Release(signed) => &signed.signature,
            Command::LinkBank(signed) => &signed.signature,
            Command::DesignateWallet(signed) => &signed.signature,
            Command::Reclassify(signed) => &signed.signature,
            Command::Operation(signed) => &signed.signature,
            Command::DepositStatement(signed) => &signed.signature,
            Command::Seize(signed) => &signed.signature,
        }
    }

    /// The record and its signature, as stored in proposals and sent between nodes.
    pub fn encode(&self, out: &mut Writer) {
        match self {
            Command::Payment(signed) => signed.encode(out),
            Command::OpenWallet(signed) => signed.encode(out),
            Command::CloseWallet(signed) => signed.encode(out),
            Command::ReplaceKey(signed) => signed.encode(out),
            Command::Issuance(signed) => signed.encode(out),
            Command::ReservesTransfer(signed) => signed.encode(out),
            Command::Freeze(signed) => signed.encode(out),
            Command::Propose(signed) => signed.encode(out),
            Command::Vote(signed) => signed.encode(out),
            Command::ReverseWaterfall(signed) => signed.encode(out),
            Command::Hold(signed) => signed.encode(out),
            Command::Release(signed) => signed.encode(out),
            Command::LinkBank(signed) => signed.encode(out),
            Command::DesignateWallet(signed) => signed.encode(out),
            Command::Reclassify(signed) => signed.encode(out),
            Command::Operation(signed) => signed.encode(out),
            Command::DepositStatement(signed) => signed.encode(out),
            Command::Seize(signed) => signed.encode(out),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(256);
        self.encode(&mut out);
        out.finish()
    }

    /// Reads one command from the front of `input`.
    pub fn decode(input: &mut Reader<'_>) -> Result<Command, DecodeError> {
        let (kind, head) = Head::decode(input)?;
        Ok(match kind {
            Kind::Transfer | Kind::Defund | Kind::Fund => Command::Payment(Signed::decode(kind, head, input)?),
            Kind::OpenWallet => Command::OpenWallet(Box::new(Signed::decode(kind, head, input)?)),
            Kind::CloseWallet => Command::CloseWallet(Signed::decode(kind, head, input)?),
            Kind::ReplaceKey => Command::ReplaceKey(Box::new(Signed::decode(kind, head, input)?)),
            Kind::Issue | Kind::Redeem => Command::Issuance(Box::new(Signed::decode(kind, head, input)?)),
            Kind::ReservesTransfer => Command::ReservesTransfer(Signed::decode(kind, head, input)?),
            Kind::Freeze | Kind::Unfreeze => Command::Freeze(Box::new(Signed::decode(kind, head, input)?)),
            Kind::Propose => Command::Propose(Box::new(Signed::decode(kind, head, input)?)),
            Kind::Vote => Command::Vote(Signed::decode(kind, head, input)?),
            Kind::ReverseWaterfall => Command::ReverseWaterfall(Box::new(Signed::decode(kind, head, input)?)),
            Kind::Hold => Command::Hold(Box::new(Signed::decode(kind, head, input)?)),
            Kind::Capture | Kind::Void => Command::Release(Signed::decode(kind, head, input)?),
            Kind::LinkBank => Command::LinkBank(Signed::decode(kind, head, input)?),
            Kind::DesignateWallet => Command::DesignateWallet(Signed::decode(kind, head, input)?),
            Kind::Reclassify => Command::Reclassify(Signed::decode(kind, head, input)?),
            Kind::DepositStatement => Command::DepositStatement(Signed::decode(kind, head, input)?),
            Kind::Seize => Command::Seize(Box::new(Signed::decode(kind, head, input)?)),
            Kind::WithdrawBanknotes
            | Kind::DepositBanknotes
            | Kind::CollectForGovernment
            | Kind::PayFromGovernment
            | Kind::BuySecurities
            | Kind::SellSecurities
            | Kind::PlaceDeposit
            | Kind::Lend
            | Kind::Refinance
            | Kind::Pledge
            | Kind::ReleaseCollateral
            | Kind::RealiseCollateral
            | Kind::WriteOffLoans => Command::Operation(Signed::decode(kind, head, input)?),
        })
    }

    /// The record and its signature in the shorter form of what is sent and stored in bulk. A payment's begins with
    /// [`COMPACT_PAYMENT`]; any other command has its fixed layout, which begins with the version.
    pub(crate) fn encode_compact(&self, out: &mut Writer) {
        match self {
            Command::Payment(signed) => signed.encode_compact(out.u8(COMPACT_PAYMENT)),
            other => other.encode(out),
        }
    }

    pub(crate) fn decode_compact(input: &mut Reader<'_>) -> Result<Command, DecodeError> {
        if input.peek() == Some(&[COMPACT_PAYMENT]) {
            input.u8()?;
            return Signed::<Payment>::decode_compact(input).map(Command::Payment);
        }
        match Command::decode(input)? {
            Command::Payment(_) => Err(input.wrong("a payment in its compact form", u64::from(VERSION))),
            other => Ok(other),
        }
    }

    /// Reads the one command that `bytes` hold.
    pub fn from_bytes(bytes: &[u8]) -> Result<Command, DecodeError> {
        let mut input = Reader::new("command", bytes);
        let command = Command::decode(&mut input)?;
        input.finish()?;
        Ok(command)
    }
}

macro_rules! commands_from_signed_records {
    ($($variant:ident($record:ty) $(in $holder:ident)?;)*) => {$(
        impl From<Signed<$record>> for Command {
            fn from(signed: Signed<$record>) -> Command {
                Command::$variant($($holder::new)?(signed))
            }
        }
    )*};
}

commands_from_signed_records! {
    Payment(Payment);
    OpenWallet(OpenWallet) in Box;
    CloseWallet(CloseWallet);
    ReplaceKey(ReplaceKey) in Box;
    Issuance(IssuanceOrder) in Box;
    ReservesTransfer(ReservesTransfer);
    Freeze(FreezeOrder) in Box;
    Propose(GovernanceProposal) in Box;
    Vote(Ballot);
    ReverseWaterfall(ReverseWaterfall) in Box;
    Hold(PlaceHold) in Box;
    Release(ReleaseHold);
    LinkBank(LinkBank);
    DesignateWallet(DesignateWallet);
    Reclassify(Reclassify);
    Operation(Operation);
    DepositStatement(DepositStatement);
    Seize(SeizeOrder) in Box;
}
