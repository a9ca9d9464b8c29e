//! The state of a partial replica beside one bank's accounts.

use std::collections::BTreeMap;

use cbdc_signatures::PublicKey;

use super::account::Account;
use super::holder::Holder;
use crate::types::identity::{AccountId, BankId};

/// The part of a partial replica beside its bank's accounts.
#[derive(Clone, Debug)]
pub(crate) struct PartialReplica {
    pub(crate) bank: BankId,
    /// Wallets of other banks that are linked to this one.
    pub(crate) linked: BTreeMap<AccountId, (Account, PublicKey)>,
    /// Holders by their position in the whole ledger; only the class is kept up to date.
    pub(crate) holders: BTreeMap<u32, Holder>,
}

impl PartialReplica {
    pub(crate) fn new(bank: BankId) -> PartialReplica {
        PartialReplica { bank, linked: BTreeMap::new(), holders: BTreeMap::new() }
    }
}
