//! The nodes that events name.

use std::fmt;

use serde::{Serialize, Serializer};

use super::error::ScenarioError;
use super::network::Network;
use super::section::Section;

/// A node of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeName {
    /// A node of the central bank by its index from 0; written `central-bank-1` for index 0.
    CentralBank(u32),
    /// A commercial bank by its index from 0; written `bank-1` for index 0.
    Bank(u32),
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CentralBank(index) => write!(f, "central-bank-{}", index + 1),
            Self::Bank(index) => write!(f, "bank-{}", index + 1),
        }
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The node of an event: one by its name, or one by its part when the event happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeChoice {
    /// A node by its name.
    Named(NodeName),
    /// The central bank's node that leads then.
    Leader,
    /// The node that the last event before met as the leader.
    FormerLeader,
}

const LEADER: &str = "leader";
const FORMER_LEADER: &str = "former-leader";

impl fmt::Display for NodeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            Self::Leader => f.write_str(LEADER),
            Self::FormerLeader => f.write_str(FORMER_LEADER),
        }
    }
}

impl Serialize for NodeChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The names of the central bank's nodes, as an error shows them.
fn central_banks(network: &Network) -> String {
    match network.central_banks {
        1 => "\"central-bank-1\"".to_owned(),
        nodes => format!("\"central-bank-1\" to \"central-bank-{nodes}\""),
    }
}

fn expected(network: &Network) -> String {
    let banks = network.banks;
    format!("\"{LEADER}\", \"{FORMER_LEADER}\", {}, or \"bank-1\" to \"bank-{banks}\"", central_banks(network))
}

fn numbered(word: &str, prefix: &str, count: u32) -> Option<u32> {
    let number = word.strip_prefix(prefix).and_then(|number| number.parse::<u32>().ok());
    number.filter(|number| (1..=count).contains(number)).map(|number| number - 1)
}

/// The bank with this name, if there is one.
pub(super) fn bank_of(word: &str, banks: u32) -> Option<NodeName> {
    numbered(word, "bank-", banks).map(NodeName::Bank)
}

fn central_bank_of(word: &str, network: &Network) -> Option<NodeName> {
    // Where there is only one it needs no number.
    let is_the_only_one = word == "central-bank" && network.central_banks == 1;
    let index = is_the_only_one.then_some(0).or_else(|| numbered(word, "central-bank-", network.central_banks));
    index.map(NodeName::CentralBank)
}

fn choice_of(word: &str, network: &Network) -> Option<NodeChoice> {
    match word {
        LEADER => Some(NodeChoice::Leader),
        FORMER_LEADER => Some(NodeChoice::FormerLeader),
        _ => central_bank_of(word, network).or_else(|| bank_of(word, network.banks)).map(NodeChoice::Named),
    }
}

/// Reads `node`, which must be there.
pub(super) fn read_node(section: &mut Section<'_>, network: &Network) -> Result<NodeChoice, ScenarioError> {
    let Some(word) = section.text("node")? else {
        return Err(section.mistake("node", format!("`node`: {}", expected(network)), "none"));
    };
    choice_of(&word, network).ok_or_else(|| section.mistake("node", expected(network), format!("\"{word}\"")))
}

/// Reads `nodes`, at least one of them and not all.
pub(super) fn read_nodes(section: &mut Section<'_>, network: &Network) -> Result<Vec<NodeChoice>, ScenarioError> {
    let Some(words) = section.texts("nodes")? else {
        return Err(section.mistake("nodes", format!("`nodes`, a list of {}", expected(network)), "none"));
    };
    if words.is_empty() {
        return Err(section.mistake("nodes", format!("at least one of {}", expected(network)), "an empty list"));
    }
    let mut nodes = Vec::new();
    for word in &words {
        let Some(node) = choice_of(word, network) else {
            return Err(section.mistake("nodes", expected(network), format!("\"{word}\"")));
        };
        if nodes.contains(&node) {
            return Err(section.mistake("nodes", "each node once", format!("\"{word}\" twice")));
        }
        nodes.push(node);
    }
    if nodes.len() as u32 >= network.central_banks + network.banks {
        return Err(section.mistake("nodes", "some of the nodes: others must be left on the other side", "all"));
    }
    Ok(nodes)
}

/// Reads `to`, a node of the central bank, if it is given.
pub(super) fn read_successor(section: &mut Section<'_>, network: &Network) -> Result<Option<NodeName>, ScenarioError> {
    let Some(word) = section.text("to")? else { return Ok(None) };
    let node = central_bank_of(&word, network);
    node.map(Some).ok_or_else(|| section.mistake("to", central_banks(network), format!("\"{word}\"")))
}
