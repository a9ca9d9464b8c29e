//! Notes on what an earlier command left in flight.

use cbdc_client::SubmissionStatus;

use crate::output::Output;

/// What became of a record that was in flight for what is asked for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Earlier {
    /// Its status is the answer.
    IsTheSame,
    /// Another record took its number, so that it never settles, and what is asked for now is made.
    NumberTaken,
}

impl Earlier {
    /// By the status of what was in flight.
    pub fn of(status: &SubmissionStatus) -> Earlier {
        if status.sequence_was_taken() { Earlier::NumberTaken } else { Earlier::IsTheSame }
    }

    /// Says what became of `what`, such as `a payment of 5.00 XTS`.
    pub fn note(self, output: &Output, what: &str) {
        let became = match self {
            Earlier::IsTheSame => "this is its answer, and no other is made",
            Earlier::NumberTaken => "it can never settle, since another record took its number, and this one is made",
        };
        output.note(&format!("note: {what} was in flight; {became}"));
    }
}

#[cfg(test)]
mod tests {
    use cbdc_client::{BlockPosition, Finality, Height, Reason, Refusal};
    use cbdc_ledger::Outcome;
    use cbdc_ledger::outcome::Charges;

    use super::*;

    #[test]
    fn only_what_another_record_displaced_is_made_anew() {
        let position = BlockPosition { height: Height(3), index: 1 };
        let refused = |reason, finality, position| {
            let outcome = Outcome::refused(reason, 0, 0);
            SubmissionStatus::Refused(Refusal { outcome, sentence: String::new(), position, finality })
        };
        for status in [
            SubmissionStatus::Settled { position, result: 0, charges: Charges::default() },
            refused(Reason::HoldingLimit, Finality::NotStated, Some(position)),
            refused(Reason::BadSignature, Finality::Final, None),
            refused(Reason::Overloaded, Finality::NotStated, None),
            SubmissionStatus::Unknown { why: String::new() },
            SubmissionStatus::Accepted,
        ] {
            assert_eq!(Earlier::of(&status), Earlier::IsTheSame, "{status:?}");
        }
        assert_eq!(Earlier::of(&refused(Reason::SequenceConflict, Finality::Final, None)), Earlier::NumberTaken);
    }
}
