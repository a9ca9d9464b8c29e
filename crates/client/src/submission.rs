//! Submitting a command until its status is known.
//!
//! 1. Send the record. Settled, refused and accepted end the submission. A refusal that is not final says until when
//!    the record may still settle ([`Refusal::may_settle_until`]).
//! 2. No connection at the first attempt: nothing was sent, and the caller learns that.
//! 3. A broken connection, a missed deadline, a node that cannot settle at present: the record may have been ordered.
//!    Send **the same record** again, after a pause that doubles up to a second. Sequence numbers make that safe: a
//!    record that was ordered is answered with its first outcome.
//! 4. A full queue: pause, then send again; that attempt ordered nothing.
//! 5. At the timeout the status is unknown if any attempt may have ordered the record.

use std::future::Future;
use std::time::Duration;

use cbdc_ledger::Reason;
use cbdc_ledger::outcome::{Charges, OtherCopies};
use cbdc_proto::packed::{Answer, State};
use tokio::time::Instant;
use tonic::Status;

use crate::connection::Connection;
use crate::error::{ClientError, Finality, Refusal, Verdict, of_status, verdict};
use crate::position::BlockPosition;

/// The time for which a command is sent again before its status counts as unknown, unless set otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The status of a submitted command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubmissionStatus {
    /// Settled, which is final.
    Settled {
        /// The command's position in the chain.
        position: BlockPosition,
        /// The command's result: an opened wallet's account id, the number of a proposal or a hold; otherwise 0.
        result: u64,
        /// The fees of a payment or a capture, and what the payer's linked bank added.
        charges: Charges,
    },
    /// A rule refused it; no money moved.
    Refused(Refusal),
    /// It is in the bank's durable outbox, and not settled.
    Accepted,
    /// It may have settled or not; send the same record again.
    Unknown {
        /// Why the status could not be learned.
        why: String,
    },
}

impl SubmissionStatus {
    /// The position of a settled command.
    ///
    /// # Errors
    /// Every other status: [`ClientError::Refused`], [`ClientError::Accepted`] or [`ClientError::Unknown`].
    pub fn settled(self) -> Result<BlockPosition, ClientError> {
        self.result().map(|(position, _)| position)
    }

    /// The position and the result of a settled command.
    ///
    /// # Errors
    /// Like [`SubmissionStatus::settled`].
    pub fn result(self) -> Result<(BlockPosition, u64), ClientError> {
        match self {
            SubmissionStatus::Settled { position, result, .. } => Ok((position, result)),
            SubmissionStatus::Refused(refusal) => Err(refusal.into()),
            SubmissionStatus::Accepted => Err(ClientError::Accepted),
            SubmissionStatus::Unknown { why } => Err(ClientError::Unknown { why }),
        }
    }

    /// The position of a settled payment or capture, its fees, and what the payer's linked bank added.
    ///
    /// # Errors
    /// Like [`SubmissionStatus::settled`].
    pub fn charges(self) -> Result<(BlockPosition, Charges), ClientError> {
        match self {
            SubmissionStatus::Settled { position, charges, .. } => Ok((position, charges)),
            other => Err(other.result().map(|_| ()).expect_err("every other status is an error")),
        }
    }

    /// Whether the status is final for the record: it is settled, it was refused for good, or another record used its
    /// number. A refusal of one copy says nothing about others, which may have been ordered or may be sent again.
    pub fn is_final(&self) -> bool {
        match self {
            SubmissionStatus::Settled { .. } => true,
            SubmissionStatus::Refused(refusal) => {
                refusal.position.is_some() || refusal.finality == Finality::Final || self.sequence_was_taken()
            }
            SubmissionStatus::Accepted | SubmissionStatus::Unknown { .. } => false,
        }
    }

    /// Whether another record used the command's sequence number, so that this one never settles and may be re-signed.
    ///
    /// Meant for statuses from [`Wallet::submit`](crate::Wallet::submit): it has looked up in the chain which record
    /// used the number, and reports the status as unknown if it could not.
    pub fn sequence_was_taken(&self) -> bool {
        let SubmissionStatus::Refused(refusal) = self else { return false };
        refusal.position.is_none() && refusal.reason().shows_sequence_taken(OtherCopies::NotOrdered)
    }

