//! Gaps in settling: the time from one settlement to the next, over all payers, where something disturbed the network.
//!
//! A node that is killed stops settling at once, but what it settled before is still being answered for a moment. So an
//! event's gap is not the time between the answers just before and just after it, but the longest one that begins
//! before the event or shortly after: from the last settlement before the pause to the first after it.

use serde::{Deserialize, Serialize};

/// A gap, in ns from the start of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The last settlement before it.
    pub from_ns: u64,
    /// The first after it.
    pub to_ns: u64,
}

/// The gap in settling after an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct SettlingGap {
    /// From the last settlement before it to the first after it; after a recovery (a restart, a resumption, healed
    /// links), from the event on. Absent if nothing was settled any more.
    pub gap_ms: Option<f64>,
    /// Its beginning, in seconds from the start of the load.
    pub from_s: f64,
    /// Payments that were refused during it.
    pub refused: u64,
    /// Answers during it that left the outcome open; these payments were sent again.
    pub unknown: u64,
    /// The central bank's node that led before, if it was known.
    pub leader_before: Option<String>,
    /// The one that led after it.
    pub leader_after: Option<String>,
}

/// The longest gap that ends after `event_ns` and begins by `until_ns`, by the sorted times of all settlements. `None`
/// if nothing was settled after the event. Before the first settlement there is no gap: it is taken to begin with the
/// event.
pub fn longest(settled_ns: &[u64], event_ns: u64, until_ns: u64) -> Option<Gap> {
    let next = settled_ns.partition_point(|at| *at <= event_ns);
    let before = next.checked_sub(1).map_or(event_ns, |last| settled_ns[last]);
    let after = settled_ns.get(next..).filter(|after| !after.is_empty())?;
    let begins = std::iter::once(&before).chain(after);
    let gaps = begins.zip(after).map(|(from, to)| Gap { from_ns: *from, to_ns: *to });
    // The first of equally long ones.
    gaps.take_while(|gap| gap.from_ns <= until_ns.max(before))
        .reduce(|longest, gap| if gap.to_ns - gap.from_ns > longest.to_ns - longest.from_ns { gap } else { longest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_runs_from_the_last_settlement_before_it_to_the_first_after() {
        // Killed at 100; what had been settled is answered until 120, the next leader's first settlement at 300.
        let settled = [80, 90, 110, 120, 300, 310, 900];
        assert_eq!(longest(&settled, 100, 200), Some(Gap { from_ns: 120, to_ns: 300 }));
        assert_eq!(longest(&settled, 100, 320), Some(Gap { from_ns: 310, to_ns: 900 }));
    }

    #[test]
    fn at_the_edges_there_is_a_gap_only_where_something_settles_later() {
        let settled = [50, 60];
        assert_eq!(longest(&settled, 60, 100), None);
        assert_eq!(longest(&settled, 10, 20), Some(Gap { from_ns: 10, to_ns: 50 }));
        assert_eq!(longest(&settled, 55, 55), Some(Gap { from_ns: 50, to_ns: 60 }));
        assert_eq!(longest(&[], 0, 10), None);
    }
}
