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
//!    stream, unless their callers have given up: sequence numbers make that safe. So are commands that a central bank
//!    of several nodes answers with *unknown*: its leader may have been deposed, and the next one knows.
//! 5. A caller whose deadline passes gets *unknown* for each command. While the central bank is away, callers wait for
//!    a shorter time ([`Timeout`]), unless it comes back meanwhile.
//! 6. When a stream opens, and after a second without an answer, the relay asks the central bank whether it settles. It
//!    counts as reachable while a stream is open and something was received within the last 3 seconds: also one that
//!    waits for banks after its start, and says so.
//!
//! # Several nodes
//! Where the central bank has several nodes, the stream leads to the one that leads.
//! 1. When it breaks or is refused, or the node says that it does not lead, the [search](crate::leader_search) for the
//!    leader begins. Meanwhile the central bank counts as reachable, for the same 3 seconds.
//! 2. A node that answers nothing for a tenth of a second while batches wait is not left for that: it may be slow. But
//!    the others are asked, and if one of them leads in a later term the stream moves there.
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
use cbdc_proto::status::{leader_named_by, refusal_of};
use cbdc_proto::v1;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::central_bank_nodes::{CentralBankNodes, PresentNode};
use crate::leader_search::{self, OUTGOING_MAX, OpenStream, Search};
use crate::leader_watch::LeaderWatch;
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
/// The pause after a failed attempt at the only node, doubled with each up to the second value.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The interval at which abandoned submissions are dropped.
const DROP_UNAWAITED_EVERY: Duration = Duration::from_millis(250);
/// The time without an answer after which the central bank is asked for its health.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// The time without any answer after which the central bank counts as unreachable.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// The time that a search among several nodes takes before the operator is told.
const WARN_AFTER: Duration = Duration::from_secs(1);
/// The longest time that a node may take to answer that before others are asked who leads.
const PROBE_OVERDUE: Duration = Duration::from_millis(500);
/// The time after which commands that were answered with *unknown* are sent again on the same stream.
const SEND_AGAIN_AFTER: Duration = Duration::from_millis(50);

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
    /// What was answered of it before, if some of it has to be sent again.
    known: Option<Answers>,
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
    present: watch::Receiver<PresentNode>,
}

/// The heights of the blocks that the central bank lacks, as it says when it refuses a stream for that: that of a block
/// which a bank has shown it, and its own newest.
type LostBlocks = Arc<Mutex<Option<(Height, Height)>>>;

