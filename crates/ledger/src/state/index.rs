//! An index of records by key.

use hashbrown::HashTable;

/// An index from a key that the records themselves hold to their positions: a few bytes per entry.
#[derive(Clone, Default)]
pub(crate) struct Index(HashTable<u32>);

impl Index {
    fn hash(key: &[u8]) -> u64 {
        use std::hash::Hasher;
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(key);
        hasher.finish()
    }

    /// The index of all records, built at once: none is hashed twice, as in a growing index.
    pub(crate) fn over<'a>(positions: std::ops::Range<u32>, key_at: impl Fn(u32) -> &'a [u8]) -> Index {
        let mut index = Index(HashTable::with_capacity(positions.len()));
        positions.for_each(|position| index.insert(position, &key_at));
        index
    }

    pub(crate) fn find<'a>(&self, key: &[u8], key_at: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        self.0.find(Index::hash(key), |position| key_at(*position) == key).copied()
    }

    pub(crate) fn remove(&mut self, key: &[u8], position: u32) {
        if let Ok(entry) = self.0.find_entry(Index::hash(key), |found| *found == position) {
            entry.remove();
        }
    }

    pub(crate) fn insert<'a>(&mut self, position: u32, key_at: impl Fn(u32) -> &'a [u8]) {
        let hash = Index::hash(key_at(position));
        self.0.insert_unique(hash, position, |position| Index::hash(key_at(*position)));
    }
}
