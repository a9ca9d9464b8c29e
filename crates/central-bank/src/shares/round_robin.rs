//! Deficit round robin: queues by source, each served for the same cost per round.
//!
//! - A source has *credit*. Its turn lasts while it has credit and work; each round adds one [`QUANTUM`]. The cost of
//!   work is charged afterwards, so credit may fall below zero, and the source then waits for as many rounds.
//! - A source that had no work comes first, for one quantum: a source that submits little does not wait for a round of
//!   those that submit much. It loses its turn at the front when it runs out of work, until a round has passed it.
//! - A source without work keeps its debt and no credit.
//!
//! So over any time in which two sources have work, they are served for the same cost up to a quantum and one item
//! each. (Shreedhar and Varghese, *Efficient fair queuing using deficit round robin*, 1995; the turn at the front is
//! that of FQ-CoDel, RFC 8290.)

use std::collections::{BTreeMap, VecDeque};

use super::Source;

/// The cost for which a source is served in a round: that of verifying about this many good signatures.
pub const QUANTUM: i64 = 1_024;
/// The largest debt; any excess is forgiven.
const DEBT_MAX: i64 = 16 * QUANTUM;

/// Queued items, by source.
pub struct RoundRobin<T> {
    queues: BTreeMap<Source, Queue<T>>,
    /// Sources that had no work before, in the order of arrival.
    fresh: VecDeque<Source>,
    /// The other sources with work, the next one first.
    turns: VecDeque<Source>,
    len: usize,
}

struct Queue<T> {
    items: VecDeque<T>,
    credit: i64,
    /// Whether the source is in `fresh` or in `turns`.
    is_listed: bool,
}

