//! The outcomes of a source's commands: counted, shown in metrics, and logged where an operator should know.

use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, counter, gauge};

use super::Source;
use crate::metrics as names;

/// The pause between two log lines about one source.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// The outcomes of a source's commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Conduct {
    pub settled: u64,
    /// Ordered, and refused when applied.
    pub refused: u64,
    /// Refused before ordering, for another reason than a bad signature.
    pub not_ordered: u64,
    pub bad_signatures: u64,
    /// Those among them that the member may not submit at all.
    pub wrong_role: u64,
    /// Whether it was slowed within the last seconds.
    pub is_slowed: bool,
}

/// The counts of a source, and what was reported of them.
pub struct Record {
    pub conduct: Conduct,
    counters: [Counter; 4],
    slowed: Gauge,
    logged_at: Option<Instant>,
    logged: Conduct,
}

impl Record {
    pub fn new(source: Source) -> Record {
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

    pub fn add(&mut self, added: Conduct) {
        let counts = [added.settled, added.refused, added.not_ordered, added.bad_signatures];
        self.counters.iter().zip(counts).for_each(|(counter, count)| counter.increment(count));
        self.conduct.wrong_role += added.wrong_role;
        let Conduct { settled, refused, not_ordered, bad_signatures, .. } = &mut self.conduct;
        [settled, refused, not_ordered, bad_signatures].into_iter().zip(counts).for_each(|(sum, count)| *sum += count);
    }

    /// Updates the metric, and logs slowed sources and bad signatures, at most once in [`LOG_PAUSE`].
    pub fn report(&mut self, now: Instant, source: Source, is_slowed: bool) {
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
                tracing::warn!(
                    target: "security", %role, %id, bad_signatures, wrong_role, not_ordered, refused, settled,
                    "a member is slowed: too many of its commands are refused (counts since the last such line)"
                );
            }
            (false, true) => {
                tracing::info!(
                    target: "security", %role, %id, bad_signatures, wrong_role, not_ordered, refused, settled,
                    "a member is no longer slowed (counts since the last such line)"
                );
            }
            (false, false) => {
                tracing::warn!(
                    target: "security", %role, %id, bad_signatures, wrong_role,
                    "a member submitted commands with bad signatures, or such as it may not submit (counts since the \
                    last such line)"
                );
            }
        }
        (self.logged, self.logged_at) = (self.conduct, Some(now));
    }
}
