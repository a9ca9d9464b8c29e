//! A page of a list whose entries are numbered from 1, newest first.

use cbdc_proto::status::invalid;
use tonic::Status;

const SIZE_DEFAULT: usize = 20;
const SIZE_MAX: usize = 100;

pub struct Page {
    size: usize,
    /// Only entries below this number.
    below: u64,
}

impl Page {
    /// The page that a request asks for: size 0 is the default, an empty token the first page.
    pub fn of(page_size: u32, page_token: &str) -> Result<Page, Status> {
        let size = if page_size == 0 { SIZE_DEFAULT } else { (page_size as usize).min(SIZE_MAX) };
        let wrong = |_| invalid("page_token", "expected a token as an earlier answer gave it");
        let below = if page_token.is_empty() { u64::MAX } else { page_token.parse().map_err(wrong)? };
        Ok(Page { size, below })
    }

    /// The page's entries and the token of the next page, empty if there is none.
    pub fn cut<T>(&self, newest_first: impl Iterator<Item = T>, number_of: impl Fn(&T) -> u64) -> (Vec<T>, String) {
        let mut older = newest_first.filter(|entry| number_of(entry) < self.below).peekable();
        let entries: Vec<T> = older.by_ref().take(self.size).collect();
        let last = entries.last().filter(|_| older.peek().is_some());
        let token = last.map(|entry| number_of(entry).to_string()).unwrap_or_default();
        (entries, token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_joined_by_their_tokens_are_the_whole_list() {
        for count in [0_u64, 1, 3, 4, 6, 7] {
            let (mut all, mut token) = (Vec::new(), String::new());
            loop {
                let page = Page::of(3, &token).unwrap();
                let (entries, next) = page.cut((1..=count).rev(), |number| *number);
                assert!(entries.len() <= 3);
                all.extend(entries);
                if next.is_empty() {
                    break;
                }
                token = next;
            }
            assert_eq!(all, (1..=count).rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_page_is_bounded_and_a_made_up_token_is_refused() {
        let (entries, token) = Page::of(u32::MAX, "").unwrap().cut((1..=500).rev(), |number| *number);
        assert_eq!((entries.len(), token.as_str()), (SIZE_MAX, "401"));
        assert!(Page::of(0, "first").is_err());
    }
}
