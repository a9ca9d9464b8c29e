//! The work queue: the batches that wait to be verified, shared by streams that add to it and threads that take from it.
//!
//! One lock, taken a few times a batch. It knows what every source has in flight and what became of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cbdc_node::standing::Waste;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::sync::oneshot;

use super::Source;
use super::capacity::{Asked, Capacity};
use super::scheduler::{Next, Scheduler, Taken, Work};
use crate::intake::Batch;
use crate::metrics as names;

/// How long a batch waits, for room or for its turn, before it is answered `OVERLOADED`.
pub const WAIT_MAX: Duration = Duration::from_secs(5);
/// The pause between two log lines about one source.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// The batches that wait to be verified.
pub struct WorkQueue {
    commands_max: usize,
    state: Mutex<State>,
    ready: Condvar,
}

struct State {
    scheduler: Scheduler<Batch>,
    capacity: Capacity<oneshot::Sender<Room>>,
    records: BTreeMap<Source, Record>,
    is_closed: bool,
}

/// Room for commands in flight, given back when it is dropped.
pub struct Room {
    queue: Arc<WorkQueue>,
    source: Source,
    count: usize,
}

/// What became of a source's commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Conduct {
    pub settled: u64,
    /// Ordered, and refused when applied.
    pub refused: u64,
    /// Refused before ordering, for another reason than a bad signature.
    pub not_ordered: u64,
    pub bad_signatures: u64,
    /// Commands of these that the member may not submit at all.
    pub wrong_role: u64,
    /// Whether it was slowed within the last seconds.
    pub is_slowed: bool,
}

/// What is counted and reported of a source.
struct Record {
    conduct: Conduct,
    counters: [Counter; 4],
    slowed: Gauge,
    logged_at: Option<Instant>,
    logged: Conduct,
}

impl Record {
    fn new(source: Source) -> Record {
        let member = format!("{} {}", source.0, source.1);
        let counter = |result: &'static str| counter!(names::MEMBER, "member" => member.clone(), "result" => result);
        Record {
            conduct: Conduct::default(),
            counters: ["settled", "refused", "not_ordered", "bad_signature"].map(counter),
            slowed: gauge!(names::SLOWED, "member" => member.clone()),
            logged_at: None,
            logged: Conduct::default(),
        }
    }

    fn add(&mut self, added: Conduct) {
        let counts = [added.settled, added.refused, added.not_ordered, added.bad_signatures];
        self.counters.iter().zip(counts).for_each(|(counter, count)| counter.increment(count));
        self.conduct.wrong_role += added.wrong_role;
        let Conduct { settled, refused, not_ordered, bad_signatures, .. } = &mut self.conduct;
        [settled, refused, not_ordered, bad_signatures].into_iter().zip(counts).for_each(|(sum, count)| *sum += count);
    }

    /// Says who it was, at most once in [`LOG_PAUSE`].
    fn report(&mut self, now: Instant, source: Source, is_slowed: bool) {
        self.slowed.set(f64::from(u8::from(is_slowed)));
        let was_slowed = std::mem::replace(&mut self.conduct.is_slowed, is_slowed);
        let since = |count: fn(&Conduct) -> u64| count(&self.conduct) - count(&self.logged);
        let bad_signatures = since(|conduct| conduct.bad_signatures);
        let wrong_role = since(|conduct| conduct.wrong_role);
        let is_news =
            bad_signatures + wrong_role > 0 || is_slowed != self.logged.is_slowed || (is_slowed && was_slowed);
        if !is_news || self.logged_at.is_some_and(|at| now.saturating_duration_since(at) < LOG_PAUSE) {
            return;
        }
        let [not_ordered, refused] = [since(|conduct| conduct.not_ordered), since(|conduct| conduct.refused)];
        let settled = since(|conduct| conduct.settled);
        let (role, id) = source;
        match (is_slowed, self.logged.is_slowed) {
            (true, _) => {
                tracing::warn!(target: "security", %role, %id, bad_signatures, wrong_role, not_ordered, refused, settled, "a member is slowed: too many of its commands are refused (counts since the last such line)");
            }
            (false, true) => {
                tracing::info!(target: "security", %role, %id, bad_signatures, wrong_role, not_ordered, refused, settled, "a member is no longer slowed (counts since the last such line)");
            }
            (false, false) => {
                tracing::warn!(target: "security", %role, %id, bad_signatures, wrong_role, "a member submitted commands with bad signatures, or such as it may not submit (counts since the last such line)");
            }
        }
        (self.logged, self.logged_at) = (self.conduct, Some(now));
    }
}

impl WorkQueue {
    /// A queue with room for `commands_max` commands in flight.
    pub fn new(commands_max: usize) -> Arc<WorkQueue> {
        let state = State {
            scheduler: Scheduler::default(),
            capacity: Capacity::new(commands_max),
            records: BTreeMap::new(),
            is_closed: false,
        };
        Arc::new(WorkQueue { commands_max, state: Mutex::new(state), ready: Condvar::new() })
    }

