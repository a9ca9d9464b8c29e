//! The checker: a history against the chain as it ended.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use cbdc_client::{BlockPosition, Height};
use cbdc_ledger::command::Signer;
use cbdc_ledger::outcome::Stage;
use serde::Serialize;

use super::{Answer, Ending, Hash, History, Moment, Ordered, Payment};

/// Sentences of one property that are kept.
const SENTENCES_MAX: usize = 20;

/// What a network promises to its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Property {
    /// What was answered with a position stands there.
    AnswersStand,
    /// Nothing settles twice.
    SettlesOnce,
    /// What was refused for good is not settled.
    RefusalsStand,
    /// Order agrees with real time.
    RealTimeOrder,
    /// Reads equal the replay at their height, and do not go back.
    ReadsAreReplay,
    /// All nodes have the same blocks.
    OneChain,
    /// The chain verifies, and money is conserved.
    Audit,
    /// A person's wallets together take in no more than the holding limit allows.
    LimitsHold,
    /// A majority has on its disks what counts as committed. A simulated run judges it.
    CommittedByMajority,
    /// A leader that a majority hears goes on leading. A simulated run judges it.
    KeepsLeader,
    /// The network serves again once nothing disturbs it. The checker does not judge it: a run does.
    Serves,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::AnswersStand => "answers stand",
            Property::SettlesOnce => "settles once",
            Property::RefusalsStand => "refusals stand",
            Property::RealTimeOrder => "real-time order",
            Property::ReadsAreReplay => "reads are replay",
            Property::OneChain => "one chain",
            Property::Audit => "audit",
            Property::LimitsHold => "limits hold",
            Property::CommittedByMajority => "committed by majority",
            Property::KeepsLeader => "keeps its leader",
            Property::Serves => "serves",
        })
    }
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub property: Property,
    /// What happened, with the operations and their times.
    pub sentence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.sentence)
    }
}

/// The violations of a history; at most so many of each property.
pub fn check(history: &History, ending: &Ending) -> Vec<Violation> {
    let mut found = Found::default();
    let places = Places::of(ending, &mut found);
    answers(history, ending, &places, &mut found);
    real_time_order(history, &places, &mut found);
    reads(history, ending, &mut found);
    one_chain(ending, &mut found);
    for (property, sentences) in [(Property::Audit, &ending.findings), (Property::LimitsHold, &ending.above_limits)] {
        sentences.iter().for_each(|sentence| found.add(property, sentence.clone()));
    }
    found.violations
}

#[derive(Default)]
struct Found {
    violations: Vec<Violation>,
    counts: BTreeMap<Property, usize>,
}

impl Found {
    fn add(&mut self, property: Property, sentence: String) {
        let count = self.counts.entry(property).or_default();
        *count += 1;
        if *count <= SENTENCES_MAX {
            self.violations.push(Violation { property, sentence });
        }
    }
}

/// The places of commands in the chain.
#[derive(Default)]
struct Places {
    /// Where a record used its sequence number: it settled there, or was refused.
    used: HashMap<Hash, BlockPosition>,
    /// Where a record settled.
    settled: HashMap<Hash, BlockPosition>,
    /// Where a sequence number was used.
    numbers: HashMap<(Signer, u64), BlockPosition>,
}

impl Places {
    /// Walks the chain once, and notes what settles twice.
    fn of(ending: &Ending, found: &mut Found) -> Places {
        let mut places = Places::default();
        for (position, command) in commands(ending) {
            let stage = command.reason.stage();
            if stage == Stage::BeforeOrdering {
                continue;
            }
            if stage == Stage::Settled
                && let Some(before) = places.settled.insert(command.record, position)
            {
                let sentence = format!("one record settled twice, at {before} and at {position}");
                found.add(Property::SettlesOnce, sentence);
            }
            if let Some(before) = places.numbers.insert((command.signer, command.sequence), position) {
                let (signer, sequence) = (signer_text(command.signer), command.sequence);
                let sentence = format!("sequence number {sequence} of {signer} was used at {before} and at {position}");
                found.add(Property::SettlesOnce, sentence);
            }
            places.used.insert(command.record, position);
        }
        places
    }
}

