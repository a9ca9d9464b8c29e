//! The times of a holder's recent payments, for rules on the number of payments within a window.

use std::collections::VecDeque;

use arrayvec::ArrayVec;

use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::time::Timestamp;

/// The number of times kept for each holder.
pub const PAYMENTS_MAX: u16 = 64;

/// The number of times in the record itself: with their count they fill a cache line.
const INLINE: usize = 6;

/// The times of a holder's last payments, ascending; empty for holders without a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
#[repr(align(64))]
pub struct RecentPayments(Times);

// One cache line: most holders pay so rarely that recording a payment touches no other.
const _: () = assert!(size_of::<RecentPayments>() == 64);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Times {
    Few(ArrayVec<Timestamp, INLINE>),
    Many(VecDeque<Timestamp>),
}

impl Default for RecentPayments {
    fn default() -> Self {
        RecentPayments(Times::Few(ArrayVec::new()))
    }
}

impl RecentPayments {
    /// The times in order, in two parts.
    #[inline]
    fn parts(&self) -> [&[Timestamp]; 2] {
        match &self.0 {
            Times::Few(times) => [times, &[]],
            Times::Many(times) => times.as_slices().into(),
        }
    }

    fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.parts().into_iter().flatten().copied()
    }

    /// Reads a word of the record's cache line, which brings it into the cache.
    #[inline]
    pub(crate) fn prefetch(&self) -> usize {
        match &self.0 {
            Times::Few(times) => times.len(),
            Times::Many(times) => times.len(),
        }
    }

    /// Whether no payment was recorded.
    pub fn is_empty(&self) -> bool {
        self.last().is_none()
    }

    /// The number of payments settled after `time`; relies on the times' order.
    pub fn since(&self, time: Option<Timestamp>) -> usize {
        let is_past = |settled: &Timestamp| time.is_some_and(|time| *settled <= time);
        self.parts().iter().map(|times| times.iter().rev().take_while(|settled| !is_past(settled)).count()).sum()
    }

    /// The time of the last payment.
    pub fn last(&self) -> Option<Timestamp> {
        match &self.0 {
            Times::Few(times) => times.last().copied(),
            Times::Many(times) => times.back().copied(),
        }
    }

    pub(crate) fn note(&mut self, time: Timestamp) {
        match &mut self.0 {
            Times::Few(times) if times.is_full() => {
                // A power of two: doubling it ends at the largest number of times.
                let mut many = VecDeque::with_capacity(INLINE.next_power_of_two());
                many.extend(times.iter().copied().chain([time]));
                self.0 = Times::Many(many);
            }
            Times::Few(times) => times.push(time),
            Times::Many(times) => {
                if times.len() == usize::from(PAYMENTS_MAX) {
                    times.pop_front();
                }
                times.push_back(time);
            }
        }
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u8(self.times().count() as u8);
        self.times().for_each(|time| {
            out.u64(time.0);
        });
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<RecentPayments, DecodeError> {
        let mut recent = RecentPayments::default();
        for _ in 0..input.u8()? {
            let time = Timestamp(input.u64()?);
            if recent.last().is_some_and(|last| last > time) {
                return Err(input.wrong("times in ascending order", time.0));
            }
            recent.note(time);
        }
        Ok(recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_payments_are_kept_in_order_whatever_their_number() {
        let mut recent = RecentPayments::default();
        for number in 1..=3 * u64::from(PAYMENTS_MAX) {
            recent.note(Timestamp(number));
            let first = number.saturating_sub(u64::from(PAYMENTS_MAX)) + 1;
            assert_eq!(recent.times().collect::<Vec<_>>(), (first..=number).map(Timestamp).collect::<Vec<_>>());
            assert_eq!(recent.last(), Some(Timestamp(number)));
            assert_eq!(recent.since(number.checked_sub(3).map(Timestamp)), number.min(3) as usize);
            let mut out = Writer::default();
            recent.encode(&mut out);
            assert_eq!(RecentPayments::decode(&mut Reader::new("times", out.as_bytes())).as_ref(), Ok(&recent));
        }
    }
}
