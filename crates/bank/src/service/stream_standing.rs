//! The standing of a customer's stream of payments: one that sends mostly what is refused is read more slowly.
//!
//! The bank answers for what it relays: a member of whose commands too many are refused is slowed by the central bank,
//! and with it all of the bank's customers. So a stream has an allowance of its own, far below the bank's. A payment
//! that was ordered before it was sent here is a repetition, and so is each further copy within a batch; they count as
//! refused.

use std::collections::BTreeSet;
use std::time::Instant;

use cbdc_ledger::{Height, Reason};
use cbdc_node::standing::{CUSTOMER, Standing, Waste};
use cbdc_proto::answers::Answers;

/// What became of one batch's payments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    pub settled: usize,
    /// Ordered and refused, or ordered once more.
    pub refused: usize,
    pub not_ordered: usize,
    pub bad_signatures: usize,
}

impl Tally {
    /// Counts the answers to a batch that came when the chain had reached `height`.
    pub fn of(answers: &Answers, height: Height) -> Tally {
        let packed = match answers {
            Answers::Run { count, .. } => return Tally { settled: *count, ..Tally::default() },
            Answers::Each(_) => answers.unpacked().unwrap_or_default(),
        };
        let (mut tally, mut positions) = (Tally::default(), BTreeSet::new());
        for answer in packed {
            match answer.outcome.reason {
                _ if answer.is_ordered() && answer.height <= height => tally.refused += 1,
                _ if answer.is_ordered() && !positions.insert((answer.height, answer.index)) => tally.refused += 1,
                Reason::Settled => tally.settled += 1,
                Reason::BadSignature => tally.bad_signatures += 1,
                // Not the customer's doing.
                Reason::Overloaded | Reason::Unavailable | Reason::ClockJump => {}
                _ if answer.is_ordered() => tally.refused += 1,
                _ => tally.not_ordered += 1,
            }
        }
        tally
    }
}

/// The standing of one stream.
pub struct StreamStanding(Standing);

impl StreamStanding {
    pub fn new() -> StreamStanding {
        StreamStanding(Standing::new(CUSTOMER, Instant::now()))
    }

    /// Notes what became of a batch.
    pub fn note(&mut self, tally: Tally) {
        let now = Instant::now();
        self.0.settled(now, tally.settled);
        self.0.wasted(now, Waste::Refused, tally.refused);
        self.0.wasted(now, Waste::NotVerified, tally.not_ordered);
        self.0.wasted(now, Waste::BadSignature, tally.bad_signatures);
    }

    /// When the stream may be read on, if not at once.
    pub fn reads_on_at(&self) -> Option<Instant> {
        self.0.refilled(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_ledger::Outcome;
    use cbdc_proto::packed::Answer;

    #[test]
    fn repetitions_count_as_refused_in_whatever_order_they_come() {
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
        assert_eq!(tally, Tally { settled: 2, refused: 3, not_ordered: 2, bad_signatures: 1 });
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
        for _ in 0..3 {
            standing.note(Tally { settled: 1, refused: 8_191, ..Tally::default() });
        }
        assert!(standing.reads_on_at().is_some());
    }
}
