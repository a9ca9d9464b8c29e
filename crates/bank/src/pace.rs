//! The pace at which a peer must serve a bank that is behind.
//!
//! How far the chain is, peers prove by the signed header of their newest block; the one that is followed need not tell
//! the truth. Every few seconds ([`LOOK_EVERY`]) the bank looks how far it is behind the highest of them. What counts
//! is by how much the gap has become smaller since: a peer that is slower than the chain grows brings nothing.
//!
//! - **Kept back.** The peer must have closed the gap by [`BLOCKS_MIN`] blocks, or wholly, or sent [`BYTES_MIN`] and
//!   made it smaller.
//! - **Slow.** At its pace the rest would take longer than [`CATCH_UP_MAX`]. Another one that has more blocks is asked;
//!   where there is none, a slow peer is better than nobody.
//!
//! Where the bank itself took the time to apply what came, the peer is not to blame.

use std::time::{Duration, Instant};

use cbdc_ledger::Height;

/// The time between two looks at how far the bank is behind.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The fewest blocks that a peer must bring from one look to the next.
const BLOCKS_MIN: u64 = 32;
/// The bytes from one look to the next that are enough as well: large blocks over a slow line.
const BYTES_MIN: usize = 4 * 1024 * 1024;
/// The longest time that a peer may take to bring the bank to the head, if another one may be faster.
const CATCH_UP_MAX: Duration = Duration::from_secs(10 * 60);

/// The verdict on a peer's pace since the last look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    Yes,
    /// It brings the bank on, but not for a long time to the head.
    Slowly,
    No,
}

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

    /// Looks how far the bank, which is at `height`, is behind the highest proved head, and whether the peer has
    /// brought it as far as it should have.
    pub fn look(&mut self, now: Instant, height: Height, head: Height) -> Kept {
        self.head = self.head.max(head);
        let lacks = self.head.0.saturating_sub(height.0);
        let kept = self.lacked.map_or(Kept::Yes, |lacked| {
            let came = lacked.saturating_sub(lacks);
            let passed = now.saturating_duration_since(self.looked_at);
            let peer_took_time = self.waited * 2 >= passed;
            let looks_left = CATCH_UP_MAX.as_millis() / passed.as_millis().max(1);
            match () {
                () if lacks == 0 || lacked == 0 || !peer_took_time => Kept::Yes,
                () if came > 0 && self.bytes >= BYTES_MIN => Kept::Yes,
                () if came < BLOCKS_MIN.min(lacked) => Kept::No,
                () if u128::from(lacks) > u128::from(came) * looks_left => Kept::Slowly,
                () => Kept::Yes,
            }
        });
        *self = Pace { looked_at: now, lacked: Some(lacks), head: self.head, bytes: 0, waited: Duration::ZERO };
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on a peer that brought a bank from one height to another while the head moved.
    fn kept(heights: (u64, u64), heads: (u64, u64), bytes: usize, waited: Duration) -> Kept {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.look(now, Height(heights.0), Height(heads.0)), Kept::Yes);
        pace.note(waited, bytes);
        pace.look(now + LOOK_EVERY, Height(heights.1), Height(heads.1))
    }

    #[test]
    fn one_who_drips_does_not_keep_the_pace_and_one_who_serves_does() {
        use Kept::{No, Slowly, Yes};
        for (heights, heads, bytes, waited, expected, why) in [
            ((0, 1), (100, 100), 500, LOOK_EVERY, No, "a block every five seconds"),
            ((0, 31), (100, 100), 500, LOOK_EVERY, No, "a few blocks"),
            ((0, 40), (100, 5_000), 500, LOOK_EVERY, No, "the chain runs away"),
            ((0, 32), (10_000, 10_031), 500, LOOK_EVERY, No, "the chain grows as fast"),
            ((0, 0), (100, 100), 0, LOOK_EVERY, No, "nothing"),
            ((0, 32), (1_000_000, 1_000_000), 500, LOOK_EVERY, Slowly, "it would take two days"),
            ((0, 320), (40_000, 40_280), 500, LOOK_EVERY, Slowly, "it gains little on the chain"),
            ((0, 32), (3_000, 3_000), 500, LOOK_EVERY, Yes, "it takes minutes"),
            ((0, 32), (100, 100), 500, LOOK_EVERY, Yes, "enough blocks"),
            ((0, 3), (100, 100), BYTES_MIN, LOOK_EVERY, Yes, "large blocks"),
            ((0, 3), (100_000, 100_000), BYTES_MIN, LOOK_EVERY, Yes, "many large blocks"),
            ((0, 3), (100, 110), BYTES_MIN, LOOK_EVERY, No, "large blocks, and the chain runs away"),
            ((97, 100), (100, 100), 500, LOOK_EVERY, Yes, "all that there are"),
            ((100, 100), (100, 100), 0, LOOK_EVERY, Yes, "nothing is to be had"),
            ((100, 100), (100, 101), 0, LOOK_EVERY, Yes, "a block that is new"),
            ((0, 1), (100, 100), 500, LOOK_EVERY / 3, Yes, "the bank itself is slow"),
            ((0, 32), (1_000_000, 1_000_000), 500, LOOK_EVERY / 3, Yes, "the bank itself is slow"),
        ] {
            assert_eq!(kept(heights, heads, bytes, waited), expected, "{why}");
        }
    }

    #[test]
    fn a_head_that_was_proved_stays() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.look(now, Height(1), Height(50));
        pace.note(LOOK_EVERY, 0);
        // The one who proved it cannot be reached now.
        assert_eq!(pace.look(now + LOOK_EVERY, Height(2), Height(0)), Kept::No);
        assert_eq!(pace.head(), Height(50));
    }
}
