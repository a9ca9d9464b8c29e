//! Figures that differ by class of holder.

use std::collections::BTreeMap;

use cbdc_ledger::Class;
use cbdc_scenario_file::document::Value;
use cbdc_scenario_file::error::ScenarioError;
use cbdc_scenario_file::section::Section;
use serde::{Serialize, Serializer};

/// The words of scenario files for the classes, in the ledger's order.
pub const CLASS_WORDS: [&str; Class::COUNT] =
    ["household", "merchant", "business", "government", "tier-1", "tier-2", "tier-3", "visitor"];

/// The word of the scenario file.
pub fn word(class: Class) -> &'static str {
    CLASS_WORDS[class.index()]
}

/// Whether holders of the class are people: they pay, and are paid person to person.
pub fn is_person(class: Class) -> bool {
    ![Class::MERCHANT, Class::BUSINESS, Class::GOVERNMENT].contains(&class)
}

/// One figure for each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerClass<T>([T; Class::COUNT]);

impl<T> PerClass<T> {
    /// The figure of `class`.
    pub fn get(&self, class: Class) -> &T {
        &self.0[class.index()]
    }

    /// The figure of `class`, for writing.
    pub fn get_mut(&mut self, class: Class) -> &mut T {
        &mut self.0[class.index()]
    }

    /// The same figure for every class.
    pub fn all(figure: T) -> Self
    where
        T: Copy,
    {
        Self([figure; Class::COUNT])
    }

    /// Figures for some classes, and one for all others.
    pub fn of(figures: &[(Class, T)], other: T) -> Self
    where
        T: Copy,
    {
        let mut per_class = Self::all(other);
        figures.iter().for_each(|(class, figure)| *per_class.get_mut(*class) = *figure);
        per_class
    }
}

/// One figure if all classes have the same, otherwise a table by class.
impl<T: Serialize + PartialEq> Serialize for PerClass<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.iter().all(|figure| *figure == self.0[0]) {
            return self.0[0].serialize(serializer);
        }
        let by_class: BTreeMap<&str, &T> = CLASS_WORDS.into_iter().zip(&self.0).collect();
        by_class.serialize(serializer)
    }
}

impl PerClass<u64> {
    /// One figure for all classes, or a table by class; an absent one takes the default.
    pub fn read_minor(
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
        let mut figures = Self::all(default);
        for class in Class::all() {
            *figures.get_mut(class) = by_class.integer(word(class), 0..=most, default)?;
        }
        by_class.end()?;
        Ok(figures)
    }
}

impl PerClass<f64> {
    /// One share for all classes, or a table by class; `true` is 1 and `false` 0; an absent one takes its default.
    pub fn read_shares(section: &mut Section<'_>, key: &'static str, default: Self) -> Result<Self, ScenarioError> {
        let Some(node) = section.find(key) else {
            return Ok(default);
        };
        if !matches!(node.value, Value::Table(_)) {
            return Ok(Self::all(read_share(section, key)?.unwrap_or_default()));
        }
        let mut by_class = section.table(key.to_owned(), node)?;
        let mut shares = default;
        for class in Class::all() {
            if let Some(share) = read_share(&mut by_class, word(class))? {
                *shares.get_mut(class) = share;
            }
        }
        by_class.end()?;
        Ok(shares)
    }
}

fn read_share(section: &mut Section<'_>, key: &'static str) -> Result<Option<f64>, ScenarioError> {
    match section.find(key) {
        Some(node) => match node.value {
            Value::Boolean(flag) => Ok(Some(f64::from(u8::from(flag)))),
            Value::Integer(_) | Value::Number(_) => section.optional_number(key, 0.0..=1.0),
            _ => Err(section.wrong(node, "true, false, or a share from 0 to 1")),
        },
        None => Ok(None),
    }
}

/// A list of classes, or nothing.
pub fn read_classes(section: &mut Section<'_>, key: &'static str) -> Result<Option<Vec<Class>>, ScenarioError> {
    let Some(words) = section.texts(key)? else { return Ok(None) };
    let class = |word: &String| {
        let expected = format!("classes: {}", CLASS_WORDS.join(", "));
        word.parse::<Class>().map_err(|_| section.mistake(key, expected, format!("\"{word}\"")))
    };
    words.iter().map(class).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_ledgers() {
        for class in Class::all() {
            assert_eq!(class.to_string(), word(class));
        }
    }
}
