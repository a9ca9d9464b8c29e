//! Log lines that strangers can cause, limited by rate: whoever sends noise does not fill the disk as well.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one line a second through and counts the others.
#[derive(Debug, Default)]
pub struct LogRate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl LogRate {
    const INTERVAL: Duration = Duration::from_secs(1);

    /// A rate of which nothing was used yet.
    pub const fn new() -> LogRate {
        LogRate(Mutex::new(State { last: None, held_back: 0 }))
    }

    /// Whether a line may be written now: then how many were held back since the last one.
    pub fn allows(&self) -> Option<u64> {
        self.allows_at(Instant::now())
    }

    fn allows_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < LogRate::INTERVAL) {
            state.held_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_says_how_many_there_were() {
        let (rate, began) = (LogRate::new(), Instant::now());
        assert_eq!(rate.allows_at(began), Some(0));
        for ms in [0, 1, 999] {
            assert_eq!(rate.allows_at(began + Duration::from_millis(ms)), None);
        }
        assert_eq!(rate.allows_at(began + Duration::from_millis(1_000)), Some(3));
        assert_eq!(rate.allows_at(began + Duration::from_millis(2_500)), Some(0));
    }
}
