//! Published results, paper against ours: each room rebuilds one paper and says what came out.
//!
//! One command builds all of it (`cbdc papers`). A paper is a scenario file under `simulations/replications/` that holds every
//! parameter, a room here that runs it, and a page. What may be claimed differs from paper to paper and is kept to:
//!
//! * exactly: the five conversion rules ([`conversion`]), the steady states of [`operational_framework`], static outflow
//!   of a given distribution ([`static_outflow`]);
//! * in sign and order, with paired seeds: [`flight_to_quality`], [`bank_run`], [`adoption`], and over ranges of
//!   parameters [`slow_fast`]. The last three are smaller models of our own, and their pages say so. A sign that does not
//!   come out is shown as such.
//!
//! Levels of papers whose code or data are not public are not claimed anywhere. All figures are the same on any machine
//! and any number of threads: randomness comes from seeds ([`chance`]), logarithms and the like from the `libm` crate,
//! and money inside the agent-based models is whole minor units.

pub mod adoption;
pub mod bank_run;
pub mod chance;
pub mod comparison;
pub mod conversion;
pub mod flight_to_quality;
pub mod normal;
pub mod operational_framework;
pub mod page;
pub mod paired;
pub mod parameters;
pub mod replication;
pub mod slow_fast;
pub mod static_outflow;

use cbdc_scenario_file::{Document, ScenarioError, Section};

use self::comparison::Comparison;
use self::flight_to_quality::books::Imbalance;
use self::operational_framework::newton::NoSolution;

/// Why a paper could not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    /// The scenario file says something that cannot be.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The steady state was not found.
    #[error("no steady state was found: {0}")]
    NoSolution(#[from] NoSolution),
    /// Money came from nowhere or went nowhere.
    #[error("a defect of the model: {0}")]
    Imbalance(#[from] Imbalance),
    /// The same in the smaller model of a bank run.
    #[error("a defect of the model: {0}")]
    BankRunImbalance(#[from] bank_run::economy::Imbalance),
    /// No parameter gives the figure asked for.
    #[error("calibrating {what}: expected {expected}, found {found}")]
    NoCalibration {
        /// What was to be set.
        what: String,
        /// What would have been possible.
        expected: String,
        /// What was asked for.
        found: String,
    },
}

/// One paper: its name, its scenario as shipped, and what runs it.
pub struct Paper {
    /// Name on the command line, stem of the scenario and of the page.
    pub name: &'static str,
    /// One line for lists.
    pub about: &'static str,
    /// The scenario file as shipped.
    pub scenario: &'static str,
    compare: fn(&mut Section<'_>, usize) -> Result<Comparison, PaperError>,
}

/// All papers, in the order of the index.
pub const PAPERS: [Paper; 6] = [
    Paper {
        name: "operational-framework",
        about: "Abad, Nu\u{f1}o and Thomas: floor, corridor and ceiling as CBDC demand grows, to the printed digits",
        scenario: include_str!("../../../../simulations/replications/operational-framework.toml"),
        compare: |root, _| operational_framework::compare(root),
    },
    Paper {
        name: "static-outflow",
        about: "ECB note and others: what leaves if everyone fills the wallet",
        scenario: include_str!("../../../../simulations/replications/static-outflow.toml"),
        compare: |root, _| static_outflow::compare(root),
    },
    Paper {
        name: "flight-to-quality",
        about: "Barucci, Gurgone, Iori and Azzone: conversion exactly, and an agent-based economy in signs and orders",
        scenario: include_str!("../../../../simulations/replications/flight-to-quality.toml"),
        compare: flight_to_quality::compare,
    },
    Paper {
        name: "bank-run",
        about: "Hess: a run from banks into CBDC under six regimes, in signs",
        scenario: include_str!("../../../../simulations/replications/bank-run.toml"),
        compare: bank_run::compare,
    },
    Paper {
        name: "adoption",
        about: "Le\u{f3}n, Moreno and Soram\u{e4}ki: what raises the use of CBDC and what cuts cash, in signs",
        scenario: include_str!("../../../../simulations/replications/adoption.toml"),
        compare: adoption::compare,
    },
    Paper {
        name: "slow-fast",
        about: "Bidder, Jackson and Rottner: slow against fast disintermediation, in signs",
        scenario: include_str!("../../../../simulations/replications/slow-fast.toml"),
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
    /// Rebuilds the paper as shipped.
    ///
    /// # Errors
    /// See [`PaperError`]; the shipped scenarios give none.
    pub fn compare(&self, threads: usize) -> Result<Comparison, PaperError> {
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
    ) -> Result<Comparison, PaperError> {
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
