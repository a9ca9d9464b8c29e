//! The relay: one long-lived stream of commands to the central bank.
//!
//! # What it does
//! 1. [`Relay::submit`] takes commands, as bytes and with their count, if there is capacity for them; otherwise it
//!    refuses at once (`OVERLOADED`), and nothing has left this node.
//! 2. A submission of 256 commands or more is sent as it is. Smaller ones, such as single payments, are sent together
//!    if they arrived together; while eight batches are in flight they wait for more, until a batch of 1,024 is full, 1
//!    ms has passed, or fewer are in flight.
//! 3. An answer is matched to its batch by the batch's id and cut into the submissions' parts, without copying.
//! 4. When the stream breaks, the status of commands in flight is unknown. The same bytes are sent again on the next
//!    stream, unless their callers have given up: sequence numbers make that safe.
//! 5. A caller whose deadline passes gets *unknown* for each command. While the central bank is away, callers wait for
//!    a shorter time ([`Timeout`]), unless it comes back meanwhile.
//! 6. When a stream opens, and after a second without an answer, the relay asks the central bank whether it settles. It
//!    counts as reachable while a stream is open and something was received within the last 3 seconds: also one that
//!    waits for banks after its start, and says so.
//!
//! # Bounds
//! Commands waiting or in flight: [`COMMANDS_MAX`]. Commands in flight: [`IN_FLIGHT_MAX`].
//!
//! Work is per batch: nothing here is allocated, looked up or locked per payment.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use cbdc_ledger::outcome::OtherCopies;
use cbdc_ledger::{Height, Outcome, Reason};
use cbdc_proto::answers::Answers;
use cbdc_proto::packed::Answer;
use cbdc_proto::status::refusal_of;
use cbdc_proto::transport::{ConnectError, MESSAGE_BYTES_MAX, NodeIdentity, ServerTrust, connect};
use cbdc_proto::v1;
use cbdc_proto::v1::settlement_client::SettlementClient;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::metrics::Metrics;

/// Commands that may wait or be in flight.
pub const COMMANDS_MAX: usize = 65_536;
/// Commands that may be in flight to the central bank.
const IN_FLIGHT_MAX: usize = 32_768;
/// The commands in one combined batch; a submission of a quarter of this is sent by itself.
const GATHERED_MAX: usize = 1_024;
/// The batches that may be in flight before small submissions wait for each other.
const UNGATHERED_MAX: usize = 8;
/// The time that a combined batch waits for more.
const GATHER_DELAY: Duration = Duration::from_millis(1);
/// Batches handed to the transport and not yet taken by it.
const OUTGOING_MAX: usize = 16;
/// The longest time that opening a stream may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a failed attempt, doubled with each up to the second value.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The interval at which abandoned submissions are dropped.
const DROP_UNAWAITED_EVERY: Duration = Duration::from_millis(250);
/// The time without an answer after which the central bank is asked for its health.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// The time without any answer after which the central bank counts as unreachable.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// The answer to a submission.
#[derive(Clone, Debug)]
pub struct Relayed {
    pub answers: Answers,
    /// Whether another copy of the commands was sent before: a refusal before ordering says nothing about that one.
    pub resent: bool,
}

impl Relayed {
    /// The knowledge about other copies of the commands.
    pub fn other_copies(&self) -> OtherCopies {
        if self.resent { OtherCopies::MayBeOrdered } else { OtherCopies::NotOrdered }
    }

    fn unknown(count: usize) -> Relayed {
        Relayed { answers: Answers::all(Answer::unknown(), count), resent: true }
    }

    /// The answer if nothing left this node.
    pub fn refused(reason: Reason, count: usize) -> Relayed {
        let refusal = Answer::not_ordered(Outcome::refused(reason, 0, 0));
        Relayed { answers: Answers::all(refusal, count), resent: false }
    }
}

/// The queue is full; nothing was sent.
#[derive(Clone, Copy, Debug)]
pub struct Overloaded;

