//! A limit on log lines that anybody can cause, so that noise does not fill the disk as well.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The pause between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// The limit on one kind of line: one every ten seconds, with the number of events since the last.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last_line: Option<Instant>,
    since: u64,
}

impl LogLimit {
    /// A limit without events so far.
    pub const fn new() -> LogLimit {
        LogLimit(Mutex::new(State { last_line: None, since: 0 }))
    }

    /// Counts events. Returns the number since the last line if a line is due.
    pub fn count(&self, events: u64) -> Option<u64> {
        self.count_at(Instant::now(), events)
    }

    fn count_at(&self, now: Instant, events: u64) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.since = state.since.saturating_add(events);
        if state.since == 0 || state.last_line.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            return None;
        }
        state.last_line = Some(now);
        Some(std::mem::take(&mut state.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_at_once_and_then_after_a_pause_with_all_since() {
        let (limit, now) = (LogLimit::new(), Instant::now());
        assert_eq!(limit.count_at(now, 0), None);
        assert_eq!(limit.count_at(now, 3), Some(3));
        assert_eq!(limit.count_at(now, 4), None);
        assert_eq!(limit.count_at(now + PAUSE / 2, 5), None);
        assert_eq!(limit.count_at(now + PAUSE, 6), Some(15));
    }
}
