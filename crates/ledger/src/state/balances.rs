//! The balances root: a Merkle-sum tree over all accounts of a bank, and over the banks.
//!
//! A leaf is a page of 256 accounts of one bank, with the sum of their balances. A node's sum is that of its two sides,
//! and its hash covers both sums, so that the root proves what all accounts together hold: the CBDC in the books. An
//! auditor who gets one page checks its accounts against the root; since a page shows 256 accounts, it is not for
//! holders.
//!
//! | hash | BLAKE3 keyed with | over |
//! |---|---|---|
//! | page | the key of leaves | bank (2), number of its first serial (4), each record (96) |
//! | node | the key of nodes | left hash (32), left sum (16), right hash (32), right sum (16) |
//! | root | the key of leaves | hash of the highest node (32), sum (16) |
//!
//! Pages are in the order of banks and serials; the tree has the shape of RFC 6962 (section 2.1).

use super::account::{ACCOUNT_BYTES, Account};
use crate::codec::encoding::Writer;
use crate::codec::merkle::{Hash, LEAF_KEY, NODE_KEY};
use crate::types::identity::BankId;

/// A hash and the sum below it.
type Summed = (Hash, i128);

/// Collects pages and computes the root over them.
#[derive(Default)]
pub(crate) struct BalancesTree {
    level: Vec<Summed>,
    page: Writer,
}

impl BalancesTree {
    /// Adds a page of a bank's accounts, beginning with serial `first`.
    pub(crate) fn page(&mut self, bank: BankId, first: u32, accounts: &[Account]) {
        self.page.clear();
        self.page.u16(bank.0).u32(first);
        accounts.iter().for_each(|account| account.encode(&mut self.page));
        debug_assert_eq!(self.page.len(), 6 + accounts.len() * ACCOUNT_BYTES);
        let hash = *blake3::keyed_hash(LEAF_KEY, self.page.as_bytes()).as_bytes();
        self.level.push((hash, accounts.iter().map(Account::posted).sum()));
    }

    /// The root over all pages, and the sum of all balances.
    pub(crate) fn finish(self) -> Summed {
        let mut level = self.level;
        while level.len() > 1 {
            level = level.chunks(2).map(above).collect();
        }
        let (top, sum) = level.pop().unwrap_or_default();
        let mut root = blake3::Hasher::new_keyed(LEAF_KEY);
        (*root.update(&top).update(&sum.to_le_bytes()).finalize().as_bytes(), sum)
    }
}

/// The nodes of the next level; an odd one at the end moves up unchanged.
fn above(pair: &[Summed]) -> Summed {
    let [(left, left_sum), (right, right_sum)] = pair else { return pair[0] };
    let mut node = blake3::Hasher::new_keyed(NODE_KEY);
    node.update(left).update(&left_sum.to_le_bytes()).update(right).update(&right_sum.to_le_bytes());
    (*node.finalize().as_bytes(), left_sum + right_sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::amount::Amount;
    use crate::types::time::LedgerDay;

    fn tree(banks: &[(u16, &[u64])]) -> Summed {
        let mut tree = BalancesTree::default();
        for (bank, balances) in banks {
            let account =
                |minor: &u64| Account { available: Amount::from_minor(*minor), ..Account::new(7, LedgerDay(1)) };
            for (page, balances) in balances.chunks(2).enumerate() {
                tree.page(BankId(*bank), 2 * page as u32, &balances.iter().map(account).collect::<Vec<_>>());
            }
        }
        tree.finish()
    }

    #[test]
    fn the_root_proves_the_sum_and_changes_with_any_balance_and_index() {
        let (root, sum) = tree(&[(1, &[5, 6, 7]), (2, &[8])]);
        assert_eq!(sum, 26);
        for other in [
            tree(&[(1, &[5, 6, 8]), (2, &[7])]),
            tree(&[(1, &[6, 5, 7]), (2, &[8])]),
            tree(&[(1, &[5, 6, 7, 8])]),
            tree(&[(1, &[5, 6]), (2, &[7, 8])]),
            tree(&[(1, &[5, 6, 7]), (3, &[8])]),
            tree(&[]),
        ] {
            assert_ne!(other.0, root);
        }
        // A node that claims another sum has another hash.
        let page = ([1; 32], 5);
        assert_ne!(above(&[page, ([2; 32], 6)]).0, above(&[page, ([2; 32], 7)]).0);
    }
}