    pub(crate) fn of_answer(answer: &Answer) -> SubmissionStatus {
        match answer.state {
            State::Accepted => SubmissionStatus::Accepted,
            State::Unknown => SubmissionStatus::Unknown { why: answer.outcome.reason.text().to_owned() },
            State::Final => {
                let position = BlockPosition { height: answer.height, index: answer.index };
                match answer.outcome.reason {
                    Reason::Settled => {
                        let (result, charges) = (answer.outcome.amount, answer.outcome.charges());
                        SubmissionStatus::Settled { position, result, charges }
                    }
                    reason => SubmissionStatus::Refused(Refusal {
                        outcome: answer.outcome,
                        sentence: reason.text().to_owned(),
                        position: answer.is_ordered().then_some(position),
                        finality: if answer.has_used_its_number() { Finality::Final } else { Finality::NotStated },
                    }),
                }
            }
        }
    }
}

/// Sends the same record until its status is known or `timeout` has passed.
pub(crate) async fn until_known<F, A>(
    connection: &Connection,
    timeout: Duration,
    attempt: F,
) -> Result<SubmissionStatus, ClientError>
where
    F: Fn() -> A,
    A: Future<Output = Result<Answer, Status>>,
{
    let mut attempts = Attempts::until(Instant::now() + timeout);
    loop {
        let tried = attempts.note(connection, attempt().await);
        if let Some(ended) = attempts.ended(tried) {
            return ended;
        }
        attempts.pause().await;
    }
}

/// The attempts to submit one record.
pub(crate) struct Attempts {
    give_up: Instant,
    pause: Duration,
    /// Why the record may have been ordered by an attempt so far.
    doubt: Option<String>,
}

impl Attempts {
    /// None so far; the last one begins before `give_up`.
    pub(crate) fn until(give_up: Instant) -> Attempts {
        Attempts { give_up, pause: PAUSE_MIN, doubt: None }
    }

    /// Notes the answer to an attempt at a node.
    ///
    /// # Errors
    /// The node could not be reached, or the call was wrong, and no earlier attempt is in doubt.
    pub(crate) fn note(&mut self, at: &Connection, answer: Result<Answer, Status>) -> Result<Step, ClientError> {
        step(at, answer, &mut self.doubt)
    }

    /// How the submission ends, if it does after the last attempt.
    pub(crate) fn ended(&self, tried: Result<Step, ClientError>) -> Option<Result<SubmissionStatus, ClientError>> {
        let waiting = match tried {
            Ok(Step::Done(status)) => return Some(Ok(status)),
            Ok(Step::Again(status)) => Ok(status),
            Err(none @ ClientError::NoLeader { .. }) => Err(none),
            Err(error) if self.doubt.is_some() => Err(error),
            Err(error) => return Some(Err(error)),
        };
        let unknown = || self.doubt.clone().map(|why| Ok(SubmissionStatus::Unknown { why }));
        (Instant::now() + self.pause >= self.give_up).then(|| unknown().unwrap_or(waiting))
    }

