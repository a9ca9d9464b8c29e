//! The keys of `[policy]` in scenarios, presets and events.
//!
//! Every parameter of the ledger has a key here. Values are read by the ledger's grammar (`cbdc_ledger::policy::text`),
//! so that they mean the same in a scenario, a preset and a governance proposal. Amounts under a key that ends in
//! `_minor` are whole minor units or `"none"` (0 is a limit too: the digital euro allows businesses no holdings);
//! inside text they are major units. In an event, an omitted key stays unchanged.

use std::collections::BTreeMap;
use std::fmt;

use cbdc_ledger::policy::{Parameters, text};
use cbdc_ledger::{Amount, Class};
use cbdc_scenario_file::document::{Node, Value, describe};
use cbdc_scenario_file::error::ScenarioError;
use cbdc_scenario_file::section::Section;
use serde::{Serialize, Serializer};

use super::per_class::word;

/// The largest amount in a scenario, which every JSON reader represents exactly.
pub const MINOR_MAX: u64 = 9_000_000_000_000_000;

/// Decimals of the major unit in every scenario.
pub const CURRENCY_EXPONENT: u8 = 2;

/// The form of a parameter's value in a scenario.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A whole number of minor units, or `"none"`.
    Minor,
    /// A whole number.
    Count,
    /// Text in the ledger's grammar.
    Text,
}

/// A key of `[policy]` and the ledger's name of the parameter.
struct Key {
    word: &'static str,
    name: &'static str,
    form: Form,
    by_class: bool,
}

const fn for_all(word: &'static str, name: &'static str, form: Form) -> Key {
    Key { word, name, form, by_class: false }
}

const fn by_class(word: &'static str, name: &'static str, form: Form) -> Key {
    Key { word, name, form, by_class: true }
}

const KEYS: [Key; 22] = [
    for_all("supply_cap_minor", "supply-cap", Form::Minor),
    for_all("issuance_quota_minor", "issuance-quota", Form::Minor),
    for_all("capitalisation", "capitalisation", Form::Text),
    for_all("policy_rate", "policy-rate", Form::Text),
    for_all("deposit_rate", "deposit-rate", Form::Text),
    for_all("lending_rate", "lending-rate", Form::Text),
    for_all("penalty_rate", "penalty-rate", Form::Text),
    for_all("reserves_rate_up_to", "reserves-rate-up-to", Form::Text),
    for_all("reserves_rate_above", "reserves-rate-above", Form::Text),
    for_all("reserve_requirement", "reserve-requirement", Form::Text),
    for_all("shortfall_rate", "shortfall-rate", Form::Text),
    for_all("maintenance_period", "maintenance-period", Form::Count),
    for_all("haircut", "haircut", Form::Text),
    for_all("work_per_block", "work-per-block", Form::Count),
    by_class("holding_limit_minor", "holding-limit", Form::Minor),
    by_class("payment_limit_minor", "payment-limit", Form::Minor),
    by_class("day_limit_minor", "day-limit", Form::Minor),
    by_class("month_limit_minor", "month-limit", Form::Minor),
    by_class("velocity", "velocity", Form::Text),
    by_class("remuneration", "remuneration", Form::Text),
    by_class("payer_fee", "payer-fee", Form::Text),
    by_class("payee_fee", "payee-fee", Form::Text),
];
const QUOTAS_OF_BANKS: &str = "issuance_quota_of_bank_minor";
const SOUND_RATES: &str = "deposit_rate ≤ policy_rate ≤ lending_rate ≤ penalty_rate, and no negative shortfall_rate";

/// The keys of `[policy]` that name a parameter.
pub fn policy_keys() -> Vec<&'static str> {
    KEYS.iter().map(|key| key.word).chain([QUOTAS_OF_BANKS]).collect()
}

/// A change of policy by an event or a preset; every other parameter stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyChange {
    /// Names and values in the ledger's form.
    settings: Vec<(String, String)>,
}

impl PolicyChange {
    /// The change that sets every parameter of a policy.
    pub fn all_of(parameters: &Parameters) -> Self {
        Self { settings: text::show(parameters, CURRENCY_EXPONENT) }
    }

    /// Reads the given keys.
    ///
    /// # Errors
    /// The first mistake, with its line and column.
    pub fn read(section: &mut Section<'_>) -> Result<Self, ScenarioError> {
        let mut change = Self::default();
        for key in &KEYS {
            let Some(node) = section.find(key.word) else { continue };
            match &node.value {
                Value::Table(_) if key.by_class => {
                    let mut table = section.table(key.word.to_owned(), node)?;
                    for class in Class::all() {
                        if let Some(node) = table.find(word(class)) {
                            change.note(&table, node, key.form, format!("{}.{class}", key.name))?;
                        }
                    }
                    table.end()?;
                }
                _ if key.by_class => {
                    for class in Class::all() {
                        change.note(section, node, key.form, format!("{}.{class}", key.name))?;
                    }
                }
                _ => change.note(section, node, key.form, key.name.to_owned())?,
            }
        }
        if let Some(node) = section.find(QUOTAS_OF_BANKS) {
            let Value::Table(quotas) = &node.value else {
                return Err(section.wrong(node, "a table by bank, such as { bank-2 = 500000 }"));
            };
            for (bank, quota) in quotas {
                change.note(section, &quota.node, Form::Minor, format!("issuance-quota.{bank}"))?;
            }
        }
        Ok(change)
    }

