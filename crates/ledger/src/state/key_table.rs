//! The keys of one bank's accounts, and a hash over them whose cost is that of the changes.
//!
//! Keys are in the pages of a [`CowVec`]. The root is that of a [`MerkleMap`] from a page's number to the hash of its
//! keys; a write marks its page, and [`KeyTable::root`] hashes the marked pages again.

use std::collections::{BTreeMap, BTreeSet};

use cbdc_signatures::PublicKey;

use super::cow_vec::{CowVec, PAGE};
use super::merkle_map::{Encoded, MerkleMap};
use crate::codec::encoding::Writer;
use crate::codec::merkle::Hash;

impl Encoded for Hash {
    fn encode(&self, out: &mut Writer) {
        out.raw(self);
    }
}

/// The key of each serial. A treasury's is zeros: its commands are signed with the bank's member key.
#[derive(Clone, Default)]
pub(crate) struct KeyTable {
    keys: CowVec<PublicKey>,
    pages: MerkleMap<4, Hash>,
    /// Pages whose stored hash is out of date.
    marked: BTreeSet<u32>,
}

fn page_of(serial: usize) -> u32 {
    (serial / PAGE) as u32
}

fn hash_of(keys: impl Iterator<Item = PublicKey>) -> Hash {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::with_capacity(32 * PAGE);
    keys.for_each(|key| bytes.extend(key.0));
    *hasher.update(&bytes).finalize().as_bytes()
}

impl KeyTable {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn get(&self, serial: usize) -> Option<&PublicKey> {
        self.keys.get(serial)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter()
    }

    pub(crate) fn push(&mut self, key: PublicKey) {
        let serial = self.keys.push(key);
        self.marked.insert(page_of(serial));
    }

    /// Sets the key of a serial and returns the one before; `None` if there is none.
    pub(crate) fn replace(&mut self, serial: usize, key: PublicKey) -> Option<PublicKey> {
        let known = self.keys.get_mut(serial)?;
        let before = std::mem::replace(known, key);
        self.marked.insert(page_of(serial));
        Some(before)
    }

    /// A snapshot of the keys alone.
    pub(crate) fn snapshot(&mut self) -> KeyTable {
        KeyTable { keys: self.keys.snapshot(), ..KeyTable::default() }
    }

    /// Whether keys changed since the last call of [`KeyTable::root`].
    pub(crate) fn has_changed(&self) -> bool {
        !self.marked.is_empty()
    }

    /// The hash over all keys.
    pub(crate) fn root(&mut self) -> Hash {
        for page in std::mem::take(&mut self.marked) {
            self.pages.insert(page.to_be_bytes(), hash_of(self.keys.page(page as usize).iter().copied()));
        }
        self.pages.root()
    }

    /// The hash over all keys with those of `changes` set, by serial; new serials follow the known ones.
    pub(crate) fn root_with(&self, changes: &BTreeMap<u32, PublicKey>) -> Hash {
        let mut pages = self.pages.clone();
        let changed = changes.keys().map(|serial| page_of(*serial as usize));
        for page in changed.chain(self.marked.iter().copied()).collect::<BTreeSet<u32>>() {
            let first = page as usize * PAGE;
            let keys = (first..first + PAGE).map_while(|serial| {
                let changed = u32::try_from(serial).ok().and_then(|serial| changes.get(&serial));
                changed.or_else(|| self.keys.get(serial)).copied()
            });
            pages.insert(page.to_be_bytes(), hash_of(keys));
        }
        pages.root()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_root_is_that_of_a_table_that_was_filled_at_once(
            length in 0usize..600,
            writes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
            more in 0usize..300,
        ) {
            let key = |number: usize| PublicKey(std::array::from_fn(|at| (number >> (8 * (at % 2))) as u8));
            let (mut table, mut plain) = (KeyTable::default(), Vec::new());
            for number in 0..length {
                table.push(key(number));
                plain.push(key(number));
            }
            prop_assert_eq!(table.root(), KeyTable::default().root_with(&as_changes(&plain)));
            let mut changes = BTreeMap::new();
            for (pick, byte) in writes.iter().filter(|_| length > 0) {
                changes.insert(pick.index(length) as u32, PublicKey([*byte; 32]));
            }
            changes.extend((length..length + more).map(|number| (number as u32, key(number))));
            let foretold = table.root_with(&changes);
            for (serial, key) in changes {
                if table.replace(serial as usize, key).is_none() {
                    table.push(key);
                }
            }
            prop_assert!(table.has_changed() || more == 0);
            prop_assert_eq!(table.root(), foretold);
            let all: Vec<PublicKey> = table.iter().copied().collect();
            prop_assert_eq!(KeyTable::default().root_with(&as_changes(&all)), foretold);
        }
    }

    fn as_changes(keys: &[PublicKey]) -> BTreeMap<u32, PublicKey> {
        (0..).zip(keys.iter().copied()).collect()
    }
}
