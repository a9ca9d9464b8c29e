//! The plan of a run: the network's shape, its clients and its faults, all drawn from the seed.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::committee::{self, Decision, PlannedDecision};
use crate::faults::{Planned, draw};

/// Everything that a run does of its own accord.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub shape: Shape,
    pub faults: Vec<Planned>,
    #[serde(default)]
    pub decisions: Vec<PlannedDecision>,
}

/// The network and its clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Nodes of the central bank.
    pub central_banks: u16,
    /// The number of them whose signatures a header needs.
    pub header_signatures: u16,
    pub banks: u16,
    /// How many of the banks have full replicas.
    pub full_replicas: u16,
    /// At least [`Shape::wallets_min`].
    pub wallets: u32,
    /// Payments a second, of all wallets together.
    pub rate_per_s: f64,
    pub checkpoint_every_blocks: u64,
    /// Log entries before a checkpoint that a node that was away is still sent.
    #[serde(default = "many_entries")]
    pub entries_for_followers: u64,
    /// The time in which faults begin, ms.
    pub duration_ms: u64,
}

fn many_entries() -> u64 {
    100_000
}

impl Shape {
    /// The least number of wallets with so many banks.
    pub fn wallets_min(banks: u16) -> u32 {
        (2 * u32::from(banks)).max(4)
    }
}

/// What is asked of the networks that seeds draw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// So many nodes of the central bank.
    pub central_banks: Option<u16>,
    /// One bank, and faults for a few seconds.
    pub small: bool,
}

impl Plan {
    /// Whether the nodes that order stay the same.
    pub fn keeps_members(&self) -> bool {
        let changes = |decision| matches!(decision, Decision::Admit | Decision::Dismiss { .. });
        !self.decisions.iter().any(|planned| changes(planned.decision))
    }

    /// Whether a further node waits to be admitted.
    pub fn admits(&self) -> bool {
        self.decisions.iter().any(|planned| planned.decision == Decision::Admit)
    }

    /// The plan of a seed.
    pub fn draw(seed: u64, wanted: Wanted) -> Plan {
        let random = &mut StdRng::seed_from_u64(seed);
        let drawn = [1, 3, 3, 3, 3, 5][random.random_range(0..6)];
        let central_banks = wanted.central_banks.unwrap_or(if wanted.small { 3 } else { drawn });
        let (banks, duration_ms) = match wanted.small {
            true => (1, 1_000..4_000),
            false => (random.random_range(1..=3), 4_000..14_000),
        };
        let shape = Shape {
            central_banks,
            header_signatures: if random.random_bool(0.25) { central_banks.div_ceil(2) } else { 1 },
            banks,
            full_replicas: random.random_range(0..=banks),
            wallets: Shape::wallets_min(banks) + random.random_range(0..=5),
            rate_per_s: [2.0, 10.0, 40.0][random.random_range(0..3)],
            checkpoint_every_blocks: [15, 60, 1_000][random.random_range(0..3)],
            entries_for_followers: many_entries(),
            duration_ms: random.random_range(duration_ms),
        };
        let nodes = usize::from(central_banks + banks);
        let faults = draw(random, nodes, shape.duration_ms);
        let decisions = committee::draw(random, (central_banks, banks), shape.duration_ms);
        Plan { shape, faults, decisions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_follows_from_its_seed_and_survives_being_written() {
        let plans: Vec<Plan> = (0..200).map(|seed| Plan::draw(seed, Wanted::default())).collect();
        for (seed, plan) in plans.iter().enumerate() {
            assert_eq!(*plan, Plan::draw(seed as u64, Wanted::default()));
            let written = serde_json::to_string(plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&written).unwrap(), *plan);
        }
        // Every kind is drawn by some seed, and is missing in some.
        let kinds = |plan: &Plan| plan.faults.iter().map(|planned| planned.fault.kind()).collect::<Vec<_>>();
        for kind in crate::faults::Fault::KINDS {
            assert!(plans.iter().any(|plan| kinds(plan).contains(&kind)), "{kind}");
            assert!(plans.iter().any(|plan| !kinds(plan).contains(&kind)), "{kind}");
        }
    }
}
