//! What events that disturb the network did to settling: each one's gap, what was refused or unknown meanwhile, and who
//! led before and after.

use std::time::Duration;

use super::leaders::leader_at;
use super::stream_outcome::StreamOutcome;
use crate::measure::gaps::{SettlingGap, longest};
use crate::result::{EventRecord, LeaderChange};
use crate::scenario::Event;

/// A gap that begins this long after an event is done, or later, is not its work: by then every bank has passed on what
/// was settled before.
const BEGINS_WITHIN: Duration = Duration::from_millis(250);

/// Fills in the gaps of the events that disturbed the network.
pub fn fill_in(events: &[Event], records: &mut [EventRecord], outcomes: &[StreamOutcome], leaders: &[LeaderChange]) {
    let is_one =
        |(event, record): &(&Event, &EventRecord)| event.action.is_a_disturbance() && record.done_at_s.is_some();
    if !events.iter().zip(records.iter()).any(|pair| is_one(&pair)) {
        return;
    }
    let times = Times::of(outcomes);
    let begun: Vec<Option<f64>> =
        events.iter().zip(records.iter()).map(|pair| if is_one(&pair) { pair.1.began_at_s } else { None }).collect();
    for (index, record) in records.iter_mut().enumerate() {
        let (Some(Some(began_s)), Some(done_s)) = (begun.get(index).copied(), record.done_at_s) else { continue };
        let next_s = begun[index + 1..].iter().flatten().next().copied().unwrap_or(f64::INFINITY);
        let until_s = (done_s + BEGINS_WITHIN.as_secs_f64()).min(next_s);
        let is_a_recovery = events[index].action.is_a_recovery();
        record.settling = Some(times.gap(began_s, is_a_recovery, until_s, next_s, leaders));
    }
}

/// The sorted times of what came back, in ns from the start of the load.
struct Times {
    settled: Vec<u64>,
    refused: Vec<u64>,
    /// With the number of answers.
    unknown: Vec<(u64, u64)>,
}

impl Times {
    fn of(outcomes: &[StreamOutcome]) -> Times {
        let mut times = Times { settled: Vec::new(), refused: Vec::new(), unknown: Vec::new() };
        for outcome in outcomes {
            for (answer, at) in outcome.answers.iter().zip(&outcome.answered_ns) {
                match answer {
                    Some(answer) if answer.outcome.is_settled() => times.settled.push(*at),
                    Some(_) => times.refused.push(*at),
                    None => {}
                }
            }
            times.unknown.extend_from_slice(&outcome.unknown);
        }
        times.settled.sort_unstable();
        times.refused.sort_unstable();
        times
    }

