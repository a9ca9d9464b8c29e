//! The state of a partial replica, apart from its bank's accounts.

use std::collections::BTreeMap;

use cbdc_signatures::PublicKey;

use super::account::Account;
use super::holder::Holder;
use super::sections::Section;
use crate::codec::merkle::Hash;
use crate::types::identity::{AccountId, BankId};

/// The state of a partial replica, apart from its bank's accounts.
#[derive(Clone, Debug)]
pub(crate) struct PartialReplica {
    pub(crate) bank: BankId,
    /// Wallets of other banks that are linked to this one.
    pub(crate) linked: BTreeMap<AccountId, (Account, PublicKey)>,
    /// Holders by their position in the whole ledger; only the class is kept up to date.
    pub(crate) holders: BTreeMap<u32, Holder>,
    /// The root of each bank's keys, over which the digest of all keys is computed; empty in version 1 of the formats.
    pub(crate) key_roots: BTreeMap<BankId, Hash>,
}

impl PartialReplica {
    /// The sections that a partial replica keeps. Of the keys it has its own bank's, and the roots of the others.
    pub(crate) const SECTIONS: [Section; 4] = [Section::Members, Section::Policy, Section::Keys, Section::Classes];

    pub(crate) fn new(bank: BankId) -> PartialReplica {
        PartialReplica { bank, linked: BTreeMap::new(), holders: BTreeMap::new(), key_roots: BTreeMap::new() }
    }
}
