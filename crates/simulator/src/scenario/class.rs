//! Classes of holders, and figures that differ by class.

use serde::Serialize;

use super::document::Value;
use super::error::ScenarioError;
use super::section::Section;

/// The class under which a holder is registered; limits and payment channels depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A person.
    Household,
    /// A shop: payee at the point of sale.
    Merchant,
    /// A firm: payee of online payments.
    Business,
}

impl Class {
    /// Every class, in the order used everywhere.
    pub const ALL: [Self; 3] = [Self::Household, Self::Merchant, Self::Business];

    /// The word of the scenario file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Household => "household",
            Self::Merchant => "merchant",
            Self::Business => "business",
        }
    }
}

/// One figure for each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PerClass<T> {
    /// Persons.
    pub household: T,
    /// Shops.
    pub merchant: T,
    /// Firms.
    pub business: T,
}

impl<T> PerClass<T> {
    /// The figure of `class`.
    pub fn get(&self, class: Class) -> &T {
        match class {
            Class::Household => &self.household,
            Class::Merchant => &self.merchant,
            Class::Business => &self.business,
        }
    }

    /// The same figure for every class.
    pub fn all(figure: T) -> Self
    where
        T: Copy,
    {
        Self { household: figure, merchant: figure, business: figure }
    }
}

impl PerClass<u64> {
    /// One figure for all classes, or a table by class; what is absent takes the default.
    pub(super) fn read_minor(
        section: &mut Section<'_>,
        key: &'static str,
        most: u64,
        default: u64,
    ) -> Result<Self, ScenarioError> {
        let Some(node) = section.find(key) else {
            return Ok(Self::all(default));
        };
        if !matches!(node.value, Value::Table(_)) {
            return Ok(Self::all(section.integer(key, 0..=most, default)?));
        }
        let mut by_class = section.table(key.to_owned(), node)?;
        let figures = Self {
            household: by_class.integer("household", 0..=most, default)?,
            merchant: by_class.integer("merchant", 0..=most, default)?,
            business: by_class.integer("business", 0..=most, default)?,
        };
        by_class.end()?;
        Ok(figures)
    }
}
