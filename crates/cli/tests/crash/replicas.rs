//! A central bank of three nodes, disturbed at random: killed, paused, cut off, slowed, restarted, handed over. Every
//! answer and read is compared with every block of every node.

use std::process::Command;
use std::time::Duration;

use cbdc_harness::faults::plan::{Fault, Part, Planned, Side};
use cbdc_harness::faults::{FaultOptions, run};
use cbdc_harness::scenario::Direction;

use crate::kills::Dice;

/// One seed that is always the same, and one that is new. `CBDC_CRASH_SEED` repeats that; `make faults` runs longer.
#[test]
fn whatever_was_answered_stands_after_nodes_and_links_failed() {
    let new = std::env::var("CBDC_CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let new = new.unwrap_or_else(|| Dice::new(u64::from(std::process::id()), 7).among(1..1_000_000_000));
    println!("CBDC_CRASH_SEED={new}");
    for seed in [4_711, new] {
        let folder = tempfile::tempdir().unwrap();
        let run = Command::new(env!("CARGO_BIN_EXE_cbdc"))
            .args(["bench", "faults", "--minutes", "0.2", "--json", "--rate-per-s", "100", "--seed"])
            .arg(seed.to_string())
            .arg("--out")
            .arg(folder.path().join("out"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&run.stderr);
        let result: serde_json::Value =
            serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
        let violations = result["violations"].as_array().unwrap();
        assert!(violations.is_empty(), "seed {seed}: {violations:#?}\n{told}");
        assert!(run.status.success(), "{told}");
        assert!(!result["faults"].as_array().unwrap().is_empty(), "{told}");
        assert!(result["operations"]["settled"].as_u64().unwrap() > 100, "{}\n{told}", result["operations"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_others_hear_and_that_hears_nobody_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let options = FaultOptions {
        seed: 1,
        duration: Duration::from_secs(1),
        rate_per_s: 50.0,
        out: folder.path().join("out"),
        program: Some(env!("CARGO_BIN_EXE_cbdc").into()),
        plan: Some(vec![Planned {
            calm: Duration::from_millis(200),
            fault: Fault::Cut(Side::One(Part::Leader), Direction::In),
            // Shorter than the leader waits for an append to be answered, after which it has no stream for heartbeats.
            lasts: Duration::from_millis(4_500),
        }]),
        patience: FaultOptions::PATIENCE,
    };
    let result = run(&options, |what| println!("{what}")).await.unwrap();
    assert!(result.violations.is_empty(), "{:?}", result.violations);
    assert!(result.leader_changes >= 1, "{}", result.text());
}
