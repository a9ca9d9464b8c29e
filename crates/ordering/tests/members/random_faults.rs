//! Faults at random while proposals go on: members are killed, cut off in one or both directions, and hand over.
//!
//! The seed is printed; `CBDC_ORDERING_SEED` sets it, `CBDC_ORDERING_ROUNDS` the number of faults. The schedule of
//! faults is the same for a seed, what happens between them is not.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering as MemoryOrdering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cbdc_ordering::{MemberId, Position, ProposeError};

use crate::network::{Network, Settings, bytes, wait_for};

const ROUNDS: u64 = 6;

/// A small generator (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number, found {value}")))
}

/// What became of the proposals.
#[derive(Default)]
struct Outcomes {
    acknowledged: Vec<(Position, Bytes)>,
    refused: Vec<Bytes>,
}

/// Proposes to `member` as long as it runs and `goes_on`; it takes a refusal when it does not lead.
fn propose_on(
    network: &Network,
    member: MemberId,
    life: u64,
    goes_on: &Arc<AtomicBool>,
    outcomes: &Arc<Mutex<Outcomes>>,
) {
    let (ordering, goes_on, outcomes) = (network.ordering(member), goes_on.clone(), outcomes.clone());
    network.meanwhile(member, async move {
        let ordering = Arc::downgrade(&ordering);
        let mut number = 0;
        while goes_on.load(MemoryOrdering::Acquire) {
            let Some(ordering) = ordering.upgrade() else { return };
            if !ordering.leadership().borrow().is_leader() {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            let proposal = bytes(format!("{member}/{life}/{number}"));
            number += 1;
            let outcome = ordering.propose(proposal.clone()).await;
            drop(ordering);
            tokio::time::sleep(Duration::from_millis(3)).await;
            let mut outcomes = outcomes.lock().unwrap();
            match outcome {
                Ok(position) => outcomes.acknowledged.push((position, proposal)),
                Err(ProposeError::NotLeader { .. }) => outcomes.refused.push(proposal),
                Err(_) => {}
            }
        }
    });
}

fn survive(count: u64, seed: u64, rounds: u64) {
    println!("CBDC_ORDERING_SEED={seed} CBDC_ORDERING_ROUNDS={rounds}, {count} members");
    let mut random = Random(seed);
    let mut network = Network::start(count, Settings { silence_ms: (100, 500), ..Settings::default() });
    let (goes_on, outcomes) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Outcomes>>::default());
    for member in 1..=count {
        propose_on(&network, member, 0, &goes_on, &outcomes);
    }
    network.propose("first", &[]);
    for round in 1..=rounds {
        let victim = match random.next(2) {
            0 => network.leader(&[]),
            _ => 1 + random.next(count),
        };
        let fault = random.next(5);
        match fault {
            0 => network.kill(victim),
            1 => network.cut_off(victim, true),
            2 | 3 => {
                let other = 1 + (victim + random.next(count - 1)) % count;
                let (from, to) = if fault == 2 { (victim, other) } else { (other, victim) };
                network.cut(from, to, true);
            }
            _ => {
                let ordering = network.ordering(victim);
                let _ = network.on(victim, ordering.hand_over(None, Duration::from_millis(500)));
            }
        }
        println!("round {round}: fault {fault} at member {victim}");
        std::thread::sleep(Duration::from_millis(50 + random.next(500)));
        // A majority is whole at any time, so the network goes on.
        let apart = if fault < 2 { vec![victim] } else { vec![] };
        network.propose(format!("round {round}"), &apart);
        for other in (1..=count).filter(|other| *other != victim) {
            network.cut(victim, other, false);
            network.cut(other, victim, false);
        }
        if fault == 0 {
            network.start_member(victim);
            propose_on(&network, victim, round, &goes_on, &outcomes);
        }
    }
    goes_on.store(false, MemoryOrdering::Release);
    let (_, last) = network.propose("last", &[]);
    let outcomes = std::mem::take(&mut *outcomes.lock().unwrap());
    network.check_agreement(last, &outcomes.acknowledged);
    for member in 1..=count {
        assert_eq!(network.ordering(member).state().failure, None, "member {member}");
    }
    let leader = network.leader(&[]);
    wait_for("all of it is delivered", || {
        (network.proposals(leader).len() > outcomes.acknowledged.len()).then_some(())
    });
    let delivered: Vec<Bytes> = network.proposals(leader).into_values().map(|(_, proposal)| proposal).collect();
    let once: BTreeSet<&Bytes> = delivered.iter().collect();
    assert_eq!(once.len(), delivered.len(), "nothing is ordered twice");
    for refused in &outcomes.refused {
        assert!(!once.contains(refused), "{refused:?} was refused as certainly not ordered");
    }
    assert!(!outcomes.acknowledged.is_empty());
    println!("{} acknowledged, {} refused", outcomes.acknowledged.len(), outcomes.refused.len());
}

#[test]
fn random_faults_lose_nothing_and_double_nothing() {
    let seed = number("CBDC_ORDERING_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let rounds = number("CBDC_ORDERING_ROUNDS").unwrap_or(ROUNDS);
    survive(3 + 2 * (seed % 2), seed, rounds);
}
