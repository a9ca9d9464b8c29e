//! A protocol that is broken on purpose: its leader takes acknowledgements for granted that the others have not given.
//! The history checker finds out, from nothing but what clients were answered.
//!
//! This test is its own program of the nodes: called as `cbdc` would be, `PROGRAM node central-bank --config FILE`, it
//! runs a node, and those of the central bank are broken. Nothing else can break one: it is in no configuration file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cbdc_harness::faults::plan::{Fault, Planned, Side};
use cbdc_harness::faults::{FaultOptions, FaultRun, run};
use cbdc_harness::history::Property;
use cbdc_harness::scenario::Direction;
use cbdc_ordering::members::Flaw;

/// An append that is not answered by then counts as acknowledged. Longer than any takes on links that are not cut.
const ACKNOWLEDGED_UNANSWERED: Duration = Duration::from_millis(400);
/// The leader keeps the banks, and is cut off from the others for longer than these take to elect another one.
const PLAN: [Planned; 1] = [Planned {
    calm: Duration::from_millis(500),
    fault: Fault::Cut(Side::LeaderAndBanks, Direction::Both),
    lasts: Duration::from_secs(4),
}];

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    match words.get(1).map(String::as_str) {
        Some("node") => node(&words).await,
        // What test runners ask before they run it.
        Some("--list") => println!("a_leader_that_acknowledges_before_the_quorum_is_found_out: test"),
        _ => a_leader_that_acknowledges_before_the_quorum_is_found_out().await,
    }
}

/// Runs a node until standard input closes or it is killed.
async fn node(words: &[String]) {
    let at = words.iter().position(|word| word == "--config").expect("a node has a configuration");
    let config = Path::new(&words[at + 1]);
    match words[2].as_str() {
        "central-bank" => {
            let mut config = cbdc_central_bank::Config::load(config).unwrap();
            config.flaw = Some(Flaw::AcknowledgesUnanswered(ACKNOWLEDGED_UNANSWERED));
            let _node = cbdc_central_bank::start(config).await.unwrap();
            parent_ended().await;
        }
        _ => {
            let _node = cbdc_bank::start(cbdc_bank::Config::load(config).unwrap()).await.unwrap();
            parent_ended().await;
        }
    }
    std::process::exit(0);
}

async fn parent_ended() {
    let read = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    tokio::task::spawn_blocking(read).await.unwrap().unwrap();
}

async fn a_leader_that_acknowledges_before_the_quorum_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let options = FaultOptions {
        seed: 1,
        duration: Duration::from_secs(1),
        rate_per_s: 100.0,
        out: PathBuf::from(folder.path()),
        program: Some(std::env::current_exe().unwrap()),
        plan: Some(PLAN.to_vec()),
        patience: Duration::from_secs(5),
    };
    let result: FaultRun = run(&options, |what| println!("{what}")).await.unwrap();
    println!("{}", result.text());
    let lost = result.violations.iter().filter(|violation| violation.property == Property::AnswersStand);
    let lost: Vec<&str> = lost.map(|violation| violation.sentence.as_str()).collect();
    assert!(
        lost.iter().any(|sentence| sentence.contains("was answered settled at") && sentence.contains("and the chain")),
        "a payment that was answered settled is missing, and it is said: {lost:?}"
    );
    println!("found: {}", lost[0]);
}