    /// Commands that may be in flight at once.
    pub fn commands_max(&self) -> usize {
        self.commands_max
    }

    /// Waits until there is room for `count` commands of a source. `None` if that takes too long or too many wait.
    pub async fn room(self: &Arc<Self>, source: Source, count: usize) -> Option<Room> {
        let waits = {
            let mut state = self.lock();
            let is_held_back = state.scheduler.is_held_back(Instant::now(), source);
            let mut granted = None;
            let line = || {
                let (sender, receiver) = oneshot::channel();
                granted = Some(receiver);
                sender
            };
            match state.capacity.ask(source, count, is_held_back, line) {
                Asked::Given => {
                    gauge!(names::QUEUE).set(state.capacity.used() as f64);
                    return Some(Room { queue: self.clone(), source, count });
                }
                Asked::Waits => granted,
                Asked::Refused(_) => None,
            }
        };
        tokio::time::timeout(WAIT_MAX, waits?).await.ok()?.ok()
    }

    /// Adds a batch.
    pub fn push(&self, source: Source, batch: Batch) {
        let mut state = self.lock();
        if state.is_closed {
            // Dropping the batch answers it; that takes the lock.
            drop(state);
            return drop(batch);
        }
        state.scheduler.push(Instant::now(), source, batch);
        drop(state);
        self.ready.notify_one();
    }

    /// Takes what a thread, one of `threads`, verifies together next. Waits for it; `None` once the queue is closed.
    pub fn take(&self, threads: usize) -> Option<Vec<Taken<Batch>>> {
        let mut state = self.lock();
        while !state.is_closed {
            let now = Instant::now();
            state = match state.scheduler.take(now, threads) {
                Next::Verify(taken) => return Some(taken),
                Next::WaitUntil(at) => {
                    let waited = self.ready.wait_timeout(state, at.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Next::Nothing => self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        None
    }

    /// Puts back a batch of which a part is left to verify.
    pub fn put_back(&self, source: Source, batch: Batch) {
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            return drop(batch);
        }
        state.scheduler.put_back(source, batch);
        drop(state);
        self.ready.notify_one();
    }

    /// Notes what became of a source's commands.
    pub fn note(&self, source: Source, conduct: Conduct) {
        let (mut state, now) = (self.lock(), Instant::now());
        let State { scheduler, records, .. } = &mut *state;
        records.entry(source).or_insert_with(|| Record::new(source)).add(conduct);
        let count = |count| usize::try_from(count).unwrap_or(usize::MAX);
        scheduler.standing(now, source).settled(now, count(conduct.settled));
        for (waste, wasted) in [
            (Waste::BadSignature, conduct.bad_signatures),
            (Waste::NotVerified, conduct.not_ordered),
            (Waste::Refused, conduct.refused),
        ] {
            scheduler.wasted(now, source, waste, count(wasted));
        }
    }

    /// Reports who is slowed, and who sent bad signatures, in metrics and the log. To be called once a second or so.
    pub fn report(&self) {
        let (mut state, now) = (self.lock(), Instant::now());
        let State { scheduler, records, .. } = &mut *state;
        for (source, record) in records {
            let is_slowed = scheduler.standing(now, *source).is_reported_slowed(now);
            record.report(now, *source, is_slowed);
        }
    }

    /// What became of each source's commands since the node started.
    pub fn conduct(&self) -> BTreeMap<Source, Conduct> {
        self.lock().records.iter().map(|(source, record)| (*source, record.conduct)).collect()
    }

    /// Ends [`WorkQueue::take`]. What waits is dropped, which answers it as unknown.
    pub fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.is_closed = true;
            state.scheduler.drain()
        };
        self.ready.notify_all();
        drop(waiting);
    }

    fn give_back(self: &Arc<Self>, source: Source, count: usize) {
        let (mut state, now) = (self.lock(), Instant::now());
        let State { capacity, scheduler, .. } = &mut *state;
        capacity.give_back(source, count);
        let is_held_back = |source| scheduler.is_held_back(now, source);
        capacity.call_waiting(is_held_back, |source, count, waiter| {
            let Err(mut refused) = waiter.send(Room { queue: self.clone(), source, count }) else { return true };
            // Nobody waits any more: it holds no room, and dropping it must not give any back.
            refused.count = 0;
            false
        });
        gauge!(names::QUEUE).set(capacity.used() as f64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Room {
    /// Notes what became of the commands that it is for.
    pub fn note(&self, conduct: Conduct) {
        self.queue.note(self.source, conduct);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.count > 0 {
            self.queue.give_back(self.source, self.count);
        }
    }
}
