//! Settled payments per second, counted by due time and by settlement time.
//!
//! The two differ when a backlog crosses an edge of the measured time. A network that clears the warm-up's backlog
//! settles more *in* the measured time than was due in it; one that falls behind continues to settle after the load.
//!
//! * [`SettledRates::due_per_s`] counts the payments that were due in the measured time and settled, whenever that was.
//!   If they took longer to settle than to fall due, the rate is lower in that proportion, so it exceeds neither what
//!   was offered nor what the network can settle. Both spans are those of the middle 98 %, so that no straggler
//!   decides.
//! * [`SettledRates::in_window_per_s`] counts the settlements within the measured time, whenever they were due.

use std::ops::Range;

/// The share omitted at each end of a span: one payment in this many.
const TAIL: usize = 100;

/// Settled payments, by when they were due and when they settled. All times are ns from the start of the load.
#[derive(Debug, Clone)]
pub struct SettledRates {
    measured_ns: Range<u64>,
    due_ns: Vec<u64>,
    settled_ns: Vec<u64>,
    in_window: u64,
}

impl SettledRates {
    /// Rates over the measured time.
    pub fn new(measured_ns: Range<u64>) -> Self {
        Self { measured_ns, due_ns: Vec::new(), settled_ns: Vec::new(), in_window: 0 }
    }

    /// Counts a payment that settled.
    pub fn settled(&mut self, due_ns: u64, settled_ns: u64) {
        if self.measured_ns.contains(&due_ns) {
            self.due_ns.push(due_ns);
            self.settled_ns.push(settled_ns);
        }
        self.in_window += u64::from(self.measured_ns.contains(&settled_ns));
    }

    /// Payments due in the measured time that settled, per second.
    pub fn due_per_s(&self) -> f64 {
        let (falling_due, settling) = (middle_span(&self.due_ns), middle_span(&self.settled_ns));
        let slowdown = if falling_due == 0 { 1.0 } else { (settling as f64 / falling_due as f64).max(1.0) };
        self.due_ns.len() as f64 / self.measured_s() / slowdown
    }

    /// Settlements in the measured time, per second.
    pub fn in_window_per_s(&self) -> f64 {
        self.in_window as f64 / self.measured_s()
    }

    fn measured_s(&self) -> f64 {
        (self.measured_ns.end - self.measured_ns.start) as f64 / 1e9
    }
}

/// The time span of the middle 98 % of these payments.
fn middle_span(times_ns: &[u64]) -> u64 {
    let mut times = times_ns.to_vec();
    let Some(last) = times.len().checked_sub(1) else { return 0 };
    let (low, high) = (times.len() / TAIL, last - times.len() / TAIL);
    let (_, first, _) = times.select_nth_unstable(low);
    let first = *first;
    let (_, end, _) = times.select_nth_unstable(high);
    *end - first
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const MS: u64 = 1_000_000;

    /// Rates of a load of 1,000 a second, 2 s of warm-up and 10 s measured, with the settlement time of each due time
    /// given by `settled_ns`.
    fn rates(settled_ns: impl Fn(u64) -> u64) -> SettledRates {
        let mut rates = SettledRates::new(2 * S..12 * S);
        (0..12_000).map(|payment| payment * MS).for_each(|due_ns| rates.settled(due_ns, settled_ns(due_ns)));
        rates
    }

    #[test]
    fn clearing_the_warm_ups_backlog_settles_no_more_than_was_offered() {
        // Nothing settles for the first 4 s; then the network catches up at 2,000 a second.
        let rates = rates(|due_ns| if due_ns < 8 * S { 4 * S + due_ns / 2 } else { due_ns });
        assert!((rates.in_window_per_s() - 1_200.0).abs() < 1.0, "{}", rates.in_window_per_s());
        assert_eq!(rates.due_per_s(), 1_000.0);
    }

    #[test]
    fn a_backlog_that_outlasts_the_load_is_no_throughput() {
        // The network settles 500 a second and needs another 12 s for the rest.
        let rates = rates(|due_ns| 2 * due_ns);
        assert!((rates.due_per_s() - 500.0).abs() < 1.0, "{}", rates.due_per_s());
        assert!((rates.in_window_per_s() - 500.0).abs() < 1.0, "{}", rates.in_window_per_s());
    }

    #[test]
    fn a_steady_delay_and_a_straggler_change_nothing() {
        let rates = rates(|due_ns| if due_ns == 7 * S { 60 * S } else { due_ns + 300 * MS });
        assert!((rates.due_per_s() - 1_000.0).abs() < 1.0, "{}", rates.due_per_s());
    }

    #[test]
    fn nothing_settled_is_zero() {
        let rates = SettledRates::new(0..S);
        assert_eq!((rates.due_per_s(), rates.in_window_per_s()), (0.0, 0.0));
    }
}
