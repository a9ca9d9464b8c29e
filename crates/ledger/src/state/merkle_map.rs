//! A map that is cheap to snapshot and has a root hash.
//!
//! A crit-bit tree: a branch names the first bit in which the keys below it differ, a leaf holds a key and its value.
//! So a map has one shape, whatever the order of insertion, and iterates in the order of its keys.
//!
//! 1. A clone shares the whole tree: it copies one pointer, however many entries there are. A later write copies the
//!    nodes on its path, about as many as the number of entries has bits, and shares the rest.
//! 2. A write clears the hashes on its path. [`MerkleMap::root`] computes the cleared ones, so that a block costs what
//!    it changed. A leaf's hash is that of key and value, a branch's that of both sides, as in
//!    [`crate::codec::merkle`]; the tree's shape follows from the keys, so nothing else need be hashed.

use std::sync::OnceLock;

use triomphe::Arc;

use crate::codec::encoding::Writer;
use crate::codec::merkle::{Hash, leaf_hash, node_hash, root};

/// The bytes of a value under a map's root.
pub(crate) trait Encoded {
    fn encode(&self, out: &mut Writer);
}

/// The value of a set.
impl Encoded for () {
    fn encode(&self, _: &mut Writer) {}
}

/// A map from keys of `K` bytes, in the order of those bytes.
#[derive(Clone, Debug)]
pub(crate) struct MerkleMap<const K: usize, V> {
    top: Option<Arc<Node<K, V>>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Node<const K: usize, V> {
    hash: OnceLock<Hash>,
    content: Content<K, V>,
}

#[derive(Clone, Debug)]
enum Content<const K: usize, V> {
    Leaf {
        key: [u8; K],
        value: V,
    },
    /// Keys on the left have 0 in this bit, those on the right 1; all bits before it are equal.
    Branch {
        bit: u16,
        sides: [Arc<Node<K, V>>; 2],
    },
}

impl<const K: usize, V> Default for MerkleMap<K, V> {
    fn default() -> Self {
        MerkleMap { top: None, len: 0 }
    }
}

impl<const K: usize, V: PartialEq> PartialEq for MerkleMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<const K: usize, V: Eq> Eq for MerkleMap<K, V> {}

/// A bit of a key, counted from the highest bit of the first byte.
#[inline]
fn bit_of<const K: usize>(key: &[u8; K], bit: u16) -> usize {
    usize::from(key[usize::from(bit / 8)] >> (7 - bit % 8) & 1)
}

/// The first bit in which two keys differ.
fn first_difference<const K: usize>(left: &[u8; K], right: &[u8; K]) -> Option<u16> {
    let byte = left.iter().zip(right).position(|(left, right)| left != right)?;
    Some(8 * byte as u16 + (left[byte] ^ right[byte]).leading_zeros() as u16)
}

impl<const K: usize, V> Node<K, V> {
    fn new(content: Content<K, V>) -> Arc<Node<K, V>> {
        Arc::new(Node { hash: OnceLock::new(), content })
    }

    /// The leaf to which a key leads: its own, or one with the same bits wherever a branch looks.
    fn nearest(&self, key: &[u8; K]) -> (&[u8; K], &V) {
        let mut node = self;
        loop {
            match &node.content {
                Content::Leaf { key, value } => return (key, value),
                Content::Branch { bit, sides } => node = &sides[bit_of(key, *bit)],
            }
        }
    }
}

impl<const K: usize, V> MerkleMap<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, key: &[u8; K]) -> Option<&V> {
        let (found, value) = self.top.as_ref()?.nearest(key);
        (found == key).then_some(value)
    }

    pub(crate) fn contains(&self, key: &[u8; K]) -> bool {
        self.get(key).is_some()
    }

    /// All entries, in the order of their keys.
    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        Iter { below: self.top.as_deref().into_iter().collect() }
    }

    /// The entries from a key on, in the order of their keys.
    pub(crate) fn from(&self, key: &[u8; K]) -> Iter<'_, K, V> {
        let mut iter = Iter { below: Vec::new() };
        let Some(top) = self.top.as_deref() else { return iter };
        let difference = first_difference(top.nearest(key).0, key);
        let mut node = top;
        loop {
            match &node.content {
                Content::Branch { bit, sides } if difference.is_none_or(|difference| *bit < difference) => {
                    let side = bit_of(key, *bit);
                    if side == 0 {
                        iter.below.push(&sides[1]);
                    }
                    node = &sides[side];
                }
                // All keys here share the key's bits up to the difference, and have the other bit there.
                _ => {
                    if difference.is_none_or(|difference| bit_of(key, difference) == 0) {
                        iter.below.push(node);
                    }
                    return iter;
                }
            }
        }
    }
}

