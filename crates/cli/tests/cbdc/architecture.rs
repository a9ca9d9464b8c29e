//! The dependencies between the crates are those that the crate table in the docs allows: every row is checked.
//!
//! The table's columns are `crate | what it is | may use`. Its rows stand low to high, a row a crate, named by the
//! crate's folder. The last column names what the crate may use of this workspace to run: `none`, a list of rows above
//! it, or `all above`. A crate without a row and a row without a crate are mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const HEADING: [&str; 3] = ["crate", "what it is", "may use"];

/// The first row of a crate that may know a runtime or the network. Those above it are pure.
const FIRST_IMPURE: &str = "environment";
/// The packages that a pure crate must not bring in.
const IMPURE: [&str; 6] = ["tokio", "tonic", "rocksdb", "openraft", "mio", "socket2"];
/// The crates whose callers pass randomness in, and the packages that would let them draw it themselves.
const WITHOUT_RANDOMNESS: [&str; 3] = ["signatures", "ledger", "economy"];
const RANDOMNESS: [&str; 2] = ["getrandom", "rand_os"];

/// A row of the table.
#[derive(PartialEq, Eq, Debug)]
struct Row {
    name: String,
    may_use: BTreeSet<String>,
}

/// A crate of this workspace: its package's name, and the folders of the crates that it needs to run.
struct Crate {
    package: String,
    uses: BTreeSet<String>,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The page with the crate table.
fn page() -> String {
    let path = workspace().join("docs/internals/architecture.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads the table out of a page. Names in the last column must be rows above.
fn read_table(page: &str) -> Result<Vec<Row>, String> {
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = page.lines().skip_while(|line| cells(line) != HEADING);
    lines.next().ok_or(format!("expected a table with the columns {HEADING:?}, found none"))?;
    let mut rows: Vec<Row> = Vec::new();
    for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
        let cells = cells(line);
        let [name, _, may_use] = cells.as_slice() else { return Err(format!("expected three cells, found {line}")) };
        let name = name.trim_matches('`').to_owned();
        let above: BTreeSet<String> = rows.iter().map(|row| row.name.clone()).collect();
        if above.contains(&name) {
            return Err(format!("expected one row for {name}, found two"));
        }
        let may_use = match may_use.as_str() {
            "all above" => above,
            "none" => BTreeSet::new(),
            list => {
                let listed: BTreeSet<String> =
                    list.split(',').map(|one| one.trim().trim_matches('`').to_owned()).collect();
                let unknown: Vec<&String> = listed.difference(&above).collect();
                if !unknown.is_empty() {
                    return Err(format!("{name} may use {unknown:?}: expected rows above it, `none` or `all above`"));
                }
                listed
            }
        };
        rows.push(Row { name, may_use });
    }
    Ok(rows)
}

fn table() -> Vec<Row> {
    read_table(&page()).unwrap()
}

/// The packages of this workspace, as cargo reads the manifests.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let Value::Array(packages) = metadata["packages"].take() else { panic!("metadata without packages") };
    packages
}

/// The crates of this workspace by folder. Tests and build scripts may need more than what is counted here.
fn crates() -> BTreeMap<String, Crate> {
    let packages = packages();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let folder = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        manifest.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
    };
    let folders: BTreeMap<String, String> = packages.iter().map(|package| (name(package), folder(package))).collect();
    let uses = |package: &Value| {
        let normal =
            package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
        normal.filter_map(|dependency| folders.get(dependency["name"].as_str().unwrap()).cloned()).collect()
    };
    let of_package = |package| (folder(package), Crate { package: name(package), uses: uses(package) });
    packages.iter().map(of_package).collect()
}

/// The packages that a crate needs to run, its own among them.
fn brought_in(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none", "--edges", "normal", "-p", package])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
}

#[test]
fn every_crate_has_a_row_and_every_row_a_crate() {
    let rows: BTreeSet<String> = table().into_iter().map(|row| row.name).collect();
    let crates: BTreeSet<String> = crates().into_keys().collect();
    let without_row: Vec<_> = crates.difference(&rows).collect();
    assert!(without_row.is_empty(), "crates without a row: {without_row:?}");
    let without_crate: Vec<_> = rows.difference(&crates).collect();
    assert!(without_crate.is_empty(), "rows without a crate: {without_crate:?}");
}

#[test]
fn a_crate_uses_only_what_its_row_allows() {
    let crates = crates();
    for row in table() {
        let Some(found) = crates.get(&row.name) else { continue };
        let too_many: Vec<_> = found.uses.difference(&row.may_use).collect();
        assert!(too_many.is_empty(), "{} uses {too_many:?}, which its row does not allow", row.name);
    }
}

#[test]
fn only_storage_knows_rocksdb() {
    for package in packages() {
        let uses_it =
            package["dependencies"].as_array().unwrap().iter().any(|dependency| dependency["name"] == "rocksdb");
        assert!(!uses_it || package["name"] == "cbdc-storage", "{} uses rocksdb", package["name"]);
    }
}

#[test]
fn pure_crates_bring_in_no_runtime_network_or_database() {
    let (rows, crates) = (table(), crates());
    let end = rows.iter().position(|row| row.name == FIRST_IMPURE).expect("the table has a row for environment");
    assert!(end >= 5, "expected the pure crates above {FIRST_IMPURE}, found {end} rows");
    for Row { name, .. } in &rows[..end] {
        let brought_in = brought_in(&crates[name].package);
        let impure: Vec<_> = IMPURE.iter().filter(|impure| brought_in.contains(**impure)).collect();
        assert!(impure.is_empty(), "{name} brings in {impure:?}");
    }
}

#[test]
fn randomness_is_handed_in() {
    for name in WITHOUT_RANDOMNESS {
        let brought_in = brought_in(&crates()[name].package);
        let sources: Vec<_> = RANDOMNESS.iter().filter(|source| brought_in.contains(**source)).collect();
        assert!(sources.is_empty(), "{name} brings in {sources:?}");
    }
}

#[test]
fn a_table_is_read_row_by_row() {
    let table =
        |rows: &str| read_table(&format!("# Crates\n\n| crate | what it is | may use |\n|---|---|---|\n{rows}\n"));
    let row = |name: &str, may_use: &[&str]| Row {
        name: name.to_owned(),
        may_use: may_use.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!(
        table(
            "| `a` | low | none |\n| `b` | mid | a |\n| `c` | high | `a`, b |\n| `d` | top | all above |\n\n| `e` | no \
            | none |"
        ),
        Ok(vec![row("a", &[]), row("b", &["a"]), row("c", &["a", "b"]), row("d", &["a", "b", "c"])])
    );
    for wrong in
        ["| `a` | low | b |\n| `b` | high | none |", "| `a` | low | none |\n| `a` | again | none |", "| `a` | none |"]
    {
        assert!(table(wrong).is_err(), "{wrong}");
    }
    assert!(read_table("no table").is_err());
}
