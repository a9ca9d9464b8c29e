//! Reading one table of a scenario: every key with its default and its range, and nothing left over.
//!
//! A section is read key by key; each reading names the key, the range and the default. `end` then refuses any key that
//! was not read, in the order of the file, with the nearest known key as a suggestion.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::document::{Document, Node, Span, Table, Value, describe};
use crate::error::ScenarioError;
use crate::suggestion::nearest;

type Result<T> = std::result::Result<T, ScenarioError>;

/// A table being read.
pub struct Section<'a> {
    document: &'a Document,
    name: String,
    span: Span,
    entries: Option<&'a Table>,
    known: Vec<&'static str>,
    elsewhere: Vec<(&'static str, String)>,
    renamed: Vec<(&'static str, &'static str)>,
}

impl<'a> Section<'a> {
    /// The whole document as a section.
    pub fn root(document: &'a Document) -> Self {
        let entries = match &document.root().value {
            Value::Table(entries) => Some(entries),
            _ => None,
        };
        Self {
            document,
            name: "the scenario".to_owned(),
            span: document.root().span,
            entries,
            known: Vec::new(),
            elsewhere: Vec::new(),
            renamed: Vec::new(),
        }
    }

    /// A table below this one; absent means empty, so that every key takes its default.
    pub fn section(&mut self, key: &'static str) -> Result<Section<'a>> {
        let name = format!("[{key}]");
        match self.find(key) {
            None => Ok(self.below(name, self.span, None)),
            Some(node) => self.table(name, node),
        }
    }

    /// The tables of `[[key]]`, in the order of the file.
    pub fn sections(&mut self, key: &'static str) -> Result<Vec<Section<'a>>> {
        let Some(node) = self.find(key) else {
            return Ok(Vec::new());
        };
        let Value::List(items) = &node.value else {
            return Err(self.wrong(node, &format!("tables written as [[{key}]]")));
        };
        items.iter().map(|item| self.table(format!("[[{key}]]"), item)).collect()
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> Result<u64> {
        Ok(self.optional_integer(key, range)?.unwrap_or(default))
    }

    /// A whole number within `range`, if given.
    pub fn optional_integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(node) = self.find(key) else {
            return Ok(None);
        };
        let expected = format!("a whole number {}", span_words(&range));
        match &node.value {
            Value::Integer(number) => match u64::try_from(*number) {
                Ok(number) if range.contains(&number) => Ok(Some(number)),
                _ => Err(self.document.mistake(node.span, expected, number.to_string(), None)),
            },
            _ => Err(self.wrong(node, &expected)),
        }
    }

    /// A number within `range`; whole numbers are accepted too.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<f64>, default: f64) -> Result<f64> {
        Ok(self.optional_number(key, range)?.unwrap_or(default))
    }

    /// A number within `range`, if given.
    pub fn optional_number(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        let Some(node) = self.find(key) else {
            return Ok(None);
        };
        let expected = format!("a number {}", span_words(&range));
        let number = match &node.value {
            Value::Integer(number) => *number as f64,
            Value::Number(number) => *number,
            _ => return Err(self.wrong(node, &expected)),
        };
        if range.contains(&number) {
            Ok(Some(number))
        } else {
            Err(self.document.mistake(node.span, expected, number.to_string(), None))
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str, default: bool) -> Result<bool> {
        match self.find(key) {
            None => Ok(default),
            Some(Node { value: Value::Boolean(flag), .. }) => Ok(*flag),
            Some(node) => Err(self.wrong(node, "true or false")),
        }
    }

    /// Text, if given.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        match self.find(key) {
            None => Ok(None),
            Some(Node { value: Value::Text(text), .. }) => Ok(Some(text.clone())),
            Some(node) => Err(self.wrong(node, "text in quotes")),
        }
    }

    /// Text that must be there.
    pub fn required_text(&mut self, key: &'static str) -> Result<String> {
        match self.text(key)? {
            Some(text) => Ok(text),
            None => Err(self.mistake(key, format!("`{key}`, text in quotes"), "none")),
        }
    }

