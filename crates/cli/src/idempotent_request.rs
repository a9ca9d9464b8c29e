//! Requests with an idempotency key: a command that is killed and typed again moves the money once.
//!
//! The id and what is asked for are in a file from before the first call until the answer was shown. A command that
//! asks for the same asks again under *that* id, and shows the answer. One that asks for something else begins nothing
//! while the file is there: what became of the earlier request is not known, and only its own command asks for it
//! again.

use cbdc_client::{Anchor, ClientError, InFlightFile, Reason, Refusal, SubmissionStatus, random_id};
use cbdc_ledger::outcome::Stage;

use crate::earlier::Earlier;
use crate::exit::StillOpen;
use crate::output::Output;

/// An idempotency key: the request id that the caller draws.
pub type Id = [u8; 16];

/// A request that can be asked for again under its id.
pub trait Request: Copy + PartialEq {
    /// The request in words, such as `a funding with 5.00 XTS`.
    fn describe(&self, anchor: &Anchor) -> String;
    /// The request as the file holds it.
    fn to_bytes(&self) -> Vec<u8>;
    /// Reads what [`Request::to_bytes`] wrote.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// A request that is kept with its id.
pub struct IdempotentRequest<R> {
    file: InFlightFile,
    request: R,
    id: Id,
    is_new: bool,
}

impl<R: Request> IdempotentRequest<R> {
    /// Keeps `request` under a new id, or under that of an earlier command that asked for the same and was not
    /// answered. `command_line` has the words that ask for an earlier request again.
    ///
    /// # Errors
    /// The file cannot be used, or what became of another request is not known.
    pub fn begin(
        file: InFlightFile,
        request: R,
        (anchor, output): (&Anchor, &Output),
        command_line: impl FnOnce(R) -> String,
    ) -> anyhow::Result<IdempotentRequest<R>> {
        let earlier = match file.read()? {
            Some(bytes) => Some(read::<R>(&bytes).ok_or_else(|| file.damaged())?),
            None => None,
        };
        let (id, is_new) = match earlier {
            None => (random_id(), true),
            Some((earlier, id)) if earlier == request => {
                Earlier::IsTheSame.note(output, &earlier.describe(anchor));
                (id, false)
            }
            Some((earlier, _)) => {
                let (what, words) = (earlier.describe(anchor), command_line(earlier));
                return Err(StillOpen(format!(
                    "{what} was begun earlier and its answer not shown, so this one is not begun; ask for it again \
                    first, which takes effect once: {words}"
                ))
                .into());
            }
        };
        file.keep(&[&id[..], &request.to_bytes()].concat())?;
        Ok(IdempotentRequest { file, request, id, is_new })
    }

