//! Offering the load: open loop, from the moment each payment is due.
//!
//! One task per bank sends the payments that are due, in batches of at most the scenario's size, whether or not earlier
//! ones were answered: a stall shows as latency, never as fewer payments. Another receives the answers. If a stream
//! breaks, or a node cannot determine an outcome, the same records are sent again until each has one final answer; that
//! is safe, because a sequence number settles at most once. Outcomes are recorded here and counted later
//! ([`super::stream_outcome`]).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cbdc_client::Connection;
use cbdc_client::payment_stream::{self, BatchAnswers, BatchSender};
use cbdc_ledger::Reason;
use cbdc_proto::packed::{Answer, State};

use super::signed_payments::PaymentStream;
use super::stream_outcome::{Departure, StreamOutcome};
use crate::scenario::Load;

/// The pause before the records of a broken stream are sent again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// The longest wait for answers after the last due payment.
pub const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Counters that a progress bar reads while the load runs.
#[derive(Default)]
pub struct Live {
    pub settled: AtomicU64,
    pub refused: AtomicU64,
    /// Latencies of the last second, µs, for the p99 on display.
    pub recent_us: Mutex<Vec<u32>>,
}

pub struct StreamRunner {
    pub stream: Arc<PaymentStream>,
    pub load: Load,
    pub connection: Connection,
    pub start: Instant,
    pub live: Arc<Live>,
    /// The time after the last due time during which unanswered payments are sent again.
    pub timeout: Duration,
}

/// Payments `from..to` of the stream that wait for an answer under a batch id.
type InFlight = VecDeque<(u64, usize, usize)>;

fn in_flight_payments(in_flight: &InFlight) -> usize {
    in_flight.iter().map(|(_, from, to)| to - from).sum()
}

struct Progress {
    outcome: StreamOutcome,
    /// The time until which the network accepted no further payment.
    blocked_until_ns: u64,
    /// Ranges to be sent again, with the earliest time for it.
    again: VecDeque<(Instant, usize, usize)>,
    unanswered: usize,
}

impl Progress {
    fn note_departure(&mut self, payments: std::ops::Range<usize>, now_ns: u64) {
        let blocked_until_ns = self.blocked_until_ns;
        self.outcome.departures.push(Departure { payments, at_ns: now_ns, ready_ns: now_ns, blocked_until_ns });
    }
}

