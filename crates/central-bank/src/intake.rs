//! Intake: takes in batches of commands, bounded, and sends their answers out.
//!
//! A [`Batch`] stays one piece from here to its answer. It holds its room among the commands in flight until it is
//! answered, so the node never has more of them than it was configured for, nor one source more than its share
//! ([`crate::shares`]).

use std::sync::Arc;
use std::time::Instant;

use ::metrics::counter;
use bytes::Bytes;
use cbdc_ledger::authority;
use cbdc_ledger::command::{Command, Signer};
use cbdc_ledger::slice_verification::PartlyVerified;
use cbdc_ledger::{CommandBatch, Height, Outcome, Reason, VerifiedBatch};
use cbdc_node::calls::BATCH_BYTES_MAX;
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, BATCH_COMMANDS_MAX};
use tokio::sync::oneshot;

use crate::metrics;
use crate::shares::Source;
use crate::shares::work_queue::{Conduct, Room, WAIT_MAX, WorkQueue};

/// The receiver of a batch's answers; called once.
pub type Reply = Box<dyn FnOnce(Answers) + Send>;

/// Commands on their way, and the answers that are known so far.
pub struct Batch {
    pub commands: PartlyVerified,
    pub permit: Permit,
}

/// The verified commands of a batch; those that were refused are answered already.
pub struct Verified {
    pub commands: VerifiedBatch,
    pub permit: Permit,
}

/// The permit of a batch to be in flight, with the answers to its commands so far. Those without an answer are the ones
/// on their way, in the same order.
pub struct Permit {
    count: usize,
    /// The answers so far: empty, or one entry a command.
    answers: Vec<Option<Answer>>,
    reply: Option<Reply>,
    /// Answers that are the first outcome of an earlier copy.
    repetitions: usize,
    /// When the stage that the batch is in began.
    pub stage_began: Instant,
    entered: Instant,
    room: Room,
}

impl Permit {
    /// Answers the command at an index of the batch.
    pub fn set(&mut self, place: u32, answer: Answer) {
        self.answers.resize(self.count, None);
        self.answers[place as usize] = Some(answer);
    }

    /// Notes that so many answers are the first outcomes of earlier copies, and no work of this batch.
    pub fn note_repetitions(&mut self, count: usize) {
        self.repetitions += count;
    }

    /// Whether the batch has waited for its turn for too long.
    pub fn is_overdue(&self) -> bool {
        self.entered.elapsed() > WAIT_MAX
    }

    /// Notes what became of commands of the batch.
    pub fn note(&self, conduct: Conduct) {
        self.room.note(conduct);
    }

    /// Whether none of its commands has an answer yet.
    pub fn is_whole(&self) -> bool {
        self.answers.is_empty()
    }

    /// The indices of the commands that have no answer yet, in order.
    pub fn unanswered(&self) -> Vec<u32> {
        (0..self.count as u32).filter(|place| self.answer_at(*place).is_none()).collect()
    }

    fn answer_at(&self, place: u32) -> Option<Answer> {
        self.answers.get(place as usize).copied().flatten()
    }

    /// Answers the commands that have no answer yet, in order, and sends all answers out. If they are not
    /// exactly one each, all of them are answered as unknown.
    pub fn answer_rest(mut self, rest: impl ExactSizeIterator<Item = Answer>) {
        let places = self.unanswered();
        if places.len() == rest.len() {
            places.into_iter().zip(rest).for_each(|(place, answer)| self.set(place, answer));
        } else {
            tracing::error!(
                expected = places.len(),
                found = rest.len(),
                "answers do not fit their batch; it stays unknown"
            );
        }
        self.answer();
    }

    /// Sends the answers out. A command without one is answered as unknown.
    pub fn answer(mut self) {
        self.send();
    }

    /// Answers that the whole batch is settled, in a block from index `first` on, each command with the plain outcome.
    pub fn answer_settled(mut self, height: Height, first: u32) {
        if let Some(reply) = self.reply.take() {
            count_answers(Reason::Settled, self.count);
            self.room.note(Conduct { settled: self.count as u64, ..Conduct::default() });
            reply(Answers::Run { height, first, count: self.count });
        }
    }

