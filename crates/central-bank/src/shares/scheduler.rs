//! The scheduler: it decides whose batch is verified next.
//!
//! Sources take turns ([`RoundRobin`]). A slowed one ([`Standing`]) has none while it is *contested*: while another
//! source, itself not slowed, submitted something within the last [`CONTESTED_FOR`]. While nobody else is present, it
//! is served without limit.
//!
//! [`Scheduler::take`] returns commands to verify together: a slice of the next batch, and slices of further ones, up
//! to [`TOGETHER`] commands. A suspect's are taken alone, so that nobody else pays for its bad signatures, and few at
//! once, so that nobody waits for them for long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cbdc_node::standing::{self, Standing, Waste};

use super::Source;
use super::round_robin::RoundRobin;

/// The time after its last batch during which a source counts as present.
const CONTESTED_FOR: Duration = Duration::from_secs(1);

/// The most commands verified together; the cost per signature hardly falls beyond.
const TOGETHER: usize = 1_024;
/// The commands that justify another thread: beyond that, a thread takes no more than its share of the queued batches.
const SHARED_FROM: usize = 256;
/// The most commands of a suspect, and of a source slowed recently, verified together: bad signatures take the longest.
const TOGETHER_SUSPECT: usize = 256;
const TOGETHER_SLOWED: usize = 32;

/// Queued work: commands of which some are still to be verified.
pub trait Work {
    /// The number of commands left.
    fn left(&self) -> usize;
    /// The cost of the next `count` of them: one for each that is as large as a payment.
    fn cost(&self, count: usize) -> usize;
}

/// The next commands of an item, to be verified now.
pub struct Taken<T> {
    pub source: Source,
    pub item: T,
    pub count: usize,
    /// Whether its source was recently slowed for bad signatures, among others: then each is verified by itself.
    pub is_slowed: bool,
}

/// The scheduler's record of a source.
struct SourceRecord {
    standing: Standing,
    submitted_at: Instant,
}

/// The items to verify, and the sources' standings.
pub struct Scheduler<T> {
    turns: RoundRobin<T>,
    known: BTreeMap<Source, SourceRecord>,
}

impl<T> Default for Scheduler<T> {
    fn default() -> Self {
        Scheduler { turns: RoundRobin::default(), known: BTreeMap::new() }
    }
}

/// The next action of a thread.
pub enum Next<T> {
    /// Verify these.
    Verify(Vec<Taken<T>>),
    /// Nothing now, but a slowed source may be served at this time.
    WaitUntil(Instant),
    /// Nothing.
    Nothing,
}

impl<T: Work> Scheduler<T> {
    /// The number of queued items.
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// Whether no item is queued.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// The standing of a source, which counts as present from now on.
    pub fn standing(&mut self, now: Instant, source: Source) -> &mut Standing {
        let known = self.known.entry(source);
        &mut known
            .or_insert_with(|| SourceRecord { standing: Standing::new(standing::MEMBER, now), submitted_at: now })
            .standing
    }

    /// Adds an item of a source.
    pub fn push(&mut self, now: Instant, source: Source, item: T) {
        let known = self.known.entry(source);
        let known =
            known.or_insert_with(|| SourceRecord { standing: Standing::new(standing::MEMBER, now), submitted_at: now });
        known.submitted_at = now;
        self.turns.push(source, item);
    }

    /// Puts the rest of an item back.
    pub fn put_back(&mut self, source: Source, item: T) {
        self.turns.put_back(source, item);
    }

    /// Charges a source for work: the cost of verifying `cost` good signatures.
    fn charge(&mut self, source: Source, cost: usize) {
        self.turns.charge(source, i64::try_from(cost).unwrap_or(i64::MAX));
    }

    /// Records that commands of a source were wasted.
    pub fn wasted(&mut self, now: Instant, source: Source, waste: Waste, count: usize) {
        self.standing(now, source).wasted(now, waste, count);
        if waste == Waste::BadSignature {
            // Their cost beyond that of the good ones that the source was charged for.
            self.charge(source, count.saturating_mul(11));
        }
    }

    /// Whether a source must wait because it is slowed and others are present.
    pub fn is_held_back(&self, now: Instant, source: Source) -> bool {
        let is_slowed = self.known.get(&source).is_some_and(|known| known.standing.is_slowed(now));
        is_slowed && self.contested_until(now).is_some()
    }

    /// Takes the commands that a thread, one of `threads`, verifies together next.
    pub fn take(&mut self, now: Instant, threads: usize) -> Next<T> {
        if self.turns.is_empty() {
            return Next::Nothing;
        }
        let contested = self.contested_until(now);
        let Some((source, item)) = self.next(now, contested.is_some(), true) else {
            let waiting = self.known.iter().filter(|(source, _)| self.turns.has_work(**source));
            let refilled = waiting.filter_map(|(_, known)| known.standing.refilled(now)).min();
            return Next::WaitUntil(refilled.into_iter().chain(contested).min().unwrap_or(now + CONTESTED_FOR));
        };
        if let Some(SourceRecord { standing, .. }) = self.known.get(&source)
            && standing.is_suspect(now)
        {
            let is_slowed = standing.is_reported_slowed(now);
            let most = if is_slowed { TOGETHER_SLOWED } else { TOGETHER_SUSPECT };
            return Next::Verify(vec![Taken { is_slowed, ..self.slice(source, item, most) }]);
        }
        let mut taken = vec![self.slice(source, item, TOGETHER)];
        let mut commands = taken[0].count;
        while commands < SHARED_FROM || (commands < TOGETHER && self.len() >= threads) {
            let Some((source, item)) = self.next(now, contested.is_some(), false) else { break };
            let slice = self.slice(source, item, TOGETHER - commands);
            commands += slice.count;
            taken.push(slice);
        }
        Next::Verify(taken)
    }

    /// The next item; of a slowed source only if it is not contested, of a suspect only if `takes_suspects`.
    fn next(&mut self, now: Instant, is_contested: bool, takes_suspects: bool) -> Option<(Source, T)> {
        let known = &self.known;
        self.turns.next(|source| {
            let Some(SourceRecord { standing, .. }) = known.get(&source) else { return true };
            !(is_contested && standing.is_slowed(now)) && (takes_suspects || !standing.is_suspect(now))
        })
    }

    /// The next commands of an item, for which its source is charged.
    fn slice(&mut self, source: Source, item: T, most: usize) -> Taken<T> {
        let count = item.left().min(most);
        self.charge(source, item.cost(count));
        Taken { source, item, count, is_slowed: false }
    }

    /// Removes all items.
    pub fn drain(&mut self) -> Vec<T> {
        self.turns.drain()
    }

    /// The time until which a slowed source must wait for others, if there are any.
    fn contested_until(&self, now: Instant) -> Option<Instant> {
        let others = self.known.values().filter(|known| !known.standing.is_slowed(now));
        others.map(|known| known.submitted_at + CONTESTED_FOR).max().filter(|until| now < *until)
    }
}
