//! A network with three nodes of the central bank.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::running::{Up, available, child_of, code, object, run};

/// The node that leads, as `chain members` says.
fn leader(dir: &Path) -> String {
    let members = object(dir, &["chain", "members"]);
    format!("central-bank-{}", members["leader"])
}

/// Waits until another node leads.
fn other_leader(dir: &Path, former: &str) -> String {
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let now = leader(dir);
        if now != former && now != "central-bank-null" {
            return now;
        }
        assert!(Instant::now() < give_up, "nobody follows {former}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn payments_go_on_when_the_leader_is_killed_and_when_it_hands_over() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &["--central-banks", "3", "--processes"]);
    let parts: Vec<&str> = (0..3).map(|node| up.greeting["nodes"][node]["part"].as_str().unwrap()).collect();
    assert_eq!(parts.iter().filter(|part| **part == "leader").count(), 1, "{parts:?}");
    assert!(up.greeting["nodes"][3].get("part").is_none(), "a bank has no part in ordering");
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "1"]), 0);

    // A planned hand-over, to a node that is named.
    let first = leader(dir);
    let successor = if first == "central-bank-1" { "2" } else { "1" };
    let now = object(dir, &["chain", "hand-over", "--to", successor]);
    assert_eq!(now["node"], format!("central-bank-{successor}"));
    assert!(now["pause_ms"].is_u64(), "{now}");
    assert_eq!(other_leader(dir, &first), format!("central-bank-{successor}"));
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "1"]), 0);

    // The leader is lost.
    let lost = leader(dir);
    let pid = child_of(&up, &format!("net/{lost}/"));
    Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    let next = other_leader(dir, &lost);
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "1"]), 0);
    assert_eq!(available(dir, "alice"), 100_000 - 300);
    let members = object(dir, &["chain", "members"]);
    let rows = members["members"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["node"] == name).unwrap();
    assert_eq!((rows.len(), &row(&next)["part"]), (3, &Value::from("leader")));
    assert!(row(&lost)["not_reached"].is_string() && row(&lost)["height"].is_null(), "{members}");
    assert!(row(&next)["height"].as_u64() > Some(0) && row(&next)["term"].as_u64() > Some(1), "{members}");
    assert_eq!(object(dir, &["audit"])["ok"], true);
    let give_up = Instant::now() + Duration::from_secs(10);
    let said = || std::fs::read_to_string(dir.join("up.err")).unwrap();
    while !said().contains("2 of the central bank's 3 nodes are left") {
        assert!(Instant::now() < give_up, "{}", said());
        std::thread::sleep(Duration::from_millis(50));
    }
    up.stop();

    // The same folder goes on with all three, and with what was paid.
    let up = Up::start(dir, &["--central-banks", "5"]);
    assert!(said().contains("--central-banks 5: for a new network only") && said().contains("3 nodes"), "{}", said());
    assert_eq!(available(dir, "alice"), 100_000 - 300);
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "1"]), 0);
    up.stop();
}

#[test]
fn a_single_node_leads_by_itself_and_has_nobody_to_hand_over_to() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &["--banks", "1"]);
    let members = object(dir, &["chain", "members"]);
    assert_eq!((&members["leader"], members["members"].as_array().map(Vec::len)), (&Value::from(1), Some(1)));
    assert_eq!(members["members"][0]["part"], "leader");
    let refused = run(dir, &["chain", "hand-over"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && text.contains("one node"), "{text}");
    up.stop();
    assert_eq!(code(dir, &["chain", "members"]), 4, "nobody listens");
}

#[test]
fn a_number_of_nodes_that_gains_nothing_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let refused = run(folder.path(), &["init", "net", "--central-banks", "4"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && text.contains("no more failures than 3"), "{text}");
    let refused = run(folder.path(), &["init", "net", "--central-banks", "3", "--header-signatures", "4"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && text.contains("1 to 3 signatures"), "{text}");
    assert!(!folder.path().join("net").exists());
}
