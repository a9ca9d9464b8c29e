//! Sequence numbers, which keep a signer's retries from acting twice.
//!
//! A signer may use any unused number within a window above the lowest unused one: 64 for a wallet, 65,536 for a
//! member, which has many commands in flight at once. Numbers start at 1.

use triomphe::Arc;

use crate::codec::encoding::{DecodeError, Reader, Writer};

/// The status of a sequence number in a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SequenceStatus {
    /// Unused, and within the window.
    Free,
    /// Used before.
    Used,
    /// Too far above the lowest unused one.
    OutOfWindow,
}

/// Numbers per wallet that may be in flight at once.
pub const WALLET_WINDOW: u64 = 64;
/// Numbers per member that may be in flight at once.
pub const MEMBER_WINDOW: u64 = 65_536;

/// A wallet's window: the lowest unused number, and one bit for each number from it upwards (bit 0 is never set).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    lowest_unused: u64,
    used: u64,
}

impl Default for Window {
    fn default() -> Self {
        Window { lowest_unused: 1, used: 0 }
    }
}

impl Window {
    /// The lowest unused sequence number.
    pub fn lowest_unused(&self) -> u64 {
        self.lowest_unused
    }

    /// The status of a sequence number in this window.
    pub fn status(&self, sequence: u64) -> SequenceStatus {
        match sequence.checked_sub(self.lowest_unused) {
            None => SequenceStatus::Used,
            Some(ahead) if ahead >= WALLET_WINDOW => SequenceStatus::OutOfWindow,
            Some(ahead) if self.used >> ahead & 1 == 1 => SequenceStatus::Used,
            Some(_) => SequenceStatus::Free,
        }
    }

    /// Uses a free sequence number.
    pub(crate) fn consume(&mut self, sequence: u64) {
        debug_assert_eq!(self.status(sequence), SequenceStatus::Free);
        self.used |= 1 << (sequence - self.lowest_unused);
        let run = self.used.trailing_ones();
        self.used = self.used.checked_shr(run).unwrap_or(0);
        self.lowest_unused += u64::from(run);
    }

    /// The lowest unused number, and the bits.
    #[inline]
    pub(crate) fn parts(&self) -> [u64; 2] {
        [self.lowest_unused, self.used]
    }

    pub(crate) fn of_parts([lowest_unused, used]: [u64; 2]) -> Window {
        Window { lowest_unused, used }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Window, DecodeError> {
        Ok(Window::of_parts([input.u64()?, input.u64()?]))
    }
}

/// Words of a member's window.
const RING_WORDS: usize = (MEMBER_WINDOW / 64) as usize;
type Ring = [u64; RING_WORDS];

/// A member's window: as [`Window`], with a ring of 65,536 bits. Clones share the ring until one of them is written.
#[derive(Clone, Debug)]
pub struct WideWindow {
    lowest_unused: u64,
    /// Bit `n % 65,536` says whether number `n` of the window is used. A window that was never used has no ring.
    ring: Option<Arc<Ring>>,
}

impl PartialEq for WideWindow {
    fn eq(&self, other: &Self) -> bool {
        self.lowest_unused == other.lowest_unused && self.words() == other.words()
    }
}

impl Eq for WideWindow {}

impl Default for WideWindow {
    fn default() -> Self {
        WideWindow { lowest_unused: 1, ring: None }
    }
}

impl WideWindow {
    /// The lowest unused sequence number.
    pub fn lowest_unused(&self) -> u64 {
        self.lowest_unused
    }

