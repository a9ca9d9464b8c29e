//! The verified queue: batches on their way from verification to the sequencer, which takes those of each source in
//! turn.
//!
//! It needs no bound of its own: commands in flight hold their part of the capacity ([`crate::shares::capacity`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::batch::Verified;
use crate::shares::Source;
use crate::shares::round_robin::RoundRobin;

/// Bytes that cost as much as a command: those of a payment.
const BYTES_A_COMMAND: usize = 136;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Notifies the receiver of a batch, or that the senders are gone.
    changed: Notify,
}

#[derive(Default)]
struct State {
    turns: RoundRobin<Verified>,
    senders_are_gone: bool,
    receiver_is_gone: bool,
}

/// The sending end. Clones are the same sender; the queue is closed once all are dropped.
#[derive(Clone)]
pub struct Sender(Arc<Sending>);

struct Sending(Arc<Shared>);

/// The receiving end.
pub struct Receiver(Arc<Shared>);

/// Both ends of a queue.
pub fn verified_queue() -> (Sender, Receiver) {
    let shared = Arc::<Shared>::default();
    (Sender(Arc::new(Sending(shared.clone()))), Receiver(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// Adds a batch of a source. Returns whether there is a receiver; without one the batch is dropped.
    pub fn send(&self, source: Source, batch: Verified) -> bool {
        let shared = &self.0.0;
        let mut state = shared.lock();
        if state.receiver_is_gone {
            return false;
        }
        state.turns.push(source, batch);
        drop(state);
        shared.changed.notify_one();
        true
    }
}

impl Receiver {
    /// The next batch; `None` once all senders are gone and no batch is left. Cancel-safe: nothing is lost if it is
    /// dropped.
    pub async fn recv(&mut self) -> Option<Verified> {
        loop {
            let changed = self.0.changed.notified();
            {
                let mut state = self.0.lock();
                if let Some((source, batch)) = state.turns.next(|_| true) {
                    let cost = batch.commands.len().max(batch.commands.bytes().len() / BYTES_A_COMMAND);
                    state.turns.charge(source, i64::try_from(cost).unwrap_or(i64::MAX));
                    return Some(batch);
                }
                if state.senders_are_gone {
                    return None;
                }
            }
            changed.await;
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.lock().senders_are_gone = true;
        self.0.changed.notify_one();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.lock();
            state.receiver_is_gone = true;
            state.turns.drain()
        };
        drop(left);
    }
}
