//! The clock that stamps block proposals.
//!
//! A stamp is the machine's wall clock, but never before the last one. It is compared with a monotonic estimate: the
//! last accepted wall time plus the time elapsed since, which no adjustment of the clock can move. When the two are
//! more than 60 seconds apart, the clock has *jumped*: no block is sealed until an operator accepts the clock as it is.
//! Small corrections (NTP) move the estimate along.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cbdc_ledger::Timestamp;

/// The largest accepted difference between the clock and the monotonic estimate.
pub const JUMP: Duration = Duration::from_secs(60);

/// The clock and the estimate are too far apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the machine's clock says {found}, {expected} was expected; no block is sealed until an operator accepts the clock"
)]
pub struct Jumped {
    pub expected: Timestamp,
    pub found: Timestamp,
}

pub struct Clock {
    wall: Box<dyn Fn() -> Timestamp + Send + Sync>,
    anchor: Mutex<Anchor>,
}

struct Anchor {
    wall: Timestamp,
    at: Instant,
    last_stamp: Timestamp,
    has_warned: bool,
}

impl Clock {
    /// A clock over a wall clock. `parent` is the time of the last block: a clock far behind it has jumped, however
    /// long the node was off; one far ahead of it is expected after the node was off.
    pub fn with_wall(parent: Timestamp, wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        let anchor = Anchor { wall: wall().max(parent), at: Instant::now(), last_stamp: parent, has_warned: false };
        Clock { wall: Box::new(wall), anchor: Mutex::new(anchor) }
    }

    /// The machine's clock, whether or not it has jumped.
    pub fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// The stamp of a block proposal now.
    pub fn stamp(&self) -> Result<Timestamp, Jumped> {
        self.stamp_at(Instant::now())
    }

    fn stamp_at(&self, now: Instant) -> Result<Timestamp, Jumped> {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(anchor.at);
        let expected = anchor.wall.plus_ms(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        let found = (self.wall)();
        if u128::from(expected.0.abs_diff(found.0)) > JUMP.as_millis() {
            let jumped = Jumped { expected, found };
            if !anchor.has_warned {
                tracing::error!(%expected, %found, "the machine's clock has jumped; no block is sealed until an operator accepts it");
                anchor.has_warned = true;
            }
            return Err(jumped);
        }
        (anchor.wall, anchor.at, anchor.has_warned) = (found, now, false);
        anchor.last_stamp = anchor.last_stamp.max(found);
        Ok(anchor.last_stamp)
    }

    /// Starts over from a block of time `parent`, which the ledger has reached: the next stamp is treated as a first
    /// one.
    pub fn resume_after(&self, parent: Timestamp) {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        (anchor.wall, anchor.at) = ((self.wall)().max(parent), Instant::now());
        anchor.last_stamp = anchor.last_stamp.max(parent);
    }

    /// Accepts the clock as it is now, for an operator. Returns the time accepted.
    pub fn accept(&self) -> Timestamp {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let found = (self.wall)();
        tracing::warn!(%found, "an operator accepted the clock");
        (anchor.wall, anchor.at, anchor.has_warned) = (found, Instant::now(), false);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn settable(parent: u64, wall: u64) -> (Arc<AtomicU64>, Clock) {
        let time = Arc::new(AtomicU64::new(wall));
        let read = time.clone();
        (time, Clock::with_wall(Timestamp(parent), move || Timestamp(read.load(Ordering::SeqCst))))
    }

    #[test]
    fn stamps_never_go_back_when_the_clock_does() {
        let (time, clock) = settable(0, 1_000_000);
        assert_eq!(clock.stamp(), Ok(Timestamp(1_000_000)));
        time.store(990_000, Ordering::SeqCst);
        assert_eq!(clock.stamp(), Ok(Timestamp(1_000_000)));
    }

    #[test]
    fn a_jump_stops_sealing_until_an_operator_accepts() {
        for jump_to in [1_000_000 + 60_500, 1_000_000 - 60_500] {
            let (time, clock) = settable(0, 1_000_000);
            clock.stamp().unwrap();
            time.store(jump_to, Ordering::SeqCst);
            assert!(clock.stamp().is_err());
            assert!(clock.stamp().is_err());
            clock.accept();
            assert_eq!(clock.stamp(), Ok(Timestamp(jump_to.max(1_000_000))));
        }
    }

    #[test]
    fn passing_time_is_no_jump() {
        let (time, clock) = settable(0, 1_000_000);
        time.store(1_000_000 + 3_600_000, Ordering::SeqCst);
        let later = Instant::now() + Duration::from_secs(3_600);
        assert_eq!(clock.stamp_at(later), Ok(Timestamp(4_600_000)));
    }

    #[test]
    fn a_clock_far_behind_the_last_block_has_jumped() {
        let (_, clock) = settable(10_000_000, 1_000_000);
        assert!(clock.stamp().is_err());
        let (_, clock) = settable(0, 1_000_000);
        clock.resume_after(Timestamp(10_000_000));
        assert!(clock.stamp().is_err());
        let (_, clock) = settable(1_000_000, 10_000_000);
        assert!(clock.stamp().is_ok());
    }
}
