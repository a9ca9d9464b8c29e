//! Any command: the signed records that the ledger accepts.

use cbdc_signatures::Signature;

use super::committee::{Ballot, GovernanceProposal};
use super::hold::{PlaceHold, ReleaseHold};
use super::holder::{BankConsent, ConsentStatement, DesignateWallet, LinkBank, MoveWallet, Reclassify};
use super::issuance::{IssuanceOrder, ReservesTransfer};
use super::kind::Kind;
use super::operation::{DepositStatement, Operation};
use super::order::{FreezeOrder, SeizeOrder};
use super::payment::Payment;
use super::record::{Head, Record, Signed, Signer};
use super::reverse_waterfall::ReverseWaterfall;
use super::wallet::{CloseWallet, OpenWallet, ReplaceKey};
use crate::codec::encoding::{DecodeError, Reader, VERSION, Writer};
use crate::state::member::Role;
use crate::types::identity::{AccountId, MemberId};

/// The first byte of a payment in its compact form, where other commands have their version.
const COMPACT_PAYMENT: u8 = 0;
const _: () = assert!(COMPACT_PAYMENT != VERSION);

/// Any command to the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A transfer, fund or defund.
    Payment(Signed<Payment>),
    /// Opens a wallet.
    OpenWallet(Box<Signed<OpenWallet>>),
    /// Closes an empty wallet.
    CloseWallet(Signed<CloseWallet>),
    /// Replaces a wallet's key.
    ReplaceKey(Box<Signed<ReplaceKey>>),
    /// Issues or redeems CBDC.
    Issuance(Box<Signed<IssuanceOrder>>),
    /// Moves reserves between banks.
    ReservesTransfer(Signed<ReservesTransfer>),
    /// A court freezes or unfreezes an amount.
    Freeze(Box<Signed<FreezeOrder>>),
    /// A committee member proposes actions.
    Propose(Box<Signed<GovernanceProposal>>),
    /// A committee member votes.
    Vote(Signed<Ballot>),
    /// A transfer that the payer's linked bank tops up.
    ReverseWaterfall(Box<Signed<ReverseWaterfall>>),
    /// A holder promises money to a payee.
    Hold(Box<Signed<PlaceHold>>),
    /// A payee's bank captures or voids a hold.
    Release(Signed<ReleaseHold>),
    /// A holder consents to the waterfall, or revokes.
    LinkBank(Box<Signed<LinkBank>>),
    /// A holder moves the tier allowance to a wallet.
    DesignateWallet(Signed<DesignateWallet>),
    /// A holder moves a wallet to another bank.
    MoveWallet(Box<Signed<MoveWallet>>),
    /// The registrar moves a holder to another class.
    Reclassify(Signed<Reclassify>),
    /// The operations desk's transactions with a bank.
    Operation(Signed<Operation>),
    /// A bank states its customers' deposits.
    DepositStatement(Signed<DepositStatement>),
    /// A court takes money from a wallet.
    Seize(Box<Signed<SeizeOrder>>),
}

impl Command {
    /// The record's kind.
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
            Command::MoveWallet(signed) => signed.record.kind(),
            Command::Reclassify(signed) => signed.record.kind(),
            Command::Operation(signed) => signed.record.kind(),
            Command::DepositStatement(signed) => signed.record.kind(),
            Command::Seize(signed) => signed.record.kind(),
        }
    }

    /// The record's head.
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
            Command::MoveWallet(signed) => signed.record.head(),
            Command::Reclassify(signed) => signed.record.head(),
            Command::Operation(signed) => signed.record.head(),
            Command::DepositStatement(signed) => signed.record.head(),
            Command::Seize(signed) => signed.record.head(),
        }
    }

    /// The last signer, who signs everything before that signature. Its sequence number is the head's.
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
            Command::MoveWallet(signed) => Signer::Holder(signed.record.account),
            Command::Reclassify(signed) => Signer::Member(Role::Registrar, signed.record.registrar),
            Command::Operation(signed) => Signer::Member(Role::Operator, signed.record.operator),
            Command::DepositStatement(signed) => Signer::Member(Role::Bank, MemberId(signed.record.bank.0)),
            Command::Seize(signed) => Signer::Member(Role::Court, signed.record.court),
        }
    }

    /// The accounts that the command names: those whose money or key it concerns.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        let named = match self {
            Command::Payment(signed) => [Some(signed.record.from), Some(signed.record.to)],
            Command::ReverseWaterfall(signed) => {
                let transfer = &signed.record.transfer.record;
                [Some(transfer.from), Some(transfer.to)]
            }
            Command::Hold(signed) => [Some(signed.record.from), Some(signed.record.to)],
            Command::Seize(signed) => [Some(signed.record.account), Some(signed.record.to)],
            Command::CloseWallet(signed) => [Some(signed.record.account), None],
            Command::ReplaceKey(signed) => [Some(signed.record.account), None],
            Command::Freeze(signed) => [Some(signed.record.account), None],
            Command::LinkBank(signed) => [Some(signed.record.account), None],
            Command::DesignateWallet(signed) => [Some(signed.record.account), None],
            Command::MoveWallet(signed) => [Some(signed.record.account), None],
            Command::OpenWallet(_)
            | Command::Issuance(_)
            | Command::ReservesTransfer(_)
            | Command::Propose(_)
            | Command::Vote(_)
            | Command::Reclassify(_)
            | Command::Release(_)
            | Command::Operation(_)
            | Command::DepositStatement(_) => [None, None],
        };
        named.into_iter().flatten()
    }

    /// The statement to which a bank has consented in a holder's command, with its signature.
    pub fn consented(&self) -> Option<(ConsentStatement, BankConsent)> {
        match self {
            Command::LinkBank(signed) => signed.record.consented(),
            Command::MoveWallet(signed) => Some(signed.record.consented()),
            _ => None,
        }
    }

    /// The last signature.
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
            Command::MoveWallet(signed) => &signed.signature,
            Command::Reclassify(signed) => &signed.signature,
            Command::Operation(signed) => &signed.signature,
            Command::DepositStatement(signed) => &signed.signature,
            Command::Seize(signed) => &signed.signature,
        }
    }

    /// Appends the record and its signature, as stored in block proposals and sent between nodes.
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
            Command::MoveWallet(signed) => signed.encode(out),
            Command::Reclassify(signed) => signed.encode(out),
            Command::Operation(signed) => signed.encode(out),
            Command::DepositStatement(signed) => signed.encode(out),
            Command::Seize(signed) => signed.encode(out),
        }
    }

    /// The record and its signature.
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
            Kind::LinkBank => Command::LinkBank(Box::new(Signed::decode(kind, head, input)?)),
            Kind::DesignateWallet => Command::DesignateWallet(Signed::decode(kind, head, input)?),
            Kind::MoveWallet => Command::MoveWallet(Box::new(Signed::decode(kind, head, input)?)),
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

    /// Appends the record and its signature in the compact form for bulk data. A payment's begins with
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

    /// Reads the one command in `bytes`.
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
    LinkBank(LinkBank) in Box;
    DesignateWallet(DesignateWallet);
    MoveWallet(MoveWallet) in Box;
    Reclassify(Reclassify);
    Operation(Operation);
    DepositStatement(DepositStatement);
    Seize(SeizeOrder) in Box;
}
