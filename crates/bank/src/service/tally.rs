//! The standing of a customer's stream of payments: a stream of mostly refused payments is read more slowly.
//!
//! The bank answers for what it relays: a member of whose commands too many are refused is slowed by the central bank,
//! and with it all of the bank's customers. So a stream has an allowance of its own, far below the bank's. A payment
//! that was ordered before it was sent here is a repetition, and so is each further copy within a batch. They cost
//! little and count as not ordered: a customer who sends again what a broken stream left unanswered is not slowed.
//!
//! Nor does a stream begin with all that it may have: the payments that are in flight at once are few at first, and as
//! many more as have settled. Whoever sends junk is told so before much of it is on its way, and nobody waits behind
//! it.

use std::collections::BTreeSet;
use std::time::Instant;

use cbdc_ledger::{Height, Reason};
use cbdc_node::standing::{CUSTOMER, Standing, Waste};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::Answer;

/// Payments of one stream in flight, above which it is not read on: at first, and of one whose payments all settle.
const IN_FLIGHT: (usize, usize) = (2_048, 524_288);

/// The outcomes of one batch's payments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    pub settled: usize,
    /// Ordered and refused.
    pub refused: usize,
    /// Refused before it was ordered, or ordered earlier.
    pub not_ordered: usize,
    pub bad_signatures: usize,
}

impl Tally {
    /// Counts the answers to a batch that arrived when the chain had reached `height`.
    pub fn of(answers: &Answers, height: Height) -> Tally {
        let packed = match answers {
            Answers::Run { count, .. } => return Tally { settled: *count, ..Tally::default() },
            Answers::Each(_) => answers.unpacked().unwrap_or_default(),
        };
        let position = |answer: &Answer| (answer.height, answer.index);
        let ordered = || packed.iter().filter(|answer| answer.is_ordered()).map(position);
        // Payments are usually ordered as they were sent; then none was ordered twice.
        let mut positions = (!ordered().is_sorted_by(|one, next| one < next)).then(BTreeSet::new);
        let mut is_copy = |answer: &Answer| positions.as_mut().is_some_and(|seen| !seen.insert(position(answer)));
        let mut tally = Tally::default();
        for answer in &packed {
            match answer.outcome.reason {
                _ if answer.is_ordered() && (answer.height <= height || is_copy(answer)) => tally.not_ordered += 1,
                Reason::Settled => tally.settled += 1,
                Reason::BadSignature => tally.bad_signatures += 1,
                // Not the customer's fault.
                Reason::Overloaded | Reason::Unavailable | Reason::ClockJump => {}
                _ if answer.is_ordered() => tally.refused += 1,
                _ => tally.not_ordered += 1,
            }
        }
        tally
    }
}

/// The standing of one stream.
pub struct StreamStanding {
    standing: Standing,
    in_flight_max: usize,
}

impl StreamStanding {
    pub fn new() -> StreamStanding {
        StreamStanding { standing: Standing::new(CUSTOMER, Instant::now()), in_flight_max: IN_FLIGHT.0 }
    }

    /// Records the outcomes of a batch.
    pub fn note(&mut self, tally: Tally) {
        let now = Instant::now();
        self.standing.settled(now, tally.settled);
        self.standing.wasted(now, Waste::Refused, tally.refused);
        self.standing.wasted(now, Waste::NotVerified, tally.not_ordered);
        self.standing.wasted(now, Waste::BadSignature, tally.bad_signatures);
        self.in_flight_max = match tally.refused + tally.not_ordered + tally.bad_signatures > tally.settled {
            true => IN_FLIGHT.0,
            false => (self.in_flight_max + tally.settled).min(IN_FLIGHT.1),
        };
    }

    /// When the stream may be read on, if not at once.
    pub fn reads_on_at(&self) -> Option<Instant> {
        self.standing.refilled(Instant::now())
    }

    /// Whether it is read on while so many of its payments are in flight.
    pub fn reads_on_with(&self, in_flight: usize) -> bool {
        in_flight < self.in_flight_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_ledger::Outcome;

    #[test]
    fn repetitions_count_as_not_ordered_in_whatever_order_they_come() {
        let settled = |height, index| Answer::ordered(Height(height), index, Outcome::settled());
        let refused = |reason| Answer::not_ordered(Outcome::refused(reason, 0, 0));
        let answers = [
            settled(9, 0),
            settled(9, 1),
            settled(9, 0),
            settled(7, 3),
            Answer::ordered(Height(9), 2, Outcome::refused(Reason::InsufficientFunds, 0, 0)),
            refused(Reason::BadSignature),
            refused(Reason::SequenceOutOfWindow),
            refused(Reason::Expired),
            refused(Reason::Overloaded),
            Answer::unknown(),
        ];
        let tally = Tally::of(&Answers::from(&answers[..]), Height(8));
        assert_eq!(tally, Tally { settled: 2, refused: 1, not_ordered: 4, bad_signatures: 1 });
        let run = Answers::Run { height: Height(9), first: 0, count: 5 };
        assert_eq!(Tally::of(&run, Height(8)), Tally { settled: 5, ..Tally::default() });
    }

    #[test]
    fn a_stream_of_copies_is_read_more_slowly_and_one_of_payments_is_not() {
        let mut standing = StreamStanding::new();
        for _ in 0..100 {
            standing.note(Tally { settled: 8_192, refused: 1_000, ..Tally::default() });
        }
        assert_eq!(standing.reads_on_at(), None);
        for _ in 0..9 {
            standing.note(Tally { settled: 1, not_ordered: 8_191, ..Tally::default() });
        }
        assert!(standing.reads_on_at().is_some());
    }

    #[test]
    fn as_many_more_are_in_flight_as_have_settled_until_most_are_refused() {
        let mut standing = StreamStanding::new();
        let most = |standing: &StreamStanding| (0..=IN_FLIGHT.1).step_by(1_024).find(|n| !standing.reads_on_with(*n));
        assert_eq!(most(&standing), Some(2_048));
        standing.note(Tally { settled: 8_192, refused: 1_000, ..Tally::default() });
        assert_eq!(most(&standing), Some(10_240));
        for _ in 0..100 {
            standing.note(Tally { settled: 8_192, ..Tally::default() });
        }
        assert_eq!(most(&standing), Some(IN_FLIGHT.1));
        standing.note(Tally { settled: 1, not_ordered: 2, ..Tally::default() });
        assert_eq!(most(&standing), Some(2_048));
    }
}
