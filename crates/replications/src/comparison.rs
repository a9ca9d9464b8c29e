//! Comparisons: each claim of a paper with the paper's value and ours, and the context to judge it.
//!
//! A comparison keeps five things apart: claims and their outcomes; calibrated figures; results; differences between
//! the paper's model and ours, with reasons; and statements that are not claimed. Tables and charts are plain data, so
//! that the same object serves the page and `--json`.

use serde::Serialize;

use super::parameters::Parameter;

/// One paper, rebuilt and compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Stable key: the file's stem and the page's name.
    pub name: &'static str,
    /// Heading of the page.
    pub title: &'static str,
    /// Authors, title, journal and year.
    pub citation: &'static str,
    /// The extent to which the paper could be read.
    pub reading: &'static str,
    /// Our version, in a few sentences.
    pub model: Vec<String>,
    /// The claims, in the order of the page.
    pub claims: Vec<Claim>,
    /// Paper and ours side by side in figures.
    pub tables: Vec<Table>,
    /// Paper and ours as plots.
    pub charts: Vec<Chart>,
    /// Figures set so that a target comes out, which are no evidence.
    pub calibrated: Vec<String>,
    /// Figures that came out without being set.
    pub results: Vec<String>,
    /// Differences between our model and the paper's, and their reasons.
    pub differences: Vec<String>,
    /// Statements that are not claimed, and why.
    pub not_claimed: Vec<String>,
    /// Every parameter with its value in force and its origin.
    pub parameters: Vec<Parameter>,
}

/// The kinds of claims, which determine when a claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A figure to the digits printed.
    Exact,
    /// A figure that we set ourselves: it must hold, and is no evidence.
    Calibration,
    /// The sign of a change or the order of several.
    Sign,
    /// A figure shown only for its distance.
    Distance,
}

/// The outcomes of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The result is as in the paper.
    Holds,
    /// Not as in the paper.
    Fails,
    /// The difference is smaller than twice its standard error.
    Undecided,
    /// Nothing to decide: the figure is shown only for its distance.
    Shown,
}

/// One statement of the paper, compared with ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    /// The statement.
    pub what: String,
    /// The paper's value, sign or order.
    pub paper: String,
    /// Ours.
    pub ours: String,
    /// Distance of ours from the paper's, in words with units; empty for signs.
    pub distance: String,
    /// The kind of statement.
    pub kind: Kind,
    /// Its outcome.
    pub outcome: Outcome,
    /// The page or table in the paper, and how it was read.
    pub source: &'static str,
}

/// A table of texts; columns whose heading begins with `>` hold figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// Caption with units.
    pub caption: String,
    /// Headings.
    pub headings: Vec<String>,
    /// Rows as wide as the headings.
    pub rows: Vec<Vec<String>>,
}

/// A plot's data: lines over a common x.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// Heading.
    pub title: String,
    /// Description for screen readers.
    pub description: String,
    /// Label and unit of x.
    pub x: Quantity,
    /// Label and unit of y.
    pub y: Quantity,
    /// Positions common to all lines.
    pub positions: Vec<f64>,
    /// The lines; a value of `None` leaves a gap, and one alone between gaps is drawn as a dot.
    pub lines: Vec<Line>,
    /// Vertical marks with their labels.
    pub marks: Vec<(f64, String)>,
    /// A sentence below the plot.
    pub note: Option<String>,
}

/// The quantity of an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quantity {
    /// Label at the axis.
    pub label: String,
    /// Unit in the read-out.
    pub unit: String,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// Values at the chart's positions.
    pub values: Vec<Option<f64>>,
}

impl Quantity {
    /// A label with its unit.
    pub fn new(label: &str, unit: &str) -> Self {
        Self { label: label.to_owned(), unit: unit.to_owned() }
    }
}

impl Line {
    /// A line without gaps.
    pub fn whole(name: &str, values: impl IntoIterator<Item = f64>) -> Self {
        Self { name: name.to_owned(), values: values.into_iter().map(Some).collect() }
    }
}

impl Table {
    /// A table from borrowed headings.
    pub fn new(caption: impl Into<String>, headings: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { caption: caption.into(), headings: headings.iter().map(|heading| (*heading).to_owned()).collect(), rows }
    }
}

impl Comparison {
    /// Number of claims with this outcome, without calibrated figures, which cannot fail.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.claims.iter().filter(|claim| claim.outcome == outcome && claim.kind != Kind::Calibration).count()
    }

    /// BLAKE3 of the comparison as JSON, in hexadecimal: the same for the same parameters on any machine and any number
    /// of threads.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).expect("plain data has a JSON form");
        blake3::hash(&json).to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_covers_the_claims() {
        let mut comparison = Comparison {
            name: "x",
            title: "",
            citation: "",
            reading: "",
            model: vec![],
            claims: vec![],
            tables: vec![],
            charts: vec![],
            calibrated: vec![],
            results: vec![],
            differences: vec![],
            not_claimed: vec![],
            parameters: vec![],
        };
        let before = comparison.digest();
        comparison.claims.push(Claim {
            what: String::new(),
            paper: String::new(),
            ours: String::new(),
            distance: String::new(),
            kind: Kind::Sign,
            outcome: Outcome::Fails,
            source: "",
        });
        assert_ne!(before, comparison.digest());
        assert_eq!((comparison.count(Outcome::Fails), comparison.count(Outcome::Holds)), (1, 0));
    }
}