fn commands(ending: &Ending) -> impl Iterator<Item = (BlockPosition, &Ordered)> {
    ending.chain.iter().zip(1..).flat_map(|(block, height)| {
        let position = move |index| BlockPosition { height: Height(height), index };
        block.iter().zip(0..).map(move |(command, index)| (position(index), command))
    })
}

fn command_at(ending: &Ending, position: BlockPosition) -> Option<&Ordered> {
    let block = usize::try_from(position.height.0.checked_sub(1)?).ok()?;
    ending.chain.get(block)?.get(position.index as usize)
}

/// Answers with a position stand there; what was accepted is ordered; what was refused for good is not settled.
fn answers(history: &History, ending: &Ending, places: &Places, found: &mut Found) {
    for (number, payment) in history.payments.iter().enumerate() {
        // Another record may have taken its number: then it was refused.
        let is_decided = places.numbers.contains_key(&(Signer::Holder(payment.payer), payment.sequence));
        if payment.is_left && !is_decided {
            let sentence =
                format!("{} was accepted and left to the bank, and the chain does not have it", name(number, payment));
            found.add(Property::AnswersStand, sentence);
        }
        for answered in &payment.answers {
            let told = || {
                let answer = &answered.answer;
                format!("{} was answered {answer} at {}", name(number, payment), seconds(answered.answered))
            };
            match &answered.answer {
                Answer::Settled(position) | Answer::RefusedAt(position, _) => {
                    let there = command_at(ending, *position);
                    let is_it = there.is_some_and(|there| there.record == payment.record);
                    let reason = match answered.answer {
                        Answer::RefusedAt(_, reason) => reason,
                        _ => cbdc_client::Reason::Settled,
                    };
                    if !is_it {
                        let instead = match places.used.get(&payment.record) {
                            Some(place) => format!("the chain has it at {place}"),
                            None => format!("the chain, of {} blocks, does not have it", ending.chain.len()),
                        };
                        found.add(Property::AnswersStand, format!("{}, and {instead}", told()));
                    } else if let Some(other) = there.filter(|there| there.reason != reason) {
                        let sentence = format!("{}, and the chain has there {}", told(), other.reason);
                        found.add(Property::AnswersStand, sentence);
                    }
                }
                Answer::RefusedForGood(_) => {
                    if let Some(place) = places.settled.get(&payment.record) {
                        found.add(Property::RefusalsStand, format!("{}, and it settled at {place}", told()));
                    }
                }
                Answer::RefusedForNow(_) | Answer::Accepted | Answer::Unknown(_) => {}
            }
        }
    }
}

/// If A was answered before B was handed in, A stands before B. Where B stands is read from the chain, so that it need
/// not have been answered.
fn real_time_order(history: &History, places: &Places, found: &mut Found) {
    let numbered = || history.payments.iter().enumerate();
    // The first answer that names a position, of each payment.
    let mut answered: Vec<(Moment, BlockPosition, usize)> = numbered()
        .filter_map(|(number, payment)| {
            let named = payment.answers.iter().filter_map(|at| Some((at.answered, at.answer.position()?)));
            named.min().map(|(at, position)| (at, position, number))
        })
        .collect();
    answered.sort_unstable();
    let mut handed_in: Vec<(Moment, usize)> = numbered().map(|(number, payment)| (payment.handed_in, number)).collect();
    handed_in.sort_unstable();
    let mut answered = answered.into_iter().peekable();
    // The highest position that was answered so far.
    let mut highest: Option<(BlockPosition, Moment, usize)> = None;
    for (at, number) in handed_in {
        while let Some((answered_at, position, earlier)) = answered.next_if(|(answered_at, ..)| *answered_at < at) {
            highest = highest.max(Some((position, answered_at, earlier)));
        }
        let payment = &history.payments[number];
        let (Some(place), Some((before, answered_at, earlier))) = (places.used.get(&payment.record), highest) else {
            continue;
        };
        if *place <= before {
            let first = name(earlier, &history.payments[earlier]);
            found.add(
                Property::RealTimeOrder,
                format!(
                    "{first} was answered at {} and stands at {before}; {} was handed in later, at {}, and stands \
                     before it, at {place}",
                    seconds(answered_at),
                    name(number, payment),
                    seconds(at)
                ),
            );
        }
    }
}

