//! A TOML document that remembers the position of each key and value, with overrides laid over it.
//!
//! The file is source 0; each `--set key=value` is another source, so that a mistake in an override is shown on the
//! override and not on the file. A key of an override is a dotted path; a number in it is the index in an array of
//! tables (`event.0.at_s=5`).

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Mistake, ScenarioError};

/// A range of one source, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    source: usize,
    start: usize,
    end: usize,
}

/// A value and its position.
#[derive(Debug, Clone)]
pub struct Node {
    pub span: Span,
    pub value: Value,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub enum Value {
    Text(String),
    Integer(i128),
    Number(f64),
    Boolean(bool),
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// The entries of a table by key.
pub type Table = BTreeMap<String, Entry>;

/// One `key = value`.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key_span: Span,
    pub node: Node,
}

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
}

/// The scenario file with its overrides.
#[derive(Debug)]
pub struct Document {
    sources: Vec<Source>,
    root: Node,
}

impl Document {
    /// Parses a file's text; `name` is shown in mistakes.
    ///
    /// # Errors
    /// The first position that is not valid TOML.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let mut document = Self {
            sources: vec![Source { name: name.to_owned(), text: text.to_owned() }],
            root: Node { span: Span { source: 0, start: 0, end: 0 }, value: Value::Table(Table::new()) },
        };
        let parsed = DeTable::parse(text).map_err(|error| document.syntax(0, 0, &error))?;
        let span = Span { source: 0, start: 0, end: 0 };
        document.root = Node { span, value: Value::Table(table(parsed.into_inner(), 0, 0)) };
        Ok(document)
    }

    /// The root table.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Lays `key=value` over the document. A value that is not TOML is taken as text, so `load.profile=ramp` needs
    /// no quotes.
    ///
    /// # Errors
    /// The path leads through a value that is not a table.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ScenarioError> {
        let source = self.sources.len();
        self.sources.push(Source { name: "--set".to_owned(), text: format!("{key}={value}") });
        let at = key.len() + 1;
        let node = match DeValue::parse(value) {
            Ok(parsed) => convert(parsed, source, at),
            Err(_) => {
                Node { span: Span { source, start: at, end: at + value.len() }, value: Value::Text(value.to_owned()) }
            }
        };
        let mut steps = Vec::new();
        let mut start = 0;
        for step in key.split('.') {
            steps.push((step, Span { source, start, end: start + step.len() }));
            start += step.len() + 1;
        }
        let mut root = std::mem::replace(&mut self.root, node.clone());
        let outcome = place_at(&mut root, &steps, node);
        self.root = root;
        outcome.map_err(|(span, expected, found)| self.mistake(span, expected, found, None))
    }

    /// A mistake at `span`, for display.
    pub fn mistake(
        &self,
        span: Span,
        expected: impl Into<String>,
        found: impl Into<String>,
        suggestion: Option<String>,
    ) -> ScenarioError {
        let source = &self.sources[span.source];
        let start = floor_boundary(&source.text, span.start);
        let line_start = source.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let rest = &source.text[line_start..];
        let source_line = rest.lines().next().unwrap_or("").to_owned();
        let column = source.text[line_start..start].chars().count() + 1;
        let end = floor_boundary(&source.text, span.end.max(start));
        let width = source.text[start..end].lines().next().unwrap_or("").trim_end().chars().count().max(1);
        ScenarioError::Mistake(Box::new(Mistake {
            file: source.name.clone(),
            line: source.text[..start].matches('\n').count() + 1,
            column,
            expected: expected.into(),
            found: found.into(),
            suggestion,
            source_line,
            width,
        }))
    }

    fn syntax(&self, source: usize, at: usize, error: &toml::de::Error) -> ScenarioError {
        let Range { start, end } = error.span().unwrap_or(0..0);
        let span = Span { source, start: start + at, end: end + at };
        self.mistake(span, "valid TOML", error.message().replace('\n', "; "), None)
    }
}

/// Describes a value by its TOML type, with the value itself if it is short.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("the text \"{text}\""),
        Value::Integer(number) => format!("the integer {number}"),
        Value::Number(number) => format!("the number {number}"),
        Value::Boolean(flag) => format!("the boolean {flag}"),
        Value::Date(date) => format!("the date {date}"),
        Value::List(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

type Obstacle = (Span, String, String);

fn place_at(node: &mut Node, steps: &[(&str, Span)], new: Node) -> Result<(), Obstacle> {
    let Some(((step, step_span), rest)) = steps.split_first() else {
        *node = new;
        return Ok(());
    };
    match &mut node.value {
        Value::Table(entries) => {
            let entry = entries.entry((*step).to_owned()).or_insert_with(|| Entry {
                key_span: *step_span,
                node: Node { span: *step_span, value: Value::Table(Table::new()) },
            });
            if rest.is_empty() {
                entry.key_span = *step_span;
            }
            place_at(&mut entry.node, rest, new)
        }
        Value::List(items) => {
            let count = items.len();
            match step.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                Some(item) => place_at(item, rest, new),
                None => Err((*step_span, format!("a position below {count} in this list"), format!("`{step}`"))),
            }
        }
        other => Err((*step_span, "the name of a key".to_owned(), format!("`{step}` inside {}", describe(other)))),
    }
}

fn table(parsed: DeTable<'_>, source: usize, at: usize) -> Table {
    parsed
        .into_iter()
        .map(|(key, value)| {
            let key_span = Span { source, start: key.span().start + at, end: key.span().end + at };
            (key.into_inner().into_owned(), Entry { key_span, node: convert(value, source, at) })
        })
        .collect()
}

fn convert(parsed: Spanned<DeValue<'_>>, source: usize, at: usize) -> Node {
    let Range { start, end } = parsed.span();
    let span = Span { source, start: start + at, end: end + at };
    let value = match parsed.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Text(integer.as_str().to_owned()),
        },
        DeValue::Float(float) => match float.as_str().parse() {
            Ok(number) => Value::Number(number),
            Err(_) => Value::Text(float.as_str().to_owned()),
        },
        DeValue::Boolean(flag) => Value::Boolean(flag),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| convert(item, source, at)).collect()),
        DeValue::Table(entries) => Value::Table(table(entries, source, at)),
    };
    Node { span, value }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
