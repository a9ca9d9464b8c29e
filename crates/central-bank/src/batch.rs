//! Batches of commands in flight: their remaining commands, and the answers so far.
//!
//! A [`Batch`] stays whole from intake to its answer. It holds its part of the capacity until it is answered, so the
//! node never has more commands in flight than it was configured for, nor a source more than its share
//! ([`crate::shares`]).

use std::time::Instant;

use ::metrics::counter;
use cbdc_ledger::slice_verification::PartlyVerified;
use cbdc_ledger::{Height, Reason, VerifiedBatch};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::Answer;

use crate::metrics;
use crate::shares::conduct::Conduct;
use crate::shares::scheduler::Work;
use crate::shares::work_queue::{CapacityPermit, WAIT_MAX};

/// The receiver of a batch's answers; called once.
pub type Reply = Box<dyn FnOnce(Answers) + Send>;

/// Commands in flight, and the answers so far.
pub struct Batch {
    pub commands: PartlyVerified,
    pub permit: Permit,
}

/// The verified commands of a batch; refused ones are answered already.
pub struct Verified {
    pub commands: VerifiedBatch,
    pub permit: Permit,
}

/// The permit of a batch to be in flight, with the answers to its commands so far. Commands without an answer are still
/// in flight, in the same order.
pub struct Permit {
    count: usize,
    /// The answers so far: empty, or one entry per command.
    answers: Vec<Option<Answer>>,
    reply: Option<Reply>,
    /// The number of answers that are the first outcomes of earlier copies.
    repetitions: usize,
    /// The time at which the batch entered its present stage.
    pub stage_began: Instant,
    entered: Instant,
    capacity: CapacityPermit<Batch>,
}

impl Permit {
    /// The permit of a batch of `count` commands that enters now.
    pub fn new(count: usize, reply: Reply, capacity: CapacityPermit<Batch>) -> Permit {
        let (now, reply, answers) = (Instant::now(), Some(reply), Vec::new());
        Permit { count, answers, reply, repetitions: 0, stage_began: now, entered: now, capacity }
    }

    /// Answers the command at an index of the batch.
    pub fn set(&mut self, index: u32, answer: Answer) {
        self.answers.resize(self.count, None);
        self.answers[index as usize] = Some(answer);
    }

    /// Records that some answers are the first outcomes of earlier copies, not this batch's work.
    pub fn note_repetitions(&mut self, count: usize) {
        self.repetitions += count;
    }

    /// Whether the batch has waited too long for its turn.
    pub fn is_overdue(&self) -> bool {
        self.entered.elapsed() > WAIT_MAX
    }

    /// Records the outcomes of some commands of the batch.
    pub fn note(&self, conduct: Conduct) {
        self.capacity.note(conduct);
    }

    /// Whether none of its commands has an answer yet.
    pub fn is_whole(&self) -> bool {
        self.answers.is_empty()
    }

    /// The indices of the commands that have no answer yet, in order.
    pub fn unanswered(&self) -> Vec<u32> {
        (0..self.count as u32).filter(|index| self.answer_at(*index).is_none()).collect()
    }

    fn answer_at(&self, index: u32) -> Option<Answer> {
        self.answers.get(index as usize).copied().flatten()
    }

    /// Answers the commands that have no answer yet, in order, and sends all answers. If there is not exactly one for
    /// each, all of them are answered as unknown.
    pub fn answer_rest(mut self, rest: impl ExactSizeIterator<Item = Answer>) {
        let indices = self.unanswered();
        if indices.len() == rest.len() {
            indices.into_iter().zip(rest).for_each(|(index, answer)| self.set(index, answer));
        } else {
            tracing::error!(
                expected = indices.len(),
                found = rest.len(),
                "answers do not fit their batch; it stays unknown"
            );
        }
        self.answer();
    }

    /// Sends the answers. A command without one is answered as unknown.
    pub fn answer(mut self) {
        self.send();
    }

    /// Answers that the whole batch is settled, in a block from index `first` on, each command with the plain outcome.
    pub fn answer_settled(mut self, height: Height, first: u32) {
        if let Some(reply) = self.reply.take() {
            count_answers(Reason::Settled, self.count);
            self.capacity.note(Conduct { settled: self.count as u64, ..Conduct::default() });
            reply(Answers::Run { height, first, count: self.count });
        }
    }

    fn send(&mut self) {
        if let Some(reply) = self.reply.take() {
            let answer = |index| self.answer_at(index).unwrap_or_else(Answer::unknown);
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
            self.capacity.note(Conduct { settled: settled as u64, refused: refused as u64, ..Conduct::default() });
            reply(Answers::from(&answers[..]));
        }
    }
}

/// Counts answers with a reason.
pub fn count_answers(reason: Reason, count: usize) {
    counter!(metrics::COMMANDS, "reason" => reason.name()).increment(count as u64);
}

impl Drop for Permit {
    /// A batch that is dropped in flight, because the node stops, is answered as unknown.
    fn drop(&mut self) {
        self.send();
    }
}

impl Work for Batch {
    fn left(&self) -> usize {
        self.commands.left()
    }

    fn cost(&self, count: usize) -> usize {
        self.commands.cost(count)
    }
}