impl<const K: usize, V: Clone> MerkleMap<K, V> {
    /// Sets a value; returns the previous one.
    pub(crate) fn insert(&mut self, key: [u8; K], value: V) -> Option<V> {
        let Some(top) = &mut self.top else {
            self.top = Some(Node::new(Content::Leaf { key, value }));
            self.len = 1;
            return None;
        };
        let difference = first_difference(top.nearest(&key).0, &key);
        let mut at = top;
        loop {
            match &at.content {
                Content::Branch { bit, .. } if difference.is_none_or(|difference| *bit < difference) => {
                    let side = bit_of(&key, *bit);
                    at = descend(at, side);
                }
                _ => break,
            }
        }
        let leaf = Node::new(Content::Leaf { key, value });
        let Some(bit) = difference else {
            return match Arc::unwrap_or_clone(std::mem::replace(at, leaf)).content {
                Content::Leaf { value, .. } => Some(value),
                Content::Branch { .. } => None,
            };
        };
        let sides = if bit_of(&key, bit) == 0 { [leaf, at.clone()] } else { [at.clone(), leaf] };
        *at = Node::new(Content::Branch { bit, sides });
        self.len += 1;
        None
    }

    /// Removes an entry and returns its value.
    pub(crate) fn remove(&mut self, key: &[u8; K]) -> Option<V> {
        if !self.contains(key) {
            return None;
        }
        self.len -= 1;
        let top = self.top.as_mut()?;
        if matches!(top.content, Content::Leaf { .. }) {
            return self.top.take().and_then(value_of);
        }
        let mut at = top;
        loop {
            let Content::Branch { bit, sides } = &at.content else { return None };
            let side = bit_of(key, *bit);
            if matches!(sides[side].content, Content::Leaf { .. }) {
                let (leaf, other) = (sides[side].clone(), sides[1 - side].clone());
                *at = other;
                return value_of(leaf);
            }
            at = descend(at, side);
        }
    }
}

/// The side of a branch, for writing: the branch becomes the map's own and its hash is cleared.
fn descend<const K: usize, V: Clone>(at: &mut Arc<Node<K, V>>, side: usize) -> &mut Arc<Node<K, V>> {
    let node = Arc::make_mut(at);
    node.hash.take();
    match &mut node.content {
        Content::Branch { sides, .. } => &mut sides[side],
        Content::Leaf { .. } => unreachable!("only branches have sides"),
    }
}

fn value_of<const K: usize, V: Clone>(leaf: Arc<Node<K, V>>) -> Option<V> {
    match Arc::unwrap_or_clone(leaf).content {
        Content::Leaf { value, .. } => Some(value),
        Content::Branch { .. } => None,
    }
}

impl<const K: usize, V: Encoded> MerkleMap<K, V> {
    /// The hash over all entries.
    pub(crate) fn root(&self) -> Hash {
        self.top.as_ref().map_or_else(|| root(&[]), |top| top.root())
    }
}

impl<const K: usize, V: Encoded> Node<K, V> {
    fn root(&self) -> Hash {
        *self.hash.get_or_init(|| match &self.content {
            Content::Leaf { key, value } => {
                let mut out = Writer::with_capacity(128);
                value.encode(out.raw(key));
                leaf_hash(&[out.as_bytes()])
            }
            Content::Branch { sides: [left, right], .. } => node_hash(&left.root(), &right.root()),
        })
    }
}

/// Entries of a map, in the order of their keys.
pub(crate) struct Iter<'a, const K: usize, V> {
    /// The nodes still to visit, the next one last.
    below: Vec<&'a Node<K, V>>,
}

