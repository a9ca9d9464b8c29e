//! A model of a node under floods: the real scheduler, standings and capacity, over two threads in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use cbdc_ledger::MemberId;
use cbdc_ledger::member::Role;
use cbdc_node::standing::Waste;

use super::Source;
use super::capacity::{Asked, Capacity};
use super::scheduler::{Next, Scheduler, Taken, Work};

const THREADS: usize = 2;
const CAPACITY: usize = 65_536;
/// The time to verify one good signature.
const VERIFY: Duration = Duration::from_micros(10);
/// The time from the end of verification to the answer.
const SETTLE: Duration = Duration::from_millis(3);

/// The contents of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Good,
    Wasted(Waste),
}

impl Kind {
    /// The time that a thread spends on each command.
    fn time(self) -> Duration {
        match self {
            Kind::Good | Kind::Wasted(Waste::Refused) => VERIFY,
            Kind::Wasted(Waste::NotVerified) => VERIFY / 10,
            Kind::Wasted(Waste::BadSignature) => VERIFY * 12,
        }
    }
}

/// A batch.
#[derive(Clone, Copy, Debug)]
struct Job {
    kind: Kind,
    commands: usize,
    left: usize,
    submitted: Instant,
}

impl Work for Job {
    fn left(&self) -> usize {
        self.left
    }

    fn cost(&self, count: usize) -> usize {
        count
    }
}

/// A bank's pattern of submission.
#[derive(Clone, Copy, Debug)]
enum Traffic {
    /// A batch of that many payments at each interval.
    Steady(usize, Duration),
    /// As many batches of a size as there is capacity for, from one time to another.
    Flood(Kind, usize, Duration, Duration),
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Submit(u16),
    /// A thread has finished the verification with that number.
    Verified(usize, u64),
    Settled(u64),
    Wake,
}

/// The latency of each of a bank's batches, with the time at which it was submitted.
type Latencies = Vec<(Duration, Duration)>;

struct Model {
    began: Instant,
    now: Instant,
    traffic: BTreeMap<Source, Traffic>,
    scheduler: Scheduler<Job>,
    capacity: Capacity<Job>,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    next_event: u64,
    idle: Vec<usize>,
    verifying: BTreeMap<u64, Vec<Taken<Job>>>,
    settling: BTreeMap<u64, (Source, Job)>,
    latencies: BTreeMap<Source, Latencies>,
    /// Commands completed for each bank.
    done: BTreeMap<Source, usize>,
}

fn bank(id: u16) -> Source {
    (Role::Bank, MemberId(id))
}

