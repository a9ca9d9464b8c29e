//! The kinds of records.
//!
//! A kind's layout never changes: a record with another layout is another kind. The former kinds 16 (opened wallets)
//! and 18 (replaced keys), whose certificates could be reused, and 19 (linked a bank without its consent) are refused
//! as unknown.

use crate::codec::encoding::{DecodeError, Reader};

/// The kind of a record, its second byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// From a holder's wallet to another wallet.
    Transfer = 1,
    /// From a wallet to its bank's treasury.
    Defund = 2,
    /// From a bank's treasury to a customer's wallet.
    Fund = 3,
    /// Promises money to a payee.
    Hold = 4,
    /// Pays from a hold.
    Capture = 5,
    /// Returns a hold's money.
    Void = 6,
    /// A transfer that the payer's linked bank tops up.
    ReverseWaterfall = 7,
    /// Opens a wallet.
    OpenWallet = 22,
    /// Closes an empty wallet.
    CloseWallet = 17,
    /// Replaces a wallet's key.
    ReplaceKey = 23,
    /// Consents to the waterfall, or revokes.
    LinkBank = 24,
    /// Moves the tier allowance to a wallet.
    DesignateWallet = 20,
    /// Moves a wallet to another bank.
    MoveWallet = 25,
    /// Moves a holder to another class.
    Reclassify = 21,
    /// Turns reserves into CBDC.
    Issue = 32,
    /// Turns CBDC into reserves.
    Redeem = 33,
    /// Moves reserves between banks.
    ReservesTransfer = 34,
    /// Reserves for banknotes.
    WithdrawBanknotes = 35,
    /// Banknotes for reserves.
    DepositBanknotes = 36,
    /// Reserves to the government.
    CollectForGovernment = 37,
    /// The government's money to reserves.
    PayFromGovernment = 38,
    /// The central bank buys securities.
    BuySecurities = 39,
    /// The central bank sells securities.
    SellSecurities = 40,
    /// An overnight deposit on the deposit facility.
    PlaceDeposit = 41,
    /// An overnight loan on the lending facility.
    Lend = 42,
    /// A refinancing operation.
    Refinance = 43,
    /// Pledges collateral.
    Pledge = 44,
    /// Returns collateral.
    ReleaseCollateral = 45,
    /// States a bank's deposits.
    DepositStatement = 46,
    /// Takes a resolved bank's collateral over.
    RealiseCollateral = 47,
    /// Freezes an amount.
    Freeze = 48,
    /// Unfreezes an amount.
    Unfreeze = 49,
    /// Takes money from a wallet.
    Seize = 50,
    /// Writes off the debt of a resolved bank.
    WriteOffLoans = 51,
    /// Proposes actions.
    Propose = 64,
    /// Votes on a proposal.
    Vote = 65,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 36] = [
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
        Kind::MoveWallet,
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

    /// The kind with a number; `None` if it is unknown.
    pub fn from_u8(kind: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|known| *known as u8 == kind)
    }

    /// The kind of a record that is being read.
    pub(super) fn known(kind: u8, input: &Reader<'_>) -> Result<Kind, DecodeError> {
        Kind::from_u8(kind).ok_or_else(|| input.wrong("a known kind of record", u64::from(kind)))
    }

    /// The name in texts.
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
            Kind::MoveWallet => "move-wallet",
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
