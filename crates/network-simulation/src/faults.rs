//! The faults of a run, drawn from its seed.
//!
//! Each run switches some kinds off (swarm testing: Groce and others, 2012), so that a rare pair of kinds is not
//! drowned by a frequent third. To add a kind: a variant here with its words, its draw in [`draw`], and what it does in
//! [`crate::run`].

use std::fmt;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

/// What goes wrong. A node is given by its place: the central bank's nodes first, then the banks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// The process is gone at once, and what was not synced with it; it starts again when the fault ends. A machine
    /// that vanishes `silently` closes no connection.
    Kill { node: usize, silently: bool },
    /// The process is gone in the middle of what it does: after so many more writes, which may be some time away.
    KillAfterWrites { node: usize, writes: u64 },
    /// The node is stopped in order, and starts again when the fault ends.
    Stop { node: usize },
    /// The process stands still.
    Pause { node: usize },
    /// The node neither hears nor is heard.
    Isolate { node: usize },
    /// The node is not heard, but hears.
    Mute { node: usize },
    /// The node does not hear, but is heard.
    Deafen { node: usize },
    /// The node is cut off and back again, several times a second.
    Flap { node: usize },
    /// Everything from and to the node takes longer by up to so many ms.
    Slow { node: usize, by_ms: u64 },
    /// One in so many messages of every link is lost and sent again.
    Loss { one_in: u32 },
    /// The node's wall clock is put forward or back.
    ClockStep { node: usize, by_ms: i64 },
    /// The node's next write to disk fails. It stops, and starts again when the fault ends.
    DiskFails { node: usize },
    /// Everything that the node does on its disk takes up to so many ms.
    SlowDisk { node: usize, by_ms: u64 },
}

impl Fault {
    /// The names of all kinds, in the order in which they are drawn.
    pub const KINDS: [&str; 13] = [
        "kill",
        "stop",
        "pause",
        "isolate",
        "mute",
        "deafen",
        "flap",
        "slow",
        "loss",
        "clock step",
        "disk fails",
        "slow disk",
        "kill after writes",
    ];

    /// The kind's name.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill { .. } => "kill",
            Fault::KillAfterWrites { .. } => "kill after writes",
            Fault::Stop { .. } => "stop",
            Fault::Pause { .. } => "pause",
            Fault::Isolate { .. } => "isolate",
            Fault::Mute { .. } => "mute",
            Fault::Deafen { .. } => "deafen",
            Fault::Flap { .. } => "flap",
            Fault::Slow { .. } => "slow",
            Fault::Loss { .. } => "loss",
            Fault::ClockStep { .. } => "clock step",
            Fault::DiskFails { .. } => "disk fails",
            Fault::SlowDisk { .. } => "slow disk",
        }
    }

    /// The node that it strikes; `None` for one that strikes all.
    pub fn node(&self) -> Option<usize> {
        match *self {
            Fault::Kill { node, .. }
            | Fault::KillAfterWrites { node, .. }
            | Fault::Stop { node }
            | Fault::Pause { node }
            | Fault::Isolate { node }
            | Fault::Mute { node }
            | Fault::Deafen { node }
            | Fault::Flap { node }
            | Fault::Slow { node, .. }
            | Fault::ClockStep { node, .. }
            | Fault::DiskFails { node }
            | Fault::SlowDisk { node, .. } => Some(node),
            Fault::Loss { .. } => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill { silently: false, .. } => f.write_str("is killed"),
            Fault::Kill { silently: true, .. } => f.write_str("vanishes with its machine"),
            Fault::KillAfterWrites { writes, .. } => write!(f, "is killed after {writes} more writes"),
            Fault::Stop { .. } => f.write_str("is stopped in order"),
            Fault::Pause { .. } => f.write_str("stands still"),
            Fault::Isolate { .. } => f.write_str("is cut off"),
            Fault::Mute { .. } => f.write_str("is not heard any more"),
            Fault::Deafen { .. } => f.write_str("does not hear any more"),
            Fault::Flap { .. } => f.write_str("is cut off and back, again and again"),
            Fault::Slow { by_ms, .. } => write!(f, "is reached up to {by_ms} ms later"),
            Fault::Loss { one_in } => write!(f, "one in {one_in} messages is lost and sent again"),
            Fault::ClockStep { by_ms, .. } => write!(f, "has its clock put by {by_ms} ms"),
            Fault::DiskFails { .. } => f.write_str("cannot write to its disk any more"),
            Fault::SlowDisk { by_ms, .. } => write!(f, "waits up to {by_ms} ms for its disk"),
        }
    }
}

/// A fault with its times, from the beginning of the faults, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// When it begins, ms.
    pub at_ms: u64,
    /// How long it lasts, ms.
    pub lasts_ms: u64,
    /// What it is.
    pub fault: Fault,
}

/// Draws the faults of a run of `duration_ms`, for `nodes` nodes.
pub fn draw(random: &mut StdRng, nodes: usize, duration_ms: u64) -> Vec<Planned> {
    let mut kinds: Vec<usize> = (0..Fault::KINDS.len()).filter(|_| random.random_bool(0.6)).collect();
    if kinds.is_empty() {
        kinds.push(random.random_range(0..Fault::KINDS.len()));
    }
    // The mean pause between two faults: some runs are calm, some are not.
    let pause_ms = random.random_range(300..3_000);
    let mut planned = Vec::new();
    let mut at_ms = random.random_range(0..pause_ms);
    while at_ms < duration_ms {
        let node = random.random_range(0..nodes);
        let fault = match kinds[random.random_range(0..kinds.len())] {
            0 => Fault::Kill { node, silently: random.random_bool(0.3) },
            1 => Fault::Stop { node },
            2 => Fault::Pause { node },
            3 => Fault::Isolate { node },
            4 => Fault::Mute { node },
            5 => Fault::Deafen { node },
            6 => Fault::Flap { node },
            7 => Fault::Slow { node, by_ms: random.random_range(5..400) },
            8 => Fault::Loss { one_in: random.random_range(3..50) },
            // Less than what counts as a jump, which waits for an operator.
            9 => Fault::ClockStep { node, by_ms: random.random_range(-40_000..40_000) },
            10 => Fault::DiskFails { node },
            11 => Fault::SlowDisk { node, by_ms: random.random_range(5..300) },
            _ => Fault::KillAfterWrites { node, writes: random.random_range(0..40) },
        };
        let lasts_ms = random.random_range(20..2_500);
        planned.push(Planned { at_ms, lasts_ms, fault });
        at_ms += random.random_range(1..2 * pause_ms);
    }
    planned
}