impl StreamRunner {
    /// Runs until every payment has its final answer, or until the timeout.
    pub async fn run(self) -> StreamOutcome {
        let mut progress = Progress {
            outcome: StreamOutcome::new(self.stream.due_ns.clone(), self.batch_delay_ns()),
            blocked_until_ns: 0,
            again: VecDeque::new(),
            unanswered: self.stream.len(),
        };
        let last_due = self.stream.due_ns.last().copied().unwrap_or(0);
        let give_up = self.start + Duration::from_nanos(last_due) + self.timeout;
        let mut next = 0;
        while progress.unanswered > 0 && Instant::now() < give_up {
            match payment_stream::open(&self.connection, self.load.in_flight_max as usize).await {
                Ok((sender, answers)) => {
                    let ended = self.drive(sender, answers, &mut progress, &mut next, give_up).await;
                    progress.outcome.breaks += u64::from(ended.is_err());
                }
                Err(error) => {
                    tracing::debug!(%error, "no stream to the bank");
                    self.note_due(&mut next, &mut progress);
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
        let now_ns = self.elapsed_ns();
        progress.outcome.give_up(now_ns);
        progress.outcome
    }

    fn elapsed_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Queues payments that fall due while there is no connection.
    fn note_due(&self, next: &mut usize, progress: &mut Progress) {
        let now_ns = self.elapsed_ns();
        progress.blocked_until_ns = now_ns;
        let from = *next;
        *next += self.stream.due_ns[from..].iter().take_while(|due| **due <= now_ns).count();
        if *next > from {
            progress.note_departure(from..*next, now_ns);
            progress.again.push_back((Instant::now(), from, *next));
        }
    }

    /// Drives one gRPC stream until everything is answered (`Ok`) or it breaks (`Err`); its payments in flight are then
    /// queued again.
    async fn drive(
        &self,
        mut sender: BatchSender,
        mut answers: BatchAnswers,
        progress: &mut Progress,
        next: &mut usize,
        give_up: Instant,
    ) -> Result<(), ()> {
        let mut in_flight = InFlight::new();
        let result = loop {
            if progress.unanswered == 0 || Instant::now() >= give_up {
                break Ok(());
            }
            let has_capacity =
                sender.capacity() > 0 && in_flight_payments(&in_flight) < self.load.in_flight_max as usize;
            if !has_capacity {
                progress.blocked_until_ns = self.elapsed_ns();
            } else if let Some((from, to)) = self.next_range(next, progress) {
                match sender.send(self.stream.slice(from, to)).await {
                    Ok(id) => in_flight.push_back((id, from, to)),
                    Err(_) => {
                        progress.again.push_back((Instant::now() + RETRY_AFTER, from, to));
                        break Err(());
                    }
                }
                continue;
            }
            let wake = self.next_wake(*next, progress, has_capacity);
            tokio::select! {
                biased;
                answer = answers.next() => match answer {
                    Ok(Some(batch)) => {
                        let at = in_flight.iter().position(|(id, ..)| *id == batch.batch_id);
                        let Some((_, from, _)) = at.and_then(|at| in_flight.remove(at)) else { break Err(()) };
                        self.take_answers(from, &batch.answers, progress);
                    }
                    _ => break Err(()),
                },
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        };
        let retry_at = Instant::now() + RETRY_AFTER;
        if !in_flight.is_empty() && result.is_err() {
            progress.outcome.unknown.push((self.elapsed_ns(), in_flight_payments(&in_flight) as u64));
        }
        progress.again.extend(in_flight.into_iter().map(|(_, from, to)| (retry_at, from, to)));
        result
    }

    /// The next payments to send: first those to be sent again, then due ones that fill a batch or have waited.
    fn next_range(&self, next: &mut usize, progress: &mut Progress) -> Option<(usize, usize)> {
        let size = self.load.batch_size as usize;
        if let Some((at, from, to)) = progress.again.front().copied()
            && at <= Instant::now()
        {
            progress.again.pop_front();
            let end = to.min(from + size);
            if end < to {
                progress.again.push_front((at, end, to));
            }
            return Some((from, end));
        }
        let now_ns = self.elapsed_ns();
        let from = *next;
        let due = self.stream.due_ns[from..].iter().take(size).take_while(|due| **due <= now_ns).count();
        let has_waited = due > 0 && now_ns - self.stream.due_ns[from] >= self.batch_delay_ns();
        let is_last = from + due == self.stream.len();
        if due == 0 || due < size && !has_waited && !is_last {
            return None;
        }
        progress.note_departure(from..from + due, now_ns);
        *next = from + due;
        Some((from, from + due))
    }

    fn batch_delay_ns(&self) -> u64 {
        (self.load.batch_delay_ms * 1e6) as u64
    }

    /// The time at which there is something to send next.
    fn next_wake(&self, next: usize, progress: &Progress, has_capacity: bool) -> Instant {
        let now = Instant::now();
        let latest = now + Duration::from_millis(100);
        if !has_capacity {
            return latest;
        }
        let again = progress.again.front().map_or(latest, |(at, ..)| *at);
        let Some(first_due) = self.stream.due_ns.get(next) else { return again.min(latest) };
        let size = self.load.batch_size as usize;
        let full = self.stream.due_ns.get(next + size - 1).copied().unwrap_or(u64::MAX);
        let due_ns = (first_due + self.batch_delay_ns()).min(full);
        (self.start + Duration::from_nanos(due_ns)).min(again).min(latest)
    }

    /// Records answers; payments whose answer is not final are queued again.
    fn take_answers(&self, from: usize, answers: &[Answer], progress: &mut Progress) {
        let now_ns = self.elapsed_ns();
        let retry_at = Instant::now() + RETRY_AFTER;
        let mut recent = Vec::with_capacity(answers.len());
        let (mut refused, mut unknown) = (0, 0);
        for (index, answer) in (from..).zip(answers) {
            if answer.state != State::Final || answer.outcome.reason == Reason::Unavailable {
                unknown += 1;
                progress.again.push_back((retry_at, index, index + 1));
                continue;
            }
            if progress.outcome.answers[index].is_some() {
                continue;
            }
            progress.outcome.answers[index] = Some(*answer);
            progress.outcome.answered_ns[index] = now_ns;
            progress.unanswered -= 1;
            if answer.outcome.is_settled() {
                let latency_us = now_ns.saturating_sub(self.stream.due_ns[index]) / 1_000;
                recent.push(u32::try_from(latency_us).unwrap_or(u32::MAX));
            } else {
                refused += 1;
            }
        }
        if unknown > 0 {
            progress.outcome.unknown.push((now_ns, unknown));
        }
        self.live.settled.fetch_add(recent.len() as u64, Ordering::Relaxed);
        self.live.refused.fetch_add(refused, Ordering::Relaxed);
        self.live.recent_us.lock().unwrap_or_else(PoisonError::into_inner).extend(recent);
    }
}
