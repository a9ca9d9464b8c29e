//! Merkle trees: leaves, roots and audit paths, and paths that lead elsewhere.

use cbdc_ledger::encoding::hex;
use cbdc_ledger::merkle;
use serde_json::{Value, json};

fn leaves(count: usize) -> Vec<merkle::Hash> {
    (0..count).map(|number| merkle::leaf_hash(&[&[number as u8]])).collect()
}

pub fn vectors() -> Value {
    let trees: Vec<Value> = (1..=9)
        .chain([16, 33])
        .map(|count| {
            let leaves = leaves(count);
            let root = merkle::root(&leaves);
            let paths: Vec<Vec<String>> = (0..count)
                .map(|index| {
                    let path = merkle::path(&leaves, index).unwrap();
                    assert_eq!(merkle::root_from_path(leaves[index], index, count, &path), Some(root));
                    path.iter().map(|hash| hex(hash)).collect()
                })
                .collect();
            json!({ "leaf_count": count, "root": hex(&root), "paths": paths })
        })
        .collect();
    json!({
        "leaf_key": hex(merkle::LEAF_KEY),
        "node_key": hex(merkle::NODE_KEY),
        "about": "the data of leaf number i is the one byte i",
        "leaves": leaves(33).iter().map(|leaf| hex(leaf)).collect::<Vec<_>>(),
        "empty_root": hex(&merkle::root(&[])),
        "trees": trees,
        "refused": refused(),
    })
}

/// Paths of a tree of five leaves that prove nothing.
fn refused() -> Vec<Value> {
    let leaves = leaves(5);
    let root = merkle::root(&leaves);
    let (good, last) = (merkle::path(&leaves, 2).unwrap(), merkle::path(&leaves, 4).unwrap());
    let swapped = vec![good[1], good[0], good[2]];
    let mut flipped = good.clone();
    flipped[1][31] ^= 1;
    let longer = [good.clone(), vec![[0; 32]]].concat();
    let padded = [last.clone(), vec![last[0]]].concat();
    let cases = [
        ("a bit is altered", 2, 2, 5, flipped),
        ("two hashes are swapped", 2, 2, 5, swapped),
        ("a hash is missing", 2, 2, 5, good[..2].to_vec()),
        ("a hash is left over", 2, 2, 5, longer),
        ("it is another leaf's path", 2, 3, 5, good.clone()),
        ("the index is beyond the leaves", 2, 5, 5, good.clone()),
        ("the tree has another number of leaves", 4, 4, 8, last),
        ("a leaf that moved up unchanged has a hash too many", 4, 4, 5, padded),
        ("there are no leaves", 2, 0, 0, vec![]),
    ];
    cases
        .map(|(why, leaf, index, leaf_count, path)| {
            assert_ne!(merkle::root_from_path(leaves[leaf], index, leaf_count, &path), Some(root), "{why}");
            json!({
                "why": why,
                "leaf": hex(&leaves[leaf]),
                "index": index,
                "leaf_count": leaf_count,
                "path": path.iter().map(|hash| hex(hash)).collect::<Vec<_>>(),
                "root": hex(&root),
            })
        })
        .to_vec()
}
