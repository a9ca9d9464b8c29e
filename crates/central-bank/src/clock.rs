//! The clock that stamps block proposals.
//!
//! A stamp is the machine's wall clock, but never before the last one. It is compared with an estimate that no
//! adjustment of the clock can move:
//!
//! - While the node runs, the last accepted wall time plus the monotonic time elapsed since. Small corrections (NTP)
//!   move the estimate along.
//! - After a start, a time from the last block's to [`gap_max`](Clock::with_wall) later: a node that was off for
//!   longer, or whose clock says so, waits for an operator.
//! - The banks' clocks, which they tell after a start ([`crate::witnesses`]): if those of most banks differ from this
//!   node's, theirs are the estimate.
//!
//! When clock and estimate are more than 60 seconds apart, the clock has *jumped*: no block is sealed until an operator
//! accepts the clock as it is.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cbdc_ledger::{Height, Timestamp};

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
    gap_max: Duration,
    reading: Mutex<Reading>,
}

/// The last accepted reading of the wall clock.
struct Reading {
    wall: Timestamp,
    at: Instant,
    last_stamp: Timestamp,
    has_warned: bool,
}

/// The estimate at a start: the wall clock, as far as the newest block allows.
fn first_estimate((height, time): (Height, Timestamp), gap_max: Duration, wall: Timestamp) -> Timestamp {
    let latest = match height {
        Height(0) => Timestamp(u64::MAX),
        _ => time.plus_ms(u64::try_from(gap_max.as_millis()).unwrap_or(u64::MAX)),
    };
    wall.clamp(time, latest)
}

impl Clock {
    /// A clock over a wall clock, for a chain whose newest block has the height and time `tip`. After a start the clock
    /// may be `gap_max` ahead of that block; before the first block there is no such bound.
    pub fn with_wall(
        tip: (Height, Timestamp),
        gap_max: Duration,
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Clock {
        let reading = Reading {
            wall: first_estimate(tip, gap_max, wall()),
            at: Instant::now(),
            last_stamp: tip.1,
            has_warned: false,
        };
        Clock { wall: Box::new(wall), gap_max, reading: Mutex::new(reading) }
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
        let mut reading = self.reading();
        let passed = now.saturating_duration_since(reading.at);
        let expected = reading.wall.plus_ms(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        let found = (self.wall)();
        if u128::from(expected.0.abs_diff(found.0)) > JUMP.as_millis() {
            let jumped = Jumped { expected, found };
            if !reading.has_warned {
                tracing::error!(
                    %expected, %found,
                    "the machine's clock has jumped; no block is sealed until an operator accepts it"
                );
                reading.has_warned = true;
            }
            return Err(jumped);
        }
        (reading.wall, reading.at, reading.has_warned) = (found, now, false);
        reading.last_stamp = reading.last_stamp.max(found);
        Ok(reading.last_stamp)
    }

    /// Starts over from the newest block, whose height and time the ledger has reached: the next stamp is treated as a
    /// first one.
    pub fn resume_after(&self, tip: (Height, Timestamp)) {
        let mut reading = self.reading();
        (reading.wall, reading.at) = (first_estimate(tip, self.gap_max, self.wall()), Instant::now());
        reading.last_stamp = reading.last_stamp.max(tip.1);
    }

    /// Goes on from the newest block of another node's sealing, with the estimate as it is: a clock that has jumped
    /// since this node started stays one that has.
    pub fn take_over_at(&self, tip: Timestamp) {
        let mut reading = self.reading();
        reading.last_stamp = reading.last_stamp.max(tip);
    }

    /// Takes another clock's time for the estimate.
    pub fn expect(&self, estimate: Timestamp) {
        let mut reading = self.reading();
        (reading.wall, reading.at) = (estimate, Instant::now());
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts the clock as it is now, for an operator. Returns the time accepted.
    pub fn accept(&self) -> Timestamp {
        let mut reading = self.reading();
        let found = self.wall();
        tracing::warn!(%found, "an operator accepted the clock");
        (reading.wall, reading.at, reading.has_warned) = (found, Instant::now(), false);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    const GAP_MAX: Duration = Duration::from_secs(7 * 86_400);

    fn tip(height: u64, time: u64) -> (Height, Timestamp) {
        (Height(height), Timestamp(time))
    }

    fn settable(parent: u64, wall: u64) -> (Arc<AtomicU64>, Clock) {
        let time = Arc::new(AtomicU64::new(wall));
        let read = time.clone();
        (time, Clock::with_wall(tip(0, parent), GAP_MAX, move || Timestamp(read.load(Ordering::SeqCst))))
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
        clock.resume_after(tip(1, 10_000_000));
        assert!(clock.stamp().is_err());
        let (_, clock) = settable(1_000_000, 10_000_000);
        assert!(clock.stamp().is_ok());
    }

    #[test]
    fn a_start_far_ahead_of_the_last_block_waits_for_an_operator() {
        const WEEK_MS: u64 = 7 * 86_400_000;
        for (height, ahead, is_accepted) in [(1, WEEK_MS, true), (1, WEEK_MS + 61_000, false), (0, 10 * WEEK_MS, true)]
        {
            let wall = move || Timestamp(1_000_000 + ahead);
            let clock = Clock::with_wall(tip(height, 1_000_000), GAP_MAX, wall);
            assert_eq!(clock.stamp().is_ok(), is_accepted, "height {height}, {ahead} ms ahead");
            clock.resume_after(tip(height, 1_000_000));
            assert_eq!(clock.stamp().is_ok(), is_accepted);
            clock.accept();
            assert_eq!(clock.stamp(), Ok(wall()));
        }
    }

    #[test]
    fn a_clock_that_jumped_while_another_node_led_stays_jumped() {
        let (time, clock) = settable(1_000_000, 1_000_000);
        clock.stamp().unwrap();
        time.store(1_000_000 + 2 * 86_400_000, Ordering::SeqCst);
        clock.take_over_at(Timestamp(1_001_000));
        assert!(clock.stamp().is_err());
        time.store(1_000_500, Ordering::SeqCst);
        assert_eq!(clock.stamp(), Ok(Timestamp(1_001_000)), "no stamp is before the newest block");
    }

    #[test]
    fn another_clock_is_believed_until_an_operator_accepts_this_one() {
        let (_, clock) = settable(0, 1_000_000);
        clock.expect(Timestamp(900_000));
        assert!(clock.stamp().is_err());
        clock.accept();
        assert!(clock.stamp().is_ok());
        clock.expect(Timestamp(1_010_000));
        assert!(clock.stamp().is_ok(), "a small difference is none");
    }
}
