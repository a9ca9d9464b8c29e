//! A dense array in shared pages: cheap to freeze, copied only where it is written afterwards.
//!
//! Records that still have their default value need no memory: the pages that hold nothing else are one page, many times.
//!
//! Freezing clones one pointer a page: 10 million accounts are 39,063 pointers, well under a millisecond. A write to
//! a page that a frozen view still shares copies that page (256 records) once.

use triomphe::Arc;

const PAGE: usize = 256;

/// Records in place, behind one pointer: a look-up waits for memory once. Places beyond the end hold copies of a record that
/// nobody reads.
type Page<T> = [T; PAGE];

#[derive(Clone, Debug)]
pub struct Pages<T> {
    pages: Vec<Arc<Page<T>>>,
    len: usize,
    /// The page that stands wherever [`Pages::push_default`] began one.
    blank: Option<Arc<Page<T>>>,
}

/// Puts a copy in the place of a page that others share. Kept out of the way of the many writes that need none: inlined, it
/// would have each of them prepare a stack for a whole page.
#[cold]
#[inline(never)]
fn copy<T: Clone>(page: &mut Arc<Page<T>>) {
    *page = Arc::new(Page::clone(page));
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Pages { pages: Vec::new(), len: 0, blank: None }
    }
}

impl<T: Clone> Pages<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        self.pages.get(index / PAGE).map(|page| &page[index % PAGE])
    }

    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len {
            return None;
        }
        let page = self.pages.get_mut(index / PAGE)?;
        if !page.is_unique() {
            copy(page);
        }
        Arc::get_mut(page).map(|page| &mut page[index % PAGE])
    }

    /// How many views share the page of a record: what a write will look at first.
    #[inline]
    pub(crate) fn shares(&self, index: usize) -> usize {
        self.pages.get(index / PAGE).map_or(0, Arc::strong_count)
    }

    /// Appends a record and returns its index.
    pub fn push(&mut self, value: T) -> usize {
        let index = self.len;
        self.len += 1;
        if index.is_multiple_of(PAGE) {
            self.pages.push(Arc::new(std::array::from_fn(|_| value.clone())));
        } else if let Some(record) = self.get_mut(index) {
            *record = value;
        }
        index
    }

    /// Appends a default record and returns its index. In a table that grows in no other way, pages on which nothing was
    /// written yet take no memory.
    pub fn push_default(&mut self) -> usize
    where
        T: Default,
    {
        let index = self.len;
        if index.is_multiple_of(PAGE) {
            let blank = self.blank.get_or_insert_with(|| Arc::new(std::array::from_fn(|_| T::default())));
            self.pages.push(blank.clone());
        }
        self.len += 1;
        index
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.iter()).take(self.len)
    }

    /// Whole pages in order, each with the index of its first record.
    pub fn pages(&self) -> impl Iterator<Item = (usize, &[T])> {
        self.pages.iter().enumerate().map(|(number, page)| {
            let first = number * PAGE;
            (first, &page[..PAGE.min(self.len - first)])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_view_does_not_see_later_writes() {
        let mut live = Pages::default();
        (0..1000).for_each(|value| assert_eq!(live.push(value), value));
        let frozen = live.clone();
        *live.get_mut(999).unwrap() = 7;
        live.push(1000);
        assert_eq!((frozen.get(999), frozen.get(1000), frozen.len()), (Some(&999), None, 1000));
        assert_eq!((live.get(999), live.get(1000), live.len()), (Some(&7), Some(&1000), 1001));
        assert!(live.get_mut(1001).is_none() && live.get_mut(1_000_000).is_none());
    }

    #[test]
    fn blank_pages_are_one_page_until_they_are_written() {
        let mut table = Pages::<u64>::default();
        (0..1000).for_each(|index| assert_eq!(table.push_default(), index));
        let frozen = table.clone();
        *table.get_mut(300).unwrap() = 7;
        assert_eq!(table.iter().filter(|record| **record != 0).count(), 1);
        assert_eq!((table.get(300), table.get(999), table.get(1000)), (Some(&7), Some(&0), None));
        assert_eq!((table.shares(300), frozen.shares(300)), (1, frozen.shares(999)));
        assert_eq!(frozen.iter().sum::<u64>(), 0);
    }
}