    /// Asks, and calls `show` with the answer, which shows it or fails. What is over is forgotten then.
    pub async fn run(
        self,
        output: &Output,
        ask: &impl AsyncFn(R, Id) -> anyhow::Result<SubmissionStatus>,
        show: impl AsyncFnOnce(SubmissionStatus) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let status = ask(self.request, self.id).await;
        let ends = is_over(&status) || (self.is_new && began_nothing(&status));
        let shown = match status {
            Ok(status) => show(status).await,
            Err(error) => Err(error),
        };
        if ends && !output.is_cut() {
            self.file.forget()?;
        }
        shown
    }
}

fn read<R: Request>(bytes: &[u8]) -> Option<(R, Id)> {
    let (id, request) = bytes.split_first_chunk()?;
    Some((R::from_bytes(request)?, *id))
}

/// Whether the first call for a request began nothing: no connection could be made, or it was refused. An error with
/// more to tell, such as that a deposit was credited before, is another.
fn began_nothing(status: &anyhow::Result<SubmissionStatus>) -> bool {
    match status {
        Ok(status) => matches!(status, SubmissionStatus::Refused(_)),
        Err(error) => {
            let is_nothing =
                matches!(error.downcast_ref(), Some(ClientError::Unreachable { .. } | ClientError::Refused(_)));
            is_nothing && error.chain().count() == 1
        }
    }
}

/// Whether a request is over: what was asked for under its id is settled, refused, or waits for an operator, and
/// nothing of it is in transit. A node that is busy, or not there, says nothing of what was asked for earlier.
fn is_over(status: &anyhow::Result<SubmissionStatus>) -> bool {
    match status {
        Ok(SubmissionStatus::Settled { .. } | SubmissionStatus::Accepted) => true,
        Ok(SubmissionStatus::Refused(refusal)) => is_refused(refusal),
        Ok(SubmissionStatus::Unknown { .. }) => false,
        Err(error) => matches!(error.downcast_ref(), Some(ClientError::Refused(refusal)) if is_refused(refusal)),
    }
}

/// Whether a refusal is of what was asked for, and not of the call or the node.
fn is_refused(refusal: &Refusal) -> bool {
    let reason = refusal.reason();
    match reason {
        Reason::NoSession | Reason::SessionExpired => false,
        Reason::DepositTooSmall | Reason::DepositTooLarge | Reason::RequestRejected => true,
        _ => refusal.position.is_some() || reason.stage() != Stage::BeforeOrdering || !reason.later_may_help(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::{Path, PathBuf};

    use cbdc_client::{BlockPosition, Finality, Height};
    use cbdc_ledger::outcome::Charges;
    use cbdc_ledger::{Genesis, Outcome};

    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Intent(u8);

    impl Request for Intent {
        fn describe(&self, _: &Anchor) -> String {
            format!("the intent {}", self.0)
        }

        fn to_bytes(&self) -> Vec<u8> {
            vec![self.0]
        }

        fn from_bytes(bytes: &[u8]) -> Option<Intent> {
            (bytes.len() == 1).then(|| Intent(bytes[0]))
        }
    }

    fn anchor() -> Anchor {
        let digits = include_str!("../../client/tests/vectors/genesis.hex");
        let bytes = cbdc_ledger::encoding::hex_decode(&digits.split_whitespace().collect::<String>()).unwrap();
        Anchor::new(Genesis::from_bytes(&bytes).unwrap())
    }

    fn settled() -> anyhow::Result<SubmissionStatus> {
        let position = BlockPosition { height: Height(3), index: 1 };
        Ok(SubmissionStatus::Settled { position, result: 0, charges: Charges::default() })
    }

    fn refused(reason: Reason) -> anyhow::Result<SubmissionStatus> {
        let outcome = Outcome::refused(reason, 0, 0);
        let (sentence, finality) = (String::new(), Finality::NotStated);
        Err(ClientError::from(Refusal { outcome, sentence, position: None, finality }).into())
    }

    fn unreachable() -> anyhow::Error {
        ClientError::Unreachable { address: String::new(), reason: String::new() }.into()
    }

    fn path(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cbdc-idempotent-request-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("bank.request")
    }

    /// A command that asks for an intent and is answered so; the ids under which what was asked for.
    async fn command(
        path: &Path,
        intent: Intent,
        answers: Vec<anyhow::Result<SubmissionStatus>>,
    ) -> (Vec<(Intent, Id)>, anyhow::Result<()>) {
        let (asked, answers) = (RefCell::new(Vec::new()), RefCell::new(answers.into_iter()));
        let ask = async |intent, id| {
            asked.borrow_mut().push((intent, id));
            answers.borrow_mut().next().expect("an answer for each call")
        };
        let (anchor, output) = (anchor(), Output::new(true));
        let file = InFlightFile::open(path.to_owned(), || {}).unwrap();
        let run = async {
            let begun = IdempotentRequest::begin(file, intent, (&anchor, &output), |_| "the words".to_owned())?;
            begun.run(&output, &ask, async |status| Ok(status.settled().map(drop)?)).await
        };
        let result = run.await;
        (asked.into_inner(), result)
    }

    fn unknown() -> anyhow::Result<SubmissionStatus> {
        Ok(SubmissionStatus::Unknown { why: String::new() })
    }

    #[tokio::test]
    async fn a_request_without_an_answer_is_asked_for_again_under_its_id_and_an_answered_one_is_new() {
        let path = path("again");
        let (first, unanswered) = command(&path, Intent(1), vec![unknown()]).await;
        assert!(unanswered.is_err());
        let (second, answered) = command(&path, Intent(1), vec![settled()]).await;
        assert!(answered.is_ok());
        assert_eq!(first, second);
        let (third, _) = command(&path, Intent(1), vec![settled()]).await;
        assert_ne!(third[0].1, first[0].1);
    }

    #[tokio::test]
    async fn another_request_begins_only_once_the_earlier_one_is_over_and_never_asks_for_it() {
        let path = path("other");
        let (first, _) = command(&path, Intent(1), vec![unknown()]).await;
        let (asked, blocked) = command(&path, Intent(2), vec![]).await;
        let sentence = blocked.unwrap_err().to_string();
        assert!(sentence.contains("the intent 1 was begun") && sentence.ends_with("the words"), "{sentence}");
        assert_eq!(asked, []);
        let (again, _) = command(&path, Intent(1), vec![settled()]).await;
        assert_eq!(again, first);
        let (other, answered) = command(&path, Intent(2), vec![settled()]).await;
        assert!(answered.is_ok());
        assert_ne!(other[0].1, first[0].1);
    }

    #[tokio::test]
    async fn what_began_nothing_is_forgotten_unless_an_earlier_command_may_have_begun_it() {
        let path = path("nothing");
        let mut ids = Vec::new();
        for nothing in [Err(unreachable()), refused(Reason::Overloaded)] {
            let (asked, _) = command(&path, Intent(1), vec![nothing]).await;
            ids.push(asked[0].1);
        }
        // After an answer in doubt, neither says anything of the earlier call; nor is it nothing that a deposit was
        // credited.
        let credited = || Err(unreachable().context("the deposit has been credited, and keeps that"));
        for in_doubt in [credited(), Err(unreachable()), refused(Reason::Overloaded), unknown(), settled()] {
            let (asked, _) = command(&path, Intent(1), vec![in_doubt]).await;
            ids.push(asked[0].1);
        }
        assert!(ids[2..].iter().all(|id| *id == ids[2]), "{ids:?}");
        ids.dedup();
        assert_eq!(ids.len(), 3, "{ids:?}");
    }

    #[tokio::test]
    async fn a_damaged_file_stops_everything() {
        let path = path("damaged");
        InFlightFile::open(path.clone(), || {}).unwrap().keep(b"too short").unwrap();
        let (asked, stopped) = command(&path, Intent(1), vec![]).await;
        assert!(stopped.is_err() && asked.is_empty());
    }

    #[test]
    fn what_a_busy_node_says_ends_no_request() {
        for reason in [Reason::Overloaded, Reason::ClockJump, Reason::NoSession, Reason::SessionExpired] {
            assert!(!is_over(&refused(reason)), "{reason}");
        }
        for reason in [
            Reason::DepositTooSmall,
            Reason::DepositTooLarge,
            Reason::RequestRejected,
            Reason::UnknownAccount,
            Reason::RequestConflict,
        ] {
            assert!(is_over(&refused(reason)), "{reason}");
        }
        assert!(!is_over(&Ok(SubmissionStatus::Unknown { why: String::new() })));
    }
}
