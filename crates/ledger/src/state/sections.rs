//! The state root: one hash over the digests of the parts of the state.
//!
//! Each part, a *section*, has a digest, so that two nodes that differ can say in which, and so that a bank that keeps
//! only some sections can check those. The root is BLAKE3 keyed with [`STATE_KEY`] over the network's id and the
//! digests in order, 32 bytes each.
//!
//! All but [`Section::Holders`] are digests of the state after each block. They are kept up to date incrementally, so
//! that a block costs what it changed there, and a block of plain payments nothing. A holder's sums change with every
//! payment, as accounts do; both are hashed only in a *checkpoint block*, where nodes write checkpoints: holders as
//! this section, accounts under the header's balances root. In other blocks the section is zeros.
//!
//! Balance sheet and banks' positions have their own digest in the header, which also contains the supply terms.

use std::fmt;
use std::sync::OnceLock;

use crate::codec::encoding::Writer;
use crate::codec::merkle::Hash;
use crate::types::identity::NetworkId;

/// The key of the state root.
pub const STATE_KEY: &Hash = b"cbdc ledger v2: state's sections";

/// A part of the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Section {
    /// The members with their keys, the committee's threshold, and how many nodes sign a header.
    Members = 0,
    /// The sequence numbers that each member has used.
    Windows = 1,
    /// Every version of policy.
    Policy = 2,
    /// The committee's proposals and votes.
    Proposals = 3,
    /// Each bank's issuance of the day, the progress of the remuneration sweep, and the number of the last hold.
    Issuance = 4,
    /// The key of each wallet.
    Keys = 5,
    /// The retired keys.
    RetiredKeys = 6,
    /// The classes that reclassified holders had.
    Classes = 7,
    /// The open holds.
    Holds = 8,
    /// The programmes and their progress.
    Programmes = 9,
    /// Purpose-bound money on wallets.
    Earmarks = 10,
    /// The holders, with the times of their last payments; only in checkpoint blocks.
    Holders = 11,
}

impl Section {
    /// Every section, in order.
    pub const ALL: [Section; 12] = [
        Section::Members,
        Section::Windows,
        Section::Policy,
        Section::Proposals,
        Section::Issuance,
        Section::Keys,
        Section::RetiredKeys,
        Section::Classes,
        Section::Holds,
        Section::Programmes,
        Section::Earmarks,
        Section::Holders,
    ];

    /// The name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Section::Members => "members",
            Section::Windows => "sequence numbers of members",
            Section::Policy => "policy",
            Section::Proposals => "proposals",
            Section::Issuance => "issuance of the day",
            Section::Keys => "keys of wallets",
            Section::RetiredKeys => "retired keys",
            Section::Classes => "classes of reclassified holders",
            Section::Holds => "holds",
            Section::Programmes => "programmes",
            Section::Earmarks => "earmarks",
            Section::Holders => "holders",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The digest of each section.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sections([Hash; Section::ALL.len()]);

impl Sections {
    /// Bytes of the digests.
    pub const BYTES: usize = 32 * Section::ALL.len();

    pub(crate) fn of_digests(digests: [Hash; Section::ALL.len()]) -> Sections {
        Sections(digests)
    }

    pub(crate) fn digests(&self) -> &[Hash; Section::ALL.len()] {
        &self.0
    }

    /// The digests in order.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.as_flattened().to_vec()
    }

    /// Reads what [`Sections::to_bytes`] gave; `None` for another number of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Sections> {
        let (digests, []) = bytes.as_chunks() else { return None };
        Some(Sections(digests.try_into().ok()?))
    }

    /// The digest of a section.
    pub fn of(&self, section: Section) -> Hash {
        self.0[section as usize]
    }

    /// The state root.
    pub fn root(&self, network: NetworkId) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(STATE_KEY);
        *hasher.update(&network.0).update(self.0.as_flattened()).finalize().as_bytes()
    }

    /// The first section whose digest differs.
    pub fn first_difference(&self, other: &Sections) -> Option<Section> {
        Section::ALL.into_iter().find(|section| self.of(*section) != other.of(*section))
    }
}

/// A digest that is cached until its subject changes. It carries no information of its own: any two are equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept<T>(OnceLock<T>);

impl<T> PartialEq for Kept<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Kept<T> {}

impl<T: Copy> Kept<T> {
    pub(crate) fn get(&self, compute: impl FnOnce() -> T) -> T {
        *self.0.get_or_init(compute)
    }

    pub(crate) fn forget(&mut self) {
        self.0.take();
    }
}

/// The digest of what `encode` writes.
pub(crate) fn digest(encode: impl FnOnce(&mut Writer)) -> Hash {
    let mut out = Writer::with_capacity(1024);
    encode(&mut out);
    *blake3::hash(out.as_bytes()).as_bytes()
}
