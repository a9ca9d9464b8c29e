//! Plan files: the scenario, the keys that vary, and the seeds.
//!
//! | key | meaning |
//! |---|---|
//! | `name`, `description` | for people |
//! | `scenario` | the scenario's file, from the plan's folder |
//! | `seeds` | how many, or a list of them; `first_seed` is where counting begins (1) |
//! | `[set]` | keys of the scenario that all runs change |
//! | `[grid]` | keys with lists of values: every combination is a design, the last key changing fastest |
//! | `[[list]]` | one design each, with the keys that it sets and optionally its `name` |
//! | `[latin_hypercube]` | `designs`, `seed`, and `over`: keys with `{ from, to, scale = "linear" or "log" }`; |
//! | | whole ends give whole numbers |
//!
//! At most one of the last three; with none of them the scenario itself is the only design. A key may be written in
//! quotes or without, `policy.holding_limit_minor` or `"policy.holding_limit_minor"`, and `shock.0.day` names a key of
//! the first shock. Values are those of a scenario. Every design is read as a scenario at once, so that a mistake in a
//! value is shown at its position in this file.

use std::path::{Path, PathBuf};

use cbdc_economy::Scenario;
use cbdc_scenario_file::document::{Document, Node, Span, Table, Value, describe};
use cbdc_scenario_file::{ScenarioError, Section, text_file};

use crate::latin_hypercube::{self, Range};
use crate::setting::Setting;

type Result<T> = std::result::Result<T, ScenarioError>;

/// The most runs a plan may have.
pub const RUNS_MAX: u64 = 1_000_000;

/// Keys that a plan sets by other means, or that do not affect results.
const NOT_VARIED: [(&str, &str); 4] = [
    ("seed", "the plan's own `seeds`"),
    ("threads", "`cbdc sweep run --threads`"),
    ("name", "the plan's own `name`"),
    ("description", "the plan's own `description`"),
];

/// A plan file as read.
#[derive(Debug)]
pub struct PlanFile {
    pub name: String,
    pub description: String,
    /// The scenario's file as the plan names it, and its text.
    pub scenario_file: String,
    pub scenario_text: String,
    pub seeds: Vec<u64>,
    pub set: Vec<Setting>,
    pub keys: Vec<String>,
    pub designs: Vec<DesignRead>,
}

/// A design that was read as a scenario without a mistake.
#[derive(Debug)]
pub struct DesignRead {
    pub name: Option<String>,
    pub set: Vec<Setting>,
    pub scenario: Scenario,
}

/// A key and its value with their positions in the plan.
#[derive(Clone, Debug)]
struct Given {
    key: String,
    key_span: Span,
    value: String,
    span: Span,
}

struct DesignGiven {
    name: Option<String>,
    set: Vec<Given>,
}

impl PlanFile {
    /// Reads a plan's file and its scenario.
    ///
    /// # Errors
    /// One of the two cannot be read, or the first mistake, with its line.
    pub fn read(path: &Path) -> Result<PlanFile> {
        let text = text_file::read(path, Path::new("simulations/sweeps"))?;
        let document = Document::parse(&path.display().to_string(), &text)?;
        let mut root = Section::root(&document);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let name = root.text("name")?.unwrap_or(stem);
        let description = root.text("description")?.unwrap_or_default();
        let scenario_file = root.required_text("scenario")?;
        let base = base(&root, path, &scenario_file)?;
        let seeds = seeds(&mut root)?;
        let set = match root.find("set") {
            None => Vec::new(),
            Some(node) => leaves(&document, node, "[set]")?.into_iter().map(given).collect(),
        };
        let (keys, given) = designs(&document, &mut root)?;
        let runs = given.len() as u64 * seeds.len() as u64;
        if runs > RUNS_MAX {
            let found = format!("{} designs × {} seeds = {runs}", given.len(), seeds.len());
            return Err(root.mistake("seeds", format!("at most {RUNS_MAX} runs"), found));
        }
        root.end()?;
        let designs =
            given.into_iter().map(|design| read_design(&document, &base, &set, design)).collect::<Result<_>>()?;
        let scenario_text = scenario_text(&root_folder(path), &scenario_file)?;
        Ok(PlanFile {
            name,
            description,
            scenario_file,
            scenario_text,
            seeds,
            set: set.into_iter().map(setting).collect(),
            keys,
            designs,
        })
    }
}

