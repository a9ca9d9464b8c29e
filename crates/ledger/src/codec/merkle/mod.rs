//! Merkle trees of the shape of RFC 6962 (section 2.1), with keyed BLAKE3 as the hash.
//!
//! A leaf's hash is BLAKE3 keyed with [`LEAF_KEY`] over its data, a node's is BLAKE3 keyed with [`NODE_KEY`] over left
//! ‖ right, the empty tree's is BLAKE3 of nothing. RFC 6962 separates leaves and nodes by a prefix byte; the keys do so
//! here, so that a node is one block of the hash instead of two. An odd node at the end of a level moves up unchanged,
//! which gives the same tree as the RFC's split at the largest power of two.
//!
//! Many short inputs are hashed in SIMD lanes (`lanes`); they would be most of the time of sealing.

mod lanes;

use lanes::keyed_hashes;

/// A BLAKE3 digest.
pub type Hash = [u8; 32];

/// The key of leaves.
pub const LEAF_KEY: &Hash = b"cbdc ledger v1: leaf of a block.";
/// The key of nodes.
pub const NODE_KEY: &Hash = b"cbdc ledger v1: node of a block.";

/// The hash of a leaf whose data is given in parts.
pub fn leaf_hash(parts: &[&[u8]]) -> Hash {
    let mut leaf = LeafHasher::default();
    parts.iter().for_each(|part| leaf.update(part));
    leaf.finish()
}

/// Hashes a leaf whose data arrives piece by piece.
pub struct LeafHasher(blake3::Hasher);

impl Default for LeafHasher {
    fn default() -> Self {
        LeafHasher(blake3::Hasher::new_keyed(LEAF_KEY))
    }
}

impl LeafHasher {
    /// Appends data to the leaf.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The leaf's hash.
    pub fn finish(&self) -> Hash {
        *self.0.finalize().as_bytes()
    }
}

/// The hashes of leaves whose data is back to back in `data`, each `length` bytes long: the same as [`leaf_hash`] of
/// each, at a fraction of the cost if `length` is 192.
pub fn leaf_hashes(data: &[u8], length: usize) -> Vec<Hash> {
    match length {
        192 => keyed_hashes::<192>(LEAF_KEY, data.as_chunks().0),
        _ => data.chunks(length.max(1)).map(|leaf| leaf_hash(&[leaf])).collect(),
    }
}

pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(left);
    bytes[32..].copy_from_slice(right);
    *blake3::keyed_hash(NODE_KEY, &bytes).as_bytes()
}

fn level_up(level: &mut Vec<Hash>) {
    let mut above = keyed_hashes::<64>(NODE_KEY, level.as_flattened().as_chunks().0);
    if level.len() % 2 == 1 {
        above.extend(level.last());
    }
    *level = above;
}

/// The root over leaf hashes.
pub fn root(leaves: &[Hash]) -> Hash {
    if leaves.is_empty() {
        return *blake3::hash(&[]).as_bytes();
    }
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level_up(&mut level);
    }
    level[0]
}

/// The audit path of a leaf: its siblings from the bottom up. `None` if there is no leaf at `index`.
pub fn path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut level, mut at, mut path) = (leaves.to_vec(), index, Vec::new());
    while level.len() > 1 {
        if let Some(sibling) = level.get(at ^ 1) {
            path.push(*sibling);
        }
        level_up(&mut level);
        at /= 2;
    }
    Some(path)
}

/// The root to which a leaf and its audit path lead (RFC 9162, section 2.1.3.2); `None` if the path has the wrong
/// length for the index.
pub fn root_from_path(leaf: Hash, index: usize, leaf_count: usize, path: &[Hash]) -> Option<Hash> {
    if index >= leaf_count {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, leaf_count - 1, leaf);
    let mut siblings = path.iter();
    while last > 0 {
        if at % 2 == 1 {
            hash = node_hash(siblings.next()?, &hash);
        } else if at < last {
            hash = node_hash(&hash, siblings.next()?);
        }
        at /= 2;
        last /= 2;
    }
    siblings.next().is_none().then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&[&number.to_le_bytes()])).collect()
    }

    /// The definition of RFC 6962, word for word.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => *blake3::hash(&[]).as_bytes(),
            1 => leaves[0],
            count => {
                let split = count.next_power_of_two() / 2;
                node_hash(&root_by_definition(&leaves[..split]), &root_by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_rfc_6962_and_every_path_leads_to_it() {
        for count in 0..70 {
            let leaves = leaves(count);
            let root = root(&leaves);
            assert_eq!(root, root_by_definition(&leaves), "{count} leaves");
            for index in 0..count {
                let path = path(&leaves, index).unwrap();
                assert_eq!(root_from_path(leaves[index], index, count, &path), Some(root));
                let wrong_index = (index + 1) % count;
                if count > 1 {
                    assert_ne!(root_from_path(leaves[index], wrong_index, count, &path), Some(root));
                }
            }
            assert_eq!(path(&leaves, count), None);
        }
    }

    #[test]
    fn a_leaf_never_passes_for_a_node() {
        let two = leaves(2);
        let joined = [two[0], two[1]].concat();
        assert_ne!(leaf_hash(&[&joined]), root(&two));
    }
}
