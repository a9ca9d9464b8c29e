//! The outcomes of a stream's payments, recorded while the load runs and counted afterwards.
//!
//! The task that offers the load shares its machine with the nodes that it measures: it records when messages were sent
//! and when answers came, and histograms and timelines are computed from these records after the measured time.

use std::ops::Range;

use cbdc_proto::packed::Answer;

use crate::measure::latency::LatencyRecorder;
use crate::measure::throughput::SettledRates;
use crate::measure::timeline::{self, Timeline};

/// Payments that were sent together.
pub struct Departure {
    /// Their indices in the stream.
    pub payments: Range<usize>,
    /// The time at which they were sent, ns after the start.
    pub at_ns: u64,
    /// The time at which the generator was ready to send them, ns after the start.
    pub ready_ns: u64,
    /// The time until which the network accepted no further payment or had no connection, ns after the start.
    pub blocked_until_ns: u64,
}

/// The outcome of one stream.
pub struct StreamOutcome {
    /// The due time of each payment, ns after the start.
    pub due_ns: Vec<u64>,
    /// The time that a message may take to fill, ns.
    pub fill_ns: u64,
    /// The departures; each payment is in one of them.
    pub departures: Vec<Departure>,
    /// The final answer of each payment, in order; `None` if there was none in time.
    pub answers: Vec<Option<Answer>>,
    /// The time of each answer, ns after the start; for payments without one, the time at which it was given up.
    pub answered_ns: Vec<u64>,
    /// Answers that left the outcome open, and those that a broken connection took away: their time and number.
    pub unknown: Vec<(u64, u64)>,
    /// The number of times that the connection broke.
    pub breaks: u64,
}

/// The figures of all streams.
pub struct Figures {
    pub latency: LatencyRecorder,
    pub timeline: Timeline,
    pub rates: SettledRates,
    /// The delay with which payments were sent, measured from their due times.
    pub lateness: LatencyRecorder,
    /// The same, excluding what was beyond the generator's control: a message may take its time to fill, and the
    /// network may accept nothing for a while.
    pub own_lateness: LatencyRecorder,
}

impl StreamOutcome {
    pub fn new(due_ns: Vec<u64>, fill_ns: u64) -> StreamOutcome {
        let payments = due_ns.len();
        StreamOutcome {
            due_ns,
            fill_ns,
            departures: Vec::new(),
            answers: vec![None; payments],
            answered_ns: vec![0; payments],
            unknown: Vec::new(),
            breaks: 0,
        }
    }

    /// Gives up on every payment without an answer.
    pub fn give_up(&mut self, now_ns: u64) {
        for (answer, answered) in self.answers.iter().zip(&mut self.answered_ns) {
            if answer.is_none() {
                *answered = now_ns;
            }
        }
    }
}

impl Figures {
    /// Figures that leave out payments due in the first `warm_up_ns` of `total_s`, except in the timeline, which shows
    /// all.
    pub fn new(warm_up_ns: u64, total_s: f64) -> Figures {
        let recorder = || LatencyRecorder::new(warm_up_ns);
        Figures {
            latency: recorder(),
            timeline: Timeline::new(total_s),
            rates: SettledRates::new(warm_up_ns..(total_s * 1e9) as u64),
            lateness: recorder(),
            own_lateness: recorder(),
        }
    }

    pub fn count(&mut self, stream: &StreamOutcome) {
        for departure in &stream.departures {
            for due in &stream.due_ns[departure.payments.clone()] {
                self.timeline.offered(*due);
                self.lateness.record(*due, departure.at_ns);
                let could_leave = (due + stream.fill_ns).max(departure.blocked_until_ns);
                self.own_lateness.record(*due, due + departure.ready_ns.saturating_sub(could_leave));
            }
        }
        for ((due, answer), answered) in stream.due_ns.iter().zip(&stream.answers).zip(&stream.answered_ns) {
            let outcome = match answer {
                Some(answer) if answer.outcome.is_settled() => {
                    self.latency.record(*due, *answered);
                    self.rates.settled(*due, *answered);
                    timeline::Answer::Settled
                }
                Some(answer) => timeline::Answer::Refused(answer.outcome.reason),
                None => timeline::Answer::Failed,
            };
            self.timeline.answered(*due, *answered, outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_ledger::{Height, Outcome, Reason};

    const MS: u64 = 1_000_000;

    #[test]
    fn lateness_that_the_network_or_the_filling_of_a_message_caused_is_not_the_generators_own() {
        let mut stream = StreamOutcome::new(vec![0, 10 * MS, 20 * MS], 5 * MS);
        let departure = |payments: Range<usize>, at_ms: u64, blocked_until_ms: u64| Departure {
            payments,
            at_ns: at_ms * MS,
            ready_ns: at_ms * MS,
            blocked_until_ns: blocked_until_ms * MS,
        };
        // The first filled its message, the others were blocked until 30 ms; for the last, 2 ms were the generator's
        // own.
        stream.departures = vec![departure(0..1, 5, 0), departure(1..2, 30, 30), departure(2..3, 32, 30)];
        let mut figures = Figures::new(0, 1.0);
        figures.count(&stream);
        assert_eq!(figures.lateness.summary().max.round(), 20.0);
        assert_eq!(figures.own_lateness.summary().max.round(), 2.0);
        assert_eq!(figures.own_lateness.count(), 3);
    }

    #[test]
    fn each_payment_counts_as_what_became_of_it_in_the_second_it_was_answered() {
        let mut stream = StreamOutcome::new(vec![900 * MS; 3], 0);
        let ordered = |outcome| Some(Answer::ordered(Height(1), 0, outcome));
        let refused = Outcome::refused(Reason::InsufficientFunds, 0, 0);
        stream.answers = vec![ordered(Outcome::settled()), ordered(refused), None];
        stream.answered_ns = vec![950 * MS, 1_100 * MS, 1_200 * MS];
        let mut figures = Figures::new(0, 2.0);
        figures.count(&stream);
        let seconds = figures.timeline.seconds();
        let counts: Vec<_> = seconds.iter().map(|second| (second.settled, second.refused, second.failed)).collect();
        assert_eq!(counts, [(1, 0, 0), (0, 1, 1)]);
        assert_eq!((figures.latency.count(), figures.latency.summary().max.round()), (1, 50.0));
        assert_eq!((figures.rates.due_per_s(), figures.rates.in_window_per_s()), (0.5, 0.5));
    }
}
