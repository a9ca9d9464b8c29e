//! `[policy]`: the monetary policy in force when the clock starts, and changes to it at given times.
//!
//! A limit is a whole number of minor units, or `"none"` for no limit; 0 is a limit too (the digital euro allows
//! businesses no holdings). In an event, a key left out stays as it is.

use serde::{Serialize, Serializer};

use super::class::{Class, PerClass};
use super::document::{Node, Value};
use super::error::ScenarioError;
use super::section::Section;

/// The largest amount a scenario may name: exact in every reader of JSON.
pub const MINOR_MAX: u64 = 9_000_000_000_000_000;

/// A limit that may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No limit: `"none"`.
    None,
    /// At most this many minor units.
    Minor(u64),
}

impl Limit {
    /// The figure, if there is one.
    pub fn minor(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Minor(figure) => Some(figure),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Minor(figure) => serializer.serialize_u64(*figure),
        }
    }
}

/// The figures in force at the start. Every default is `"none"`.
///
/// | key | meaning |
/// |---|---|
/// | `supply_cap_minor` | most CBDC in existence |
/// | `issuance_quota_minor` | most that one bank may be issued a ledger day, gross |
/// | `holding_limit_minor` | most a person may hold across banks; one figure, or a table by class |
/// | `payment_limit_minor` | most a single payment may move; one figure, or a table by class |
/// | `day_limit_minor` | most a person may pay a calendar day; one figure, or a table by class |
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyFigures {
    /// Most CBDC in existence.
    pub supply_cap_minor: Limit,
    /// Most that one bank may be issued a ledger day, gross.
    pub issuance_quota_minor: Limit,
    /// Most a person may hold across banks.
    pub holding_limit_minor: PerClass<Limit>,
    /// Most a single payment may move.
    pub payment_limit_minor: PerClass<Limit>,
    /// Most a person may pay a calendar day.
    pub day_limit_minor: PerClass<Limit>,
}

/// What a policy event changes; `None` leaves a figure as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PolicyChange {
    /// New supply cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supply_cap_minor: Option<Limit>,
    /// New issuance quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuance_quota_minor: Option<Limit>,
    /// New holding limits.
    #[serde(skip_serializing_if = "unchanged")]
    pub holding_limit_minor: PerClass<Option<Limit>>,
    /// New limits on one payment.
    #[serde(skip_serializing_if = "unchanged")]
    pub payment_limit_minor: PerClass<Option<Limit>>,
    /// New limits on a day's payments.
    #[serde(skip_serializing_if = "unchanged")]
    pub day_limit_minor: PerClass<Option<Limit>>,
}

impl PolicyFigures {
    pub(super) fn read(mut section: Section<'_>) -> Result<Self, ScenarioError> {
        let change = PolicyChange::read(&mut section)?;
        section.end()?;
        let in_force = |limit: Option<Limit>| limit.unwrap_or(Limit::None);
        let by_class = |limits: PerClass<Option<Limit>>| PerClass {
            household: in_force(limits.household),
            merchant: in_force(limits.merchant),
            business: in_force(limits.business),
        };
        Ok(Self {
            supply_cap_minor: in_force(change.supply_cap_minor),
            issuance_quota_minor: in_force(change.issuance_quota_minor),
            holding_limit_minor: by_class(change.holding_limit_minor),
            payment_limit_minor: by_class(change.payment_limit_minor),
            day_limit_minor: by_class(change.day_limit_minor),
        })
    }
}

impl PolicyChange {
    pub(super) fn read(section: &mut Section<'_>) -> Result<Self, ScenarioError> {
        Ok(Self {
            supply_cap_minor: read_limit(section, "supply_cap_minor")?,
            issuance_quota_minor: read_limit(section, "issuance_quota_minor")?,
            holding_limit_minor: read_by_class(section, "holding_limit_minor")?,
            payment_limit_minor: read_by_class(section, "payment_limit_minor")?,
            day_limit_minor: read_by_class(section, "day_limit_minor")?,
        })
    }

    /// Whether the event would change nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// One short clause a changed figure, for reports: `holding_limit_minor.household = 50000`.
    pub fn clauses(&self) -> Vec<String> {
        let mut clauses = Vec::new();
        let mut note = |name: String, limit: Option<Limit>| {
            if let Some(limit) = limit {
                let figure = limit.minor().map_or("none".to_owned(), |minor| minor.to_string());
                clauses.push(format!("{name} = {figure}"));
            }
        };
        note("supply_cap_minor".to_owned(), self.supply_cap_minor);
        note("issuance_quota_minor".to_owned(), self.issuance_quota_minor);
        for (name, limits) in [
            ("holding_limit_minor", &self.holding_limit_minor),
            ("payment_limit_minor", &self.payment_limit_minor),
            ("day_limit_minor", &self.day_limit_minor),
        ] {
            for class in Class::ALL {
                note(format!("{name}.{}", class.word()), *limits.get(class));
            }
        }
        clauses
    }
}

fn unchanged(limits: &PerClass<Option<Limit>>) -> bool {
    *limits == PerClass::default()
}

fn read_limit(section: &mut Section<'_>, key: &'static str) -> Result<Option<Limit>, ScenarioError> {
    let Some(node) = section.find(key) else {
        return Ok(None);
    };
    limit(section, node).map(Some)
}

fn read_by_class(section: &mut Section<'_>, key: &'static str) -> Result<PerClass<Option<Limit>>, ScenarioError> {
    let Some(node) = section.find(key) else {
        return Ok(PerClass::default());
    };
    if !matches!(node.value, Value::Table(_)) {
        return Ok(PerClass::all(Some(limit(section, node)?)));
    }
    let mut by_class = section.table(key.to_owned(), node)?;
    let limits = PerClass {
        household: read_limit(&mut by_class, "household")?,
        merchant: read_limit(&mut by_class, "merchant")?,
        business: read_limit(&mut by_class, "business")?,
    };
    by_class.end()?;
    Ok(limits)
}

fn limit(section: &Section<'_>, node: &Node) -> Result<Limit, ScenarioError> {
    match &node.value {
        Value::Text(word) if word == "none" => Ok(Limit::None),
        Value::Integer(figure) => match u64::try_from(*figure) {
            Ok(figure) if figure <= MINOR_MAX => Ok(Limit::Minor(figure)),
            _ => Err(section.wrong(node, &format!("a whole number from 0 to {MINOR_MAX}, or \"none\""))),
        },
        _ => Err(section.wrong(node, "a whole number of minor units, or \"none\"")),
    }
}
