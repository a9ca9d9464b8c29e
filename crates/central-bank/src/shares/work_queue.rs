//! The work queue: batches waiting to be verified, shared by the streams that add them and the threads that take them.
//!
//! One lock, taken a few times per batch. It knows each source's commands in flight and their outcomes.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cbdc_environment::timer;
use cbdc_node::standing::Waste;
use metrics::gauge;
use tokio::sync::{Notify, oneshot};

use super::Source;
use super::capacity::{Asked, Capacity};
use super::conduct::{Conduct, Record};
use super::scheduler::{Next, Scheduler, Taken, Work};
use crate::metrics as names;

/// The time after which a batch waiting for capacity or its turn is answered `OVERLOADED`.
pub const WAIT_MAX: Duration = Duration::from_secs(5);

/// The batches `B` waiting to be verified.
pub struct WorkQueue<B: Work> {
    commands_max: usize,
    state: Mutex<State<B>>,
    ready: Notify,
}

struct State<B: Work> {
    scheduler: Scheduler<B>,
    capacity: Capacity<oneshot::Sender<CapacityPermit<B>>>,
    records: BTreeMap<Source, Record>,
    is_closed: bool,
}

/// The permit of some commands to be in flight. Dropping it gives their capacity back.
pub struct CapacityPermit<B: Work> {
    queue: Arc<WorkQueue<B>>,
    source: Source,
    count: usize,
}

impl<B: Work> WorkQueue<B> {
    /// A queue with capacity for `commands_max` commands in flight.
    pub fn new(commands_max: usize) -> Arc<WorkQueue<B>> {
        let state = State {
            scheduler: Scheduler::default(),
            capacity: Capacity::new(commands_max),
            records: BTreeMap::new(),
            is_closed: false,
        };
        Arc::new(WorkQueue { commands_max, state: Mutex::new(state), ready: Notify::new() })
    }

    /// Commands that may be in flight at once.
    pub fn commands_max(&self) -> usize {
        self.commands_max
    }

    /// Whether no command is in flight.
    pub fn is_idle(&self) -> bool {
        self.lock().capacity.used() == 0
    }

    /// Waits for capacity for `count` commands of a source. `None` if that takes too long or too many are waiting.
    pub async fn acquire(self: &Arc<Self>, source: Source, count: usize) -> Option<CapacityPermit<B>> {
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
                    return Some(CapacityPermit { queue: self.clone(), source, count });
                }
                Asked::Waits => granted,
                Asked::Refused(_) => None,
            }
        };
        tokio::time::timeout(WAIT_MAX, waits?).await.ok()?.ok()
    }

    /// Adds a batch.
    pub fn push(&self, source: Source, batch: B) {
        let mut state = self.lock();
        if state.is_closed {
            // Dropping the batch answers it, which takes the lock.
            drop(state);
            return drop(batch);
        }
        state.scheduler.push(Instant::now(), source, batch);
        drop(state);
        self.ready.notify_one();
    }

    /// Takes the commands that a thread, one of `threads`, verifies together next. Waits for them; `None` once the
    /// queue is closed.
    pub async fn take(&self, threads: usize) -> Option<Vec<Taken<B>>> {
        loop {
            // In line before the look: whatever is added after it wakes one of those in line.
            let mut ready = pin!(self.ready.notified());
            ready.as_mut().enable();
            let next = {
                let mut state = self.lock();
                if state.is_closed {
                    return None;
                }
                state.scheduler.take(Instant::now(), threads)
            };
            match next {
                Next::Verify(taken) => return Some(taken),
                Next::WaitUntil(at) => tokio::select! {
                    () = ready => {}
                    () = timer::until(at) => {}
                },
                Next::Nothing => ready.await,
            }
        }
    }

    /// Puts back a batch of which a part is left to verify.
    pub fn put_back(&self, source: Source, batch: B) {
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            return drop(batch);
        }
        state.scheduler.put_back(source, batch);
        drop(state);
        self.ready.notify_one();
    }

    /// Records the outcomes of a source's commands.
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

    /// Reports slowed sources and senders of bad signatures in metrics and the log. To be called about once a second.
    pub fn report(&self) {
        let (mut state, now) = (self.lock(), Instant::now());
        let State { scheduler, records, .. } = &mut *state;
        for (source, record) in records {
            let is_slowed = scheduler.standing(now, *source).is_reported_slowed(now);
            record.report(now, *source, is_slowed);
        }
    }

    /// The outcomes of each source's commands since the node started.
    pub fn conduct(&self) -> BTreeMap<Source, Conduct> {
        self.lock().records.iter().map(|(source, record)| (*source, record.conduct)).collect()
    }

    /// Ends [`WorkQueue::take`]. Queued batches are dropped, which answers them as unknown.
    pub fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.is_closed = true;
            state.scheduler.drain()
        };
        self.ready.notify_waiters();
        drop(waiting);
    }

    fn give_back(self: &Arc<Self>, source: Source, count: usize) {
        let (mut state, now) = (self.lock(), Instant::now());
        let State { capacity, scheduler, .. } = &mut *state;
        capacity.give_back(source, count);
        let is_held_back = |source| scheduler.is_held_back(now, source);
        capacity.call_waiting(is_held_back, |source, count, waiter| {
            let Err(mut refused) = waiter.send(CapacityPermit { queue: self.clone(), source, count }) else {
                return true;
            };
            // Nobody waits any more: it holds no capacity, and dropping it must not give any back.
            refused.count = 0;
            false
        });
        gauge!(names::QUEUE).set(capacity.used() as f64);
    }

    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Work> CapacityPermit<B> {
    /// Records the outcomes of the commands that hold it.
    pub fn note(&self, conduct: Conduct) {
        self.queue.note(self.source, conduct);
    }
}

impl<B: Work> Drop for CapacityPermit<B> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.queue.give_back(self.source, self.count);
        }
    }
}