/// Reads equal the replay, and a client's reads at one node do not go back.
fn reads(history: &History, ending: &Ending, found: &mut Found) {
    let mut of_clients: BTreeMap<(&str, &str), Vec<&super::Read>> = BTreeMap::new();
    for read in &history.reads {
        let said = || {
            let super::Read { client, node, subject, answered, height, minor, .. } = read;
            format!("{client} read {subject} at {node}: {minor} at height {height}, at {}", seconds(*answered))
        };
        match ending.replay.get(&(read.height, read.subject)) {
            Some(minor) if *minor == read.minor => {}
            Some(minor) => {
                found.add(Property::ReadsAreReplay, format!("{}, and the replay has {minor} there", said()));
            }
            None => {
                let sentence = format!("{}, and the chain has {} blocks", said(), ending.chain.len());
                found.add(Property::ReadsAreReplay, sentence);
            }
        }
        of_clients.entry((&read.client, &read.node)).or_default().push(read);
    }
    for ((client, node), mut asked) in of_clients {
        let mut answered = asked.clone();
        asked.sort_by_key(|read| read.asked);
        answered.sort_by_key(|read| read.answered);
        let mut answered = answered.into_iter().peekable();
        let mut highest: Option<(Height, Moment)> = None;
        for read in asked {
            while let Some(before) = answered.next_if(|before| before.answered < read.asked) {
                highest = highest.max(Some((before.height, before.answered)));
            }
            if let Some((before, at)) = highest.filter(|(before, _)| *before > read.height) {
                let (height, asked) = (read.height, seconds(read.asked));
                let sentence = format!(
                    "{client} read at {node} at height {before}, at {}, and asked later, at {asked}, at height {height}",
                    seconds(at)
                );
                found.add(Property::ReadsAreReplay, sentence);
            }
        }
    }
}

/// All nodes have the same block at each height.
fn one_chain(ending: &Ending, found: &mut Found) {
    let mut first: BTreeMap<Height, (&str, &Hash)> = BTreeMap::new();
    for node in &ending.nodes {
        let differs = |(height, own): (&Height, &Hash)| {
            let (other, theirs) = first.get(height)?;
            (*theirs != own).then_some((*height, *other))
        };
        if let Some((height, other)) = node.blocks.iter().find_map(differs) {
            let sentence = format!("{} and {other} have different blocks at height {height}", node.node);
            found.add(Property::OneChain, sentence);
        }
        for (height, own) in &node.blocks {
            first.entry(*height).or_insert((&node.node, own));
        }
    }
}

fn name(number: usize, payment: &Payment) -> String {
    let Payment { payer, payee, amount, sequence, handed_in, .. } = payment;
    let (minor, handed_in) = (amount.minor(), seconds(*handed_in));
    format!("payment {number} ({payer} pays {payee} {minor}, sequence number {sequence}, handed in at {handed_in})")
}

fn signer_text(signer: Signer) -> String {
    match signer {
        Signer::Holder(account) => account.to_string(),
        Signer::Member(role, id) => format!("{role} {id}"),
    }
}

fn seconds(at: Moment) -> String {
    format!("{:.3} s", at.as_secs_f64())
}
