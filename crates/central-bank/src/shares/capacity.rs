//! Capacity: the number of commands of each source that may be in flight.
//!
//! A source may have as many commands in flight as are still free: half of the capacity if it is alone, a third each if
//! there are two, and so on, with as much again left for the next to arrive. A source with none in flight may always
//! have one batch; one that is held back has [`HELD_BACK_MAX`]. (The rule is that of dynamic thresholds for shared
//! buffers, Choudhury and Hahne, 1998.)
//!
//! Batches that find no capacity queue, by source.

use std::collections::{BTreeMap, VecDeque};

use super::Source;

/// Commands that a slowed source may have in flight while others are present.
const HELD_BACK_MAX: usize = 1_024;
/// Batches of one source that may queue; further ones are refused.
const WAITING_MAX: usize = 1_024;

/// The capacity for commands in flight. `W` is a waiter for some of it.
pub struct Capacity<W> {
    max: usize,
    used: usize,
    lines: BTreeMap<Source, Line<W>>,
    waiting: usize,
}

struct Line<W> {
    used: usize,
    waiting: VecDeque<(usize, W)>,
}

/// The result of asking for capacity for a batch.
pub enum Asked<W> {
    /// The capacity is given.
    Given,
    /// The batch is queued.
    Waits,
    /// The queue is too long.
    Refused(W),
}

impl<W> Capacity<W> {
    /// Capacity for `max` commands, and beyond that for one batch per source.
    pub fn new(max: usize) -> Self {
        Capacity { max, used: 0, lines: BTreeMap::new(), waiting: 0 }
    }

    /// Commands in flight.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Asks for capacity for `count` commands of a source. `waiter` is called to queue, unless there is capacity at
    /// once.
    pub fn ask(&mut self, source: Source, count: usize, is_held_back: bool, waiter: impl FnOnce() -> W) -> Asked<W> {
        let is_first = self.lines.get(&source).is_none_or(|line| line.waiting.is_empty());
        if is_first && self.has_capacity(source, count, is_held_back) {
            self.take(source, count);
            return Asked::Given;
        }
        let line = self.line(source);
        if line.waiting.len() >= WAITING_MAX {
            return Asked::Refused(waiter());
        }
        line.waiting.push_back((count, waiter()));
        self.waiting += 1;
        Asked::Waits
    }

    /// Gives the capacity for `count` commands back.
    pub fn give_back(&mut self, source: Source, count: usize) {
        self.used = self.used.saturating_sub(count);
        let line = self.line(source);
        line.used = line.used.saturating_sub(count);
    }

    /// Gives capacity to waiters as far as there is some, one of each source in turn. `call` wakes a waiter and returns
    /// whether it is still there.
    pub fn call_waiting(
        &mut self,
        is_held_back: impl Fn(Source) -> bool,
        mut call: impl FnMut(Source, usize, W) -> bool,
    ) {
        let mut was_given = self.waiting > 0;
        while std::mem::take(&mut was_given) {
            let waiting = self.lines.iter().filter(|(_, line)| !line.waiting.is_empty());
            for source in waiting.map(|(source, _)| *source).collect::<Vec<_>>() {
                let is_held_back = is_held_back(source);
                while let Some(count) = self.lines.get(&source).and_then(|line| Some(line.waiting.front()?.0)) {
                    if !self.has_capacity(source, count, is_held_back) {
                        break;
                    }
                    let Some((count, waiter)) = self.line(source).waiting.pop_front() else { break };
                    self.waiting -= 1;
                    if call(source, count, waiter) {
                        self.take(source, count);
                        was_given = true;
                        break;
                    }
                }
            }
        }
    }

    fn has_capacity(&self, source: Source, count: usize, is_held_back: bool) -> bool {
        let used = self.lines.get(&source).map_or(0, |line| line.used);
        let free = self.max.saturating_sub(self.used);
        let max = if is_held_back { free.min(HELD_BACK_MAX) } else { free };
        used == 0 || used.saturating_add(count) <= max
    }

