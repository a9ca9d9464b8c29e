//! `[[event]]`: what happens to the network or to policy while the load runs.
//!
//! | key | meaning |
//! |---|---|
//! | `at_s` | seconds from the first payment due, warm-up included; required |
//! | `action` | `"kill"` (SIGKILL), `"stop"` (SIGTERM), `"restart"` or `"policy"`; required |
//! | `node` | for the first three: `"central-bank"`, or `"bank-1"` for the first bank and so on; required |
//! | the keys of `[policy]` | for `"policy"`: at least one; decided by the committee's vote, in force when enacted |

use std::fmt;

use serde::{Serialize, Serializer};

use super::error::ScenarioError;
use super::policy::PolicyChange;
use super::section::Section;

/// A node of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeName {
    /// The central bank's node.
    CentralBank,
    /// A commercial bank by its index from 0; written `bank-1` for index 0.
    Bank(u32),
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CentralBank => f.write_str("central-bank"),
            Self::Bank(index) => write!(f, "bank-{}", index + 1),
        }
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What an event does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// The node's process gets SIGKILL: nothing is flushed.
    Kill {
        /// Which node.
        node: NodeName,
    },
    /// The node's process gets SIGTERM: a graceful stop.
    Stop {
        /// Which node.
        node: NodeName,
    },
    /// The node is started again on its data.
    Restart {
        /// Which node.
        node: NodeName,
    },
    /// The committee votes a change of policy.
    Policy(PolicyChange),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { node } => write!(f, "kill {node}"),
            Self::Stop { node } => write!(f, "stop {node}"),
            Self::Restart { node } => write!(f, "restart {node}"),
            Self::Policy(change) => write!(f, "policy: {}", change.clauses().join(", ")),
        }
    }
}

/// One thing that happens at one time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Seconds from the first payment due, warm-up included.
    pub at_s: f64,
    /// What happens.
    #[serde(flatten)]
    pub action: Action,
}

#[derive(Clone, Copy)]
enum Kind {
    Kill,
    Stop,
    Restart,
    Policy,
}

const KINDS: [(&str, Kind); 4] =
    [("kill", Kind::Kill), ("stop", Kind::Stop), ("restart", Kind::Restart), ("policy", Kind::Policy)];
const POLICY_KEYS: [&str; 5] =
    ["supply_cap_minor", "issuance_quota_minor", "holding_limit_minor", "payment_limit_minor", "day_limit_minor"];

impl Event {
    pub(super) fn read(mut section: Section<'_>, banks: u32, total_s: f64) -> Result<Self, ScenarioError> {
        let Some(at_s) = section.optional_number("at_s", 0.0..=total_s)? else {
            return Err(section.mistake("at_s", "`at_s`, the event's time in seconds", "none"));
        };
        if !section.gives("action") {
            let words: Vec<_> = KINDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            return Err(section.mistake("action", format!("`action`, one of {}", words.join(", ")), "none"));
        }
        let kind = section.choice("action", &KINDS)?;
        let action = match kind {
            Kind::Policy => {
                section.only_when(&["node"], "`node` only with action = \"kill\", \"stop\" or \"restart\"");
                let change = PolicyChange::read(&mut section)?;
                if change.is_empty() && !section.gives("node") {
                    let expected = format!("at least one of {}", POLICY_KEYS.join(", "));
                    return Err(section.mistake("action", expected, "a policy event that changes nothing"));
                }
                Action::Policy(change)
            }
            Kind::Kill | Kind::Stop | Kind::Restart => {
                section.only_when(&POLICY_KEYS, "policy figures only with action = \"policy\"");
                let node = read_node(&mut section, banks)?;
                match kind {
                    Kind::Kill => Action::Kill { node },
                    Kind::Stop => Action::Stop { node },
                    _ => Action::Restart { node },
                }
            }
        };
        section.end()?;
        Ok(Self { at_s, action })
    }
}

fn read_node(section: &mut Section<'_>, banks: u32) -> Result<NodeName, ScenarioError> {
    let expected = format!("\"central-bank\", or \"bank-1\" to \"bank-{banks}\"");
    let Some(word) = section.text("node")? else {
        return Err(section.mistake("node", format!("`node`: {expected}"), "none"));
    };
    if word == "central-bank" {
        return Ok(NodeName::CentralBank);
    }
    let number = word.strip_prefix("bank-").and_then(|number| number.parse::<u32>().ok());
    match number {
        Some(number) if (1..=banks).contains(&number) => Ok(NodeName::Bank(number - 1)),
        _ => Err(section.mistake("node", expected, format!("\"{word}\""))),
    }
}
