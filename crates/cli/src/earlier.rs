//! Notes on what an earlier command left in flight.

use cbdc_client::SubmissionStatus;

use crate::output::Output;

/// The fate of what was in flight, which decides whether the new command acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Earlier {
    /// It is what is asked for now, and its status is the answer.
    IsTheSame,
    /// Its status is open still, so nothing else is begun.
    IsOpen,
    /// The bank has it in its outbox; what is asked for now is made beside it.
    IsAccepted,
    /// It is settled; what is asked for now is made beside it.
    Settled,
    /// It was refused; what is asked for now is made instead.
    Refused,
    /// Another record took its number, so that it never settles, and what is asked for now is made.
    NumberTaken,
}

impl Earlier {
    /// The fate by the status of what was in flight, and by whether it is the same as what is asked for now.
    pub fn of(status: &SubmissionStatus, is_same: bool) -> Earlier {
        match status {
            status if status.sequence_was_taken() => Earlier::NumberTaken,
            _ if is_same => Earlier::IsTheSame,
            SubmissionStatus::Accepted => Earlier::IsAccepted,
            status if !status.is_final() => Earlier::IsOpen,
            SubmissionStatus::Settled { .. } => Earlier::Settled,
            _ => Earlier::Refused,
        }
    }

    /// Whether its status is all that is shown.
    pub fn is_the_answer(self) -> bool {
        matches!(self, Earlier::IsTheSame | Earlier::IsOpen)
    }

    /// Says what became of `what`, such as `a payment of 5.00 XTS`.
    pub fn note(self, output: &Output, what: &str) {
        let became = match self {
            Earlier::IsTheSame => "; its answer was not shown, and this is it",
            Earlier::IsOpen => "; it still is, so this one is not made",
            Earlier::IsAccepted => "; the bank has accepted it, and this one is made beside it",
            Earlier::Settled => "; it is settled, and this one is made beside it",
            Earlier::Refused => "; it was refused, and this one is made instead",
            Earlier::NumberTaken => {
                "; it can never settle, since another payment took its number, and this one is made"
            }
        };
        output.note(&format!("note: {what} was in flight{became}"));
    }
}

#[cfg(test)]
mod tests {
    use cbdc_client::{BlockPosition, Finality, Height, Reason, Refusal};
    use cbdc_ledger::Outcome;
    use cbdc_ledger::outcome::Charges;

    use super::*;

    #[test]
    fn only_what_is_over_or_accepted_lets_another_one_begin() {
        let position = BlockPosition { height: Height(3), index: 1 };
        let refused = |reason, finality, position| {
            let outcome = Outcome::refused(reason, 0, 0);
            SubmissionStatus::Refused(Refusal { outcome, sentence: String::new(), position, finality })
        };
        let settled = SubmissionStatus::Settled { position, result: 0, charges: Charges::default() };
        for (status, other) in [
            (settled, Earlier::Settled),
            (refused(Reason::HoldingLimit, Finality::NotStated, Some(position)), Earlier::Refused),
            (refused(Reason::BadSignature, Finality::Final, None), Earlier::Refused),
            (refused(Reason::Overloaded, Finality::NotStated, None), Earlier::IsOpen),
            (SubmissionStatus::Unknown { why: String::new() }, Earlier::IsOpen),
            (SubmissionStatus::Accepted, Earlier::IsAccepted),
        ] {
            assert_eq!(Earlier::of(&status, false), other, "{status:?}");
            assert_eq!(Earlier::of(&status, true), Earlier::IsTheSame, "{status:?}");
        }
        let taken = refused(Reason::SequenceConflict, Finality::Final, None);
        for is_same in [false, true] {
            assert_eq!(Earlier::of(&taken, is_same), Earlier::NumberTaken);
        }
    }
}