impl Model {
    /// Runs the traffic for a time.
    fn run(traffic: &[Traffic], time: Duration) -> Model {
        let began = Instant::now();
        let mut model = Model {
            began,
            now: began,
            traffic: (1..).map(bank).zip(traffic.iter().copied()).collect(),
            scheduler: Scheduler::default(),
            capacity: Capacity::new(CAPACITY),
            events: BinaryHeap::new(),
            next_event: 0,
            idle: (0..THREADS).collect(),
            verifying: BTreeMap::new(),
            settling: BTreeMap::new(),
            latencies: BTreeMap::new(),
            done: BTreeMap::new(),
        };
        for id in 1..=traffic.len() as u16 {
            let start = match model.traffic[&bank(id)] {
                Traffic::Flood(_, _, from, _) => from,
                Traffic::Steady(..) => Duration::from_micros(137 * u64::from(id)),
            };
            model.at(start, Event::Submit(id));
        }
        while let Some(Reverse((at, _, event))) = model.events.pop() {
            if at > began + time {
                break;
            }
            model.now = at;
            model.step(event);
            model.dispatch();
        }
        model
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.next_event += 1;
        self.events.push(Reverse((self.now + after, self.next_event, event)));
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Submit(id) => self.submit(bank(id)),
            Event::Verified(thread, number) => {
                self.idle.push(thread);
                for taken in self.verifying.remove(&number).unwrap() {
                    self.verified(taken);
                }
            }
            Event::Settled(number) => {
                let (source, job) = self.settling.remove(&number).unwrap();
                match job.kind {
                    Kind::Good => self.scheduler.standing(self.now, source).settled(self.now, job.commands),
                    Kind::Wasted(waste) => self.scheduler.wasted(self.now, source, waste, job.commands),
                }
                self.answered(source, job);
            }
            Event::Wake => {}
        }
    }

    fn submit(&mut self, source: Source) {
        let job = |kind, commands, submitted| Job { kind, commands, left: commands, submitted };
        match self.traffic[&source] {
            Traffic::Steady(commands, every) => {
                self.ask(source, job(Kind::Good, commands, self.now));
                self.at(every, Event::Submit(source.1.0));
            }
            Traffic::Flood(kind, commands, _, until) => {
                // A stream reads its next message once there is capacity for the last.
                while self.now < self.began + until && self.ask(source, job(kind, commands, self.now)) {}
            }
        }
    }

    /// Asks for capacity; returns whether there is some at once.
    fn ask(&mut self, source: Source, job: Job) -> bool {
        let is_held_back = self.scheduler.is_held_back(self.now, source);
        match self.capacity.ask(source, job.commands, is_held_back, || job) {
            Asked::Given => {
                self.scheduler.push(self.now, source, job);
                true
            }
            Asked::Waits => false,
            Asked::Refused(_) => panic!("the line is too long"),
        }
    }

    fn verified(&mut self, taken: Taken<Job>) {
        let Taken { source, item: mut job, count, .. } = taken;
        job.left -= count;
        let is_ordered = matches!(job.kind, Kind::Good | Kind::Wasted(Waste::Refused));
        if let (Kind::Wasted(waste), false) = (job.kind, is_ordered) {
            self.scheduler.wasted(self.now, source, waste, count);
        }
        if job.left > 0 {
            self.scheduler.put_back(source, job);
        } else if is_ordered {
            let number = self.next_event;
            self.settling.insert(number, (source, job));
            self.at(SETTLE, Event::Settled(number));
        } else {
            self.answered(source, job);
        }
    }

    fn answered(&mut self, source: Source, job: Job) {
        *self.done.entry(source).or_default() += job.commands;
        let latency = (job.submitted - self.began, self.now - job.submitted);
        self.latencies.entry(source).or_default().push(latency);
        self.capacity.give_back(source, job.commands);
        let Model { capacity, scheduler, now, .. } = self;
        let mut called = VecDeque::new();
        capacity.call_waiting(
            |source| scheduler.is_held_back(*now, source),
            |source, _, job| {
                called.push_back((source, job));
                true
            },
        );
        for (source, job) in called {
            self.scheduler.push(self.now, source, job);
            if matches!(self.traffic[&source], Traffic::Flood(..)) {
                self.submit(source);
            }
        }
    }

    /// Gives idle threads work.
    fn dispatch(&mut self) {
        while let Some(thread) = self.idle.pop() {
            match self.scheduler.take(self.now, THREADS) {
                Next::Verify(taken) => {
                    let time = taken.iter().map(|taken| taken.item.kind.time() * taken.count as u32).sum();
                    let number = self.next_event;
                    self.verifying.insert(number, taken);
                    self.at(time, Event::Verified(thread, number));
                    continue;
                }
                Next::WaitUntil(at) => self.at(at.saturating_duration_since(self.now), Event::Wake),
                Next::Nothing => {}
            }
            self.idle.push(thread);
            return;
        }
    }

    /// Latencies of a bank's batches submitted within a time: the median, the 99th percentile, and the largest.
    fn latency(&self, source: Source, from: Duration, to: Duration) -> [Duration; 3] {
        let within = self.latencies[&source].iter().filter(|(submitted, _)| (from..to).contains(submitted));
        let mut latencies: Vec<Duration> = within.map(|(_, latency)| *latency).collect();
        latencies.sort_unstable();
        [50, 99, 100].map(|percent| latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)])
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Each kind of flood, with the size of its batches.
fn floods() -> Vec<(Kind, usize)> {
    let kinds = [Waste::BadSignature, Waste::NotVerified, Waste::Refused].map(Kind::Wasted);
    kinds.into_iter().flat_map(|kind| [(kind, 16), (kind, 1_024), (kind, 8_192)]).collect()
}