/// The longest wait for an answer.
#[derive(Clone, Copy, Debug)]
pub enum Timeout {
    /// 10 s; 2 s while the central bank cannot be reached. One that can be reached again by then has the rest of the
    /// 10 s.
    Usual,
    /// This long, whatever is known of the central bank.
    Exactly(Duration),
}

/// The usual longest wait for an answer, and that while the central bank cannot be reached.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT_UNREACHABLE: Duration = Duration::from_secs(2);
/// The interval at which a caller checks whether the central bank can be reached again.
const REACHABLE_POLL: Duration = Duration::from_millis(100);

/// What the central bank does, as far as this bank knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CentralBankState {
    Serving,
    /// It answers, and says that it settles nothing now: it waits for banks after its start, or for an operator.
    NotSettling,
    Unreachable,
}

impl CentralBankState {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            CentralBankState::Serving => "SERVING",
            CentralBankState::NotSettling => "NOT_SETTLING",
            CentralBankState::Unreachable => "UNREACHABLE",
        }
    }
}

struct Submission {
    commands: Bytes,
    count: usize,
    entered: Instant,
    answer: oneshot::Sender<Relayed>,
    _permit: OwnedSemaphorePermit,
}

/// The sending side of the relay.
#[derive(Clone)]
pub struct Relay {
    queue: mpsc::UnboundedSender<Submission>,
    capacity: Arc<Semaphore>,
    reachable: watch::Receiver<bool>,
    not_settling: Arc<AtomicBool>,
    lost_blocks: LostBlocks,
    answered_up_to: Arc<AtomicU64>,
}

/// The heights of the blocks that the central bank lacks, as it says when it refuses a stream for that: that of a block
/// which a bank has shown it, and its own newest.
type LostBlocks = Arc<Mutex<Option<(Height, Height)>>>;

/// The central bank's address, and the keys that identify it.
pub struct CentralBankEndpoint {
    pub address: String,
    pub identity: NodeIdentity,
    /// The keys of its nodes, by the present membership.
    pub trust: Box<dyn Fn() -> ServerTrust + Send + Sync>,
}

impl CentralBankEndpoint {
    /// A channel to it, connected at its first use.
    pub fn channel(&self) -> Result<Channel, ConnectError> {
        connect(&self.address, Some(&self.identity), &(self.trust)())
    }
}

