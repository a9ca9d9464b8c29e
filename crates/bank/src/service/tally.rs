//! Tallies of commands' results, for the standing of their source ([`cbdc_node::source_standing`]).
//!
//! A payment that was ordered before it was sent here is a repetition, and so is each further copy within a batch. They
//! cost little and count as not ordered: a customer who sends again what a broken stream left unanswered is not slowed.

use std::collections::BTreeSet;

use cbdc_ledger::{Height, Reason};
use cbdc_node::source_standing::Tally;
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::Answer;
use cbdc_proto::status::refusal_of;
use tonic::Status;

/// Counts the answers to a batch that arrived when the chain had reached `height`.
pub fn tally_of(answers: &Answers, height: Height) -> Tally {
    let packed = match answers {
        Answers::Run { count, .. } => return Tally { settled: *count, ..Tally::default() },
        Answers::Each(_) => answers.unpacked().unwrap_or_default(),
    };
    let position = |answer: &Answer| (answer.height, answer.index);
    let ordered = || packed.iter().filter(|answer| answer.is_ordered()).map(position);
    // Payments are usually ordered as sent; then none was ordered twice.
    let mut positions = (!ordered().is_sorted_by(|one, next| one < next)).then(BTreeSet::new);
    let mut is_copy = |answer: &Answer| positions.as_mut().is_some_and(|seen| !seen.insert(position(answer)));
    let mut tally = Tally::default();
    for answer in &packed {
        match answer.outcome.reason {
            _ if answer.is_ordered() && (answer.height <= height || is_copy(answer)) => tally.not_ordered += 1,
            Reason::Settled => tally.settled += 1,
            Reason::BadSignature => tally.bad_signatures += 1,
            // Not the customer's fault.
            Reason::Overloaded => {}
            reason if reason.leaves_status_open() => {}
            _ if answer.is_ordered() => tally.refused += 1,
            _ => tally.not_ordered += 1,
        }
    }
    tally
}

/// Counts the answer to one command that arrived when the chain had reached `height`.
pub fn tally_of_one(answered: &Result<Answer, Status>, height: Height) -> Tally {
    match answered {
        Ok(answer) => tally_of(&Answers::all(*answer, 1), height),
        Err(status) => tally_of_refusal(status),
    }
}

/// Counts a command that was kept back because its account has used up its share.
pub fn tally_of_kept_back() -> Tally {
    Tally { not_ordered: 1, ..Tally::default() }
}

/// Counts a call that was refused.
pub fn tally_of_refusal(status: &Status) -> Tally {
    let answer = refusal_of(status).map_or_else(Answer::unknown, Answer::not_ordered);
    tally_of(&Answers::all(answer, 1), Height(0))
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
        let tally = tally_of(&Answers::from(&answers[..]), Height(8));
        assert_eq!(tally, Tally { settled: 2, refused: 1, not_ordered: 4, bad_signatures: 1 });
        let run = Answers::Run { height: Height(9), first: 0, count: 5 };
        assert_eq!(tally_of(&run, Height(8)), Tally { settled: 5, ..Tally::default() });
    }
}
