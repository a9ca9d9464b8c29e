//! The failure detector: whether the leader may have failed, from when it was last heard.
//!
//! 1. A leader sends heartbeats at a fixed interval. The detector keeps the exponential mean of the intervals at which
//!    they arrive, so it learns how late they are on this network and on machines this busy.
//! 2. An alarm is on once nothing was heard for three times that mean, within bounds ([`Bounds`]).
//! 3. Everything from the leader ends the silence; only heartbeats change the mean, because appends come as often as
//!    there are payments, and the pause after many would look like a failure.
//! 4. An interval counts for no more than the longest silence allowed: one outage does not make the detector slow.

use std::time::Duration;

use tokio::time::Instant;

/// The silence is three mean intervals long when the alarm goes on.
const INTERVALS: u32 = 3;
/// The weight of a new interval in the mean: one eighth.
const WEIGHT: u32 = 8;

/// The bounds of the silence that sets off the alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub min: Duration,
    pub max: Duration,
}

/// The detector of one member, for whoever leads.
#[derive(Debug)]
pub(crate) struct FailureDetector {
    bounds: Bounds,
    mean: Duration,
    heartbeat: Option<Instant>,
    heard: Instant,
}

impl FailureDetector {
    /// A detector that assumes heartbeats every `interval`, and that the leader was heard just now.
    pub(crate) fn new(bounds: Bounds, interval: Duration, now: Instant) -> Self {
        FailureDetector { bounds, mean: interval, heartbeat: None, heard: now }
    }

    /// A heartbeat arrived.
    pub(crate) fn heartbeat(&mut self, now: Instant) {
        if let Some(before) = self.heartbeat {
            let interval = now.saturating_duration_since(before).min(self.bounds.max);
            self.mean = (self.mean * (WEIGHT - 1) + interval) / WEIGHT;
        }
        self.heartbeat = Some(now);
        self.heard(now);
    }

    /// Something else of the leader's arrived.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
    }

    /// Another member leads, or this one no longer does: its heartbeats begin.
    pub(crate) fn new_leader(&mut self, now: Instant) {
        self.heartbeat = None;
        self.heard(now);
    }

    /// The silence that sets off the alarm.
    pub(crate) fn silence_max(&self) -> Duration {
        (self.mean * INTERVALS).clamp(self.bounds.min, self.bounds.max)
    }

    /// When the leader was last heard.
    pub(crate) fn last_heard(&self) -> Instant {
        self.heard
    }

    /// When the alarm goes on, or went on.
    pub(crate) fn alarm_at(&self) -> Instant {
        self.heard + self.silence_max()
    }

    /// Whether the alarm is on.
    pub(crate) fn is_alarmed(&self, now: Instant) -> bool {
        now > self.alarm_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min: Duration::from_millis(60), max: Duration::from_millis(500) };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A detector after `count` heartbeats `interval` apart, and the time of the last.
    fn after(count: u32, interval: Duration) -> (FailureDetector, Instant) {
        let begin = Instant::now();
        let mut detector = FailureDetector::new(BOUNDS, ms(20), begin);
        for number in 0..count {
            detector.heartbeat(begin + interval * number);
        }
        (detector, begin + interval * (count - 1))
    }

    #[test]
    fn the_alarm_goes_on_after_three_mean_intervals_within_the_bounds() {
        for (interval, expected) in [(1, 60), (20, 60), (50, 150), (100, 300), (400, 500)] {
            let (detector, last) = after(200, ms(interval));
            let silence = detector.silence_max();
            assert!(silence <= ms(expected) && silence + ms(1) >= ms(expected), "{interval}: {silence:?}");
            assert!(!detector.is_alarmed(last + silence));
            assert!(detector.is_alarmed(last + silence + ms(1)));
        }
    }

    #[test]
    fn appends_end_the_silence_and_leave_the_mean() {
        let (mut detector, last) = after(200, ms(100));
        let silence = detector.silence_max();
        for number in 0..1000 {
            detector.heard(last + Duration::from_micros(100) * number);
        }
        assert_eq!(detector.silence_max(), silence);
        assert_eq!(detector.last_heard(), last + Duration::from_micros(99_900));
        // What arrives late does not turn the clock back.
        detector.heard(last);
        assert_eq!(detector.last_heard(), last + Duration::from_micros(99_900));
    }

    #[test]
    fn an_outage_does_not_make_the_detector_slow_for_long() {
        let (mut detector, mut now) = after(50, ms(20));
        now += Duration::from_secs(3600);
        detector.heartbeat(now);
        assert!(detector.silence_max() < ms(300));
        for _ in 0..30 {
            now += ms(20);
            detector.heartbeat(now);
        }
        assert!(detector.silence_max() < ms(65));
        // A new leader's first heartbeat has no interval.
        detector.new_leader(now + ms(400));
        detector.heartbeat(now + ms(400));
        assert!(detector.silence_max() < ms(65));
    }
}
