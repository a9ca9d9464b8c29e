//! `[network]`: the number of banks, their checks and their replicas.

use serde::Serialize;

use super::error::ScenarioError;
use super::section::Section;

/// The part of the chain that a bank keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replica {
    /// The whole pseudonymous chain.
    Full,
    /// A partial replica: headers and the commands of the bank's own customers.
    Partial,
}

impl Replica {
    /// The word of the scenario file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
        }
    }
}

/// The network's shape.
///
/// | key | default | range |
/// |---|---|---|
/// | `banks` | 3 | 1 to 64 |
/// | `precheck_signatures` | true | – |
/// | `replica` | `"full"` | `"full"`, `"partial"` |
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Network {
    /// The number of commercial banks; there is one central bank.
    pub banks: u32,
    /// Whether banks check signatures too, before they relay, as a node does by default; the central bank always does.
    pub precheck_signatures: bool,
    /// The part of the chain that banks keep.
    pub replica: Replica,
}

impl Network {
    pub(super) fn read(mut section: Section<'_>) -> Result<Self, ScenarioError> {
        let network = Self {
            banks: section.integer("banks", 1..=64, 3)? as u32,
            precheck_signatures: section.boolean("precheck_signatures", true)?,
            replica: section.choice("replica", &[("full", Replica::Full), ("partial", Replica::Partial)])?,
        };
        section.end()?;
        Ok(network)
    }
}