impl Relay {
    /// Starts the relay. It ends when `stop` is cancelled; commands then in flight are answered as unknown.
    pub fn start(
        central_bank: Arc<CentralBankEndpoint>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> (Relay, tokio::task::JoinHandle<()>) {
        let (queue, submissions) = mpsc::unbounded_channel();
        let (tell_reachable, reachable) = watch::channel(false);
        let capacity = Arc::new(Semaphore::new(COMMANDS_MAX));
        let answered_up_to = Arc::new(AtomicU64::new(0));
        let not_settling = Arc::new(AtomicBool::new(false));
        let lost_blocks = LostBlocks::default();
        let task = Link {
            central_bank,
            metrics,
            capacity: capacity.clone(),
            reachable: tell_reachable,
            not_settling: not_settling.clone(),
            lost_blocks: lost_blocks.clone(),
            answered_up_to: answered_up_to.clone(),
            submissions,
            held: VecDeque::new(),
            gathered: Gathered::default(),
            sent: BTreeMap::new(),
            in_flight: 0,
            next_batch: 1,
        };
        let running = tokio::spawn(task.run(stop));
        (Relay { queue, capacity, reachable, not_settling, lost_blocks, answered_up_to }, running)
    }

    /// Whether a stream to the central bank is open, and the central bank has answered recently.
    pub fn is_reachable(&self) -> bool {
        *self.reachable.borrow()
    }

    /// What the central bank does.
    pub fn central_bank_state(&self) -> CentralBankState {
        match (self.is_reachable(), self.not_settling.load(Ordering::Acquire)) {
            (false, _) => CentralBankState::Unreachable,
            (true, true) => CentralBankState::NotSettling,
            (true, false) => CentralBankState::Serving,
        }
    }

    /// What the central bank says of blocks that it has lost: the height of one that a bank has shown it, and its own
    /// newest. `None` if it said nothing of the kind when it was last asked.
    pub fn lost_blocks(&self) -> Option<(Height, Height)> {
        *self.lost_blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies of changes of whether it is reachable.
    pub fn reachable(&self) -> watch::Receiver<bool> {
        self.reachable.clone()
    }

    /// The newest block of which the central bank has reported an outcome.
    pub fn answered_up_to(&self) -> Height {
        Height(self.answered_up_to.load(Ordering::Acquire))
    }

    /// Submits commands: `count` of them, back to back. The answer comes in the commands' order, or is *unknown* once
    /// the caller's timeout has passed.
    ///
    /// # Errors
    /// The queue is full; nothing was sent.
    pub fn submit(
        &self,
        commands: Bytes,
        count: usize,
        timeout: Timeout,
    ) -> Result<impl Future<Output = Relayed> + Send + use<>, Overloaded> {
        let permits = u32::try_from(count).map_err(|_| Overloaded)?;
        let permit = self.capacity.clone().try_acquire_many_owned(permits).map_err(|_| Overloaded)?;
        let (answer, mut heard) = oneshot::channel();
        let reachable = self.reachable.clone();
        // If the relay has stopped, dropping the submission answers it as unknown.
        let _ = self.queue.send(Submission { commands, count, entered: Instant::now(), answer, _permit: permit });
        let began = tokio::time::Instant::now();
        let (mut until, last) = match timeout {
            Timeout::Exactly(wait) => (began + wait, began + wait),
            Timeout::Usual if self.is_reachable() => (began + ANSWER_TIMEOUT, began + ANSWER_TIMEOUT),
            Timeout::Usual => (began + ANSWER_TIMEOUT_UNREACHABLE, began + ANSWER_TIMEOUT),
        };
        Ok(async move {
            loop {
                match tokio::time::timeout_at(until, &mut heard).await {
                    Ok(Ok(relayed)) => return relayed,
                    Err(_) if until < last && *reachable.borrow() => until = last.min(until + REACHABLE_POLL),
                    _ => return Relayed::unknown(count),
                }
            }
        })
    }
}

/// Small submissions to be combined into one batch.
#[derive(Default)]
struct Gathered {
    parts: Vec<Submission>,
    count: usize,
    /// The arrival of the first one.
    since: Option<Instant>,
}

/// A batch that was sent and not answered.
struct Sent {
    commands: Bytes,
    count: usize,
    parts: Vec<Submission>,
    resent: bool,
}

impl Sent {
    fn is_awaited(&self) -> bool {
        self.parts.iter().any(|part| !part.answer.is_closed())
    }
}

struct Link {
    central_bank: Arc<CentralBankEndpoint>,
    metrics: Arc<Metrics>,
    capacity: Arc<Semaphore>,
    reachable: watch::Sender<bool>,
    not_settling: Arc<AtomicBool>,
    lost_blocks: LostBlocks,
    answered_up_to: Arc<AtomicU64>,
    submissions: mpsc::UnboundedReceiver<Submission>,
    /// Taken from the queue while there was no stream.
    held: VecDeque<Submission>,
    gathered: Gathered,
    sent: BTreeMap<u64, Sent>,
    /// Commands in `sent`.
    in_flight: usize,
    next_batch: u64,
}

/// The reason why a stream ended.
enum Ended {
    Stopped,
    Broken(Status),
}

impl Link {
    async fn run(mut self, stop: CancellationToken) {
        let mut pause = BACKOFF.0;
        let mut was_reachable = true;
        loop {
            let opened = tokio::select! {
                opened = self.open() => opened,
                () = stop.cancelled() => return,
            };
            let broken = match opened {
                Ok((channel, batches, answers)) => {
                    tracing::info!(address = %self.central_bank.address, "the central bank is reachable");
                    (pause, was_reachable) = (BACKOFF.0, true);
                    self.note_lost_blocks(None);
                    self.set_reachable(true);
                    let ended = self.session(channel, batches, answers, &stop).await;
                    self.set_reachable(false);
                    match ended {
                        Ended::Stopped => return,
                        Ended::Broken(status) => status,
                    }
                }
                Err(status) => status,
            };
            self.note_lost_blocks(Some(&broken));
            if std::mem::take(&mut was_reachable) {
                tracing::warn!(
                    address = %self.central_bank.address, status = %broken.message(),
                    "the central bank cannot be reached; trying again until it can"
                );
            }
            tokio::select! {
                () = self.wait(pause) => {}
                () = stop.cancelled() => return,
            }
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Notes whether the central bank said that it has lost blocks.
    fn note_lost_blocks(&self, broken: Option<&Status>) {
        let refusal = broken.and_then(refusal_of).filter(|refusal| refusal.reason == Reason::LostBlocks);
        let heights = refusal.map(|refusal| (Height(refusal.limit), Height(refusal.amount)));
        *self.lost_blocks.lock().unwrap_or_else(PoisonError::into_inner) = heights;
    }

    fn set_reachable(&self, reachable: bool) {
        if self.reachable.send_if_modified(|before| std::mem::replace(before, reachable) != reachable) {
            self.metrics.reachable(reachable);
        }
    }

    async fn open(&self) -> Result<(Channel, mpsc::Sender<v1::CommandBatch>, Streaming<v1::OutcomeBatch>), Status> {
        let channel = self.central_bank.channel().map_err(|error| Status::unavailable(error.to_string()))?;
        let mut client = SettlementClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (batches, outgoing) = mpsc::channel(OUTGOING_MAX);
        let opening = client.submit(ReceiverStream::new(outgoing));
        let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await;
        let answers = opened.map_err(|_| Status::deadline_exceeded("no stream could be opened within 5 s"))??;
        Ok((channel, batches, answers.into_inner()))
    }

    /// Waits for the next attempt, and drops submissions that nobody waits for.
    async fn wait(&mut self, pause: Duration) {
        let until = tokio::time::Instant::now() + pause;
        while tokio::time::Instant::now() < until {
            while let Ok(submission) = self.submissions.try_recv() {
                self.held.push_back(submission);
            }
            self.drop_unawaited();
            tokio::time::sleep_until(until.min(tokio::time::Instant::now() + DROP_UNAWAITED_EVERY)).await;
        }
    }

    fn drop_unawaited(&mut self) {
        self.held.retain(|submission| !submission.answer.is_closed());
        self.sent.retain(|_, sent| {
            let awaited = sent.is_awaited();
            if !awaited {
                self.in_flight -= sent.count;
            }
            awaited
        });
        self.metrics.queue(COMMANDS_MAX - self.capacity.available_permits());
    }

    /// Serves one stream until it breaks.
    async fn session(
        &mut self,
        channel: Channel,
        batches: mpsc::Sender<v1::CommandBatch>,
        mut answers: Streaming<v1::OutcomeBatch>,
        stop: &CancellationToken,
    ) -> Ended {
        // Batches that an earlier stream left unanswered come first.
        self.drop_unawaited();
        let mut outgoing: VecDeque<u64> = self.sent.keys().copied().collect();
        self.sent.values_mut().for_each(|sent| sent.resent = true);
        let mut ticks = tokio::time::interval(DROP_UNAWAITED_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut heard_at, mut probe) = (Instant::now(), Some(Box::pin(settles(channel.clone())) as Probe));
        self.not_settling.store(false, Ordering::Release);
        loop {
            while self.has_capacity(&outgoing) {
                match self.held.pop_front() {
                    Some(held) => self.take(held, &mut outgoing),
                    None => break,
                }
            }
            let gather_until = self.gathered.since.map(|since| tokio::time::Instant::from_std(since + GATHER_DELAY));
            tokio::select! {
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => {
                        heard_at = Instant::now();
                        self.not_settling.store(false, Ordering::Release);
                        self.complete(answer);
                        self.flush_if_few_are_in_flight(&mut outgoing);
                    }
                    Ok(None) => return Ended::Broken(Status::unavailable("the central bank closed the stream")),
                    Err(status) => return Ended::Broken(status),
                },
                permit = batches.reserve(), if !outgoing.is_empty() => {
                    let Ok(permit) = permit else { return Ended::Broken(Status::unavailable("the stream is broken")) };
                    let next = outgoing.pop_front();
                    if let Some((batch_id, sent)) = next.and_then(|id| Some((id, self.sent.get(&id)?))) {
                        self.metrics.batch_sent(sent.count);
                        permit.send(v1::CommandBatch { batch_id, commands: sent.commands.clone(), takes_runs: true });
                    }
                },
                submission = self.submissions.recv(), if self.has_capacity(&outgoing) => {
                    let Some(submission) = submission else { return Ended::Stopped };
                    self.take(submission, &mut outgoing);
                    self.take_waiting(&mut outgoing);
                },
                () = until(gather_until) => self.flush(&mut outgoing),
                settles = probed(&mut probe) => {
                    probe = None;
                    if let Some(settles) = settles {
                        heard_at = Instant::now();
                        self.not_settling.store(!settles, Ordering::Release);
                    }
                },
                _ = ticks.tick() => {
                    self.drop_unawaited();
                    let wants_to_know =
                        heard_at.elapsed() > PROBE_AFTER || self.not_settling.load(Ordering::Acquire);
                    if wants_to_know && probe.is_none() {
                        probe = Some(Box::pin(settles(channel.clone())) as Probe);
                    }
                    self.set_reachable(heard_at.elapsed() <= SILENCE_MAX);
                },
                () = stop.cancelled() => return Ended::Stopped,
            }
        }
    }

    fn has_capacity(&self, outgoing: &VecDeque<u64>) -> bool {
        outgoing.len() < OUTGOING_MAX && self.in_flight + self.gathered.count < IN_FLIGHT_MAX
    }

    /// Takes everything that is waiting, so that single payments that arrive together are sent together.
    fn take_waiting(&mut self, outgoing: &mut VecDeque<u64>) {
        while self.has_capacity(outgoing) {
            let Ok(submission) = self.submissions.try_recv() else { break };
            self.take(submission, outgoing);
        }
        self.flush_if_few_are_in_flight(outgoing);
    }

    fn flush_if_few_are_in_flight(&mut self, outgoing: &mut VecDeque<u64>) {
        if self.sent.len() < UNGATHERED_MAX {
            self.flush(outgoing);
        }
    }

    fn take(&mut self, submission: Submission, outgoing: &mut VecDeque<u64>) {
        if submission.answer.is_closed() {
            return;
        }
        if submission.count >= GATHERED_MAX / 4 {
            let (commands, count) = (submission.commands.clone(), submission.count);
            self.send(Sent { commands, count, parts: vec![submission], resent: false }, outgoing);
            return;
        }
        self.gathered.since.get_or_insert_with(Instant::now);
        self.gathered.count += submission.count;
        self.gathered.parts.push(submission);
        if self.gathered.count >= GATHERED_MAX {
            self.flush(outgoing);
        }
    }

    /// Sends the combined batch.
    fn flush(&mut self, outgoing: &mut VecDeque<u64>) {
        let Gathered { parts, count, .. } = std::mem::take(&mut self.gathered);
        let commands = match &parts[..] {
            [] => return,
            [only] => only.commands.clone(),
            many => {
                let mut bytes = BytesMut::with_capacity(many.iter().map(|part| part.commands.len()).sum());
                many.iter().for_each(|part| bytes.extend_from_slice(&part.commands));
                bytes.freeze()
            }
        };
        self.send(Sent { commands, count, parts, resent: false }, outgoing);
    }

    fn send(&mut self, sent: Sent, outgoing: &mut VecDeque<u64>) {
        let batch = self.next_batch;
        self.next_batch += 1;
        self.in_flight += sent.count;
        self.sent.insert(batch, sent);
        outgoing.push_back(batch);
    }

    /// Gives each waiting caller its part of an answer.
    fn complete(&mut self, answer: v1::OutcomeBatch) {
        // Nobody waits for an answer whose batch is gone.
        let batch = answer.batch_id;
        let Some(sent) = self.sent.remove(&batch) else { return };
        self.in_flight -= sent.count;
        let answers = match Answers::from_message(answer) {
            Ok(answers) if answers.len() == sent.count => answers,
            other => {
                let found = other.map_or_else(|reason| reason, |answers| format!("{} answers", answers.len()));
                let expected = sent.count;
                tracing::error!(
                    batch, expected, %found,
                    "the central bank's answer does not fit the batch; its commands stay unknown"
                );
                return;
            }
        };
        // Before any caller gets it.
        self.answered_up_to.fetch_max(answers.newest().0, Ordering::AcqRel);
        let mut from = 0;
        for part in sent.parts {
            let to = from + part.count;
            self.metrics.relayed(part.entered.elapsed());
            // A caller that has given up asks again.
            let _ = part.answer.send(Relayed { answers: answers.part(from, to), resent: sent.resent });
            from = to;
        }
    }
}

/// A pending request for the central bank's health.
type Probe = Pin<Box<dyn Future<Output = Option<bool>> + Send>>;

/// Whether the central bank settles; `None` if it does not answer.
async fn settles(channel: Channel) -> Option<bool> {
    let mut health = HealthClient::new(channel);
    let service = v1::settlement_server::SERVICE_NAME.to_owned();
    match tokio::time::timeout(SILENCE_MAX, health.check(HealthCheckRequest { service })).await.ok()? {
        Ok(answer) => Some(answer.into_inner().status() != ServingStatus::NotServing),
        // Earlier versions do not report it.
        Err(status) if status.code() == tonic::Code::NotFound => Some(true),
        Err(_) => None,
    }
}

/// The answer to the pending request; never, if there is none.
async fn probed(probe: &mut Option<Probe>) -> Option<bool> {
    match probe {
        Some(probe) => probe.await,
        None => std::future::pending().await,
    }
}

/// Sleeps until an instant, or for ever.
async fn until(instant: Option<tokio::time::Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay without a link, and what the link would hold.
    fn relay() -> (Relay, mpsc::UnboundedReceiver<Submission>, watch::Sender<bool>) {
        let ((queue, submissions), (tell, reachable)) = (mpsc::unbounded_channel(), watch::channel(false));
        let (capacity, not_settling) = (Arc::new(Semaphore::new(COMMANDS_MAX)), Arc::default());
        let relay = Relay {
            queue,
            capacity,
            reachable,
            not_settling,
            lost_blocks: LostBlocks::default(),
            answered_up_to: Arc::default(),
        };
        (relay, submissions, tell)
    }

    /// The answer to a caller whose submission is answered some time after the usual timeout with a central bank that
    /// is away.
    async fn answered_late(comes_back: bool) -> Answer {
        let (relay, mut submissions, tell) = relay();
        let waiting = tokio::spawn(relay.submit(Bytes::from_static(&[0]), 1, Timeout::Usual).unwrap());
        let submission = submissions.recv().await.unwrap();
        tell.send_replace(comes_back);
        tokio::time::sleep(ANSWER_TIMEOUT_UNREACHABLE + 3 * REACHABLE_POLL).await;
        let answers = Answers::all(Answer::ordered(Height(3), 0, Outcome::settled()), 1);
        drop(submission.answer.send(Relayed { answers, resent: false }));
        waiting.await.unwrap().answers.only().unwrap()
    }

    #[tokio::test]
    async fn a_caller_waits_on_where_the_central_bank_comes_back_and_no_longer_where_it_does_not() {
        let (back, away) = tokio::join!(answered_late(true), answered_late(false));
        assert_eq!((back.height, away), (Height(3), Answer::unknown()));
    }

    #[tokio::test]
    async fn a_central_bank_that_answers_and_settles_nothing_is_neither_serving_nor_away() {
        let (relay, _submissions, tell) = relay();
        assert_eq!(relay.central_bank_state(), CentralBankState::Unreachable);
        tell.send_replace(true);
        assert_eq!(relay.central_bank_state(), CentralBankState::Serving);
        relay.not_settling.store(true, Ordering::Release);
        assert_eq!(relay.central_bank_state().name(), "NOT_SETTLING");
    }
}