    fn take(&mut self, source: Source, count: usize) {
        self.used += count;
        self.line(source).used += count;
    }

    fn line(&mut self, source: Source) -> &mut Line<W> {
        self.lines.entry(source).or_insert_with(|| Line { used: 0, waiting: VecDeque::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbdc_ledger::MemberId;
    use cbdc_ledger::member::Role;

    const MAX: usize = 65_536;

    fn bank(id: u16) -> Source {
        (Role::Bank, MemberId(id))
    }

    /// Takes batches of `count` until there is no capacity left; returns what the source then has.
    fn fill(capacity: &mut Capacity<u32>, source: Source, count: usize, is_held_back: bool) -> usize {
        while capacity.has_capacity(source, count, is_held_back) {
            assert!(matches!(capacity.ask(source, count, is_held_back, || 0), Asked::Given));
        }
        capacity.lines[&source].used
    }

    #[test]
    fn whoever_fills_what_it_may_leaves_room_for_the_next() {
        // A bank's relay has 32,768 in flight: alone it has capacity for them.
        let mut capacity = Capacity::new(MAX);
        assert_eq!(fill(&mut capacity, bank(1), 1_024, false), MAX / 2);
        let mut least = MAX;
        for id in 2..=6 {
            let has = fill(&mut capacity, bank(id), 256, false);
            assert!(has > 256 && has <= least, "bank {id} has {has}");
            least = has;
        }
        assert!(capacity.used() < MAX);
        // When capacity is scarce, each may still have one batch, whatever its size.
        assert!(matches!(capacity.ask(bank(7), 8_192, false, || 0), Asked::Given));
        assert!(matches!(capacity.ask(bank(7), 8_192, false, || 0), Asked::Waits));
    }

    #[test]
    fn a_source_that_is_held_back_has_little_in_flight() {
        let mut capacity = Capacity::new(MAX);
        assert_eq!(fill(&mut capacity, bank(1), 256, true), HELD_BACK_MAX);
        let mut capacity = Capacity::new(MAX);
        assert_eq!(fill(&mut capacity, bank(1), 8_192, true), 8_192);
    }

    #[test]
    fn those_in_line_have_their_turn_in_order_and_the_sources_one_after_another() {
        let mut capacity = Capacity::new(100);
        for (source, count) in [(1, 90), (2, 90)] {
            assert!(matches!(capacity.ask(bank(source), count, false, || 0), Asked::Given));
        }
        for (source, name) in [(1, 11), (1, 12), (2, 21), (2, 22), (2, 23)] {
            assert!(matches!(capacity.ask(bank(source), 10, false, || name), Asked::Waits));
        }
        let mut called = Vec::new();
        let mut call = |capacity: &mut Capacity<u32>, gone: u32| {
            capacity.call_waiting(
                |_| false,
                |_, _, name| {
                    called.push(name);
                    name != gone
                },
            );
        };
        call(&mut capacity, 0);
        capacity.give_back(bank(1), 90);
        // Bank 1 has none in flight and may have one batch; the second finds none.
        call(&mut capacity, 0);
        capacity.give_back(bank(2), 90);
        // A waiter that is gone takes none.
        call(&mut capacity, 22);
        assert_eq!(called, [11, 12, 21, 22, 23]);
        assert_eq!((capacity.used(), capacity.waiting), (40, 0));
    }

    #[test]
    fn a_line_is_bounded() {
        let mut capacity = Capacity::new(10);
        assert!(matches!(capacity.ask(bank(1), 10, false, || 0), Asked::Given));
        for _ in 0..WAITING_MAX {
            assert!(matches!(capacity.ask(bank(1), 1, false, || 0), Asked::Waits));
        }
        assert!(matches!(capacity.ask(bank(1), 1, false, || 5), Asked::Refused(5)));
        assert!(matches!(capacity.ask(bank(2), 1, false, || 0), Asked::Given));
    }
}
