//! What clients do and are answered, noted as it happens.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cbdc_client::BlockPosition;
use tokio::sync::watch;

use crate::history::{Answer, Answered, Hash, History, Moment, Payment, Property, Read, Violation};

/// Notes the history of a run, and what is found to be wrong on the way.
pub struct Recorder {
    begun: Instant,
    history: Mutex<History>,
    violations: Mutex<Vec<Violation>>,
    /// When the last payment was handed in that has settled.
    settled: watch::Sender<Moment>,
}

impl Default for Recorder {
    fn default() -> Recorder {
        let (history, violations) = (Mutex::default(), Mutex::default());
        Recorder { begun: Instant::now(), history, violations, settled: watch::Sender::default() }
    }
}

impl Recorder {
    pub fn begun(&self) -> Instant {
        self.begun
    }

    pub fn now(&self) -> Moment {
        self.begun.elapsed()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a payment before it is sent for the first time; returns its number.
    pub fn hand_in(&self, payment: Payment) -> usize {
        let mut history = self.history();
        history.payments.push(payment);
        history.payments.len() - 1
    }

    /// Notes an answer to what was asked at `asked`.
    pub fn answer(&self, payment: usize, asked: Moment, answer: Answer) {
        let answered = self.now();
        if answer.is_settled() {
            self.settled.send_modify(|latest| *latest = asked.max(*latest));
        }
        self.history().payments[payment].answers.push(Answered { asked, answered, answer });
    }

    /// Notes that nobody asks any more for a payment that was accepted.
    pub fn leave(&self, payment: usize) {
        self.history().payments[payment].is_left = true;
    }

    pub fn read(&self, read: Read) {
        self.history().reads.push(read);
    }

    pub fn violation(&self, property: Property, sentence: String) {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(Violation { property, sentence });
    }

    /// Follows the time at which the last payment was asked for that was answered settled.
    pub fn settled(&self) -> watch::Receiver<Moment> {
        self.settled.subscribe()
    }

    /// The records that were answered settled from `since` on, with the positions that were named.
    pub fn settled_since(&self, since: Moment) -> Vec<(Hash, BlockPosition)> {
        let history = self.history();
        let answers = history
            .payments
            .iter()
            .flat_map(|payment| payment.answers.iter().map(move |answered| (payment.record, answered)));
        answers
            .filter(|(_, answered)| answered.answered >= since && answered.answer.is_settled())
            .filter_map(|(record, answered)| Some((record, answered.answer.position()?)))
            .collect()
    }

    /// The history so far, and what was found wrong.
    pub fn take(&self) -> (History, Vec<Violation>) {
        let violations = std::mem::take(&mut *self.violations.lock().unwrap_or_else(PoisonError::into_inner));
        (std::mem::take(&mut *self.history()), violations)
    }
}
