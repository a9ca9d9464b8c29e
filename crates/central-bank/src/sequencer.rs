//! The sequencer: cuts verified batches into block proposals and passes them to ordering.
//!
//! 1. The first batch starts a block proposal. It is cut when it holds `commands_max` commands, or as soon as a pause
//!    has passed since the one before and fewer than `proposals_in_flight_max` are on their way to disk. So block
//!    proposals grow with the load, and an idle network answers at once.
//!
//!    The pause is `interval_ms` and 4 µs for each command of the one before, 9 ms at most: about 1.5 ms at 75,000
//!    payments a second, 3 to 5 at 150,000, 9 from 220,000 on. A block costs the network's nodes half a millisecond of
//!    CPU however few commands it holds; many small ones would take that time from verifying, and every payment would
//!    wait longer. A timer of the kernel ends the pause: tokio's count whole milliseconds and end about one late.
//! 2. Its time is stamped. If the clock has jumped, its commands are answered `CLOCK_JUMP` and nothing is proposed.
//!    The same holds where a bank has shown that this node has lost blocks ([`crate::witnesses`]); those commands are
//!    answered `LOST_BLOCKS`.
//! 3. It is announced to settlement and proposed. The next one is filled while this one is on its way.
//!    A node that does not lead proposes nothing; whatever it still has is answered as unknown.
//! 4. When the ledger itself has something due, or settlement wants a checkpoint block, a block proposal is cut even
//!    without commands.

