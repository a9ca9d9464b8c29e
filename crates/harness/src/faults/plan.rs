//! The plan of a run: which fault comes next, how long it lasts, and how long the network is left in peace before it.
//!
//! Every decision follows from one seed. The plan names nodes by their part, leader or follower, since who leads is not
//! known beforehand: the same seed gives the same faults, and not the same leaders.

use std::fmt;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::scenario::Direction;
use crate::workload::random::rng;

/// A node of the central bank, by its part when the fault begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Leader,
    /// One of the followers, in the order of their numbers, counted around.
    Follower(usize),
}

/// The nodes on one side of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    One(Part),
    /// The leader and all banks: the others have the majority, and nobody to serve.
    LeaderAndBanks,
    /// The leader and a follower: the banks are left with a minority.
    Majority(usize),
    /// Every node by itself.
    Each,
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// `kill -9`; started again afterwards.
    Kill(Part),
    /// All nodes of the central bank killed at once, as when power fails.
    KillAll,
    /// SIGSTOP; SIGCONT afterwards.
    Pause(Part),
    Cut(Side, Direction),
    Slow(Part, Duration),
    /// With the share of chunks that are held up, in millionths.
    Lossy(Part, u32),
    /// By an operator, to the follower that is furthest.
    HandOver,
    /// SIGTERM and started again, one node after the other.
    RollingRestart,
}

/// A fault with its times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planned {
    /// The peace before it.
    pub calm: Duration,
    pub fault: Fault,
    /// How long it lasts.
    pub lasts: Duration,
}

/// The delay of a slow link, on each way.
const SLOW: Duration = Duration::from_millis(100);
/// A fifth of the chunks.
const LOSS_PPM: u32 = 200_000;

/// An endless plan.
pub struct Plan {
    random: StdRng,
    /// The kinds that are still to come before all come again, so that every kind comes.
    hand: Vec<usize>,
}

/// The kinds of faults, in the number in which they come.
const KINDS: [fn(&mut StdRng) -> Fault; 14] = [
    |_| Fault::Kill(Part::Leader),
    |random| Fault::Kill(Part::Follower(follower(random))),
    |_| Fault::KillAll,
    |_| Fault::Pause(Part::Leader),
    |random| Fault::Pause(Part::Follower(follower(random))),
    |_| Fault::Cut(Side::One(Part::Leader), Direction::Both),
    |_| Fault::Cut(Side::LeaderAndBanks, Direction::Both),
    |random| Fault::Cut(Side::One(Part::Follower(follower(random))), Direction::Both),
    |random| Fault::Cut(Side::Majority(follower(random)), Direction::Both),
    |random| Fault::Cut(Side::Each, if random.random_bool(0.5) { Direction::Both } else { Direction::In }),
    |random| {
        let direction = if random.random_bool(0.5) { Direction::In } else { Direction::Out };
        let part = if random.random_bool(0.7) { Part::Leader } else { Part::Follower(follower(random)) };
        Fault::Cut(Side::One(part), direction)
    },
    |random| {
        let part = if random.random_bool(0.5) { Part::Leader } else { Part::Follower(follower(random)) };
        if random.random_bool(0.5) { Fault::Slow(part, SLOW) } else { Fault::Lossy(part, LOSS_PPM) }
    },
    |_| Fault::HandOver,
    |_| Fault::RollingRestart,
];

fn follower(random: &mut StdRng) -> usize {
    random.random_range(0..2)
}

impl Plan {
    pub fn new(seed: u64) -> Plan {
        Plan { random: rng(seed, 0), hand: Vec::new() }
    }
}

impl Iterator for Plan {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if self.hand.is_empty() {
            self.hand = (0..KINDS.len()).collect();
            self.hand.shuffle(&mut self.random);
        }
        let random = &mut self.random;
        let fault = KINDS[self.hand.pop()?](random);
        let mut between = |range: std::ops::Range<u64>| Duration::from_millis(random.random_range(range));
        let lasts = match fault {
            Fault::HandOver | Fault::RollingRestart => Duration::ZERO,
            Fault::Slow(..) | Fault::Lossy(..) => between(1_500..4_000),
            // Some are over before anybody is alarmed.
            _ => between(100..3_000),
        };
        Some(Planned { calm: between(300..1_500), fault, lasts })
    }
}

impl Fault {
    /// The kind in one word, by which gaps are grouped.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill(Part::Leader) => "kill-leader",
            Fault::Kill(_) => "kill-follower",
            Fault::KillAll => "kill-all",
            Fault::Pause(Part::Leader) => "pause-leader",
            Fault::Pause(_) => "pause-follower",
            Fault::Cut(Side::One(Part::Leader), Direction::Both) => "cut-leader",
            Fault::Cut(Side::One(Part::Leader), Direction::In) => "cut-leader-in",
            Fault::Cut(Side::One(Part::Leader), Direction::Out) => "cut-leader-out",
            Fault::Cut(Side::One(_), Direction::Both) => "cut-follower",
            Fault::Cut(Side::One(_), _) => "cut-follower-one-way",
            Fault::Cut(Side::LeaderAndBanks, _) => "cut-leader-and-banks",
            Fault::Cut(Side::Majority(_), _) => "cut-majority",
            Fault::Cut(Side::Each, _) => "cut-each",
            Fault::Slow(..) => "slow",
            Fault::Lossy(..) => "lossy",
            Fault::HandOver => "hand-over",
            Fault::RollingRestart => "rolling-restart",
        }
    }

    /// Whether the leader is cut off from the majority while banks reach it.
    pub fn leaves_the_banks_with_a_minority(&self) -> bool {
        matches!(self, Fault::Cut(Side::LeaderAndBanks | Side::Majority(_), _))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Leader => f.write_str("the leader"),
            Part::Follower(_) => f.write_str("a follower"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill(part) => write!(f, "kill -9 {part}"),
            Fault::KillAll => f.write_str("kill -9 all nodes of the central bank"),
            Fault::Pause(part) => write!(f, "pause {part} (SIGSTOP)"),
            Fault::Cut(side, direction) => {
                match side {
                    Side::One(part) => write!(f, "cut {part} off from all others")?,
                    Side::LeaderAndBanks => f.write_str("cut the leader and all banks off from the majority")?,
                    Side::Majority(_) => {
                        f.write_str("cut the leader and a follower off from the third and all banks")?
                    }
                    Side::Each => f.write_str("cut each node of the central bank off")?,
                }
                f.write_str(match direction {
                    Direction::Both => "",
                    Direction::In => ", on the way in",
                    Direction::Out => ", on the way out",
                })
            }
            Fault::Slow(part, delay) => write!(f, "slow links of {part}: {} ms each way", delay.as_millis()),
            Fault::Lossy(part, ppm) => write!(f, "lossy links of {part}: {} % of chunks held up", ppm / 10_000),
            Fault::HandOver => f.write_str("hand leadership over"),
            Fault::RollingRestart => f.write_str("restart the nodes of the central bank one after the other"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_gives_its_plan_and_another_seed_another() {
        let plan = |seed| Plan::new(seed).take(40).collect::<Vec<_>>();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn every_kind_comes_before_any_comes_again() {
        let kinds: BTreeSet<&str> = Plan::new(3).take(KINDS.len()).map(|planned| planned.fault.kind()).collect();
        assert_eq!(kinds.len(), KINDS.len());
        let many: BTreeSet<&str> = Plan::new(3).take(400).map(|planned| planned.fault.kind()).collect();
        assert_eq!(many.len(), 17, "{many:?}");
    }
}