fn root_folder(plan: &Path) -> PathBuf {
    plan.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn base(root: &Section<'_>, plan: &Path, scenario_file: &str) -> Result<Scenario> {
    match Scenario::read(&root_folder(plan).join(scenario_file)) {
        Err(ScenarioError::Unreadable { path, source, suggestion }) => {
            let hint = suggestion.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
            let found = format!("{}: {source}{hint}", path.display());
            Err(root.mistake("scenario", "a scenario's file, from the plan's folder", found))
        }
        other => other,
    }
}

fn scenario_text(folder: &Path, scenario_file: &str) -> Result<String> {
    text_file::read(&folder.join(scenario_file), folder)
}

/// `seeds` and `first_seed`.
fn seeds(root: &mut Section<'_>) -> Result<Vec<u64>> {
    const LAST: u64 = i64::MAX as u64;
    let Some(Node { value: Value::List(items), .. }) = root.find("seeds") else {
        let count = root.integer("seeds", 1..=RUNS_MAX, 1)?;
        let first = root.integer("first_seed", 0..=LAST - RUNS_MAX, 1)?;
        return Ok((first..first + count).collect());
    };
    let mut seeds = Vec::new();
    for item in items {
        let seed = match item.value {
            Value::Integer(seed) => u64::try_from(seed).ok().filter(|seed| *seed <= LAST),
            _ => None,
        };
        match seed {
            Some(seed) if seeds.contains(&seed) => {
                return Err(root.mistake_at(item, "seeds that all differ", format!("{seed} a second time")));
            }
            Some(seed) => seeds.push(seed),
            None => return Err(root.wrong(item, &format!("a whole number from 0 to {LAST}"))),
        }
    }
    if seeds.is_empty() {
        return Err(root.mistake("seeds", "at least one seed", "an empty list"));
    }
    Ok(seeds)
}

/// The keys that are varied, and each design's values.
fn designs(document: &Document, root: &mut Section<'_>) -> Result<(Vec<String>, Vec<DesignGiven>)> {
    let kinds = ["grid", "list", "latin_hypercube"];
    let mut present = kinds.iter().filter(|kind| root.gives(kind));
    if let (Some(first), Some(second)) = (present.next(), present.next()) {
        let expected = format!("one of {} in a plan", kinds.join(", "));
        return Err(root.mistake(second, expected, format!("`{second}` beside `{first}`")));
    }
    let designs = if let Some(node) = root.find("grid") {
        grid(document, node)?
    } else if let Some(node) = root.find("list") {
        list(document, node)?
    } else if root.gives("latin_hypercube") {
        hypercube(document, root)?
    } else {
        vec![DesignGiven { name: Some("the scenario as it is".to_owned()), set: Vec::new() }]
    };
    let mut keys: Vec<String> = Vec::new();
    for given in designs.iter().flat_map(|design| &design.set) {
        if !keys.contains(&given.key) {
            keys.push(given.key.clone());
        }
    }
    Ok((keys, designs))
}

fn grid(document: &Document, node: &Node) -> Result<Vec<DesignGiven>> {
    let mut designs = vec![Vec::new()];
    for leaf in leaves(document, node, "[grid]")? {
        let Value::List(items) = &leaf.node.value else {
            let found = describe(&leaf.node.value);
            return Err(document.mistake(leaf.node.span, format!("a list of values for `{}`", leaf.key), found, None));
        };
        if items.is_empty() || (designs.len() * items.len()) as u64 > RUNS_MAX {
            let found = format!("{} values, after {} designs", items.len(), designs.len());
            let expected = format!("at least one value for `{}`, and at most {RUNS_MAX} designs", leaf.key);
            return Err(document.mistake(leaf.node.span, expected, found, None));
        }
        let with = |design: &Vec<Given>, item: &Node| {
            let mut longer = design.clone();
            longer.push(Given {
                key: leaf.key.clone(),
                key_span: leaf.key_span,
                value: toml(&item.value),
                span: item.span,
            });
            longer
        };
        designs = designs.iter().flat_map(|design| items.iter().map(move |item| with(design, item))).collect();
    }
    Ok(designs.into_iter().map(|set| DesignGiven { name: None, set }).collect())
}

fn list(document: &Document, node: &Node) -> Result<Vec<DesignGiven>> {
    let Value::List(items) = &node.value else {
        return Err(document.mistake(node.span, "designs written as [[list]]", describe(&node.value), None));
    };
    let mut designs = Vec::new();
    for item in items {
        let mut design = DesignGiven { name: None, set: Vec::new() };
        for leaf in leaves_but(document, item, "[[list]]", &["name"])? {
            match (&leaf.node.value, leaf.key == "name") {
                (Value::Text(name), true) => design.name = Some(name.clone()),
                (other, true) => {
                    return Err(document.mistake(leaf.node.span, "text in quotes", describe(other), None));
                }
                (_, false) => design.set.push(given(leaf)),
            }
        }
        designs.push(design);
    }
    Ok(designs)
}

fn hypercube(document: &Document, root: &mut Section<'_>) -> Result<Vec<DesignGiven>> {
    let mut section = root.section("latin_hypercube")?;
    let count = section.integer("designs", 2..=RUNS_MAX, 10)? as u32;
    let seed = section.integer("seed", 0..=i64::MAX as u64, 1)?;
    let Some(over) = section.find("over") else {
        return Err(section.mistake("over", "`over`: a table of keys with their ranges", "none"));
    };
    let leaves = range_leaves(document, over)?;
    let ranges = leaves.iter().map(|leaf| range(document, &section, leaf)).collect::<Result<Vec<Range>>>()?;
    section.end()?;
    let design = |values: Vec<String>| {
        let pair = |(leaf, value): (&Leaf<'_>, String)| Given {
            key: leaf.key.clone(),
            key_span: leaf.key_span,
            value,
            span: leaf.node.span,
        };
        DesignGiven { name: None, set: leaves.iter().zip(values).map(pair).collect() }
    };
    Ok(latin_hypercube::designs(count, seed, &ranges).into_iter().map(design).collect())
}

/// `{ from, to, scale }` of one key.
fn range(document: &Document, section: &Section<'_>, leaf: &Leaf<'_>) -> Result<Range> {
    let mut table = section.table(format!("`{}`", leaf.key), leaf.node)?;
    let (from, to) = (table.find("from").map(|node| &node.value), table.find("to").map(|node| &node.value));
    let whole = match (from, to) {
        (Some(Value::Integer(from)), Some(Value::Integer(to))) => {
            i64::try_from(*from).ok().zip(i64::try_from(*to).ok()).filter(|(from, to)| to.checked_sub(*from).is_some())
        }
        _ => None,
    };
    let (Some(from), Some(to)) =
        (table.optional_number("from", -1e15..=1e15)?, table.optional_number("to", -1e15..=1e15)?)
    else {
        return Err(document.mistake(
            leaf.node.span,
            format!("`from` and `to` for `{}`", leaf.key),
            "one of them",
            None,
        ));
    };
    let is_log = table.choice("scale", &[("linear", false), ("log", true)])?;
    table.end()?;
    if from >= to || (is_log && from <= 0.0) {
        let expected = if is_log { "0 < from < to for a logarithmic scale" } else { "from < to" };
        return Err(document.mistake(leaf.node.span, expected, format!("from {from} to {to}"), None));
    }
    Ok(match whole {
        _ if is_log => Range::Logarithm { from, to, is_whole: whole.is_some() },
        Some((from, to)) => Range::Whole { from, to },
        None => Range::Number { from, to },
    })
}

/// A value below a table, with the whole path to it.
struct Leaf<'a> {
    key: String,
    key_span: Span,
    node: &'a Node,
}

