//! Intake: admits batches of commands that their member may submit, as far as there is capacity for them.

use std::sync::Arc;

use ::metrics::counter;
use bytes::Bytes;
use cbdc_ledger::authority;
use cbdc_ledger::command::Command;
use cbdc_ledger::member::Role;
use cbdc_ledger::slice_verification::PartlyVerified;
use cbdc_ledger::{BankId, CommandBatch, Outcome, Reason};
use cbdc_node::calls::BATCH_BYTES_MAX;
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::{Answer, BATCH_COMMANDS_MAX};
use tokio::sync::oneshot;

use crate::batch::{Batch, Permit, Reply, count_answers};
use crate::metrics;
use crate::rejections::Rejections;
use crate::shares::Source;
use crate::shares::conduct::Conduct;
use crate::shares::work_queue::WorkQueue;

/// The intake that all services share. When the last clone is dropped, verification ends.
#[derive(Clone)]
pub struct Intake {
    open: Arc<Open>,
    rejections: Rejections,
}

/// Closes the queue when the last intake is gone.
struct Open(Arc<WorkQueue<Batch>>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Intake {
    /// An intake into a queue, of everything but orders whose request is rejected.
    pub fn new(queue: Arc<WorkQueue<Batch>>, rejections: Rejections) -> Intake {
        Intake { open: Arc::new(Open(queue)), rejections }
    }

    /// Submits a member's commands once there is capacity for them. `reply` is called exactly once, with one answer per
    /// command, unless this future is dropped before it completes: then nothing is submitted.
    pub async fn submit(&self, member: Source, commands: CommandBatch, reply: Reply) {
        let queue = &self.open.0;
        let count = commands.len();
        if commands.commands().iter().any(|command| !may_submit(member, command)) {
            counter!(metrics::SECURITY, "kind" => "wrong_role").increment(1);
            let count = count as u64;
            queue.note(member, Conduct { not_ordered: count, wrong_role: count, ..Conduct::default() });
            return answer_all(reply, commands.len(), Outcome::refused(Reason::NotAuthorised, 0, 0));
        }
        let reply = match member.0 {
            Role::Operator => match self.rejections.begin(commands.commands()) {
                Ok(orders) => Box::new(move |answers| {
                    // What was ordered is applied.
                    drop(orders);
                    reply(answers);
                }),
                Err(refusal) => return answer_all(reply, count, refusal),
            },
            _ => reply,
        };
        let Some(capacity) = queue.acquire(member, count).await else {
            let limit = queue.commands_max() as u64;
            return answer_all(reply, count, Outcome::refused(Reason::Overloaded, limit, 0));
        };
        let permit = Permit::new(count, reply, capacity);
        queue.push(member, Batch { commands: PartlyVerified::new(commands), permit });
    }

    /// Submits one command and waits for its answer.
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

/// Whether a member may submit a command: by its kind, and for banks only their own customers'.
fn may_submit((role, id): Source, command: &Command) -> bool {
    let row = authority::of(command.kind());
    if !row.submitted_by.contains(&role) {
        return false;
    }
    !row.own_bank_only || authority::is_of_bank(command, BankId(id.0))
}

fn answer_all(reply: Reply, count: usize, outcome: Outcome) {
    count_answers(outcome.reason, count);
    reply(Answers::all(Answer::not_ordered(outcome), count));
}
