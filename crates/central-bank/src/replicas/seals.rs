//! Seals: the header that each node of the central bank has computed at a height, and its signatures.
//!
//! A node shows the others its own seals ([`super::exchange`]) and keeps theirs here until the block at their height is
//! published. Two uses:
//!
//! 1. A header counts once as many nodes have signed it as membership requires. A block waits here for them
//!    ([`crate::publication`]).
//! 2. A node whose header differs from the leader's has another ledger than the network, and must not go on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cbdc_ledger::merkle::Hash;
use cbdc_ledger::{Height, MemberId, Signature, SignedHeader};
use tokio::sync::watch;

/// The node's own seals that are kept in memory, for others and to compare with theirs. Older ones are in the archive.
const OWN_MAX: usize = 16_384;
/// The heights above the published ones for which others' seals are taken; a node that shows more waits.
pub const AHEAD_MAX: u64 = 65_536;

/// A header as a node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    pub height: Height,
    pub hash: Hash,
    /// The signatures that the node knows, its own first.
    pub signatures: Vec<(MemberId, Signature)>,
}

impl Seal {
    pub fn of(header: &SignedHeader) -> Seal {
        let signatures = header.signatures.clone();
        Seal { height: header.header.height, hash: header.header.hash(), signatures }
    }
}

/// The seals of other nodes.
#[derive(Default)]
struct Others {
    by_height: BTreeMap<Height, BTreeMap<MemberId, Seal>>,
    /// The height up to which they are needed no more.
    forgotten: Height,
}

/// The seals that a node knows.
pub struct Seals {
    own: Mutex<VecDeque<Seal>>,
    /// The height of the newest own seal.
    newest: watch::Sender<Height>,
    others: Mutex<Others>,
    /// Changes with each of others' seals.
    heard: watch::Sender<()>,
}

impl Seals {
    /// No seals yet; the node's chain ends at `height`.
    pub fn new(height: Height) -> Seals {
        Seals {
            own: Mutex::default(),
            newest: watch::channel(height).0,
            others: Mutex::default(),
            heard: watch::channel(()).0,
        }
    }

    fn own(&self) -> MutexGuard<'_, VecDeque<Seal>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the node's own seal of the next block. Returns the nodes that have shown another header at its height, with
    /// that header's hash.
    pub fn push_own(&self, seal: Seal) -> Vec<(MemberId, Hash)> {
        let (height, hash) = (seal.height, seal.hash);
        let mut own = self.own();
        // After a checkpoint was installed, the next block does not follow on the last.
        if own.back().is_some_and(|last| last.height.next() != height) {
            own.clear();
        }
        own.push_back(seal);
        if own.len() > OWN_MAX {
            own.pop_front();
        }
        drop(own);
        self.newest.send_replace(height);
        let others = self.others();
        let shown = others.by_height.get(&height).into_iter().flatten();
        shown.filter(|(_, seal)| seal.hash != hash).map(|(member, seal)| (*member, seal.hash)).collect()
    }

    /// The node's own seals from a height on, at most so many, if the first is in memory.
    pub fn own_from(&self, height: Height, count_max: usize) -> Option<Vec<Seal>> {
        let own = self.own();
        let first = own.front()?.height;
        let at = usize::try_from(height.0.checked_sub(first.0)?).ok()?;
        (at < own.len()).then(|| own.range(at..).take(count_max).cloned().collect())
    }

    /// The height of the newest own seal, with notification of changes.
    pub fn newest(&self) -> watch::Receiver<Height> {
        self.newest.subscribe()
    }

    /// Takes another node's seal. Returns this node's hash at that height if it is another one.
    pub fn hear(&self, member: MemberId, seal: Seal) -> Option<Hash> {
        let (height, hash) = (seal.height, seal.hash);
        let mut others = self.others();
        if height > others.forgotten {
            others.by_height.entry(height).or_default().insert(member, seal);
        }
        drop(others);
        // After that: whichever of the two comes second sees both.
        let own = self.own_from(height, 1).and_then(|seals| seals.first().map(|seal| seal.hash));
        self.heard.send_replace(());
        own.filter(|own| *own != hash)
    }

    /// Notifies of seals of others.
    pub fn heard(&self) -> watch::Receiver<()> {
        self.heard.subscribe()
    }

    /// Others' signatures of a header.
    pub fn signatures(&self, height: Height, hash: &Hash) -> Vec<(MemberId, Signature)> {
        let others = self.others();
        let seals = others.by_height.get(&height).into_iter().flat_map(|seals| seals.values());
        seals.filter(|seal| seal.hash == *hash).flat_map(|seal| seal.signatures.iter().copied()).collect()
    }

    /// Forgets others' seals up to a height.
    pub fn forget(&self, upto: Height) {
        let mut others = self.others();
        others.forgotten = others.forgotten.max(upto);
        while others.by_height.first_key_value().is_some_and(|(height, _)| *height <= upto) {
            others.by_height.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(height: u64, hash: u8, member: u16) -> Seal {
        let signatures = vec![(MemberId(member), Signature([hash; 64]))];
        Seal { height: Height(height), hash: [hash; 32], signatures }
    }

    #[test]
    fn another_header_is_noticed_whichever_comes_first() {
        let seals = Seals::new(Height(0));
        assert_eq!(seals.hear(MemberId(2), seal(1, 9, 2)), None);
        assert_eq!(seals.push_own(seal(1, 7, 1)), [(MemberId(2), [9; 32])]);
        assert_eq!(seals.push_own(seal(2, 7, 1)), []);
        assert_eq!(seals.hear(MemberId(2), seal(2, 7, 2)), None);
        assert_eq!(seals.hear(MemberId(3), seal(2, 8, 3)), Some([7; 32]));
        assert_eq!(seals.signatures(Height(2), &[7; 32]), seal(2, 7, 2).signatures);
        seals.forget(Height(2));
        assert_eq!(seals.signatures(Height(2), &[7; 32]), []);
    }

    #[test]
    fn own_seals_are_shown_from_any_height_that_is_in_memory() {
        let seals = Seals::new(Height(4));
        (5..9).for_each(|height| drop(seals.push_own(seal(height, 1, 1))));
        let heights = |from| {
            let seals = seals.own_from(Height(from), 2)?;
            Some(seals.iter().map(|seal| seal.height.0).collect::<Vec<_>>())
        };
        assert_eq!([4, 5, 8, 9].map(heights), [None, Some(vec![5, 6]), Some(vec![8]), None]);
        // A checkpoint was installed.
        seals.push_own(seal(20, 1, 1));
        assert_eq!((heights(8), heights(20)), (None, Some(vec![20])));
    }
}
