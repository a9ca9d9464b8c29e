//! `cbdc bench core` as users call it: its keys, its syncs, its books.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench_core(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cbdc"));
    command.args(["bench", "core", "--wallets", "1000", "--batch", "100", "--transfers", "10000"]);
    command.args(arguments).current_dir(dir).output().unwrap()
}

#[test]
fn every_proposal_has_a_sync_every_transfer_an_outcome_and_the_money_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench_core(folder.path(), &["--json", "--data", "store"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |key: &str| result[key].as_u64().unwrap_or_else(|| panic!("{key} in {result}"));
    assert_eq!(
        (number("wallets"), number("batch"), number("transfers"), number("proposals")),
        (1_000, 100, 10_000, 100)
    );
    assert!(
        number("fsyncs") >= number("proposals") && number("wal_syncs_by_rocksdb") >= number("proposals"),
        "{result}"
    );
    assert_eq!((number("settled"), number("refused")), (10_000, 0), "{result}");
    assert_eq!(number("held_minor"), number("issued_minor"));
    assert!(number("issued_minor") > 0);
    assert!(result["transfers_per_s"].as_f64().unwrap() > 0.0);
    let latency = |name: &str| result["batch_latency_ms"][name].as_f64().unwrap();
    assert!(0.0 < latency("p50") && latency("p50") <= latency("p99") && latency("p99") <= latency("max"), "{result}");
    for stage in ["total", "prepare", "ordering", "log_writer", "decode", "apply", "archive", "store_background"] {
        assert!(result["cpu_us_per_transfer"][stage].as_f64().is_some_and(|us| us >= 0.0), "{stage} in {result}");
    }
    let checks = &result["checks"];
    assert_eq!(
        (&checks["signatures"], &checks["policy"], &checks["books"]),
        (&false.into(), &true.into(), &true.into())
    );
    assert_eq!(result["findings"], Value::Array(Vec::new()));
    assert!(result["machine"]["cores"].as_u64() >= Some(1) && result["version"].is_string());

    let again = bench_core(folder.path(), &["--data", "store"]);
    assert_eq!(again.status.code(), Some(1), "a folder with a store in it is not written over");
    let text = bench_core(folder.path(), &["--policy", "none"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("signatures OFF") && text.contains("policy OFF") && text.contains("agree"), "{text}");
}
