//! Intake: takes in batches of commands, bounded, and sends their answers out.
//!
//! A [`Batch`] stays one piece from here to its answer. It holds its part of the queue's capacity until it is answered,
//! so the node never has more commands in flight than it was configured for.

use std::sync::Arc;
use std::time::Instant;

use ::metrics::{counter, gauge};
use bytes::Bytes;
use cbdc_ledger::authority;
use cbdc_ledger::command::{Command, Signer};
use cbdc_ledger::member::Role;
use cbdc_ledger::{CommandBatch, Height, MemberId, Outcome, Reason, VerifiedBatch};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, BATCH_COMMANDS_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::metrics;

/// Bytes of the commands that one batch may hold.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The receiver of a batch's answers; called once.
pub type Reply = Box<dyn FnOnce(Answers) + Send>;

/// Commands on their way, and the answers that are known so far.
pub struct Batch {
    pub commands: CommandBatch,
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
    /// When the stage that the batch is in began.
    pub stage_began: Instant,
    _capacity: OwnedSemaphorePermit,
}

impl Permit {
    /// Answers the command at an index of the batch.
    pub fn set(&mut self, place: u32, answer: Answer) {
        self.answers.resize(self.count, None);
        self.answers[place as usize] = Some(answer);
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
            reply(Answers::Run { height, first, count: self.count });
        }
    }

    fn send(&mut self) {
        if let Some(reply) = self.reply.take() {
            let answer = |place| self.answer_at(place).unwrap_or_else(Answer::unknown);
            let answers: Vec<Answer> = (0..self.count as u32).map(answer).collect();
            for run in answers.chunk_by(|one, next| one.outcome.reason == next.outcome.reason) {
                count_answers(run[0].outcome.reason, run.len());
            }
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

/// The intake that all services share.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Batch>,
    capacity: Arc<Semaphore>,
    commands_max: usize,
}

impl Intake {
    /// An intake with capacity for `commands_max` commands, and the receiving end of its queue.
    pub fn new(commands_max: usize) -> (Intake, mpsc::Receiver<Batch>) {
        let (queue, batches) = mpsc::channel(commands_max.max(1));
        (Intake { queue, capacity: Arc::new(Semaphore::new(commands_max)), commands_max }, batches)
    }

    /// Takes a member's commands in. Whatever happens, `reply` is called exactly once with one answer per command.
    pub fn submit(&self, member: (Role, MemberId), commands: CommandBatch, reply: Reply) {
        let not_authorised = commands.commands().iter().any(|command| !may_submit(member, command));
        if not_authorised {
            counter!(metrics::SECURITY, "kind" => "wrong_role").increment(1);
            let (role, id) = member;
            tracing::warn!(target: "security", %role, %id, "a member submitted a command that it may not submit");
            return answer_all(reply, commands.len(), Outcome::refused(Reason::NotAuthorised, 0, 0));
        }
        let Ok(capacity) = self.capacity.clone().try_acquire_many_owned(commands.len() as u32) else {
            return answer_all(
                reply,
                commands.len(),
                Outcome::refused(Reason::Overloaded, self.commands_max as u64, 0),
            );
        };
        gauge!(metrics::QUEUE).set((self.commands_max - self.capacity.available_permits()) as f64);
        let (count, stage_began) = (commands.len(), Instant::now());
        let permit = Permit { count, answers: Vec::new(), reply: Some(reply), stage_began, _capacity: capacity };
        // The channel holds every command that the semaphore lets in, so only a stopping node refuses here;
        // dropping the batch then answers it as unknown.
        drop(self.queue.try_send(Batch { commands, permit }));
    }

    /// Takes one command in and waits for its answer.
    pub async fn submit_one(&self, member: (Role, MemberId), command: Command) -> Answer {
        let (sender, answer) = oneshot::channel();
        let reply = Box::new(move |answers: Answers| drop(sender.send(answers)));
        self.submit(member, command.into(), reply);
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
fn may_submit((role, id): (Role, MemberId), command: &Command) -> bool {
    let row = authority::of(command.kind());
    if !row.submitted_by.contains(&role) {
        return false;
    }
    match command.signer() {
        _ if !row.own_bank_only => true,
        Signer::Holder(account) => account.bank.0 == id.0,
        Signer::Member(_, bank) => bank == id,
    }
}

fn answer_all(reply: Reply, count: usize, outcome: Outcome) {
    count_answers(outcome.reason, count);
    reply(Answers::all(Answer::not_ordered(outcome), count));
}
