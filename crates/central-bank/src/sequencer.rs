//! The sequencer: cuts verified batches into proposals and hands them to ordering.
//!
//! 1. The first batch starts a proposal; it is cut when it holds `commands_max` commands, or `wait_ms` after its start.
//! 2. Its time is stamped. If the clock has jumped, its commands are answered `CLOCK_JUMP` and nothing is proposed.
//! 3. It is announced to settlement and proposed. The next proposal does not wait for this one's fsync.
//! 4. When something falls due in the ledger itself, a proposal is cut even without commands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cbdc_ledger::proposal::ProposalBuilder;
use cbdc_ledger::{Outcome, Reason};
use cbdc_node::LedgerHandle;
use cbdc_ordering::{Ordering, ProposeError};
use cbdc_proto::packed::Answer;
use metrics::histogram;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::config::SequencerConfig;
use crate::intake::{Ticket, VerifiedBatch};
use crate::measures;

/// How often the sequencer looks whether something is due.
const DUE_CHECK: Duration = Duration::from_millis(100);

/// A proposal on its way through ordering, and who waits for it.
pub struct UnderWay {
    pub proposal: Bytes,
    pub segments: Vec<Segment>,
    pub proposed_at: Instant,
}

/// A batch's commands within a proposal: from `first`, each with its place in the batch.
pub struct Segment {
    pub first: u32,
    pub places: Vec<u32>,
    pub ticket: Ticket,
}

pub struct Sequencer {
    pub config: SequencerConfig,
    pub clock: Arc<Clock>,
    pub ordering: Arc<Ordering>,
    pub ledger: LedgerHandle,
    /// Tells settlement who waits for a proposal, before it is proposed.
    pub under_way: mpsc::UnboundedSender<UnderWay>,
}

#[derive(Default)]
struct Open {
    builder: ProposalBuilder,
    segments: Vec<Segment>,
}

impl Open {
    fn push(&mut self, batch: VerifiedBatch) {
        let first = self.builder.len() as u32;
        let mut places = Vec::with_capacity(batch.commands.len());
        for (place, command) in &batch.commands {
            self.builder.push(command);
            places.push(*place);
        }
        self.segments.push(Segment { first, places, ticket: batch.ticket });
    }

    fn answer_all(self, outcome: Outcome) {
        for mut segment in self.segments {
            for place in &segment.places {
                segment.ticket.set(*place, Answer::not_ordered(outcome));
            }
            segment.ticket.answer();
        }
    }
}

impl Sequencer {
    /// Runs until the verifiers are gone or ordering stops.
    pub async fn run(self, mut batches: mpsc::Receiver<VerifiedBatch>) {
        let mut due_check = tokio::time::interval(DUE_CHECK);
        due_check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut held_over = None;
        loop {
            let first = match held_over.take() {
                Some(batch) => batch,
                None => tokio::select! {
                    batch = batches.recv() => match batch {
                        Some(batch) => batch,
                        None => return,
                    },
                    _ = due_check.tick() => {
                        if self.is_something_due() && self.cut(Open::default()).await.is_err() {
                            return;
                        }
                        continue;
                    }
                },
            };
            let mut open = Open::default();
            open.push(first);
            held_over = self.fill(&mut open, &mut batches).await;
            if self.cut(open).await.is_err() {
                return;
            }
        }
    }

    /// Adds batches until the proposal is full or its time is up; returns a batch that no longer fits.
    async fn fill(&self, open: &mut Open, batches: &mut mpsc::Receiver<VerifiedBatch>) -> Option<VerifiedBatch> {
        let deadline = tokio::time::Instant::now() + Duration::from_millis(self.config.wait_ms);
        while open.builder.len() < self.config.commands_max {
            let next = tokio::time::timeout_at(deadline, batches.recv()).await;
            match next {
                Ok(Some(batch)) if open.builder.len() + batch.commands.len() > self.config.commands_max => return Some(batch),
                Ok(Some(batch)) => open.push(batch),
                Ok(None) | Err(_) => return None,
            }
        }
        None
    }

    fn is_something_due(&self) -> bool {
        let Some(due) = self.ledger.read(cbdc_ledger::Ledger::next_due) else { return false };
        self.clock.stamp().is_ok_and(|now| due <= now)
    }

    /// Stamps and proposes. `Err` when ordering has stopped.
    async fn cut(&self, open: Open) -> Result<(), ()> {
        let time = match self.clock.stamp() {
            Ok(time) => time,
            Err(jumped) => {
                open.answer_all(Outcome::refused(Reason::ClockJump, jumped.expected.0, jumped.found.0));
                return Ok(());
            }
        };
        histogram!(measures::PROPOSAL).record(open.builder.len() as f64);
        for segment in &open.segments {
            histogram!(measures::STAGE, "stage" => "sequence").record(segment.ticket.stage_began.elapsed().as_secs_f64());
        }
        let proposal = Bytes::from(open.builder.finish(time));
        let under_way = UnderWay { proposal: proposal.clone(), segments: open.segments, proposed_at: Instant::now() };
        if self.under_way.send(under_way).is_err() {
            return Err(());
        }
        match self.ordering.propose_pipelined(proposal).await {
            Ok(pending) => {
                tokio::spawn(async move {
                    if let Err(error) = pending.await {
                        tracing::error!(%error, "a proposal was not acknowledged");
                    }
                });
                Ok(())
            }
            Err(error @ ProposeError::NotLeader { .. }) => {
                tracing::warn!(%error, "a proposal was not ordered");
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "ordering has stopped");
                Err(())
            }
        }
    }
}