fn leaves<'a>(document: &Document, node: &'a Node, name: &str) -> Result<Vec<Leaf<'a>>> {
    leaves_but(document, node, name, &[])
}

/// All values below a table in the order of the file; `own` are the plan's own keys, not the scenario's.
fn leaves_but<'a>(document: &Document, node: &'a Node, name: &str, own: &[&str]) -> Result<Vec<Leaf<'a>>> {
    let Value::Table(table) = &node.value else {
        return Err(document.mistake(node.span, format!("a table {name}"), describe(&node.value), None));
    };
    let mut found = Vec::new();
    collect(table, "", &|_| false, &mut found);
    checked(document, found, own)
}

fn range_leaves<'a>(document: &Document, node: &'a Node) -> Result<Vec<Leaf<'a>>> {
    let Value::Table(table) = &node.value else {
        return Err(document.mistake(node.span, "a table [latin_hypercube.over]", describe(&node.value), None));
    };
    let mut found = Vec::new();
    collect(table, "", &|table| table.contains_key("from") || table.contains_key("to"), &mut found);
    if found.is_empty() {
        return Err(document.mistake(node.span, "at least one key with its range", "none", None));
    }
    checked(document, found, &[])
}

fn checked<'a>(document: &Document, mut found: Vec<Leaf<'a>>, own: &[&str]) -> Result<Vec<Leaf<'a>>> {
    found.sort_by_key(|leaf| leaf.key_span);
    for leaf in found.iter().filter(|leaf| !own.contains(&leaf.key.as_str())) {
        if let Some((key, instead)) = NOT_VARIED.iter().find(|(key, _)| *key == leaf.key) {
            return Err(document.mistake(leaf.key_span, format!("{instead} instead"), format!("`{key}`"), None));
        }
    }
    Ok(found)
}

