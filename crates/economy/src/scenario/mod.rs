//! Scenarios: an economy, its policy and its shocks, written in TOML.
//!
//! 1. The file is parsed into a document that remembers positions; [`Scenario::set`] lays `key.path = value` over it.
//! 2. Each table is read key by key, with a default and a range; an unknown key is an error. A mistake names
//!    file, line, column, key and the allowed range.
//! 3. The effective values, every default written out, are the *canonical form*. Its BLAKE3 is [`Scenario::hash`],
//!    which names the scenario in every result. Name and description are not part of it, nor is the number of threads.
//!
//! Units are last in every key: `_minor` (cents), `_ppm` (parts per million a year), `_days`.
//!
//! | table | holds |
//! |---|---|
//! | `[time]`, `[households]`, `[firms]`, `[banks]`, `[investors]` | agents and opening balances ([`population`]) |
//! | `[policy]`, `[[schedule]]`, `[[rule]]` | the central bank's policy ([`policy`]) |
//! | `[[shock]]` | events from outside ([`shock`]) |
//! | `[behaviour]` | the words that choose each behaviour's model ([`behaviour`](crate::behaviour)) |
//! | `[adoption]`, `[portfolio]`, … | a behaviour's parameters |

pub mod policy;
pub mod population;
pub mod shock;

use std::path::Path;

use cbdc_scenario_file::{Document, ScenarioError, Section, text_file};
use serde::Serialize;

use crate::behaviour::Behaviours;
use policy::{Policy, Provision, Rule, Scheduled};
use population::{Banks, Firms, Households, Investors, Time};
use shock::Shock;

/// A scenario: its effective values, and the text from which they were read.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    pub description: String,
    pub seed: u64,
    /// Threads for the households' decisions. Any number gives the same results.
    pub threads: usize,
    pub values: Values,
    source: ScenarioText,
}

/// The effective values on which a result depends.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Values {
    pub time: Time,
    pub households: Households,
    pub firms: Firms,
    pub banks: Banks,
    pub investors: Investors,
    pub policy: Policy,
    pub schedule: Vec<Scheduled>,
    pub rules: Vec<Rule>,
    pub shocks: Vec<Shock>,
    pub behaviours: Behaviours,
}

#[derive(Clone, Debug)]
struct ScenarioText {
    file: String,
    text: String,
    overrides: Vec<(String, String)>,
}

impl Scenario {
    /// Reads a scenario's file.
    ///
    /// # Errors
    /// The file cannot be read, or the first mistake in it, with its line.
    pub fn read(path: &Path) -> Result<Scenario, ScenarioError> {
        let text = text_file::read(path, Path::new("simulations/economy"))?;
        Scenario::parse(&path.display().to_string(), &text)
    }

    /// Reads a scenario from text; `name` is shown in mistakes, and its stem names the scenario unless the text does.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(name: &str, text: &str) -> Result<Scenario, ScenarioError> {
        resolve(ScenarioText { file: name.to_owned(), text: text.to_owned(), overrides: Vec::new() })
    }

    /// Lays a value over a key, such as `policy.holding_limit_minor` = `50_000`. The value is TOML; a bare word is
    /// text. Seed and threads stay as they are unless they are the key. On an error the scenario is unchanged.
    ///
    /// # Errors
    /// No such key, or the value is out of its range; the position is that of the override.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ScenarioError> {
        self.set_all([(key, value)])
    }

    /// Like [`Scenario::set`] for several keys at once: only the scenario with all of them has to be valid, so that
    /// their order does not matter.
    ///
    /// # Errors
    /// Those of [`Scenario::set`].
    pub fn set_all<'k>(&mut self, pairs: impl IntoIterator<Item = (&'k str, &'k str)>) -> Result<(), ScenarioError> {
        let mut source = self.source.clone();
        let (mut sets_seed, mut sets_threads) = (false, false);
        for (key, value) in pairs {
            (sets_seed, sets_threads) = (sets_seed || key == "seed", sets_threads || key == "threads");
            source.overrides.push((key.to_owned(), value.to_owned()));
        }
        let (seed, threads) = (self.seed, self.threads);
        *self = resolve(source)?;
        if !sets_seed {
            self.seed = seed;
        }
        if !sets_threads {
            self.threads = threads;
        }
        Ok(())
    }

    /// Every key of `[time]`, `[households]`, `[firms]`, `[banks]` and `[investors]`, with its value and meaning.
    pub fn population(&self) -> Vec<Provision> {
        let values = &self.values;
        [
            values.time.listed(),
            values.households.listed(),
            values.firms.listed(),
            values.banks.listed(),
            values.investors.listed(),
        ]
        .concat()
    }

    /// BLAKE3 of the canonical form, in hexadecimal.
    pub fn hash(&self) -> String {
        blake3::hash(self.canonical().as_bytes()).to_hex().to_string()
    }

    /// The effective values as JSON: the same for any two scenarios that mean the same.
    pub fn canonical(&self) -> String {
        serde_json::to_string(&self.values).expect("numbers, texts and lists always have a JSON form")
    }

    /// Path of the file as given.
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// The overrides laid over it, in order.
    pub fn overrides(&self) -> &[(String, String)] {
        &self.source.overrides
    }
}

fn resolve(source: ScenarioText) -> Result<Scenario, ScenarioError> {
    let mut document = Document::parse(&source.file, &source.text)?;
    for (key, value) in &source.overrides {
        document.set(key, value)?;
    }
    let mut root = Section::root(&document);
    let stem = Path::new(&source.file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = root.text("name")?.or(stem).unwrap_or_default();
    let description = root.text("description")?.unwrap_or_default();
    let seed = root.integer("seed", 0..=i64::MAX as u64, 1)?;
    let threads = root.integer("threads", 1..=256, 1)? as usize;
    let banks = Banks::read(&mut root)?;
    let values = Values {
        time: Time::read(&mut root)?,
        households: Households::read(&mut root)?,
        firms: Firms::read(&mut root)?,
        policy: Policy::read(&mut root)?,
        schedule: Scheduled::read_all(&mut root)?,
        rules: Rule::read_all(&mut root)?,
        shocks: Shock::read_all(&mut root, banks.count)?,
        banks,
        investors: Investors::read(&mut root)?,
        behaviours: Behaviours::read(&mut root)?,
    };
    let tax = values.behaviours.fiscal.parameters.tax;
    values.firms.check_months(&mut root, &values.households, tax)?;
    values.behaviours.adoption.check_initial(&mut root)?;
    policy::check_tiers(&mut root, &values.policy, &values.schedule, &values.rules)?;
    root.end()?;
    Ok(Scenario { name, description, seed, threads, values, source })
}

/// A whole number that may be negative, such as a rate in ppm.
fn whole(section: &mut Section<'_>, key: &'static str, least: i64, most: i64) -> Result<Option<i64>, ScenarioError> {
    let Some(number) = section.optional_number(key, least as f64..=most as f64)? else { return Ok(None) };
    if number.fract() != 0.0 {
        return Err(section.mistake(key, format!("a whole number from {least} to {most}"), number.to_string()));
    }
    Ok(Some(number as i64))
}