    /// Waits before the next attempt, each time longer.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

/// What follows from an attempt.
pub(crate) enum Step {
    Done(SubmissionStatus),
    /// Try again; at the timeout this is the status, if no attempt is in doubt.
    Again(SubmissionStatus),
}

fn step(
    connection: &Connection,
    answer: Result<Answer, Status>,
    doubt: &mut Option<String>,
) -> Result<Step, ClientError> {
    let status = match answer {
        Ok(answer) => SubmissionStatus::of_answer(&answer),
        Err(status) => match verdict(&status) {
            Verdict::Refused(refusal) => SubmissionStatus::Refused(refusal),
            Verdict::Uncertain(why) => SubmissionStatus::Unknown { why },
            Verdict::Unreachable(why) if doubt.is_some() => SubmissionStatus::Unknown { why },
            Verdict::Other if doubt.is_some() => SubmissionStatus::Unknown { why: status.message().to_owned() },
            Verdict::Unreachable(_) | Verdict::Other => return Err(of_status(connection.address(), &status)),
        },
    };
    // An earlier copy may still be in flight: a refusal of this one, which nobody ordered, says nothing about that one.
    let status = match status {
        SubmissionStatus::Refused(refusal) if doubt.is_some() && !is_final_for_all_copies(&refusal) => {
            SubmissionStatus::Unknown { why: format!("refused with {} after an attempt in doubt", refusal.reason()) }
        }
        status => status,
    };
    Ok(match status {
        SubmissionStatus::Unknown { why } => {
            *doubt = Some(why.clone());
            Step::Again(SubmissionStatus::Unknown { why })
        }
        SubmissionStatus::Refused(refusal) if refusal.reason() == Reason::Overloaded => {
            Step::Again(SubmissionStatus::Refused(refusal))
        }
        status => Step::Done(status),
    })
}

/// Whether a refusal applies to every copy of the record: the node says so, or its sequence number is used.
fn is_final_for_all_copies(refusal: &Refusal) -> bool {
    refusal.finality == Finality::Final || refusal.reason().says_sequence_used()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use cbdc_ledger::{Height, Outcome, PublicKey};
    use cbdc_proto::status::{of_final_refusal, of_refusal};
    use cbdc_proto::transport::ServerTrust;

    use super::*;

    fn nowhere() -> Connection {
        Connection::new("127.0.0.1:1", None, &ServerTrust::NodeKey(PublicKey([1; 32]))).unwrap()
    }

    async fn status_of(answers: Vec<Result<Answer, Status>>) -> (SubmissionStatus, usize) {
        let answers = RefCell::new(answers.into_iter());
        let (attempts, connection) = (RefCell::new(0), nowhere());
        let status = until_known(&connection, Duration::from_millis(300), || {
            *attempts.borrow_mut() += 1;
            let answer = answers.borrow_mut().next().unwrap_or_else(|| Err(Status::unavailable("gone")));
            async { answer }
        });
        let status = status.await.unwrap();
        (status, attempts.into_inner())
    }

    fn settled() -> Answer {
        Answer::ordered(Height(3), 1, Outcome::settled())
    }

    #[test]
    fn a_refusal_of_one_copy_is_not_final() {
        let refused = |reason, finality, position| {
            let outcome = Outcome::refused(reason, 0, 0);
            SubmissionStatus::Refused(Refusal { outcome, sentence: String::new(), position, finality })
        };
        let position = Some(BlockPosition { height: Height(3), index: 1 });
        let until = Finality::MaySettleUntil(cbdc_ledger::Timestamp(9));
        assert!(!refused(Reason::Overloaded, Finality::NotStated, None).is_final());
        assert!(!refused(Reason::SequenceOutOfWindow, until, None).is_final());
        assert!(refused(Reason::BadSignature, Finality::Final, None).is_final());
        assert!(refused(Reason::HoldingLimit, Finality::NotStated, position).is_final());
        assert!(!SubmissionStatus::Accepted.is_final());
    }

    #[tokio::test]
    async fn a_record_is_sent_again_until_its_status_is_known() {
        let answers = vec![Err(Status::unavailable("gone")), Ok(Answer::unknown()), Ok(settled())];
        let position = BlockPosition { height: Height(3), index: 1 };
        assert_eq!(
            status_of(answers).await,
            (SubmissionStatus::Settled { position, result: 0, charges: Charges::default() }, 3)
        );
    }

    #[tokio::test]
    async fn a_refusal_is_not_sent_again() {
        let answers = vec![Err(of_refusal(&Outcome::refused(Reason::BadSignature, 0, 0))), Ok(settled())];
        let (status, attempts) = status_of(answers).await;
        assert!(matches!(status, SubmissionStatus::Refused(refusal) if refusal.position.is_none()));
        assert_eq!(attempts, 1);
    }

    #[tokio::test]
    async fn a_status_in_doubt_is_never_called_refused() {
        let overloaded = || Err(of_refusal(&Outcome::refused(Reason::Overloaded, 0, 0)));
        let (status, _) =
            status_of(vec![Err(Status::unavailable("gone")), overloaded(), overloaded(), overloaded()]).await;
        assert!(matches!(status, SubmissionStatus::Unknown { .. }), "{status:?}");
        // A refusal before ordering, and an error that says nothing about the record, leave the first attempt in doubt.
        let too_little = || Err(of_refusal(&Outcome::refused(Reason::NotAccepted, 0, 1)));
        let elsewhere = || Err(Status::permission_denied("not you"));
        for later in [too_little(), elsewhere()] {
            let (status, _) = status_of(vec![Err(Status::unavailable("gone")), later]).await;
            assert!(matches!(status, SubmissionStatus::Unknown { .. }), "{status:?}");
        }
        // An ordered outcome is final, and so is a refusal because another record used the number, or one that the bank
        // calls final.
        let ordered = Answer::ordered(Height(3), 1, Outcome::refused(Reason::InsufficientFunds, 0, 1));
        let conflict = Err(of_refusal(&Outcome::refused(Reason::SequenceConflict, 0, 0)));
        let expired = Err(of_final_refusal(&Outcome::refused(Reason::Expired, 1, 2)));
        for later in [Ok(ordered), conflict, expired] {
            let (status, attempts) = status_of(vec![Err(Status::unavailable("gone")), later]).await;
            assert!(matches!(status, SubmissionStatus::Refused(_)), "{status:?}");
            assert_eq!(attempts, 2);
        }
        let only_overloaded = (0..20).map(|_| overloaded()).collect();
        let (status, attempts) = status_of(only_overloaded).await;
        assert!(matches!(status, SubmissionStatus::Refused(refusal) if refusal.reason() == Reason::Overloaded));
        assert!(attempts > 1);
    }

    #[tokio::test]
    async fn where_no_node_leads_a_record_is_in_doubt_only_if_it_was_sent() {
        let none = || Err(ClientError::NoLeader { said: "a:1: it knows no leader".to_owned() });
        let mut attempts = Attempts::until(Instant::now() + TIMEOUT);
        assert!(attempts.ended(none()).is_none(), "one may lead in a moment");
        attempts.give_up = Instant::now();
        assert!(matches!(attempts.ended(none()), Some(Err(ClientError::NoLeader { .. }))), "nothing was sent");
        let sent = attempts.note(&nowhere(), Err(Status::unavailable("gone")));
        assert!(matches!(sent, Ok(Step::Again(_))));
        for error in [none(), Err(ClientError::Unreachable { address: String::new(), reason: String::new() })] {
            let ended = attempts.ended(error);
            assert!(matches!(ended, Some(Ok(SubmissionStatus::Unknown { .. }))), "{:?}", ended.is_some());
        }
    }

    #[test]
    fn only_a_number_that_another_record_used_is_exchanged() {
        let not_ordered = |reason| SubmissionStatus::of_answer(&Answer::not_ordered(Outcome::refused(reason, 0, 0)));
        let taken: Vec<Reason> =
            Reason::ALL.iter().copied().filter(|reason| not_ordered(*reason).sequence_was_taken()).collect();
        assert_eq!(taken, [Reason::SequenceUsed, Reason::SequenceConflict]);
        let ordered = |outcome| SubmissionStatus::of_answer(&Answer::ordered(Height(3), 1, outcome));
        assert!(!ordered(Outcome::refused(Reason::SequenceConflict, 0, 0)).sequence_was_taken());
        for status in [ordered(Outcome::settled()), SubmissionStatus::of_answer(&Answer::unknown())] {
            assert!(!status.sequence_was_taken(), "{status:?}");
        }
        assert!(!SubmissionStatus::Accepted.sequence_was_taken());
    }

    #[tokio::test]
    async fn accepted_is_not_settled() {
        let (status, attempts) = status_of(vec![Ok(Answer::accepted())]).await;
        assert_eq!((&status, attempts), (&SubmissionStatus::Accepted, 1));
        assert!(matches!(status.settled(), Err(ClientError::Accepted)));
    }

    #[tokio::test]
    async fn where_nobody_listens_nothing_was_sent() {
        let connection = nowhere();
        let attempt = || async {
            let mut client = connection.bank();
            connection
                .send(client.get_status(connection.request(cbdc_proto::v1::GetStatusRequest {})))
                .await
                .map(|_| settled())
        };
        let error = until_known(&connection, Duration::from_secs(5), attempt).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    }
}