    fn send(&mut self) {
        if let Some(reply) = self.reply.take() {
            let answer = |place| self.answer_at(place).unwrap_or_else(Answer::unknown);
            let answers: Vec<Answer> = (0..self.count as u32).map(answer).collect();
            let (mut settled, mut refused) = (0, 0);
            let kind = |answer: &Answer| (answer.outcome.reason, answer.is_ordered());
            for run in answers.chunk_by(|one, next| kind(one) == kind(next)) {
                count_answers(run[0].outcome.reason, run.len());
                match kind(&run[0]) {
                    (_, false) => {}
                    (Reason::Settled, true) => settled += run.len(),
                    (_, true) => refused += run.len(),
                }
            }
            // A copy had no outcome of its own.
            let of_copies = self.repetitions.min(settled);
            settled -= of_copies;
            refused -= (self.repetitions - of_copies).min(refused);
            self.room.note(Conduct { settled: settled as u64, refused: refused as u64, ..Conduct::default() });
            reply(Answers::from(&answers[..]));
        }
    }
}

fn count_answers(reason: Reason, count: usize) {
    counter!(metrics::COMMANDS, "reason" => reason.name()).increment(count as u64);
}

impl Drop for Permit {
    /// A batch that is dropped on its way, because the node stops, is answered as unknown.
    fn drop(&mut self) {
        self.send();
    }
}

/// The intake that all services share. When the last clone is dropped, verification ends.
#[derive(Clone)]
pub struct Intake(Arc<Open>);

/// Closes the queue when nobody can add to it any more.
struct Open(Arc<WorkQueue>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Intake {
    /// An intake to a queue.
    pub fn new(queue: Arc<WorkQueue>) -> Intake {
        Intake(Arc::new(Open(queue)))
    }

    /// Takes a member's commands in, once there is room for them. Whatever happens, `reply` is called exactly once with
    /// one answer per command; unless this future is dropped before it is done, which takes nothing in.
    pub async fn submit(&self, member: Source, commands: CommandBatch, reply: Reply) {
        let queue = &self.0.0;
        let count = commands.len();
        if commands.commands().iter().any(|command| !may_submit(member, command)) {
            counter!(metrics::SECURITY, "kind" => "wrong_role").increment(1);
            let count = count as u64;
            queue.note(member, Conduct { not_ordered: count, wrong_role: count, ..Conduct::default() });
            return answer_all(reply, commands.len(), Outcome::refused(Reason::NotAuthorised, 0, 0));
        }
        let Some(room) = queue.room(member, count).await else {
            let limit = queue.commands_max() as u64;
            return answer_all(reply, count, Outcome::refused(Reason::Overloaded, limit, 0));
        };
        let now = Instant::now();
        let (reply, answers) = (Some(reply), Vec::new());
        let permit = Permit { count, answers, reply, repetitions: 0, stage_began: now, entered: now, room };
        queue.push(member, Batch { commands: PartlyVerified::new(commands), permit });
    }

    /// Takes one command in and waits for its answer.
    pub async fn submit_one(&self, member: Source, command: Command) -> Answer {
        let (sender, answer) = oneshot::channel();
        let reply = Box::new(move |answers: Answers| drop(sender.send(answers)));
        self.submit(member, command.into(), reply).await;
        answer.await.ok().and_then(|answers| answers.only()).unwrap_or_else(Answer::unknown)
    }
}

/// Reads the commands of a message.
///
/// # Errors
/// A sentence that names the command's index.
pub fn decode_commands(bytes: Bytes) -> Result<CommandBatch, String> {
    if bytes.len() > BATCH_BYTES_MAX {
        return Err(format!("expected at most {BATCH_BYTES_MAX} bytes of commands in a batch, found {}", bytes.len()));
    }
    let commands = CommandBatch::decode(bytes, BATCH_COMMANDS_MAX).map_err(|error| error.to_string())?;
    if commands.is_empty() {
        return Err("expected at least one command in a batch, found none".to_owned());
    }
    Ok(commands)
}

/// Whether a member may submit a command: its kind, and for banks that it is of their own customers.
fn may_submit((role, id): Source, command: &Command) -> bool {
    let row = authority::of(command.kind());
    if !row.submitted_by.contains(&role) {
        return false;
    }
    match command.signer() {
        _ if !row.own_bank_only => true,
        // A bank that has consented to what a holder of another bank asks may hand it in.
        Signer::Holder(account) => {
            let has_consented = || command.consented().is_some_and(|(statement, _)| statement.bank.0 == id.0);
            account.bank.0 == id.0 || has_consented()
        }
        Signer::Member(_, bank) => bank == id,
    }
}

fn answer_all(reply: Reply, count: usize, outcome: Outcome) {
    count_answers(outcome.reason, count);
    reply(Answers::all(Answer::not_ordered(outcome), count));
}