    /// A list of texts, if given.
    pub fn texts(&mut self, key: &'static str) -> Result<Option<Vec<String>>> {
        let Some(node) = self.find(key) else {
            return Ok(None);
        };
        let expected = "a list of texts in quotes";
        let Value::List(items) = &node.value else {
            return Err(self.wrong(node, expected));
        };
        let text = |item: &Node| match &item.value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(self.wrong(item, expected)),
        };
        items.iter().map(text).collect::<Result<_>>().map(Some)
    }

    /// One word out of a list; absent means the first.
    pub fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Result<T> {
        let Some(node) = self.find(key) else {
            return Ok(words[0].1);
        };
        let expected = format!("one of {}", quoted(words.iter().map(|(word, _)| *word)));
        let Value::Text(text) = &node.value else {
            return Err(self.wrong(node, &expected));
        };
        match words.iter().find(|(word, _)| word == text) {
            Some((_, choice)) => Ok(*choice),
            None => {
                let near = nearest(text, words.iter().map(|(word, _)| *word)).map(str::to_owned);
                Err(self.document.mistake(node.span, expected, format!("\"{text}\""), near))
            }
        }
    }

    /// The raw value under `key`, for readings of several shapes.
    pub fn find(&mut self, key: &'static str) -> Option<&'a Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.and_then(|entries| entries.get(key)).map(|entry| &entry.node)
    }

    /// The table in `node`, read as a section of its own.
    pub fn table(&self, name: String, node: &'a Node) -> Result<Section<'a>> {
        match &node.value {
            Value::Table(entries) => Ok(self.below(name, node.span, Some(entries))),
            _ => Err(self.wrong(node, &format!("a table {name}"))),
        }
    }

    /// Declares keys that exist only under another choice, which `because` names.
    pub fn only_when(&mut self, keys: &[&'static str], because: &str) {
        self.elsewhere.extend(keys.iter().map(|key| (*key, because.to_owned())));
    }

    /// Makes [`Section::end`] name the key that `old` is written as instead.
    pub fn renamed(&mut self, old: &'static str, new: &'static str) {
        self.renamed.push((old, new));
    }

    /// A mistake at the value of `key`, or at the section itself if the key is absent.
    pub fn mistake(&self, key: &str, expected: impl Into<String>, found: impl Into<String>) -> ScenarioError {
        let span = self.entries.and_then(|entries| entries.get(key)).map_or(self.span, |entry| entry.node.span);
        self.document.mistake(span, expected, found, None)
    }

    /// A mistake at a value.
    pub fn mistake_at(&self, node: &Node, expected: impl Into<String>, found: impl Into<String>) -> ScenarioError {
        self.document.mistake(node.span, expected, found, None)
    }

    /// Whether the file or an override gives `key`.
    pub fn gives(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// A mistake because `node` has the wrong type.
    pub fn wrong(&self, node: &Node, expected: &str) -> ScenarioError {
        self.document.mistake(node.span, expected, describe(&node.value), None)
    }

    /// Refuses the first key, in the order of the file, that was not asked for.
    ///
    /// # Errors
    /// Names the key, the keys that are known here and the nearest of them.
    pub fn end(self) -> Result<()> {
        let known = &self.known;
        let stranger = self
            .entries
            .into_iter()
            .flatten()
            .filter(|(key, _)| !known.contains(&key.as_str()))
            .min_by_key(|(_, entry)| entry.key_span);
        let Some((key, entry)) = stranger else {
            return Ok(());
        };
        if let Some((_, new)) = self.renamed.iter().find(|(old, _)| old == key) {
            let expected = format!("`{new}`, the name of this key");
            return Err(self.document.mistake(entry.key_span, expected, format!("`{key}`"), None));
        }
        if let Some((_, because)) = self.elsewhere.iter().find(|(other, _)| other == key) {
            return Err(self.document.mistake(entry.key_span, because.clone(), format!("`{key}`"), None));
        }
        let near = nearest(key, self.known.iter().copied().chain(self.elsewhere.iter().map(|(other, _)| *other)));
        let expected = format!("a key of {}: {}", self.name, self.known.join(", "));
        Err(self.document.mistake(
            entry.key_span,
            expected,
            format!("the unknown key `{key}`"),
            near.map(str::to_owned),
        ))
    }

    fn below(&self, name: String, span: Span, entries: Option<&'a Table>) -> Section<'a> {
        Section {
            document: self.document,
            name,
            span,
            entries,
            known: Vec::new(),
            elsewhere: Vec::new(),
            renamed: Vec::new(),
        }
    }
}

fn span_words<T: Display>(range: &RangeInclusive<T>) -> String {
    format!("from {} to {}", range.start(), range.end())
}

fn quoted(words: impl Iterator<Item = &'static str>) -> String {
    words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}
