//! The kinds of records.

use crate::codec::encoding::{DecodeError, Reader};

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
    Freeze = 48,
    Unfreeze = 49,
    Seize = 50,
    Propose = 64,
    Vote = 65,
}

impl Kind {
    pub const ALL: [Kind; 33] = [
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
    pub(super) fn known(kind: u8, input: &Reader<'_>) -> Result<Kind, DecodeError> {
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
            Kind::DepositStatement => "deposit-statement",
            Kind::Freeze => "freeze",
            Kind::Unfreeze => "unfreeze",
            Kind::Seize => "seize",
            Kind::Propose => "propose",
            Kind::Vote => "vote",
        }
    }
}
