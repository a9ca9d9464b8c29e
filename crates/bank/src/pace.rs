//! The pace at which a peer must serve a bank that is behind.
//!
//! How far the chain is, peers prove by the signed header of their newest block; the one that is followed need not tell
//! the truth. Every few seconds ([`LOOK_EVERY`]) the bank looks how far it is behind the highest of them. In between
//! the peer must have brought it on: by [`BLOCKS_MIN`], or to the head, or by [`BYTES_MIN`] and nearer to the head.
//! Where the bank itself took the time to apply what came, the peer is not to blame.

use std::time::{Duration, Instant};

use cbdc_ledger::Height;

/// The time between two looks at how far the bank is behind.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The fewest blocks that a peer must bring from one look to the next.
const BLOCKS_MIN: u64 = 32;
/// The bytes from one look to the next that are enough as well: large blocks over a slow line.
const BYTES_MIN: usize = 4 * 1024 * 1024;

/// The pace of one peer: blocks and bytes since the last look.
pub struct Pace {
    looked_at: Instant,
    /// The number of missing blocks at the last look; `None` before the first.
    lacked: Option<u64>,
    head: Height,
    bytes: usize,
    waited: Duration,
}

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace { looked_at: now, lacked: None, head: Height(0), bytes: 0, waited: Duration::ZERO }
    }

    /// The highest head that was proved so far.
    pub fn head(&self) -> Height {
        self.head
    }

    /// Notes how long was waited for the peer, and what came then.
    pub fn note(&mut self, waited: Duration, bytes: usize) {
        self.waited += waited;
        self.bytes += bytes;
    }

    /// Looks how far the bank, which is at `height`, is behind the highest proved head. False where the peer should
    /// have brought it further.
    pub fn is_kept(&mut self, now: Instant, height: Height, head: Height) -> bool {
        self.head = self.head.max(head);
        let lacks = self.head.0.saturating_sub(height.0);
        let is_kept = self.lacked.is_none_or(|lacked| {
            let came = lacked.saturating_sub(lacks);
            let peer_took_time = self.waited * 2 >= now.saturating_duration_since(self.looked_at);
            lacks == 0
                || lacked == 0
                || came >= BLOCKS_MIN.min(lacked)
                || came > 0 && self.bytes >= BYTES_MIN
                || !peer_took_time
        });
        *self = Pace { looked_at: now, lacked: Some(lacks), head: self.head, bytes: 0, waited: Duration::ZERO };
        is_kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the pace is kept by a peer that brought a bank from one height to another while the head moved.
    fn is_kept(heights: (u64, u64), heads: (u64, u64), bytes: usize, waited: Duration) -> bool {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert!(pace.is_kept(now, Height(heights.0), Height(heads.0)));
        pace.note(waited, bytes);
        pace.is_kept(now + LOOK_EVERY, Height(heights.1), Height(heads.1))
    }

    #[test]
    fn one_who_drips_does_not_keep_the_pace_and_one_who_serves_does() {
        for (heights, heads, bytes, waited, expected, why) in [
            ((0, 1), (100, 100), 500, LOOK_EVERY, false, "a block every five seconds"),
            ((0, 31), (100, 100), 500, LOOK_EVERY, false, "a few blocks"),
            ((0, 40), (100, 5_000), 500, LOOK_EVERY, false, "the chain runs away"),
            ((0, 0), (100, 100), 0, LOOK_EVERY, false, "nothing"),
            ((0, 32), (100, 100), 500, LOOK_EVERY, true, "enough blocks"),
            ((0, 3), (100, 100), BYTES_MIN, LOOK_EVERY, true, "large blocks"),
            ((0, 3), (100, 110), BYTES_MIN, LOOK_EVERY, false, "large blocks, and the chain runs away"),
            ((97, 100), (100, 100), 500, LOOK_EVERY, true, "all that there are"),
            ((100, 100), (100, 100), 0, LOOK_EVERY, true, "nothing is to be had"),
            ((100, 100), (100, 101), 0, LOOK_EVERY, true, "a block that is new"),
            ((0, 1), (100, 100), 500, LOOK_EVERY / 3, true, "the bank itself is slow"),
        ] {
            assert_eq!(is_kept(heights, heads, bytes, waited), expected, "{why}");
        }
    }

    #[test]
    fn a_head_that_was_proved_stays() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.is_kept(now, Height(1), Height(50));
        pace.note(LOOK_EVERY, 0);
        // The one who proved it cannot be reached now.
        assert!(!pace.is_kept(now + LOOK_EVERY, Height(2), Height(0)));
        assert_eq!(pace.head(), Height(50));
    }
}
