//! Handing in a command until its fate is known.
//!
//! 1. Send the record. An answer that says settled, refused or accepted ends it.
//! 2. No connection at the first attempt: nothing was sent; the caller is told so.
//! 3. A broken connection, a deadline that passed, a node that cannot settle just now: the record may have been
//!    ordered. Send **the same record** again, after a pause that doubles up to a second. Sequence numbers make that
//!    safe: a record that was ordered is answered with its first outcome.
//! 4. A full queue: the same pause, then again; nothing was ordered by that attempt.
//! 5. When patience ends, the fate is unknown if any attempt might have been ordered.

use std::future::Future;
use std::time::Duration;

use cbdc_ledger::Reason;
use cbdc_proto::packed::{Answer, State};
use tokio::time::Instant;
use tonic::Status;

use crate::connection::Connection;
use crate::error::{ClientError, Place, Refusal, Verdict, of_status, verdict};

/// How long a command is sent again before its fate is called unknown, unless told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What became of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Final. `result` is the command's result: an opened wallet's account id, the number of a proposal or a hold, of a
    /// payment or a capture what went to the payee's deposit, otherwise 0.
    Settled { place: Place, result: u64 },
    /// A rule said no; nothing moved.
    Refused(Refusal),
    /// In the bank's durable outbox; not settled.
    Accepted,
    /// It may have settled or not; send the same record again.
    Unknown { why: String },
}

impl Fate {
    /// The place of a settled command; every other fate as an error.
    pub fn settled(self) -> Result<Place, ClientError> {
        self.result().map(|(place, _)| place)
    }

    /// The place and result of a settled command; every other fate as an error.
    pub fn result(self) -> Result<(Place, u64), ClientError> {
        match self {
            Fate::Settled { place, result } => Ok((place, result)),
            Fate::Refused(refusal) => Err(refusal.into()),
            Fate::Accepted => Err(ClientError::Accepted),
            Fate::Unknown { why } => Err(ClientError::Unknown { why }),
        }
    }

    pub(crate) fn of_answer(answer: &Answer) -> Fate {
        match answer.state {
            State::Accepted => Fate::Accepted,
            State::Unknown => Fate::Unknown { why: answer.outcome.reason.text().to_owned() },
            State::Final => {
                let place = Place { height: answer.height, index: answer.index };
                match answer.outcome.reason {
                    Reason::Settled => Fate::Settled { place, result: answer.outcome.amount },
                    reason => Fate::Refused(Refusal {
                        outcome: answer.outcome,
                        sentence: reason.text().to_owned(),
                        place: answer.is_ordered().then_some(place),
                    }),
                }
            }
        }
    }
}

/// Sends the same record until its fate is known or `patience` ends.
pub(crate) async fn until_known<F, A>(
    connection: &Connection,
    patience: Duration,
    attempt: F,
) -> Result<Fate, ClientError>
where
    F: Fn() -> A,
    A: Future<Output = Result<Answer, Status>>,
{
    let give_up = Instant::now() + patience;
    let mut pause = PAUSE_MIN;
    let mut doubt: Option<String> = None;
    loop {
        let waiting = match step(connection, attempt().await, &mut doubt)? {
            Step::Done(fate) => return Ok(fate),
            Step::Again(fate) => fate,
        };
        if Instant::now() + pause >= give_up {
            return Ok(doubt.map_or(waiting, |why| Fate::Unknown { why }));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

enum Step {
    Done(Fate),
    /// Try again; if patience ends here and no attempt is in doubt, this is the fate.
    Again(Fate),
}

fn step(
    connection: &Connection,
    answer: Result<Answer, Status>,
    doubt: &mut Option<String>,
) -> Result<Step, ClientError> {
    let fate = match answer {
        Ok(answer) => Fate::of_answer(&answer),
        Err(status) => match verdict(&status) {
            Verdict::Refused(refusal) => Fate::Refused(refusal),
            Verdict::Uncertain(why) => Fate::Unknown { why },
            Verdict::Unreachable(reason) if doubt.is_some() => Fate::Unknown { why: reason },
            Verdict::Unreachable(_) | Verdict::Other => return Err(of_status(connection.address(), &status)),
        },
    };
    Ok(match fate {
        Fate::Unknown { why } => {
            *doubt = Some(why.clone());
            Step::Again(Fate::Unknown { why })
        }
        Fate::Refused(refusal) if refusal.reason() == Reason::Overloaded => Step::Again(Fate::Refused(refusal)),
        fate => Step::Done(fate),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use cbdc_ledger::{Height, Outcome, PublicKey};
    use cbdc_proto::status::of_refusal;
    use cbdc_proto::transport::ServerTrust;

    use super::*;

    fn nowhere() -> Connection {
        Connection::new("127.0.0.1:1", None, &ServerTrust::NodeKey(PublicKey([1; 32]))).unwrap()
    }

    async fn fate_of(answers: Vec<Result<Answer, Status>>) -> (Fate, usize) {
        let answers = RefCell::new(answers.into_iter());
        let (attempts, connection) = (RefCell::new(0), nowhere());
        let fate = until_known(&connection, Duration::from_millis(300), || {
            *attempts.borrow_mut() += 1;
            let answer = answers.borrow_mut().next().unwrap_or_else(|| Err(Status::unavailable("gone")));
            async { answer }
        });
        let fate = fate.await.unwrap();
        (fate, attempts.into_inner())
    }

    fn settled() -> Answer {
        Answer::ordered(Height(3), 1, Outcome::settled())
    }

    #[tokio::test]
    async fn a_record_is_sent_again_until_its_fate_is_known() {
        let answers = vec![Err(Status::unavailable("gone")), Ok(Answer::unknown()), Ok(settled())];
        let place = Place { height: Height(3), index: 1 };
        assert_eq!(fate_of(answers).await, (Fate::Settled { place, result: 0 }, 3));
    }

    #[tokio::test]
    async fn a_refusal_is_not_sent_again() {
        let answers = vec![Err(of_refusal(&Outcome::refused(Reason::BadSignature, 0, 0))), Ok(settled())];
        let (fate, attempts) = fate_of(answers).await;
        assert!(matches!(fate, Fate::Refused(refusal) if refusal.place.is_none()));
        assert_eq!(attempts, 1);
    }

    #[tokio::test]
    async fn a_fate_in_doubt_is_never_called_refused() {
        let overloaded = || Err(of_refusal(&Outcome::refused(Reason::Overloaded, 0, 0)));
        let (fate, _) = fate_of(vec![Err(Status::unavailable("gone")), overloaded(), overloaded(), overloaded()]).await;
        assert!(matches!(fate, Fate::Unknown { .. }), "{fate:?}");
        let only_overloaded = (0..20).map(|_| overloaded()).collect();
        let (fate, attempts) = fate_of(only_overloaded).await;
        assert!(matches!(fate, Fate::Refused(refusal) if refusal.reason() == Reason::Overloaded));
        assert!(attempts > 1);
    }

    #[tokio::test]
    async fn accepted_is_not_settled() {
        let (fate, attempts) = fate_of(vec![Ok(Answer::accepted())]).await;
        assert_eq!((&fate, attempts), (&Fate::Accepted, 1));
        assert!(matches!(fate.settled(), Err(ClientError::Accepted)));
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
