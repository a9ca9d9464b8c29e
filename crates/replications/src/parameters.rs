//! Reads a paper's parameters and records each with its value in force and its origin.

use std::ops::RangeInclusive;

use cbdc_scenario_file::{ScenarioError, Section};
use serde::Serialize;

/// The origin of a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Printed in the paper or in its authors' code.
    Paper,
    /// Read in another published source, which the scenario file names.
    Published,
    /// Set by us so that a published figure comes out.
    Calibrated,
    /// Our own choice: not given in the paper, or a parameter of our model only.
    Ours,
    /// The size of the run.
    Run,
}

/// A parameter in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameter {
    /// Dotted path in the scenario file.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Its meaning, with its unit.
    pub meaning: &'static str,
    /// Origin of the value.
    pub origin: Origin,
}

/// A table of the scenario file that records what is read.
pub struct Reader<'a> {
    section: Section<'a>,
    path: &'static str,
    read: Vec<Parameter>,
}

impl<'a> Reader<'a> {
    /// Reads a table under `path`, which is shown before each key.
    pub fn new(section: Section<'a>, path: &'static str) -> Self {
        Self { section, path, read: Vec::new() }
    }

    /// A number within `range`.
    ///
    /// # Errors
    /// The value is not a number, or is out of range.
    pub fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<f64>,
        default: f64,
        origin: Origin,
        meaning: &'static str,
    ) -> Result<f64, ScenarioError> {
        let value = self.section.number(key, range, default)?;
        self.remember(key, value.to_string(), origin, meaning);
        Ok(value)
    }

    /// A whole number within `range`.
    ///
    /// # Errors
    /// The value is not a whole number, or is out of range.
    pub fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
        origin: Origin,
        meaning: &'static str,
    ) -> Result<u64, ScenarioError> {
        let value = self.section.integer(key, range, default)?;
        self.remember(key, value.to_string(), origin, meaning);
        Ok(value)
    }

    /// Refuses keys that were not read, and returns the parameters.
    ///
    /// # Errors
    /// The first unknown key, with the nearest known one.
    pub fn end(self) -> Result<Vec<Parameter>, ScenarioError> {
        self.section.end()?;
        Ok(self.read)
    }

    fn remember(&mut self, key: &str, value: String, origin: Origin, meaning: &'static str) {
        let key = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        self.read.push(Parameter { key, value, meaning, origin });
    }
}
