//! Verification: all signatures of several batches together, on threads of their own.
//!
//! A thread takes the next batch and whatever else is waiting, up to [`TOGETHER`] commands, but leaves the other
//! threads their share: full batches under load, no waiting when idle. Before it spends time on signatures it drops
//! what the ledger would refuse anyway because of its sequence number, and answers a command that was ordered before
//! with its first outcome.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::metrics::{counter, histogram};
use cbdc_ledger::command::Command;
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::verification::verify_batches;
use cbdc_ledger::{CommandBatch, Ledger, NetworkId, Outcome, Reason};
use cbdc_node::LedgerHandle;
use cbdc_proto::packed::Answer;
use cbdc_signatures::{BatchSeed, Source};
use rand::rngs::SysRng;
use tokio::sync::mpsc;

use crate::intake::{Batch, Verified};
use crate::metrics;
use crate::reply_cache::ReplyCache;

/// Commands verified together at most; the cost per signature hardly falls beyond.
const TOGETHER: usize = 1_024;
/// Commands that are worth a thread of their own: beyond that, a thread takes no more than its share of the batches
/// waiting.
const SHARED_FROM: usize = 256;

/// The context of a verifying thread.
#[derive(Clone)]
pub struct Verifier {
    pub network: NetworkId,
    pub directory: Arc<KeyDirectory>,
    pub ledger: LedgerHandle,
    pub reply_cache: ReplyCache,
}

/// Starts the threads. They end when the queue's senders or the sequencer are gone.
pub fn start(
    verifier: &Verifier,
    threads: usize,
    batches: mpsc::Receiver<Batch>,
    verified: &mpsc::Sender<Verified>,
) -> std::io::Result<()> {
    let batches = Arc::new(Mutex::new(batches));
    for number in 0..threads {
        let (verifier, batches, verified) = (verifier.clone(), batches.clone(), verified.clone());
        std::thread::Builder::new().name(format!("verify-{number}")).spawn(move || {
            while let Some(taken) = take(&batches, threads) {
                for batch in verifier.verify(taken) {
                    if verified.blocking_send(batch).is_err() {
                        return;
                    }
                }
            }
        })?;
    }
    Ok(())
}

/// The next batch and a fair share of those that wait: the rest is for the other threads.
fn take(batches: &Mutex<mpsc::Receiver<Batch>>, threads: usize) -> Option<Vec<Batch>> {
    let mut batches = batches.lock().unwrap_or_else(PoisonError::into_inner);
    let first = batches.blocking_recv()?;
    let mut commands = first.commands.len();
    let mut taken = vec![first];
    while commands < SHARED_FROM || (commands < TOGETHER && batches.len() >= threads) {
        let Ok(next) = batches.try_recv() else { break };
        commands += next.commands.len();
        taken.push(next);
    }
    Some(taken)
}

impl Verifier {
    fn verify(&self, batches: Vec<Batch>) -> Vec<Verified> {
        let began = Instant::now();
        let cpu_began = thread_cpu();
        let (mut commands, mut permits) = (Vec::with_capacity(batches.len()), Vec::with_capacity(batches.len()));
        for mut batch in batches {
            self.answer_without_verifying(&mut batch);
            commands.push((batch.commands, Source::Clean));
            permits.push(batch.permit);
        }
        let count: usize = commands.iter().map(|(batch, _): &(CommandBatch, Source)| batch.len()).sum();
        let verified = verify_batches(self.network, &self.directory, commands, BatchSeed::draw(&mut SysRng));
        counter!(metrics::VERIFIED).increment(count as u64);
        counter!(metrics::VERIFY_CPU).increment(thread_cpu().saturating_sub(cpu_began).as_nanos() as u64);
        histogram!(metrics::VERIFY_BATCH).record(count as f64);
        histogram!(metrics::STAGE, "stage" => "verify").record(began.elapsed().as_secs_f64());
        let mut left = Vec::with_capacity(permits.len());
        for ((commands, refused), mut permit) in verified.into_iter().zip(permits) {
            if !refused.is_empty() {
                let places = permit.unanswered();
                for (at, refusal) in refused {
                    note_security_event(&refusal);
                    permit.set(places[at], Answer::not_ordered(refusal));
                }
            }
            if commands.is_empty() {
                permit.answer();
            } else {
                permit.stage_began = Instant::now();
                left.push(Verified { commands, permit });
            }
        }
        left
    }

    /// Answers the commands whose answer needs no signature and leaves them out. Looks at the ledger once.
    fn answer_without_verifying(&self, batch: &mut Batch) {
        let commands = batch.commands.commands();
        let refusals: Vec<Option<Outcome>> =
            self.ledger.read(|ledger| commands.iter().map(|command| sequence_refusal(ledger, command)).collect());
        if refusals.iter().all(Option::is_none) {
            return;
        }
        for (place, (command, refusal)) in (0..).zip(commands.iter().zip(&refusals)) {
            match refusal {
                None => {}
                Some(refusal) if refusal.reason == Reason::SequenceUsed => {
                    batch.permit.set(place, self.reply_cache.answer_to_repetition(command));
                }
                Some(refusal) => batch.permit.set(place, Answer::not_ordered(*refusal)),
            }
        }
        batch.commands.retain(|place| refusals[place].is_none());
    }
}

/// The refusals that the ledger would give because of the signer or its sequence number.
fn sequence_refusal(ledger: &Ledger, command: &Command) -> Option<Outcome> {
    ledger.check_sequence(command.signer(), command.head().sequence).err()
}

fn note_security_event(refusal: &Outcome) {
    if refusal.reason == Reason::BadSignature {
        counter!(metrics::SECURITY, "kind" => "bad_signature").increment(1);
        tracing::warn!(target: "security", "a command with a bad signature was submitted");
    }
}

/// CPU time that this thread has used.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
