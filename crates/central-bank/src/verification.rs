//! Verification: all signatures of several batches together, on their own threads.
//!
//! A thread takes the next batches in turn from the queue, up to a bound, but leaves the other threads their share:
//! full batches under load, no waiting when idle. A large batch is verified a slice at a time, so that others do not
//! wait for all of it.
//!
//! It first refuses the commands that need no signature check, if no copy of them in flight can have another answer:
//! those with a used sequence number (the answer is the first outcome) or one out of the window, those of an unknown
//! signer, and those whose valid-until is before the last block's time, since no later block has an earlier one.
//!
//! A copy of a command whose block was not published yet goes on like a new command: it is ordered behind that block,
//! refused there, and answered with the first outcome when both are published.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::{counter, histogram};
use cbdc_environment::thread;
use cbdc_ledger::command::Command;
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::slice_verification::{Slice, verify_slices};
use cbdc_ledger::{NetworkId, Outcome, Reason};
use cbdc_node::LedgerHandle;
use cbdc_proto::packed::Answer;
use cbdc_signatures::{BatchSeed, Trust};
use rand::rngs::SysRng;

use crate::batch::{Batch, Verified};
use crate::metrics;
use crate::reply_cache::ReplyCache;
use crate::shares::Source;
use crate::shares::conduct::Conduct;
use crate::shares::scheduler::Taken;
use crate::shares::work_queue::WorkQueue;
use crate::verified_queue::Sender;

/// The context of a verifying thread.
#[derive(Clone)]
pub struct Verifier {
    pub network: NetworkId,
    pub directory: Arc<KeyDirectory>,
    pub ledger: LedgerHandle,
    pub reply_cache: ReplyCache,
}

/// Starts the threads. They end when the queue is closed or the sequencer is gone.
pub fn start(
    verifier: &Verifier,
    threads: usize,
    queue: &Arc<WorkQueue<Batch>>,
    verified: &Sender,
) -> std::io::Result<()> {
    for number in 0..threads {
        let (verifier, queue, verified) = (verifier.clone(), queue.clone(), verified.clone());
        thread::thread(&format!("verify-{number}"), async move || {
            while let Some(taken) = queue.take(threads).await {
                for (source, batch) in verifier.verify(taken, &queue) {
                    if !verified.send(source, batch) {
                        return;
                    }
                }
            }
        })?;
    }
    Ok(())
}

impl Verifier {
    /// Verifies the commands taken. Returns the completed batches; the others go back to the queue.
    fn verify(&self, taken: Vec<Taken<Batch>>, queue: &WorkQueue<Batch>) -> Vec<(Source, Verified)> {
        let began = Instant::now();
        let cpu_began = thread_cpu();
        let mut taken: Vec<Taken<Batch>> = taken.into_iter().filter_map(answer_if_overdue).collect();
        taken.iter_mut().for_each(|taken| self.answer_without_verifying(taken));
        let count: usize = taken.iter().map(|taken| taken.count).sum();
        let mut slices: Vec<Slice<'_>> = Vec::with_capacity(taken.len());
        for taken in &mut taken {
            let trust = if taken.is_slowed { Trust::Suspect } else { Trust::Clean };
            slices.push(Slice { batch: &mut taken.item.commands, count: taken.count, trust });
        }
        let refused = verify_slices(self.network, &self.directory, &mut slices, BatchSeed::draw(&mut SysRng));
        counter!(metrics::VERIFIED).increment(count as u64);
        counter!(metrics::VERIFY_CPU).increment(thread_cpu().saturating_sub(cpu_began).as_nanos() as u64);
        histogram!(metrics::VERIFY_BATCH).record(count as f64);
        histogram!(metrics::STAGE, "stage" => "verify").record(began.elapsed().as_secs_f64());
        let mut done = Vec::with_capacity(taken.len());
        for (Taken { source, item: mut batch, .. }, refused) in taken.into_iter().zip(refused) {
            note_refused(&mut batch, &refused);
            if batch.commands.left() > 0 {
                queue.put_back(source, batch);
                continue;
            }
            let mut permit = batch.permit;
            match batch.commands.finish() {
                Ok(commands) if !commands.is_empty() => {
                    permit.stage_began = Instant::now();
                    done.push((source, Verified { commands, permit }));
                }
                _ => permit.answer(),
            }
        }
        done
    }

    /// Answers the next commands of a batch that need no signature check, and removes them. Reads the ledger once.
    fn answer_without_verifying(&self, taken: &mut Taken<Batch>) {
        let Taken { item: batch, count, .. } = taken;
        let upcoming = || batch.commands.upcoming(*count);
        let refusals: Vec<Option<Outcome>> = self.ledger.read(|ledger| {
            upcoming().map(|(_, command)| ledger.early_refusal(command.signer(), command.head())).collect()
        });
        if refusals.iter().all(Option::is_none) {
            return;
        }
        let announced = self.ledger.newest_announced();
        let is_used = |refusal: &Outcome| refusal.reason == Reason::SequenceUsed;
        let used = upcoming().zip(&refusals).filter(|(_, refusal)| refusal.as_ref().is_some_and(is_used));
        let mut first_answers =
            self.reply_cache.answers_to_repetitions(used.map(|((_, command), _)| command), announced).into_iter();
        let answer = |((index, _), refusal): ((usize, &Command), &Option<Outcome>)| {
            let refusal = (*refusal)?;
            let answer = match is_used(&refusal) {
                true => first_answers.next().flatten()?,
                false => Answer::not_ordered(refusal),
            };
            Some((index, answer))
        };
        let answers: Vec<(usize, Answer)> = upcoming().zip(&refusals).filter_map(answer).collect();
        batch.permit.note_repetitions(answers.iter().filter(|(_, answer)| answer.is_ordered()).count());
        batch.permit.note(Conduct { not_ordered: answers.len() as u64, ..Conduct::default() });
        for (index, answer) in answers {
            batch.commands.refuse(index);
            batch.permit.set(index as u32, answer);
        }
    }
}

/// Answers a batch that has waited too long: its sender would no longer wait for the answer.
fn answer_if_overdue(taken: Taken<Batch>) -> Option<Taken<Batch>> {
    if !taken.item.permit.is_overdue() {
        return Some(taken);
    }
    let permit = taken.item.permit;
    let rest = permit.unanswered().len();
    permit.answer_rest(std::iter::repeat_n(Answer::not_ordered(Outcome::refused(Reason::Overloaded, 0, 0)), rest));
    None
}

/// Answers the commands that verification refused.
fn note_refused(batch: &mut Batch, refused: &[(usize, Outcome)]) {
    if refused.is_empty() {
        return;
    }
    let bad_signatures = refused.iter().filter(|(_, refusal)| refusal.reason == Reason::BadSignature).count() as u64;
    counter!(metrics::SECURITY, "kind" => "bad_signature").increment(bad_signatures);
    let not_ordered = refused.len() as u64 - bad_signatures;
    batch.permit.note(Conduct { bad_signatures, not_ordered, ..Conduct::default() });
    for (index, refusal) in refused {
        batch.permit.set(*index as u32, Answer::not_ordered(*refusal));
    }
}

/// CPU time that this thread has used.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
