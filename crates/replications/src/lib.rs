//! Replications of published results: each module rebuilds one paper and compares its outcome with ours.
//!
//! `cbdc replications` builds all of them. A paper has a scenario file under `simulations/replications/` with every
//! parameter, a module here that runs it, and a page. The claims differ from paper to paper:
//!
//! * exactly: the five conversion rules ([`conversion`]), the steady states of [`operational_framework`], static
//!   outflow of a given distribution ([`static_outflow`]);
//! * in sign and order, with paired seeds: [`flight_to_quality`], [`bank_run`], [`adoption`], and over ranges of
//!   parameters [`slow_fast`]. The last three are smaller models of our own, and their pages say so. A sign that does
//!   not come out is shown as such.
//!
//! Levels are never claimed where a paper's code or data are not public. All figures are the same on any machine
//! and any number of threads: randomness comes from seeds ([`rng`]), transcendental functions from the `libm` crate,
//! and money inside the agent-based models is whole minor units.

#![forbid(unsafe_code)]

pub mod adoption;
pub mod bank_run;
pub mod comparison;
pub mod conversion;
pub mod flight_to_quality;
pub mod normal;
pub mod operational_framework;
pub mod page;
pub mod paired;
pub mod parallel;
pub mod parameters;
pub mod rng;
pub mod slow_fast;
pub mod static_outflow;

use cbdc_scenario_file::{Document, ScenarioError, Section};

use self::comparison::Comparison;
use self::flight_to_quality::books::Imbalance;
use self::operational_framework::newton::NoSolution;

/// The reason why a paper could not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// A mistake in the scenario file.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The steady state was not found.
    #[error("no steady state was found: {0}")]
    NoSolution(#[from] NoSolution),
    /// An accounting identity does not hold.
    #[error("a defect of the model: {0}")]
    Imbalance(#[from] Imbalance),
    /// An accounting identity does not hold in the model of a bank run.
    #[error("a defect of the model: {0}")]
    BankRunImbalance(#[from] bank_run::economy::Imbalance),
    /// No value of the parameter yields the target.
    #[error("calibrating {what}: expected {expected}, found {found}")]
    NoCalibration {
        /// The parameter to be calibrated.
        what: String,
        /// The attainable targets.
        expected: String,
        /// The target given.
        found: String,
    },
}

/// A paper: its name, its scenario in the repository, and its replication.
pub struct Paper {
    /// Name on the command line, stem of the scenario and of the page.
    pub name: &'static str,
    /// One line for lists.
    pub about: &'static str,
    /// The scenario file in the repository.
    pub scenario: &'static str,
    compare: fn(&mut Section<'_>, usize) -> Result<Comparison, ReplicationError>,
}

/// All papers, in the order of the index.
pub const PAPERS: [Paper; 6] = [
    Paper {
        name: "operational-framework",
        about: "Abad, Nu\u{f1}o and Thomas: floor, corridor and ceiling as CBDC demand grows, to the printed digits",
        scenario: include_str!("../../../simulations/replications/operational-framework.toml"),
        compare: |root, _| operational_framework::compare(root),
    },
    Paper {
        name: "static-outflow",
        about: "ECB note and others: what leaves if everyone fills the wallet",
        scenario: include_str!("../../../simulations/replications/static-outflow.toml"),
        compare: |root, _| static_outflow::compare(root),
    },
    Paper {
        name: "flight-to-quality",
        about: "Barucci, Gurgone, Iori and Azzone: conversion exactly, and an agent-based economy in signs and orders",
        scenario: include_str!("../../../simulations/replications/flight-to-quality.toml"),
        compare: flight_to_quality::compare,
    },
    Paper {
        name: "bank-run",
        about: "Hess: a run from banks into CBDC under six regimes, in signs",
        scenario: include_str!("../../../simulations/replications/bank-run.toml"),
        compare: bank_run::compare,
    },
    Paper {
        name: "adoption",
        about: "Le\u{f3}n, Moreno and Soram\u{e4}ki: what raises the use of CBDC and what cuts cash, in signs",
        scenario: include_str!("../../../simulations/replications/adoption.toml"),
        compare: adoption::compare,
    },
    Paper {
        name: "slow-fast",
        about: "Bidder, Jackson and Rottner: slow against fast disintermediation, in signs",
        scenario: include_str!("../../../simulations/replications/slow-fast.toml"),
        compare: |root, _| slow_fast::compare(root),
    },
];

/// The paper of that name.
pub fn find(name: &str) -> Option<&'static Paper> {
    PAPERS.iter().find(|paper| paper.name == name)
}

/// The known name nearest to `name`, if one is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    cbdc_scenario_file::suggestion::nearest(name, PAPERS.iter().map(|paper| paper.name))
}

impl Paper {
    /// Rebuilds the paper with the scenario in the repository.
    ///
    /// # Errors
    /// See [`ReplicationError`]; the scenarios in the repository give none.
    pub fn compare(&self, threads: usize) -> Result<Comparison, ReplicationError> {
        let file = format!("simulations/replications/{}.toml", self.name);
        self.compare_with(&file, self.scenario, &[], threads)
    }

    /// Rebuilds the paper from a scenario's text, with `key=value` overrides laid over it. `file` is shown in mistakes.
    ///
    /// # Errors
    /// A mistake in the scenario, or parameters that have no solution.
    pub fn compare_with(
        &self,
        file: &str,
        text: &str,
        overrides: &[(String, String)],
        threads: usize,
    ) -> Result<Comparison, ReplicationError> {
        let mut document = Document::parse(file, text)?;
        for (key, value) in overrides {
            document.set(key, value)?;
        }
        let mut root = Section::root(&document);
        let paper = root.required_text("paper")?;
        if paper != self.name {
            return Err(root.mistake("paper", format!("\"{}\"", self.name), format!("\"{paper}\"")).into());
        }
        let comparison = (self.compare)(&mut root, threads)?;
        root.end()?;
        Ok(comparison)
    }
}