    /// Adds one setting, in the ledger's form.
    fn note(&mut self, section: &Section<'_>, node: &Node, form: Form, name: String) -> Result<(), ScenarioError> {
        let value = value_of(section, node, form)?;
        let mut parameters = Parameters::default();
        text::set(&mut parameters, &name, &value, CURRENCY_EXPONENT).map_err(|message| {
            let message = message.strip_prefix("expected ").unwrap_or(&message);
            let (expected, found) = message.rsplit_once(", found ").unwrap_or((message, ""));
            let found = if found.is_empty() { describe(&node.value) } else { found.replace('`', "\"") };
            section.mistake_at(node, expected, found)
        })?;
        let shown = text::show(&parameters, CURRENCY_EXPONENT).into_iter().find(|(shown, _)| *shown == name);
        self.settings.push(shown.unwrap_or((name, value)));
        Ok(())
    }

    /// Whether it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// Applies the settings to parameters.
    pub fn apply(&self, parameters: &mut Parameters) {
        for (name, value) in &self.settings {
            text::set(parameters, name, value, CURRENCY_EXPONENT).expect("the setting was read once before");
        }
    }

    /// One short clause per setting, for reports: `holding-limit.household = 500.00`.
    pub fn clauses(&self) -> Vec<String> {
        let mut clauses: Vec<String> = Vec::new();
        let mut rest = self.settings.as_slice();
        while let Some((name, value)) = rest.first() {
            let key = name.split_once('.').map_or(name.as_str(), |(key, _)| key);
            let all = rest.get(..Class::COUNT).filter(|all| {
                let of_key = |name: &str| name.split_once('.').is_some_and(|(of, _)| of == key);
                all.iter().all(|(name, other)| of_key(name) && other == value)
            });
            match all {
                Some(all) => {
                    clauses.push(format!("{key} of every class = {value}"));
                    rest = &rest[all.len()..];
                }
                None => {
                    clauses.push(format!("{name} = {value}"));
                    rest = &rest[1..];
                }
            }
        }
        clauses
    }
}

impl fmt::Display for PolicyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.clauses().join(", "))
    }
}

impl Serialize for PolicyChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        written(&self.settings).serialize(serializer)
    }
}

/// The value of a key in the ledger's grammar.
fn value_of(section: &Section<'_>, node: &Node, form: Form) -> Result<String, ScenarioError> {
    let whole = |number: &i128, most: u64| u64::try_from(*number).ok().filter(|number| *number <= most);
    match (form, &node.value) {
        (Form::Minor, Value::Text(word)) if word == "none" => Ok(word.clone()),
        (Form::Minor, Value::Integer(figure)) => match whole(figure, MINOR_MAX) {
            Some(figure) => Ok(Amount::from_minor(figure).to_major(CURRENCY_EXPONENT)),
            None => Err(section.wrong(node, &format!("a whole number from 0 to {MINOR_MAX}, or \"none\""))),
        },
        (Form::Minor, _) => Err(section.wrong(node, "a whole number of minor units, or \"none\"")),
        (Form::Count, Value::Integer(number)) if *number >= 0 => Ok(number.to_string()),
        (Form::Count, _) => Err(section.wrong(node, "a whole number")),
        (Form::Text, Value::Text(text)) => Ok(text.clone()),
        (Form::Text, _) => Err(section.wrong(node, "text in quotes")),
    }
}

/// A value in TOML.
#[derive(Serialize, Clone, PartialEq)]
#[serde(untagged)]
enum Written {
    Text(String),
    Number(u64),
    Table(BTreeMap<String, Written>),
}

/// Settings under the keys of a scenario; classes with equal values are written as one value.
fn written(settings: &[(String, String)]) -> BTreeMap<&'static str, Written> {
    let mut keys = BTreeMap::new();
    for key in &KEYS {
        if !key.by_class {
            let found = settings.iter().find(|(name, _)| name == key.name);
            keys.extend(found.map(|(_, value)| (key.word, write(key.form, value))));
            continue;
        }
        let table = table_of(settings, key.name, key.form);
        let mut values = table.values();
        let first = values.next().cloned();
        match first {
            Some(value) if table.len() == Class::COUNT && values.all(|other| *other == value) => {
                keys.insert(key.word, value);
            }
            Some(_) => {
                keys.insert(key.word, Written::Table(table));
            }
            None => {}
        }
    }
    let quotas = table_of(settings, "issuance-quota", Form::Minor);
    if !quotas.is_empty() {
        keys.insert(QUOTAS_OF_BANKS, Written::Table(quotas));
    }
    keys
}

/// The settings `name.OF`, by their `OF`.
fn table_of(settings: &[(String, String)], name: &str, form: Form) -> BTreeMap<String, Written> {
    let of_name = settings.iter().filter_map(|(full, value)| {
        let (found, of) = full.split_once('.')?;
        (found == name).then(|| (of.to_owned(), write(form, value)))
    });
    of_name.collect()
}

fn write(form: Form, value: &str) -> Written {
    let number = match form {
        Form::Minor => Amount::parse_major(value, CURRENCY_EXPONENT).ok().map(Amount::minor),
        Form::Count => value.split(' ').next().and_then(|number| number.parse().ok()),
        Form::Text => None,
    };
    number.map_or_else(|| Written::Text(value.to_owned()), Written::Number)
}

/// The rule that the parameters violate, if they are inconsistent.
pub fn unsound(parameters: &Parameters) -> Option<&'static str> {
    (!parameters.is_sound()).then_some(SOUND_RATES)
}