impl Relay {
    /// Starts the relay. It ends when `stop` is cancelled; commands then in flight are answered as unknown.
    pub fn start(
        nodes: Arc<CentralBankNodes>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> (Relay, tokio::task::JoinHandle<()>) {
        let (queue, submissions) = mpsc::unbounded_channel();
        let (tell_reachable, reachable) = watch::channel(false);
        let capacity = Arc::new(Semaphore::new(COMMANDS_MAX));
        let answered_up_to = Arc::new(AtomicU64::new(0));
        let not_settling = Arc::new(AtomicBool::new(false));
        let lost_blocks = LostBlocks::default();
        let present = nodes.watch();
        let task = Link {
            nodes,
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
            to_send_again: Vec::new(),
            heard_at: None,
        };
        let running = tokio::spawn(task.run(stop));
        (Relay { queue, capacity, reachable, not_settling, lost_blocks, answered_up_to, present }, running)
    }

    /// Whether a stream to the central bank is open, and the central bank has answered recently.
    pub fn is_reachable(&self) -> bool {
        *self.reachable.borrow()
    }

    /// The node of the central bank to which commands go, or went last.
    pub fn central_bank_node(&self) -> PresentNode {
        self.present.borrow().clone()
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
        let _ = self.queue.send(Submission {
            commands,
            count,
            entered: Instant::now(),
            answer,
            known: None,
            _permit: permit,
        });
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
    nodes: Arc<CentralBankNodes>,
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
    /// Batches in `sent` that were answered with *unknown*, and when to send them again if the stream lasts.
    to_send_again: Vec<(Instant, u64)>,
    /// When the central bank was last heard.
    heard_at: Option<Instant>,
}

/// The reason why a stream ended.
enum Ended {
    Stopped,
    Broken(Status),
    /// Another node leads.
    Moved(Arc<str>),
}

impl Link {
    async fn run(mut self, stop: CancellationToken) {
        let (mut first, mut lost_at) = (None, None);
        while let Some(opened) = self.find(first.take(), lost_at, &stop).await {
            self.opened(&opened, lost_at);
            let address = opened.address.clone();
            let ended = self.session(opened, &stop).await;
            lost_at = Some(Instant::now());
            match ended {
                Ended::Stopped => return,
                Ended::Broken(status) => {
                    tracing::debug!(%address, status = %status.message(), "the stream to the central bank has ended");
                    self.note_lost_blocks(Some(&status));
                    first = leader_named_by(&status).flatten().map(|named| self.nodes.remember(&named));
                    self.lost(&address, &status);
                }
                Ended::Moved(to) => {
                    tracing::debug!(%address, %to, "another node of the central bank leads");
                    self.nodes.lost_leader();
                    first = Some(to);
                }
            }
            // It may hang, or lead to a process that is gone.
            self.nodes.forget_channel(&address);
        }
    }

    /// Notes that a stream is open.
    fn opened(&mut self, opened: &OpenStream, lost_at: Option<Instant>) {
        let OpenStream { address, term, .. } = opened;
        let is_other = self.nodes.found_leader(address, *term);
        match (lost_at, *term) {
            (Some(lost_at), Some(term)) if is_other => {
                let after_ms = lost_at.elapsed().as_millis() as u64;
                tracing::info!(%address, term = term.term, after_ms, "another node of the central bank leads now");
            }
            _ => tracing::info!(%address, "the central bank is reachable"),
        }
        self.metrics.stream_opened(is_other && lost_at.is_some(), lost_at.map(|lost_at| lost_at.elapsed()));
        self.note_lost_blocks(None);
        self.heard_at = Some(Instant::now());
        self.set_reachable(true);
    }

    /// Notes that the stream to a node has ended. Where the central bank has other nodes, it may go on in a moment.
    fn lost(&mut self, address: &Arc<str>, status: &Status) {
        self.nodes.lost_leader();
        if !self.nodes.are_several() {
            self.set_reachable(false);
            warn_unreachable(address, status.message());
        }
    }

    /// Opens a stream to a node that takes commands; `None` once the bank stops.
    async fn find(
        &mut self,
        first: Option<Arc<str>>,
        lost_at: Option<Instant>,
        stop: &CancellationToken,
    ) -> Option<OpenStream> {
        if !self.nodes.are_several()
            && let Some(opened) = self.find_only_node(lost_at.is_some(), stop).await?
        {
            return Some(opened);
        }
        let mut search = Search::new(self.nodes.clone(), first.as_ref());
        let mut ticks = tokio::time::interval(DROP_UNAWAITED_EVERY);
        let mut has_warned = false;
        loop {
            let failed = tokio::select! {
                opened = search.step() => match opened {
                    Ok(opened) => return Some(opened),
                    Err(status) => Some(status),
                },
                _ = ticks.tick() => None,
                () = stop.cancelled() => return None,
            };
            match failed {
                Some(status) if has_lost_blocks(&status) => self.note_lost_blocks(Some(&status)),
                Some(_) => continue,
                None => self.hold_waiting(),
            }
            self.set_reachable(self.heard_at.is_some_and(|heard_at| heard_at.elapsed() <= SILENCE_MAX));
            if search.took() > WARN_AFTER && !std::mem::replace(&mut has_warned, true) {
                warn_unreachable("every node", &search.said());
            }
        }
    }

    /// Opens a stream to the only node, however long it takes; `Some(None)` once that one names another, `None` once
    /// the bank stops.
    async fn find_only_node(&mut self, was_open: bool, stop: &CancellationToken) -> Option<Option<OpenStream>> {
        let address = self.nodes.present().address;
        let (mut pause, mut has_warned) = (BACKOFF.0, was_open);
        let mut must_wait = was_open;
        loop {
            if std::mem::replace(&mut must_wait, true) {
                tokio::select! {
                    () = self.wait(pause) => {}
                    () = stop.cancelled() => return None,
                }
                pause = (pause * 2).min(BACKOFF.1);
            }
            let opened = tokio::select! {
                opened = leader_search::open(&self.nodes, &address) => opened,
                () = stop.cancelled() => return None,
            };
            let status = match opened {
                Ok(opened) => return Some(Some(opened)),
                Err(status) => status,
            };
            if let Some(Some(named)) = leader_named_by(&status)
                && self.nodes.remember(&named) != address
            {
                return Some(None);
            }
            self.note_lost_blocks(Some(&status));
            if !std::mem::replace(&mut has_warned, true) {
                warn_unreachable(&address, status.message());
            }
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

    /// Waits for the next attempt, and drops submissions that nobody waits for.
    async fn wait(&mut self, pause: Duration) {
        let until = tokio::time::Instant::now() + pause;
        while tokio::time::Instant::now() < until {
            self.hold_waiting();
            tokio::time::sleep_until(until.min(tokio::time::Instant::now() + DROP_UNAWAITED_EVERY)).await;
        }
    }

    /// Takes what waits, while there is no stream, and drops what nobody waits for.
    fn hold_waiting(&mut self) {
        while let Ok(submission) = self.submissions.try_recv() {
            self.held.push_back(submission);
        }
        self.drop_unawaited();
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

    /// Serves one stream until it breaks, or another node leads.
    async fn session(&mut self, opened: OpenStream, stop: &CancellationToken) -> Ended {
        let OpenStream { address, term, channel, batches, mut answers } = opened;
        // Batches that an earlier stream left unanswered come first.
        self.drop_unawaited();
        self.to_send_again.clear();
        let mut outgoing: VecDeque<u64> = self.sent.keys().copied().collect();
        self.sent.values_mut().for_each(|sent| sent.resent = true);
        let mut ticks = tokio::time::interval(DROP_UNAWAITED_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut heard_at, mut probe) = (Instant::now(), Some(Box::pin(settles(channel.clone())) as Probe));
        let mut watch = LeaderWatch::new(self.nodes.clone(), address, term);
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
                        watch.answered(heard_at, self.sent.is_empty());
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
                        watch.sent();
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
                found = watch.next() => {
                    if let Some(leader) = found {
                        return Ended::Moved(leader);
                    }
                    let is_idle_too_long = heard_at.elapsed() > PROBE_AFTER + PROBE_OVERDUE;
                    watch.look(is_idle_too_long || self.not_settling.load(Ordering::Acquire));
                    self.send_again(&mut outgoing);
                },
                _ = ticks.tick() => {
                    self.heard_at = Some(heard_at);
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

    /// Sends again what was answered with *unknown*, once its time has come.
    fn send_again(&mut self, outgoing: &mut VecDeque<u64>) {
        let now = Instant::now();
        self.to_send_again.retain(|(at, batch)| {
            let is_due = *at <= now;
            if is_due {
                outgoing.push_back(*batch);
            }
            !is_due
        });
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
        if parts.is_empty() {
            return;
        }
        let commands = joined(&parts);
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
        let has_doubts = answers.has_unknown() && self.nodes.are_several();
        let (mut from, mut in_doubt) = (0, Vec::new());
        for mut part in sent.parts {
            let to = from + part.count;
            let mut own = answers.part(from, to);
            from = to;
            if let Some(known) = part.known.take() {
                own = known.completed_by(own);
            }
            if has_doubts && own.has_unknown() && !part.answer.is_closed() {
                part.known = Some(own);
                in_doubt.push(part);
                continue;
            }
            self.metrics.relayed(part.entered.elapsed());
            // A caller that has given up asks again.
            let _ = part.answer.send(Relayed { answers: own, resent: sent.resent });
        }
        if !in_doubt.is_empty() {
            self.keep_to_send_again(in_doubt);
        }
    }

    /// Keeps submissions some of whose commands were answered with *unknown*: they go out whole on the next stream, or
    /// soon on this one. Commands that were ordered are answered with their first outcome.
    fn keep_to_send_again(&mut self, parts: Vec<Submission>) {
        let (commands, count) = (joined(&parts), parts.iter().map(|part| part.count).sum());
        let batch = self.next_batch;
        self.next_batch += 1;
        self.in_flight += count;
        self.sent.insert(batch, Sent { commands, count, parts, resent: true });
        self.to_send_again.push((Instant::now() + SEND_AGAIN_AFTER, batch));
    }
}

/// The commands of some submissions, back to back.
fn joined(parts: &[Submission]) -> Bytes {
    match parts {
        [only] => only.commands.clone(),
        many => {
            let mut bytes = BytesMut::with_capacity(many.iter().map(|part| part.commands.len()).sum());
            many.iter().for_each(|part| bytes.extend_from_slice(&part.commands));
            bytes.freeze()
        }
    }
}

/// A search for the leader that takes long is told once.
fn warn_unreachable(address: &str, status: &str) {
    tracing::warn!(address, status, "the central bank cannot be reached; trying again until it can");
}

fn has_lost_blocks(status: &Status) -> bool {
    refusal_of(status).is_some_and(|refusal| refusal.reason == Reason::LostBlocks)
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
            present: watch::channel(PresentNode { address: "a:1".into(), leads: true }).1,
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
