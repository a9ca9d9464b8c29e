//! The dependency arrows between the crates point one way, as docs/architecture.md draws them.

use std::process::Command;

/// Low to high: a crate may use only those before it.
const ORDER: [&str; 16] = [
    "cbdc-signatures",
    "cbdc-ledger",
    "cbdc-scenario-file",
    "cbdc-figures",
    "cbdc-economy",
    "cbdc-sweep",
    "cbdc-proto",
    "cbdc-storage",
    "cbdc-ordering",
    "cbdc-node",
    "cbdc-central-bank",
    "cbdc-bank",
    "cbdc-client",
    "cbdc-devnet",
    "cbdc-harness",
    "cbdc",
];

/// Further bounds: what a crate may use at most, where it is less than everything below it.
const AT_MOST: [(&str, &[&str]); 11] = [
    ("cbdc-signatures", &[]),
    ("cbdc-ledger", &["cbdc-signatures"]),
    ("cbdc-scenario-file", &[]),
    ("cbdc-figures", &[]),
    ("cbdc-economy", &["cbdc-ledger", "cbdc-scenario-file", "cbdc-figures"]),
    ("cbdc-sweep", &["cbdc-scenario-file", "cbdc-figures", "cbdc-economy"]),
    ("cbdc-storage", &[]),
    ("cbdc-ordering", &["cbdc-storage"]),
    ("cbdc-bank", &["cbdc-signatures", "cbdc-ledger", "cbdc-proto", "cbdc-storage", "cbdc-node"]),
    ("cbdc-client", &["cbdc-ledger", "cbdc-proto"]),
    (
        "cbdc-devnet",
        &["cbdc-ledger", "cbdc-scenario-file", "cbdc-proto", "cbdc-central-bank", "cbdc-bank", "cbdc-client"],
    ),
];

/// What the ledger and the economy on it, alone and in batches, must not bring in.
const NOT_IN_THE_LEDGER: [&str; 6] = ["tokio", "tonic", "rocksdb", "openraft", "mio", "socket2"];

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Names of the crates of this workspace that a package needs to run; tests and build scripts may need more.
fn own_dependencies(package: &serde_json::Value) -> Vec<String> {
    let dependencies = package["dependencies"].as_array().unwrap();
    let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
    normal
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .filter(|name| name.starts_with("cbdc"))
        .collect()
}

#[test]
fn a_crate_uses_only_those_below_it() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(place) = ORDER.iter().position(|known| *known == name) else { continue };
        for dependency in own_dependencies(package) {
            let below = ORDER.iter().position(|known| *known == dependency).unwrap();
            assert!(below < place, "{name} uses {dependency}, which lies above it");
            let bound = AT_MOST.iter().find(|(bounded, _)| *bounded == name);
            assert!(
                bound.is_none_or(|(_, allowed)| allowed.contains(&dependency.as_str())),
                "{name} uses {dependency}"
            );
        }
    }
}

#[test]
fn only_storage_knows_rocksdb() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let uses_it =
            package["dependencies"].as_array().unwrap().iter().any(|dependency| dependency["name"] == "rocksdb");
        assert!(!uses_it || package["name"] == "cbdc-storage", "{} uses rocksdb", package["name"]);
    }
}

#[test]
fn ledger_and_economy_bring_in_no_runtime_network_or_database() {
    for package in ["cbdc-ledger", "cbdc-economy", "cbdc-sweep"] {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--locked", "--prefix", "none", "--edges", "normal", "-p", package])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).unwrap();
        for line in tree.lines() {
            let name = line.split(' ').next().unwrap_or_default();
            assert!(!NOT_IN_THE_LEDGER.contains(&name), "{package} brings in {line}");
        }
    }
}