use std::sync::atomic::{AtomicBool, Ordering as MemoryOrdering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::metrics::histogram;
use cbdc_environment::timer;
use cbdc_ledger::block_proposal::{BlockProposalBuilder, BuiltProposal};
use cbdc_ledger::{Outcome, Reason};
use cbdc_node::LedgerHandle;
use cbdc_ordering::{Ordering, ProposeError};
use cbdc_proto::packed::Answer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::batch::{Permit, Verified};
use crate::clock::Clock;
use crate::config::SequencerConfig;
use crate::leading::Leading;
use crate::metrics;
use crate::verified_queue::Receiver;
use crate::witnesses::Witnesses;

/// The largest size of a block proposal: a block must fit into a message with a margin.
const PROPOSAL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The time that each command of a block proposal adds to the pause after it.
const PAUSE_PER_COMMAND: Duration = Duration::from_micros(4);
/// The longest pause, unless the configured interval is longer.
const PAUSE_MAX: Duration = Duration::from_millis(9);
/// The interval at which the sequencer checks whether something is due.
const DUE_CHECK: Duration = Duration::from_millis(100);

/// A block proposal on its way through ordering, and its waiting callers.
pub struct InFlight {
    pub proposal: BuiltProposal,
    pub waiting: Waiting,
    pub proposed_at: Instant,
}

/// The callers that wait for a block proposal. Settlement takes them to answer them; the sequencer takes them, which
/// answers them as unknown, if the block proposal was not ordered.
#[derive(Clone)]
pub struct Waiting(Arc<Mutex<Vec<Segment>>>);

impl Waiting {
    pub fn take(&self) -> Vec<Segment> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The part of a batch that is in a block proposal: `count` commands from `first` on.
pub struct Segment {
    pub first: u32,
    pub count: usize,
    pub permit: Permit,
}

pub struct Sequencer {
    pub config: SequencerConfig,
    pub clock: Arc<Clock>,
    pub ordering: Arc<Ordering>,
    pub ledger: LedgerHandle,
    /// Announces a block proposal's waiting callers to settlement before it is proposed.
    pub in_flight: mpsc::UnboundedSender<InFlight>,
    /// One permit for each block proposal that may be on its way to disk.
    pub permits: Arc<Semaphore>,
    /// Set by settlement when a checkpoint is due: the next block proposal asks for a checkpoint block.
    pub checkpoint_wanted: Arc<AtomicBool>,
    pub witnesses: Arc<Witnesses>,
    pub leading: Arc<Leading>,
    /// The longest wait for the banks' testimony after a start.
    pub wait_for_banks: Duration,
}

#[derive(Default)]
struct Open {
    builder: BlockProposalBuilder,
    segments: Vec<Segment>,
}

impl Open {
    fn is_full(&self, config: &SequencerConfig) -> bool {
        self.builder.len() >= config.commands_max || self.builder.bytes() >= PROPOSAL_BYTES_MAX
    }

    fn has_capacity_for(&self, batch: &Verified, config: &SequencerConfig) -> bool {
        self.builder.len() + batch.commands.len() <= config.commands_max
            && self.builder.bytes() + batch.commands.bytes().len() <= PROPOSAL_BYTES_MAX
    }

    fn push(&mut self, batch: Verified) {
        let (first, count) = (self.builder.len() as u32, batch.commands.len());
        self.builder.push(batch.commands);
        self.segments.push(Segment { first, count, permit: batch.permit });
    }

    fn answer_all(self, outcome: Outcome) {
        for segment in self.segments {
            segment.permit.answer_rest(std::iter::repeat_n(Answer::not_ordered(outcome), segment.count));
        }
    }
}

/// The pause after a block proposal of this many commands.
fn pause_after(commands: usize, config: &SequencerConfig) -> Duration {
    let interval = Duration::from_millis(config.interval_ms);
    let grown = interval + PAUSE_PER_COMMAND * u32::try_from(commands).unwrap_or(u32::MAX);
    grown.min(PAUSE_MAX.max(interval))
}

/// Adds batches until the block proposal is full, or its pause has ended and a permit is free. Returns that permit, and
/// a batch that no longer fits.
async fn fill(
    config: &SequencerConfig,
    permits: &Arc<Semaphore>,
    open: &mut Open,
    batches: &mut Receiver,
    not_before: Instant,
) -> (Option<Verified>, Option<OwnedSemaphorePermit>) {
    let time_has_come = timer::until(not_before);
    let permit = permits.clone().acquire_owned();
    tokio::pin!(time_has_come, permit);
    let mut is_early = Instant::now() < not_before;
    while !open.is_full(config) {
        tokio::select! {
            biased;
            // Batches that are already verified are included.
            next = batches.recv() => match next {
                Some(batch) if !open.has_capacity_for(&batch, config) => return (Some(batch), permit.await.ok()),
                Some(batch) => open.push(batch),
                None => break,
            },
            () = &mut time_has_come, if is_early => is_early = false,
            acquired = &mut permit, if !is_early => return (None, acquired.ok()),
        }
    }
    (None, permit.await.ok())
}

impl Sequencer {
    /// Runs until the verifiers are gone or ordering stops.
    pub async fn run(self, mut batches: Receiver) {
        self.witnesses.hear_all(self.wait_for_banks).await;
        if let Some(time) = self.witnesses.other_time() {
            self.clock.expect(time);
        }
        let mut due_check = tokio::time::interval(DUE_CHECK);
        due_check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut held_over = None;
        let mut not_before = Instant::now();
        loop {
            let first = match held_over.take() {
                Some(batch) => batch,
                None => tokio::select! {
                    batch = batches.recv() => match batch {
                        Some(batch) => batch,
                        None => return,
                    },
                    _ = due_check.tick() => {
                        if self.is_something_due() && self.cut(Open::default(), None).await.is_err() {
                            return;
                        }
                        continue;
                    }
                },
            };
            let mut open = Open::default();
            open.push(first);
            let (next, permit) = fill(&self.config, &self.permits, &mut open, &mut batches, not_before).await;
            held_over = next;
            not_before = Instant::now() + pause_after(open.builder.len(), &self.config);
            if self.cut(open, permit).await.is_err() {
                return;
            }
        }
    }

    fn is_something_due(&self) -> bool {
        if self.witnesses.has_lost_blocks() || !self.leading.leads() {
            return false;
        }
        if self.checkpoint_wanted.load(MemoryOrdering::Acquire) {
            return true;
        }
        let Some(due) = self.ledger.read(cbdc_ledger::Ledger::next_due) else { return false };
        self.clock.stamp().is_ok_and(|now| due <= now)
    }

    /// Stamps and proposes; `permit` is given back when the block proposal is durable. `Err` when ordering has stopped.
    async fn cut(&self, mut open: Open, permit: Option<OwnedSemaphorePermit>) -> Result<(), ()> {
        if !self.leading.leads() {
            // Dropping it answers its callers as unknown: they send it to the leader.
            return Ok(());
        }
        if self.witnesses.has_lost_blocks() {
            open.answer_all(Outcome::refused(Reason::LostBlocks, 0, 0));
            return Ok(());
        }
        let time = match self.clock.stamp() {
            Ok(time) => time,
            Err(jumped) => {
                open.answer_all(Outcome::refused(Reason::ClockJump, jumped.expected.0, jumped.found.0));
                return Ok(());
            }
        };
        if self.checkpoint_wanted.swap(false, MemoryOrdering::AcqRel) {
            open.builder.ask_for_checkpoint();
        }
        histogram!(metrics::BLOCK_PROPOSAL).record(open.builder.len() as f64);
        for segment in &open.segments {
            histogram!(metrics::STAGE, "stage" => "sequence")
                .record(segment.permit.stage_began.elapsed().as_secs_f64());
        }
        let proposal = open.builder.finish(time);
        let bytes = proposal.bytes().clone();
        let waiting = Waiting(Arc::new(Mutex::new(open.segments)));
        let in_flight = InFlight { proposal, waiting: waiting.clone(), proposed_at: Instant::now() };
        if self.in_flight.send(in_flight).is_err() {
            return Err(());
        }
        match self.ordering.propose_pipelined(bytes).await {
            Ok(pending) => {
                tokio::spawn(async move {
                    if let Err(error) = pending.await {
                        tracing::warn!(%error, "it is not known whether a proposal was ordered");
                        drop(waiting.take());
                    }
                    drop(permit);
                });
                Ok(())
            }
            Err(error @ ProposeError::NotLeader { .. }) => {
                tracing::warn!(%error, "a proposal was not ordered");
                drop(waiting.take());
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "ordering has stopped");
                drop(waiting.take());
                Err(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verified_queue::verified_queue;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// Fills a block proposal while no batch arrives; returns whether it was cut without one.
    async fn filled(config: SequencerConfig, batches: &mut Receiver, not_before: Instant) -> bool {
        let (permits, mut open) = (Arc::new(Semaphore::new(1)), Open::default());
        let filling = fill(&config, &permits, &mut open, batches, not_before);
        let (next, permit) = tokio::time::timeout(Duration::from_secs(60), filling).await.expect("it is cut in time");
        next.is_none() && permit.is_some()
    }

    #[tokio::test]
    async fn a_proposal_is_cut_when_its_pause_is_over_and_not_before() {
        let (open, mut batches) = verified_queue();
        for pause in [Duration::ZERO, Duration::from_micros(1_500), Duration::from_millis(20)] {
            let not_before = Instant::now() + pause;
            assert!(filled(SequencerConfig::default(), &mut batches, not_before).await);
            assert!(Instant::now() >= not_before, "{pause:?}");
        }
        // A full one does not wait, nor does one whose senders are all gone.
        let full = SequencerConfig { commands_max: 0, ..SequencerConfig::default() };
        assert!(filled(full, &mut batches, Instant::now() + HOUR).await);
        drop(open);
        assert!(filled(SequencerConfig::default(), &mut batches, Instant::now() + HOUR).await);
    }

    #[test]
    fn the_pause_grows_with_the_proposal_before_it_up_to_a_bound() {
        let pause_us = |commands, interval_ms| {
            let config = SequencerConfig { interval_ms, ..SequencerConfig::default() };
            pause_after(commands, &config).as_micros()
        };
        assert_eq!([0, 1, 200, 1_000].map(|commands| pause_us(commands, 1)), [1_000, 1_004, 1_800, 5_000]);
        assert_eq!([8_192, usize::MAX].map(|commands| pause_us(commands, 1)), [9_000, 9_000]);
        // A longer interval is what the operator asked for.
        assert_eq!([0, 8_192].map(|commands| pause_us(commands, 20)), [20_000, 20_000]);
    }
}