impl<T> Default for RoundRobin<T> {
    fn default() -> Self {
        RoundRobin { queues: BTreeMap::new(), fresh: VecDeque::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> RoundRobin<T> {
    /// The number of queued items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no item is queued.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether an item of a source is queued.
    pub fn has_work(&self, source: Source) -> bool {
        self.queues.get(&source).is_some_and(|queue| !queue.items.is_empty())
    }

    /// Adds an item behind the source's others.
    pub fn push(&mut self, source: Source, item: T) {
        let queue = self.queue(source);
        queue.items.push_back(item);
        if !std::mem::replace(&mut queue.is_listed, true) {
            if queue.credit < 0 {
                self.turns.push_back(source);
            } else {
                queue.credit = QUANTUM;
                self.fresh.push_back(source);
            }
        }
        self.len += 1;
    }

    /// Puts an item that was taken and has a part left before the source's others.
    pub fn put_back(&mut self, source: Source, item: T) {
        let queue = self.queue(source);
        queue.items.push_front(item);
        if !std::mem::replace(&mut queue.is_listed, true) {
            self.turns.push_back(source);
        }
        self.len += 1;
    }

    /// Charges a source for work that was taken.
    pub fn charge(&mut self, source: Source, cost: i64) {
        let queue = self.queue(source);
        queue.credit = queue.credit.saturating_sub(cost).max(-DEBT_MAX);
    }

    /// Takes the next item of a source that may be served; `None` if there is none. Sources that may not be served keep
    /// their turns.
    pub fn next(&mut self, may_be_served: impl Fn(Source) -> bool) -> Option<(Source, T)> {
        let mut passed_over = 0;
        while passed_over < self.fresh.len() + self.turns.len() {
            let is_fresh = !self.fresh.is_empty();
            let list = if is_fresh { &mut self.fresh } else { &mut self.turns };
            let source = *list.front()?;
            let queue = self.queues.get_mut(&source)?;
            let may_be_served = !queue.items.is_empty() && may_be_served(source);
            if may_be_served && queue.credit > 0 {
                self.len -= 1;
                return queue.items.pop_front().map(|item| (source, item));
            }
            list.pop_front();
            if queue.items.is_empty() && !is_fresh {
                queue.is_listed = false;
                queue.credit = queue.credit.min(0);
                continue;
            }
            self.turns.push_back(source);
            if may_be_served {
                queue.credit += QUANTUM;
                passed_over = 0;
            } else if !queue.items.is_empty() {
                passed_over += 1;
            }
        }
        None
    }

    /// Removes all items.
    pub fn drain(&mut self) -> Vec<T> {
        self.len = 0;
        self.queues.values_mut().flat_map(|queue| queue.items.drain(..)).collect()
    }

    fn queue(&mut self, source: Source) -> &mut Queue<T> {
        self.queues.entry(source).or_insert_with(|| Queue { items: VecDeque::new(), credit: 0, is_listed: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_ledger::MemberId;
    use cbdc_ledger::member::Role;

    fn bank(id: u16) -> Source {
        (Role::Bank, MemberId(id))
    }

    /// Serves items, each at its own cost, up to a total; returns the cost by source.
    fn serve(queue: &mut RoundRobin<i64>, cost: i64) -> BTreeMap<Source, i64> {
        let mut served = BTreeMap::new();
        while served.values().sum::<i64>() < cost {
            let (source, item) = queue.next(|_| true).expect("there is work");
            queue.charge(source, item);
            *served.entry(source).or_default() += item;
        }
        served
    }

    #[test]
    fn sources_with_work_are_served_for_the_same_cost_whatever_the_size_of_their_items() {
        let mut queue = RoundRobin::default();
        for (id, size) in [(1, 1), (2, 100), (3, 1_024), (4, 8_192)] {
            (0..200_000 / size).for_each(|_| queue.push(bank(id), size));
        }
        let served = serve(&mut queue, 400_000);
        for (source, cost) in served {
            assert!((cost - 100_000).abs() <= QUANTUM + 8_192, "{source:?} was served for {cost}");
        }
    }

    #[test]
    fn an_unused_share_is_lent_and_credit_is_not_saved() {
        let mut queue = RoundRobin::default();
        (0..100).for_each(|_| queue.push(bank(1), 1_000));
        assert_eq!(serve(&mut queue, 50_000)[&bank(1)], 50_000);
        // The other arrives: what it did not use is gone, so the two share from now on.
        (0..100).for_each(|_| queue.push(bank(2), 1_000));
        let served = serve(&mut queue, 40_000);
        assert!((served[&bank(1)] - served[&bank(2)]).abs() <= 2 * QUANTUM + 1_000, "{served:?}");
    }

    #[test]
    fn who_submits_little_comes_first_and_gains_nothing_by_coming_again() {
        let mut queue = RoundRobin::default();
        for id in 1..=5 {
            (0..100).for_each(|_| queue.push(bank(id), 1_024));
        }
        serve(&mut queue, 20_000);
        queue.push(bank(9), 1);
        assert_eq!(queue.next(|_| true), Some((bank(9), 1)));
        // It returns with a large item each time it has none: a round passes before it is first again.
        let mut served = BTreeMap::<Source, i64>::new();
        for _ in 0..50 {
            if !queue.has_work(bank(9)) {
                queue.push(bank(9), 1_024);
            }
            let (source, cost) = queue.next(|_| true).unwrap();
            queue.charge(source, cost);
            *served.entry(source).or_default() += cost;
        }
        let of_others = served.iter().filter(|(source, _)| **source != bank(9)).map(|(_, cost)| *cost).max().unwrap();
        assert!(served[&bank(9)] <= of_others + 2 * QUANTUM, "{served:?}");
    }

    #[test]
    fn who_may_not_be_served_keeps_its_work_and_holds_nobody_up() {
        let mut queue = RoundRobin::default();
        queue.push(bank(1), 1);
        queue.push(bank(2), 2);
        assert_eq!(queue.next(|source| source != bank(1)), Some((bank(2), 2)));
        assert_eq!(queue.next(|source| source != bank(1)), None);
        assert_eq!((queue.len(), queue.next(|_| true)), (1, Some((bank(1), 1))));
        assert_eq!((queue.len(), queue.next(|_| true)), (0, None));
    }

    #[test]
    fn the_rest_of_an_item_comes_before_the_others_of_its_source() {
        let mut queue = RoundRobin::default();
        queue.push(bank(1), 1);
        queue.push(bank(1), 2);
        let (source, item) = queue.next(|_| true).unwrap();
        queue.charge(source, 20 * QUANTUM);
        queue.put_back(source, item);
        assert_eq!(queue.next(|_| true), Some((bank(1), 1)));
        assert_eq!(queue.drain(), [2]);
        assert!(queue.is_empty());
    }
}
