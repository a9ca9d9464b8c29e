//! A copy-on-write vector in pages: cheap to snapshot, copied only where it is then written.
//!
//! Records that still have their default value need no memory: all pages of such records are one shared page.
//!
//! A page is either the vector's own, written without a further check, or shared with snapshots. A snapshot makes all
//! pages shared and copies one pointer per page: 39,063 for 10 million accounts. The first write to a shared page makes
//! it the vector's own again, with a copy (256 records) if a snapshot still has it.

use triomphe::{Arc, UniqueArc};

/// The number of records in a page.
pub(crate) const PAGE: usize = 256;

/// Contiguous records behind one pointer, so that a look-up waits for memory once. Slots beyond the end hold copies of
/// a record that nobody reads.
type Records<T> = [T; PAGE];

enum Page<T> {
    Own(UniqueArc<Records<T>>),
    Shared(Arc<Records<T>>),
}

/// A clone shares only pages that are shared already, and copies the others: call [`CowVec::share`] first, or use
/// [`CowVec::snapshot`].
#[derive(Clone)]
pub struct CowVec<T> {
    pages: Vec<Page<T>>,
    len: usize,
    /// The blank page, shared by all pages that [`CowVec::push_default`] began.
    blank: Option<Arc<Records<T>>>,
}

impl<T> Page<T> {
    #[inline]
    fn records(&self) -> &Records<T> {
        match self {
            Page::Own(records) => records,
            Page::Shared(records) => records,
        }
    }

    fn into_shared(self) -> Page<T> {
        match self {
            Page::Own(records) => Page::Shared(records.shareable()),
            shared @ Page::Shared(_) => shared,
        }
    }
}

impl<T: Clone> Page<T> {
    fn into_own(self) -> Page<T> {
        match self {
            Page::Shared(records) => {
                let unique = Arc::try_unique(records);
                Page::Own(unique.unwrap_or_else(|shared| UniqueArc::new(Records::clone(&shared))))
            }
            own @ Page::Own(_) => own,
        }
    }
}

impl<T: Clone> Clone for Page<T> {
    fn clone(&self) -> Self {
        match self {
            Page::Own(records) => Page::Own(UniqueArc::new(Records::clone(records))),
            Page::Shared(records) => Page::Shared(records.clone()),
        }
    }
}

impl<T> Default for CowVec<T> {
    fn default() -> Self {
        CowVec { pages: Vec::new(), len: 0, blank: None }
    }
}

impl<T: Clone> CowVec<T> {
    /// The number of records.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes a snapshot, which later writes do not change.
    pub fn snapshot(&mut self) -> CowVec<T> {
        self.share();
        self.clone()
    }

    /// Marks all pages as shared, so that a clone shares them.
    pub fn share(&mut self) {
        self.pages = std::mem::take(&mut self.pages).into_iter().map(Page::into_shared).collect();
    }

