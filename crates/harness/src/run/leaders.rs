//! Who leads the central bank while the load runs, as its nodes say when they are asked ten times a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cbdc_client::{Connection, Leadership, NetworkFolder, NodeName};
use tokio::task::JoinSet;

use crate::result::LeaderChange;

/// The longest time that a run waits for a leader: a network that has just started elects first.
pub const ELECTED_WITHIN: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_millis(100);
/// A node that is paused or away does not keep its task for longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

type Changes = Arc<Mutex<Vec<LeaderChange>>>;

/// Watches leadership until it is dropped; nothing is watched where one node orders alone.
pub struct Leaders {
    changes: Changes,
    _asking: JoinSet<()>,
}

impl Leaders {
    pub fn watch(folder: &NetworkFolder, start: Instant) -> Leaders {
        let changes = Changes::default();
        let mut asking = JoinSet::new();
        if folder.central_banks().count() > 1 {
            for node in folder.central_banks() {
                asking.spawn(ask(folder.clone(), node, start, changes.clone()));
            }
        }
        Leaders { changes, _asking: asking }
    }

    /// The leaders seen so far, in the order of their terms.
    pub fn seen(&self) -> Vec<LeaderChange> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Asks one node for as long as the watch lasts.
async fn ask(folder: NetworkFolder, node: NodeName, start: Instant, changes: Changes) {
    let mut connection: Option<Connection> = None;
    let mut tick = tokio::time::interval(ASK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let answer = async {
            let kept = match &connection {
                Some(kept) => kept.clone(),
                None => folder.connect_reader(node).await?,
            };
            let known = Leadership::of(&kept).await?;
            Ok::<_, cbdc_client::ClientError>((kept, known))
        };
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok((kept, known))) => {
                connection = Some(kept);
                if let Some(leader) = known.leader {
                    let leader = NodeName::CentralBank(leader).to_string();
                    note(&changes, LeaderChange { at_s: start.elapsed().as_secs_f64(), leader, term: known.term });
                }
            }
            _ => connection = None,
        }
    }
}

/// Notes a leader of a term above all that were seen before.
fn note(changes: &Changes, seen: LeaderChange) {
    let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
    if changes.last().is_none_or(|last| last.term < seen.term) {
        changes.push(seen);
    }
}

/// The leader that was known at a time.
pub fn leader_at(changes: &[LeaderChange], at_s: f64) -> Option<String> {
    let at = changes.partition_point(|change| change.at_s <= at_s);
    // The first one seen led before anybody was asked.
    changes.get(at.saturating_sub(1)).map(|change| change.leader.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_of_an_older_term_is_none() {
        let changes = Changes::default();
        for (at_s, leader, term) in [(0.1, "a", 1), (0.2, "a", 1), (3.0, "b", 2), (3.1, "a", 1), (9.0, "a", 4)] {
            note(&changes, LeaderChange { at_s, leader: leader.to_owned(), term });
        }
        let seen = changes.lock().unwrap().clone();
        assert_eq!(seen.iter().map(|change| change.term).collect::<Vec<_>>(), [1, 2, 4]);
        let at = |at_s| leader_at(&seen, at_s);
        assert_eq!([at(0.0), at(2.9), at(3.0), at(99.0)].map(Option::unwrap), ["a", "a", "b", "a"]);
        assert_eq!(leader_at(&[], 1.0), None);
    }
}