fn collect<'a>(table: &'a Table, path: &str, is_leaf: &dyn Fn(&Table) -> bool, found: &mut Vec<Leaf<'a>>) {
    for (name, entry) in table {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match &entry.node.value {
            Value::Table(below) if !is_leaf(below) => collect(below, &key, is_leaf, found),
            _ => found.push(Leaf { key, key_span: entry.key_span, node: &entry.node }),
        }
    }
}

fn given(leaf: Leaf<'_>) -> Given {
    Given { key: leaf.key, key_span: leaf.key_span, value: toml(&leaf.node.value), span: leaf.node.span }
}

fn setting(given: Given) -> Setting {
    Setting { key: given.key, value: given.value }
}

fn read_design(document: &Document, base: &Scenario, set: &[Given], design: DesignGiven) -> Result<DesignRead> {
    let mut scenario = base.clone();
    let all: Vec<&Given> = set.iter().chain(&design.set).collect();
    lay(document, &mut scenario, &all)?;
    Ok(DesignRead { name: design.name, set: design.set.into_iter().map(setting).collect(), scenario })
}

/// Lays values over the scenario, all at once; a mistake in one is shown at its position in the plan.
fn lay(document: &Document, scenario: &mut Scenario, all: &[&Given]) -> Result<()> {
    let pairs = all.iter().map(|given| (given.key.as_str(), given.value.as_str()));
    scenario.set_all(pairs).map_err(|error| {
        let ScenarioError::Mistake(mistake) = error else { return error };
        let of_mistake = |given: &&&Given| mistake.source_line == format!("{}={}", given.key, given.value);
        let Some(given) = all.iter().rfind(of_mistake) else { return ScenarioError::Mistake(mistake) };
        let key = &given.key;
        let span = if mistake.column <= key.chars().count() { given.key_span } else { given.span };
        let found = if mistake.found.contains(key) { mistake.found } else { format!("{} for `{key}`", mistake.found) };
        document.mistake(span, mistake.expected, found, mistake.suggestion)
    })
}

