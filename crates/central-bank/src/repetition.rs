//! Repetitions: answers to batches with a command that was ordered a second time while the first copy was in flight.
//!
//! Such a command was refused without effect, and its answer is the first outcome. The look-up takes time that
//! settlement cannot spare: one customer's copies would delay everybody's payments. So settlement passes the batch to
//! another thread.

use cbdc_environment::thread;
use cbdc_ledger::block_proposal::BuiltProposal;
use cbdc_ledger::{Height, Outcome, Reason};
use cbdc_proto::packed::Answer;
use tokio::sync::mpsc;

use crate::reply_cache::ReplyCache;
use crate::sequencer::Segment;
use crate::shares::conduct::Conduct;

/// The part of a settled block proposal with repetitions.
pub struct Repeated {
    pub height: Height,
    pub proposal: BuiltProposal,
    /// Parts of batches, each with the outcomes of its commands.
    pub segments: Vec<(Segment, Vec<Outcome>)>,
}

/// Starts the thread, which ends when the sender is dropped.
pub fn start(reply_cache: ReplyCache) -> std::io::Result<mpsc::UnboundedSender<Repeated>> {
    // Each segment holds its part of the node's capacity, so there are never many.
    let (sender, mut waiting) = mpsc::unbounded_channel::<Repeated>();
    thread::thread("repetition", async move || {
        while let Some(repeated) = waiting.recv().await {
            repeated.answer(&reply_cache);
        }
    })?;
    Ok(sender)
}

impl Repeated {
    fn answer(self, reply_cache: &ReplyCache) {
        for (mut segment, outcomes) in self.segments {
            let first = segment.first as usize;
            let commands = &self.proposal.commands()[first..first + segment.count];
            let is_repetition = |outcome: &Outcome| outcome.reason == Reason::SequenceUsed;
            let repeated = commands.iter().zip(&outcomes).filter(|(_, outcome)| is_repetition(outcome));
            let mut replies =
                reply_cache.answers_to_repetitions(repeated.map(|(command, _)| command), self.height).into_iter();
            let answers = outcomes.iter().zip(segment.first..).map(|(outcome, index)| match is_repetition(outcome) {
                true => replies.next().flatten().unwrap_or_else(Answer::unknown),
                false => Answer::ordered(self.height, index, *outcome),
            });
            let answers: Vec<Answer> = answers.collect();
            let repetitions = outcomes.iter().filter(|outcome| is_repetition(outcome)).count();
            segment.permit.note_repetitions(repetitions);
            segment.permit.note(Conduct { refused: repetitions as u64, ..Conduct::default() });
            segment.permit.answer_rest(answers.into_iter());
        }
    }
}