    /// The record at an index.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        self.pages.get(index / PAGE).map(|page| &page.records()[index % PAGE])
    }

    /// The record at an index, for writing: a shared page is copied first.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len {
            return None;
        }
        let number = index / PAGE;
        if let Page::Shared(_) = self.pages.get(number)? {
            self.own(number);
        }
        match &mut self.pages[number] {
            Page::Own(records) => Some(&mut records[index % PAGE]),
            Page::Shared(_) => None,
        }
    }

    /// Makes a page the vector's own. Kept out of the path of the many writes that find it so: inlined, it would make
    /// each of them prepare a stack for a whole page.
    #[cold]
    #[inline(never)]
    fn own(&mut self, number: usize) {
        // A page must be owned to be moved into the vector: the last page replaces it meanwhile.
        let page = self.pages.swap_remove(number);
        self.pages.push(page.into_own());
        let last = self.pages.len() - 1;
        self.pages.swap(number, last);
    }

    /// Appends a record and returns its index.
    pub fn push(&mut self, value: T) -> usize {
        let index = self.len;
        self.len += 1;
        if index.is_multiple_of(PAGE) {
            self.pages.push(Page::Own(UniqueArc::new(std::array::from_fn(|_| value.clone()))));
        } else if let Some(record) = self.get_mut(index) {
            *record = value;
        }
        index
    }

    /// Appends a default record and returns its index. In a vector that grows only by this, pages that were never
    /// written take no memory.
    pub fn push_default(&mut self) -> usize
    where
        T: Default,
    {
        let index = self.len;
        if index.is_multiple_of(PAGE) {
            let blank = self.blank.get_or_insert_with(|| Arc::new(std::array::from_fn(|_| T::default())));
            self.pages.push(Page::Shared(blank.clone()));
        }
        self.len += 1;
        index
    }

    /// All records, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.records()).take(self.len)
    }

    /// The records of a page, by its number; none if there is no such page.
    pub(crate) fn page(&self, number: usize) -> &[T] {
        let records = self.pages.get(number).map_or(&[][..], |page| &page.records()[..]);
        &records[..records.len().min(self.len.saturating_sub(number * PAGE))]
    }

    /// Whole pages in order, each with the index of its first record.
    pub fn pages(&self) -> impl Iterator<Item = (usize, &[T])> {
        self.pages.iter().enumerate().map(|(number, page)| {
            let first = number * PAGE;
            (first, &page.records()[..PAGE.min(self.len - first)])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_snapshot_does_not_see_later_writes() {
        let mut live = CowVec::default();
        (0..1000).for_each(|value| assert_eq!(live.push(value), value));
        let snapshot = live.snapshot();
        *live.get_mut(999).unwrap() = 7;
        live.push(1000);
        assert_eq!((snapshot.get(999), snapshot.get(1000), snapshot.len()), (Some(&999), None, 1000));
        assert_eq!((live.get(999), live.get(1000), live.len()), (Some(&7), Some(&1000), 1001));
        assert!(live.get_mut(1001).is_none() && live.get_mut(1_000_000).is_none());
    }

    #[test]
    fn blank_pages_are_one_page_until_they_are_written() {
        let mut table = CowVec::<u64>::default();
        (0..1000).for_each(|index| assert_eq!(table.push_default(), index));
        let snapshot = table.snapshot();
        *table.get_mut(300).unwrap() = 7;
        assert_eq!(table.iter().filter(|record| **record != 0).count(), 1);
        assert_eq!((table.get(300), table.get(999), table.get(1000)), (Some(&7), Some(&0), None));
        let pages =
            |table: &CowVec<u64>| table.pages.iter().map(|page| page.records().as_ptr()).collect::<BTreeSet<_>>().len();
        assert_eq!((pages(&table), pages(&snapshot)), (2, 1));
        assert_eq!(snapshot.iter().sum::<u64>(), 0);
    }

    /// A step of the test: an operation on the vector or on the snapshots taken of it.
    #[derive(Clone, Debug)]
    enum Step {
        Push(u32),
        Write(prop::sample::Index, u32),
        Snapshot,
        Drop(prop::sample::Index),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => any::<u32>().prop_map(Step::Push),
            4 => (any::<prop::sample::Index>(), any::<u32>()).prop_map(|(pick, value)| Step::Write(pick, value)),
            1 => Just(Step::Snapshot),
            1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        ]
    }

    proptest! {
        #[test]
        fn a_table_and_its_views_are_what_plain_lists_are(
            length in 0..600_u32,
            steps in prop::collection::vec(any_step(), 0..400),
        ) {
            let mut table = (CowVec::default(), Vec::new());
            for value in 0..length {
                table.0.push(value);
                table.1.push(value);
            }
            let mut views: Vec<(CowVec<u32>, Vec<u32>)> = Vec::new();
            for step in steps {
                match step {
                    Step::Push(value) => {
                        prop_assert_eq!(table.0.push(value), table.1.len());
                        table.1.push(value);
                    }
                    Step::Write(pick, value) if !table.1.is_empty() => {
                        let at = pick.index(table.1.len());
                        *table.0.get_mut(at).unwrap() = value;
                        table.1[at] = value;
                    }
                    Step::Snapshot => views.push((table.0.snapshot(), table.1.clone())),
                    Step::Drop(pick) if !views.is_empty() => drop(views.swap_remove(pick.index(views.len()))),
                    Step::Write(..) | Step::Drop(_) => {}
                }
            }
            for (pages, list) in views.iter().chain([&table]) {
                prop_assert!(pages.iter().eq(list));
                prop_assert_eq!(pages.get(list.len()), None);
            }
        }
    }
}
