//! The set of records that a block has changed.
//!
//! One bit per record, and above it one bit per word of those, so that the changed records come out once each and in
//! order, without sorting and without visiting the others: marking costs the same for any number of records, and
//! draining 10 million of which few have changed reads 2,442 words more.

const BITS: usize = u64::BITS as usize;

/// A set of indexes that is filled while a block is settled and drained when it is sealed.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirtySet {
    records: Vec<u64>,
    /// Bit `w` is set if word `w` of `records` is not zero.
    words: Vec<u64>,
}

impl DirtySet {
    #[inline]
    pub(crate) fn mark(&mut self, index: usize) {
        let word = index / BITS;
        if word >= self.records.len() {
            self.grow(word);
        }
        self.records[word] |= 1 << (index % BITS);
        self.words[word / BITS] |= 1 << (word % BITS);
    }

    #[cold]
    fn grow(&mut self, word: usize) {
        self.records.resize(word + 1, 0);
        self.words.resize(word / BITS + 1, 0);
    }

    /// Removes all indexes and passes them to `each`, in order.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(usize)) {
        for (group, words) in self.words.iter_mut().enumerate() {
            for word in ones(std::mem::take(words)) {
                let word = group * BITS + word;
                for bit in ones(std::mem::take(&mut self.records[word])) {
                    each(word * BITS + bit);
                }
            }
        }
    }
}

/// The indexes of the set bits, from the lowest up.
fn ones(bits: u64) -> impl Iterator<Item = usize> {
    let without_lowest = |bits: &u64| Some(bits & bits.wrapping_sub(1));
    let left = std::iter::successors(Some(bits), without_lowest).take_while(|bits| *bits != 0);
    left.map(|bits| bits.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn what_was_marked_comes_out_once_and_in_order(
            blocks in proptest::collection::vec(proptest::collection::vec(0usize..20_000, 0..200), 1..5),
        ) {
            let mut dirty = DirtySet::default();
            for marks in blocks {
                marks.iter().for_each(|index| dirty.mark(*index));
                let mut drained = Vec::new();
                dirty.drain(|index| drained.push(index));
                prop_assert_eq!(drained, marks.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
            }
        }
    }
}
