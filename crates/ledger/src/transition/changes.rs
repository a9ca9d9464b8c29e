//! The changes that a block makes besides its commands' outcomes: what nodes follow.

use cbdc_signatures::PublicKey;

use super::entry::Entry;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId};

/// Changes of a block that nodes follow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Keys of wallets that were opened, closed or replaced.
    pub keys: Vec<KeyChange>,
    /// Whether members, their keys or the threshold changed.
    pub members: bool,
    /// Accounts whose record changed, in id order.
    pub accounts: Vec<AccountId>,
    /// Proposals that were enacted, expired or became void.
    pub proposals_closed: Vec<u64>,
    /// The movements of waterfalls and reverse waterfalls between wallets and deposits, in the commands' order.
    pub deposits: Vec<DepositMovement>,
    /// Changes of wallets' balances that no payment's record and outcome show, in the order of [`Entry::ordinal`].
    pub entries: Vec<Entry>,
    /// Work that the ledger did by itself at the beginning of the block.
    pub work: Work,
}

/// Money that a command moved between a wallet and its holder's deposit at the linked bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DepositMovement {
    /// The command's index in the block; `u32::MAX` for a programme's credit, which no command made.
    pub index: u32,
    /// The linked bank.
    pub bank: BankId,
    /// The wallet.
    pub wallet: AccountId,
    /// The amount moved.
    pub amount: Amount,
    /// Which way it was moved.
    pub direction: DepositDirection,
}

/// The direction of a movement between a wallet and a deposit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DepositDirection {
    /// Waterfall: the bank credits the deposit.
    ToDeposit,
    /// Reverse waterfall: the bank debits the deposit.
    FromDeposit,
}

/// Counts of the work that the ledger did by itself in a block, without commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Holds that expired.
    pub holds_expired: u32,
    /// Earmarks that expired.
    pub earmarks_expired: u32,
    /// Holders whom a programme paid.
    pub holders_paid: u32,
    /// Open wallets that the remuneration sweep visited.
    pub wallets_swept: u32,
    /// Ledger days whose end was processed.
    pub days_closed: u32,
    /// Wallets of resolved banks that moved to another bank.
    pub wallets_moved: u32,
}

/// A wallet's key from now on; `None` where the wallet was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyChange {
    /// The wallet.
    pub account: AccountId,
    /// The key; `None` where the wallet was closed.
    pub key: Option<PublicKey>,
    /// The key's version.
    pub version: u32,
}