/// A value as TOML on one line.
fn toml(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => format!("{number:?}"),
        Value::Boolean(flag) => flag.to_string(),
        Value::Date(date) => date.clone(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| toml(&item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(entries) => {
            let pair = |(key, entry): (&String, &cbdc_scenario_file::document::Entry)| {
                format!("{} = {}", quoted(key), toml(&entry.node.value))
            };
            format!("{{ {} }}", entries.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let mut safe = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => safe.push_str("\\\""),
            '\\' => safe.push_str("\\\\"),
            control if control.is_control() => safe.push_str(&format!("\\u{:04X}", control as u32)),
            other => safe.push(other),
        }
    }
    safe.push('"');
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = "[households]\ncount = 100\n[time]\ndays = 5\n";

    fn read(plan: &str) -> Result<PlanFile> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("small.toml"), SCENARIO).unwrap();
        let path = folder.path().join("plan.toml");
        std::fs::write(&path, format!("scenario = \"small.toml\"\n{plan}")).unwrap();
        PlanFile::read(&path)
    }

    fn sets(file: &PlanFile) -> Vec<String> {
        let words = |set: &[Setting]| set.iter().map(|one| format!("{}={}", one.key, one.value)).collect::<Vec<_>>();
        file.designs.iter().map(|design| words(&design.set).join(" ")).collect()
    }

    #[test]
    fn a_grid_is_every_combination_in_the_order_of_the_file() {
        let plan =
            "seeds = 3\n[grid]\npolicy.holding_limit_minor = [50_000, \"none\"]\n\"households.count\" = [100, 200]\n";
        let file = read(plan).unwrap();
        assert_eq!(file.seeds, [1, 2, 3]);
        assert_eq!(file.keys, ["policy.holding_limit_minor", "households.count"]);
        assert_eq!(
            sets(&file),
            [
                "policy.holding_limit_minor=50000 households.count=100",
                "policy.holding_limit_minor=50000 households.count=200",
                "policy.holding_limit_minor=\"none\" households.count=100",
                "policy.holding_limit_minor=\"none\" households.count=200",
            ]
        );
        assert_eq!(file.designs[1].scenario.values.households.count, 200);
    }

    #[test]
    fn a_list_names_its_designs_and_what_all_share_is_set_once() {
        let plan = "seeds = [7, 5]\n[set]\ntime.days = 3\n[[list]]\nname = \"tight\"\n\
                    policy.holding_limit_minor = 1_000\n[[list]]\n";
        let file = read(plan).unwrap();
        assert_eq!(file.seeds, [7, 5]);
        assert_eq!(file.designs[0].name.as_deref(), Some("tight"));
        assert_eq!(sets(&file), ["policy.holding_limit_minor=1000", ""]);
        assert!(file.designs.iter().all(|design| design.scenario.values.time.days == 3));
    }

    #[test]
    fn a_hypercube_has_as_many_designs_as_asked_for() {
        let plan =
            "[latin_hypercube]\ndesigns = 8\n[latin_hypercube.over]\nhouseholds.count = { from = 100, to = 107 }\n";
        let file = read(plan).unwrap();
        let mut counts: Vec<u32> = file.designs.iter().map(|design| design.scenario.values.households.count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [100, 101, 102, 103, 104, 105, 106, 107]);
    }

    #[test]
    fn a_mistake_is_told_at_its_place_in_the_plan() {
        for (plan, line, words) in [
            ("[grid]\npolicy.holding_limit_minor = [1, -5]\n", 3, "policy.holding_limit_minor"),
            ("[grid]\npolicy.holding_limit = [1, 5]\n", 3, "did you mean `holding_limit_minor`?"),
            ("[grid]\nhouseholds.count = 5\n", 3, "a list of values for `households.count`"),
            ("[grid]\nhouseholds.count = []\n", 3, "at least one value"),
            ("[set]\nseed = 5\n", 3, "the plan's own `seeds`"),
            ("[[list]]\nname = 5\n", 3, "text in quotes"),
            ("[grid]\nhouseholds.count = [100]\n[[list]]\n", 4, "`list` beside `grid`"),
            ("seeds = 0\n", 2, "from 1 to 1000000"),
            ("seeds = [1, 1]\n", 2, "1 a second time"),
            ("seeds = 1_000_000\n[grid]\nhouseholds.count = [100, 200]\n", 2, "at most 1000000 runs"),
            ("seed = 1\n", 2, "did you mean `seeds`?"),
            ("[latin_hypercube]\n", 2, "`over`"),
            ("[latin_hypercube.over]\nhouseholds.count = { from = 9, to = 8 }\n", 3, "from < to"),
            ("[latin_hypercube.over]\nhouseholds.count = { from = 9 }\n", 3, "`from` and `to`"),
        ] {
            let told = read(plan).unwrap_err().to_string();
            assert!(told.contains(&format!("plan.toml:{line}:")), "{plan}\n{told}");
            assert!(told.contains(words), "{plan}\n{told}");
        }
    }

    #[test]
    fn a_scenario_that_is_not_there_is_told_at_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        std::fs::write(&path, "name = \"x\"\nscenario = \"smal.toml\"\n").unwrap();
        std::fs::write(folder.path().join("small.toml"), SCENARIO).unwrap();
        let told = PlanFile::read(&path).unwrap_err().to_string();
        assert!(told.contains("plan.toml:2:12") && told.contains("small.toml"), "{told}");
    }

    #[test]
    fn text_survives_its_way_through_toml() {
        for text in ["none", "a \"b\" \\ c", "line\nnext", "é"] {
            let document = Document::parse("t", &format!("key = {}", quoted(text))).unwrap();
            assert_eq!(Section::root(&document).text("key").unwrap().as_deref(), Some(text));
        }
    }
}