impl<'a, const K: usize, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a [u8; K], &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match &self.below.pop()?.content {
                Content::Leaf { key, value } => return Some((key, value)),
                Content::Branch { sides: [left, right], .. } => self.below.extend([&**right, &**left]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::collections::BTreeMap;

    impl Encoded for u32 {
        fn encode(&self, out: &mut Writer) {
            out.u32(*self);
        }
    }

    /// Keys with few different bits, so that they collide, and far apart.
    fn any_key() -> impl Strategy<Value = [u8; 4]> {
        any::<u32>().prop_map(|bits| (bits & 0x8301_0107).to_be_bytes())
    }

    /// A step of the test: sets an entry, or removes one.
    type Step = ([u8; 4], Option<u32>);

    fn any_steps() -> impl Strategy<Value = Vec<Step>> {
        prop::collection::vec((any_key(), prop::option::weighted(0.6, any::<u32>())), 0..200)
    }

    fn take(step: &Step, map: &mut MerkleMap<4, u32>, plain: &mut BTreeMap<[u8; 4], u32>) -> [Option<u32>; 2] {
        match step {
            (key, Some(value)) => [map.insert(*key, *value), plain.insert(*key, *value)],
            (key, None) => [map.remove(key), plain.remove(key)],
        }
    }

    fn fresh(plain: &BTreeMap<[u8; 4], u32>) -> MerkleMap<4, u32> {
        let mut map = MerkleMap::default();
        for (key, value) in plain.iter().rev() {
            map.insert(*key, *value);
        }
        map
    }

    proptest! {
        #[test]
        fn a_map_and_its_snapshots_are_what_plain_maps_are(
            steps in any_steps(),
            froms in prop::collection::vec(any_key(), 5),
        ) {
            let (mut map, mut plain) = (MerkleMap::default(), BTreeMap::new());
            let mut snapshots = Vec::new();
            for (number, step) in steps.iter().enumerate() {
                let [found, expected] = take(step, &mut map, &mut plain);
                prop_assert_eq!(found, expected);
                if number % 17 == 0 {
                    snapshots.push((map.clone(), plain.clone()));
                }
                if number % 5 == 0 {
                    // Hashes computed before must not outlive their content.
                    map.root();
                }
            }
            for (map, plain) in snapshots.iter().chain([&(map, plain)]) {
                prop_assert!(map.iter().eq(plain));
                prop_assert_eq!(map.len(), plain.len());
                for from in &froms {
                    prop_assert!(map.from(from).eq(plain.range(*from..)));
                    prop_assert_eq!(map.get(from), plain.get(from));
                }
                prop_assert_eq!(map.root(), fresh(plain).root());
            }
        }

        #[test]
        fn maps_that_differ_have_different_roots(
            steps in any_steps(),
            step in (any_key(), prop::option::of(any::<u32>())),
        ) {
            let (mut map, mut plain) = (MerkleMap::default(), BTreeMap::new());
            for step in &steps {
                take(step, &mut map, &mut plain);
            }
            let before = (map.root(), plain.clone());
            take(&step, &mut map, &mut plain);
            prop_assert_eq!(map.root() == before.0, plain == before.1);
        }
    }

    thread_local! {
        static COPIES: Cell<usize> = const { Cell::new(0) };
    }

    struct Counted;

    impl Clone for Counted {
        fn clone(&self) -> Self {
            COPIES.set(COPIES.get() + 1);
            Counted
        }
    }

    #[test]
    fn a_snapshot_of_a_million_entries_copies_none_and_a_write_after_it_only_its_own_way() {
        let mut map = MerkleMap::default();
        for number in 0..1_000_000_u64 {
            map.insert(number.to_be_bytes(), Counted);
        }
        COPIES.set(0);
        let snapshot = map.clone();
        assert_eq!(COPIES.get(), 0);
        map.insert(500_000_u64.to_be_bytes(), Counted);
        map.remove(&700_000_u64.to_be_bytes());
        // A returned value that the snapshot keeps is a copy.
        assert_eq!(COPIES.get(), 2);
        assert_eq!((snapshot.iter().count(), map.iter().count()), (1_000_000, 999_999));
        let own = |node: &Arc<Node<8, Counted>>| node.is_unique();
        fn count(node: &Arc<Node<8, Counted>>, is_own: &dyn Fn(&Arc<Node<8, Counted>>) -> bool) -> usize {
            if !is_own(node) {
                return 0;
            }
            match &node.content {
                Content::Leaf { .. } => 1,
                Content::Branch { sides, .. } => 1 + sides.iter().map(|side| count(side, is_own)).sum::<usize>(),
            }
        }
        let copied = map.top.as_ref().map_or(0, |top| count(top, &own));
        assert!((1..=2 * 21).contains(&copied), "{copied} nodes are the map's own");
    }
}