#[test]
fn honest_banks_hardly_notice_a_flood_and_not_at_all_a_second_after() {
    // Two banks of 500 payments a second in small batches, one of 20,000 in large ones.
    let few = Traffic::Steady(5, SECOND / 100);
    let honest = [few, few, Traffic::Steady(1_000, SECOND / 20)];
    let alone = Model::run(&honest, 20 * SECOND);
    for (kind, commands) in floods() {
        let flood = Traffic::Flood(kind, commands, 2 * SECOND, 12 * SECOND);
        let flooded = Model::run(&[&honest[..], &[flood, flood]].concat(), 20 * SECOND);
        for id in 1..=3 {
            let context = format!("{kind:?} in batches of {commands}, bank {id}");
            let [alone_p50, _, alone_most] = alone.latency(bank(id), 2 * SECOND, 12 * SECOND);
            let [p50, _, at_first] = flooded.latency(bank(id), 2 * SECOND, 12 * SECOND);
            assert!(p50 <= alone_p50 * 2, "{context}: p50 {p50:?}, alone {alone_p50:?}");
            // Each thread verifies one full batch of it before it is recognised; then it waits.
            assert!(at_first <= alone_most + SECOND / 4, "{context}: at most {at_first:?}, alone {alone_most:?}");
            let [_, _, most] = flooded.latency(bank(id), 5 * SECOND / 2, 12 * SECOND);
            assert!(most <= alone_most + SECOND / 30, "{context}: then at most {most:?}, alone {alone_most:?}");
            let [done, alone_done] = [&flooded, &alone].map(|model| model.done[&bank(id)]);
            assert!(done * 10 >= alone_done * 9, "{context}: {done} of {alone_done}");
            let [p50, p99, _] = flooded.latency(bank(id), 13 * SECOND, 20 * SECOND);
            let [alone_p50, alone_p99, _] = alone.latency(bank(id), 13 * SECOND, 20 * SECOND);
            assert!(p50 * 10 <= alone_p50 * 11, "{context}: a second after p50 {p50:?}, alone {alone_p50:?}");
            // The rest of the flood is verified in the smallest slices, bank 3's in the largest.
            let slices = Kind::Wasted(Waste::BadSignature).time() * 32 + VERIFY * 1_024;
            assert!(p99 <= alone_p99 + slices, "{context}: a second after p99 {p99:?}, alone {alone_p99:?}");
        }
    }
}

#[test]
fn banks_that_want_their_fair_share_get_it() {
    // Together they want 90 % of what the node can do; the floods want all of it.
    let honest = Traffic::Steady(1_024, Duration::from_micros(22_756));
    for (kind, commands) in floods().into_iter().chain([(Kind::Good, 1_024), (Kind::Good, 8_192)]) {
        let flood = Traffic::Flood(kind, commands, Duration::ZERO, 20 * SECOND);
        let model = Model::run(&[honest, honest, flood, flood], 20 * SECOND);
        for id in 1..=2 {
            let done = model.done[&bank(id)];
            assert!(done >= 45_000 * 20 * 9 / 10, "{kind:?} in batches of {commands}: {done}");
        }
    }
}

#[test]
fn a_bank_that_wastes_work_is_slowed_only_while_others_are_there() {
    let flood = Traffic::Flood(Kind::Wasted(Waste::Refused), 1_024, Duration::ZERO, 10 * SECOND);
    let alone = Model::run(&[flood], 10 * SECOND);
    // Two threads at 10 µs.
    assert!(alone.done[&bank(1)] > 1_900_000, "{}", alone.done[&bank(1)]);
    let contested = Model::run(&[flood, Traffic::Steady(1, SECOND / 10)], 10 * SECOND);
    assert!(contested.done[&bank(1)] < 200_000, "{}", contested.done[&bank(1)]);
}
