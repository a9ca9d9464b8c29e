//! The watch over the node that leads the central bank, where there are others.
//!
//! A node that is frozen or cut off keeps its connections, and says nothing. One that is merely slow looks the same. So
//! silence alone is no reason to leave a node: once answers are overdue ([`OVERDUE`]), the others are asked who leads,
//! again and again, and only one that leads in a later term ends the watch.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::central_bank_nodes::{CentralBankNodes, LeaderTerm};

/// The time without an answer, while batches wait for one, after which other nodes are asked who leads.
const OVERDUE: Duration = Duration::from_millis(100);
/// The interval at which a node is watched.
const WATCH_EVERY: Duration = Duration::from_millis(25);
/// The shortest time between two rounds of asking, and the longest time that one may take.
const ASK_EVERY: Duration = Duration::from_millis(50);
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// A round of asking, and the node that it finds.
type Asked = Pin<Box<dyn Future<Output = Option<Arc<str>>> + Send>>;

/// The watch over the node to which commands go.
pub struct LeaderWatch {
    nodes: Arc<CentralBankNodes>,
    address: Arc<str>,
    term: Option<LeaderTerm>,
    ticks: Option<tokio::time::Interval>,
    /// Since when batches have been waiting without any answer.
    waits_since: Option<Instant>,
    asked: Option<Asked>,
    ask_again_at: Instant,
}

impl LeaderWatch {
    pub fn new(nodes: Arc<CentralBankNodes>, address: Arc<str>, term: Option<LeaderTerm>) -> LeaderWatch {
        let ticks = nodes.are_several().then(|| {
            let mut ticks = tokio::time::interval(WATCH_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            ticks
        });
        LeaderWatch { nodes, address, term, ticks, waits_since: None, asked: None, ask_again_at: Instant::now() }
    }

    /// The node that leads in a later term, once one is found; `None` when it is time to look. Never, where there is
    /// only one node.
    pub async fn next(&mut self) -> Option<Arc<str>> {
        let Some(ticks) = &mut self.ticks else { return std::future::pending().await };
        let Some(asked) = &mut self.asked else {
            ticks.tick().await;
            return None;
        };
        tokio::select! {
            found = asked => {
                self.asked = None;
                found
            }
            _ = ticks.tick() => None,
        }
    }

    /// A batch was sent.
    pub fn sent(&mut self) {
        self.waits_since.get_or_insert_with(Instant::now);
    }

    /// A batch was answered.
    pub fn answered(&mut self, now: Instant, is_last: bool) {
        self.waits_since = (!is_last).then_some(now);
    }

    /// Asks the other nodes who leads, if answers are overdue or there is another cause, and nobody is being asked.
    pub fn look(&mut self, has_other_cause: bool) {
        let is_overdue = self.waits_since.is_some_and(|since| since.elapsed() > OVERDUE);
        if (is_overdue || has_other_cause) && self.asked.is_none() && self.ask_again_at <= Instant::now() {
            self.ask_again_at = Instant::now() + ASK_EVERY;
            let asked = self.nodes.clone().later_leader(self.address.clone(), self.term);
            self.asked = Some(Box::pin(async { tokio::time::timeout(ASK_TIMEOUT, asked).await.ok().flatten() }));
        }
    }
}