    fn gap(
        &self,
        began_s: f64,
        is_a_recovery: bool,
        until_s: f64,
        next_s: f64,
        leaders: &[LeaderChange],
    ) -> SettlingGap {
        let ns = |at_s: f64| (at_s * 1e9) as u64;
        let mut found = longest(&self.settled, ns(began_s), ns(until_s));
        // A pause that a recovery ends is the earlier event's; its own is how long it took from then on.
        if let Some(gap) = found.as_mut().filter(|_| is_a_recovery) {
            gap.from_ns = gap.from_ns.max(ns(began_s));
        }
        let (from_ns, to_ns) = found.map_or((ns(began_s), u64::MAX), |gap| (gap.from_ns, gap.to_ns));
        let is_in_it = |at: u64| (from_ns..=to_ns).contains(&at);
        SettlingGap {
            gap_ms: found.map(|gap| ((gap.to_ns - gap.from_ns) as f64 / 1e4).round() / 100.0),
            from_s: from_ns as f64 / 1e9,
            refused: self.refused.iter().filter(|at| is_in_it(**at)).count() as u64,
            unknown: self.unknown.iter().filter(|(at, _)| is_in_it(*at)).map(|(_, count)| count).sum(),
            leader_before: leader_at(leaders, began_s),
            // Whoever led when the next event came, or last.
            leader_after: leader_at(leaders, next_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::{Height, Outcome, Reason};
    use cbdc_proto::packed::Answer;

    use super::*;
    use crate::scenario::Scenario;

    const MS: u64 = 1_000_000;

    fn stream(settled_ms: &[u64], refused_ms: &[u64], unknown_ms: &[u64]) -> StreamOutcome {
        let all: Vec<u64> = settled_ms.iter().chain(refused_ms).map(|at| at * MS).collect();
        let mut stream = StreamOutcome::new(all.clone(), 0);
        let refused = Outcome::refused(Reason::Overloaded, 0, 0);
        let outcome = |index| if index < settled_ms.len() { Outcome::settled() } else { refused };
        stream.answers = (0..all.len()).map(|index| Some(Answer::ordered(Height(1), 0, outcome(index)))).collect();
        stream.answered_ns = all;
        stream.unknown = unknown_ms.iter().map(|at| (at * MS, 10)).collect();
        stream
    }

    fn record(at_s: f64) -> EventRecord {
        EventRecord { at_s, began_at_s: Some(at_s), done_at_s: Some(at_s + 0.01), ..EventRecord::default() }
    }

    #[test]
    fn each_disturbance_has_the_gap_that_it_made_over_all_streams() {
        let text = "[network]\ncentral_banks = 3\n[[event]]\nat_s = 1\naction = \"kill\"\nnode = \"leader\"\n\
                    [[event]]\nat_s = 2\naction = \"policy\"\nsupply_cap_minor = \"none\"\n\
                    [[event]]\nat_s = 3\naction = \"hand-over\"";
        let scenario = Scenario::parse("test.toml", "test", text, &[]).unwrap();
        let mut records = vec![record(1.0), record(2.0), record(3.0)];
        let leader = |at_s, leader: &str, term| LeaderChange { at_s, leader: leader.to_owned(), term };
        let leaders = [leader(0.0, "central-bank-1", 1), leader(1.2, "central-bank-3", 2)];
        let streams = [
            stream(&[900, 1_020, 1_230, 2_000, 2_990, 3_500], &[1_100, 2_500], &[1_010, 1_050, 2_500]),
            stream(&[950, 1_010, 1_300, 2_100, 3_040, 3_090], &[], &[1_220]),
        ];
        fill_in(&scenario.events, &mut records, &streams, &leaders);
        let killed = records[0].settling.clone().unwrap();
        assert_eq!((killed.gap_ms, killed.from_s), (Some(210.0), 1.02), "longer pauses later are not its work");
        assert_eq!((killed.refused, killed.unknown), (1, 20));
        assert_eq!(killed.leader_after.as_deref(), Some("central-bank-3"));
        assert!(records[1].settling.is_none(), "a policy disturbs nothing");
        let handed_over = records[2].settling.clone().unwrap();
        assert_eq!((handed_over.gap_ms, handed_over.unknown), (Some(410.0), 0));
        assert_eq!(handed_over.leader_before.as_deref(), Some("central-bank-3"));
    }

    #[test]
    fn a_recovery_has_no_part_in_the_pause_that_it_ends() {
        let text = "[[event]]\nat_s = 1\naction = \"pause\"\nnode = \"leader\"\n[[event]]\nat_s = 2\naction = \"resume\"\n\
                    node = \"former-leader\"";
        let scenario = Scenario::parse("test.toml", "test", text, &[]).unwrap();
        let mut records = vec![record(1.0), record(2.0)];
        fill_in(&scenario.events, &mut records, &[stream(&[900, 2_040, 2_060, 2_070], &[], &[])], &[]);
        let gaps: Vec<_> = records.iter().map(|record| record.settling.as_ref().unwrap().gap_ms).collect();
        assert_eq!(gaps, [Some(1_140.0), Some(40.0)]);
    }

    #[test]
    fn that_nothing_settled_any_more_is_no_short_gap() {
        let text = "[[event]]\nat_s = 1\naction = \"kill\"\nnode = \"central-bank\"";
        let scenario = Scenario::parse("test.toml", "test", text, &[]).unwrap();
        let mut records = vec![record(1.0)];
        fill_in(&scenario.events, &mut records, &[stream(&[900], &[1_100], &[1_200])], &[]);
        let gap = records[0].settling.clone().unwrap();
        assert_eq!((gap.gap_ms, gap.refused, gap.unknown, gap.leader_after), (None, 1, 10, None));
    }
}
