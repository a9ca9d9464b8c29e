//! `[network]`: the number of banks and of the central bank's nodes, their checks and their replicas.

use cbdc_devnet::NetworkSpec;
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
/// | `central_banks` | 1 | 1, 3, 5 or 7: the central bank's nodes, which order together |
/// | `header_signatures` | 1 | 1 to `central_banks`: nodes that must sign a block's header |
/// | `verify_on_followers` | false | with several nodes of the central bank |
/// | `precheck_signatures` | true | – |
/// | `replica` | `"full"` | `"full"`, `"partial"` |
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Network {
    /// The number of commercial banks.
    pub banks: u32,
    /// The number of the central bank's nodes.
    pub central_banks: u32,
    /// The number of them whose signatures a header needs.
    pub header_signatures: u32,
    /// Whether nodes of the central bank that follow verify signatures too. Left out of a scenario's hash while false,
    /// which is that of earlier versions then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub verify_on_followers: bool,
    /// Whether banks check signatures too, before they relay, as a node does by default; the central bank always does.
    pub precheck_signatures: bool,
    /// The part of the chain that banks keep.
    pub replica: Replica,
}

impl Network {
    pub(super) fn read(mut section: Section<'_>) -> Result<Self, ScenarioError> {
        let nodes_max = u64::from(NetworkSpec::CENTRAL_BANKS_MAX);
        let central_banks = section.integer("central_banks", 1..=nodes_max, 1)?;
        NetworkSpec::check_central_banks(central_banks)
            .map_err(|expected| section.mistake("central_banks", expected, central_banks.to_string()))?;
        let verify_on_followers = section.boolean("verify_on_followers", false)?;
        if verify_on_followers && central_banks == 1 {
            let expected = "several nodes of the central bank (network.central_banks) for followers to verify";
            return Err(section.mistake("verify_on_followers", expected, "true with one node"));
        }
        let network = Self {
            banks: section.integer("banks", 1..=64, 3)? as u32,
            central_banks: central_banks as u32,
            header_signatures: section.integer("header_signatures", 1..=central_banks, 1)? as u32,
            verify_on_followers,
            precheck_signatures: section.boolean("precheck_signatures", true)?,
            replica: section.choice("replica", &[("full", Replica::Full), ("partial", Replica::Partial)])?,
        };
        section.end()?;
        Ok(network)
    }
}