    fn word_and_mask(sequence: u64) -> (usize, u64) {
        let bit = sequence % MEMBER_WINDOW;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn is_marked(&self, sequence: u64) -> bool {
        let (word, mask) = WideWindow::word_and_mask(sequence);
        self.words()[word] & mask != 0
    }

    #[inline]
    fn words(&self) -> &Ring {
        const UNUSED: &Ring = &[0; RING_WORDS];
        self.ring.as_deref().unwrap_or(UNUSED)
    }

    /// The status of a sequence number in this window.
    pub fn status(&self, sequence: u64) -> SequenceStatus {
        match sequence.checked_sub(self.lowest_unused) {
            None => SequenceStatus::Used,
            Some(ahead) if ahead >= MEMBER_WINDOW => SequenceStatus::OutOfWindow,
            Some(_) if self.is_marked(sequence) => SequenceStatus::Used,
            Some(_) => SequenceStatus::Free,
        }
    }

    /// Uses a free sequence number.
    pub(crate) fn consume(&mut self, sequence: u64) {
        debug_assert_eq!(self.status(sequence), SequenceStatus::Free);
        let ring = Arc::make_mut(self.ring.get_or_insert_with(|| Arc::new([0; RING_WORDS])));
        let (word, mask) = WideWindow::word_and_mask(sequence);
        ring[word] |= mask;
        loop {
            let (word, mask) = WideWindow::word_and_mask(self.lowest_unused);
            if ring[word] & mask == 0 {
                return;
            }
            ring[word] &= !mask;
            self.lowest_unused += 1;
        }
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u64(self.lowest_unused);
        self.words().iter().for_each(|word| {
            out.u64(*word);
        });
    }

    /// Appends the lowest unused number, and each word with a mark and its index, for digests.
    pub(crate) fn encode_marked(&self, out: &mut Writer) {
        out.u64(self.lowest_unused);
        for (index, word) in (0..).zip(self.words()).filter(|(_, word)| **word != 0) {
            out.u16(index).u64(*word);
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<WideWindow, DecodeError> {
        let lowest_unused = input.u64()?;
        let mut ring = [0; RING_WORDS];
        for word in &mut ring {
            *word = input.u64()?;
        }
        let is_used = ring.iter().any(|word| *word != 0);
        Ok(WideWindow { lowest_unused, ring: is_used.then(|| Arc::new(ring)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn both_windows_agree_with_a_plain_set(numbers in proptest::collection::vec(0u64..300, 1..400)) {
            let (mut narrow, mut wide) = (Window::default(), WideWindow::default());
            let (mut used, mut wide_used) = (BTreeSet::new(), BTreeSet::new());
            for number in numbers {
                for (window, set, status, lowest) in [
                    (WALLET_WINDOW, &mut used, narrow.status(number), narrow.lowest_unused()),
                    (MEMBER_WINDOW, &mut wide_used, wide.status(number), wide.lowest_unused()),
                ] {
                    let expected_lowest = (1..).find(|candidate| !set.contains(candidate)).unwrap();
                    prop_assert_eq!(lowest, expected_lowest);
                    let expected = if number < expected_lowest || set.contains(&number) { SequenceStatus::Used }
                        else if number >= expected_lowest + window { SequenceStatus::OutOfWindow }
                        else { SequenceStatus::Free };
                    prop_assert_eq!(status, expected);
                    if expected == SequenceStatus::Free { set.insert(number); }
                }
                if narrow.status(number) == SequenceStatus::Free { narrow.consume(number); }
                if wide.status(number) == SequenceStatus::Free { wide.consume(number); }
            }
        }
    }

    #[test]
    fn clones_of_a_members_window_share_its_ring_until_one_is_written() {
        let mut window = WideWindow::default();
        assert!(window.ring.is_none(), "an unused window has no ring");
        window.consume(2);
        let mut other = window.clone();
        let shared = |left: &WideWindow, right: &WideWindow| match (&left.ring, &right.ring) {
            (Some(left), Some(right)) => Arc::ptr_eq(left, right),
            _ => false,
        };
        assert!(shared(&window, &other) && window == other);
        other.consume(1);
        assert!(!shared(&window, &other) && window != other);
        assert_eq!((window.lowest_unused(), other.lowest_unused()), (1, 3));
    }

    #[test]
    fn a_full_window_moves_on_at_once() {
        let mut window = Window::default();
        (2..=64).for_each(|number| window.consume(number));
        assert_eq!(window.status(65), SequenceStatus::OutOfWindow);
        window.consume(1);
        assert_eq!(window.lowest_unused(), 65);
        assert_eq!(window.status(128), SequenceStatus::Free);
    }
}
