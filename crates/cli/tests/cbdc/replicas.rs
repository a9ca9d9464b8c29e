//! A network with three nodes of the central bank.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::running::{Up, available, cbdc, child_of, code, object, run};

/// The node that leads, as `chain members` says.
fn leader(dir: &Path) -> String {
    // It fails while nobody leads, and says so all the same.
    let members: Value = serde_json::from_slice(&run(dir, &["chain", "members", "--json"]).stdout).unwrap();
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
    // By its name this time; it leads already.
    let again = object(dir, &["chain", "hand-over", "--to", &format!("central-bank-{successor}")]);
    assert_eq!((&again["handed_over"], &again["term"]), (&Value::from(false), &now["term"]));
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
    assert_eq!(row(&lost)["part"], "away");
    assert!(row(&next)["height"].as_u64() > Some(0) && row(&next)["term"].as_u64() > Some(1), "{members}");
    assert_eq!(object(dir, &["audit"])["ok"], true);
    let said = || std::fs::read_to_string(dir.join("up.err")).unwrap();
    wait_for(&said, "2 of the central bank's 3 nodes are left");

    // The majority is lost: nobody leads, which is said, and a payment says what it waits for.
    let pid = child_of(&up, &format!("net/{next}/"));
    Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    wait_for(&said, "1 of the central bank's 3 nodes is left, no majority");
    let nobody = || leader(dir) == "central-bank-null";
    wait_until(&nobody, "nobody leads");
    let shown = run(dir, &["chain", "members"]);
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.code() == Some(4) && text.contains("Nobody leads") && text.contains("2 are needed"), "{text}");
    let waits = std::fs::File::create(dir.join("pay.err")).unwrap();
    let mut pays = cbdc(dir, &["wallet", "pay", "alice", "bob", "1"]).stderr(waits).spawn().unwrap();
    let said_by_payment = || std::fs::read_to_string(dir.join("pay.err")).unwrap();
    wait_for(&said_by_payment, "waiting for the central bank: nobody leads");
    assert!(said_by_payment().contains("--accept"), "{}", said_by_payment());

    // A node that was started by hand brings it back, and the payment settles.
    let config = format!("net/{next}/config.toml");
    let by_hand = ["node", "central-bank", "--stop-with-parent", "--config", &config];
    let mut by_hand = cbdc(dir, &by_hand).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&said, "leads; 2 of the central bank's 3 nodes run");
    assert!(pays.wait().unwrap().success(), "{}", said_by_payment());
    assert_eq!(available(dir, "alice"), 100_000 - 400);
    up.stop();
    // The folder has a node that runs: its number and its process are named.
    let refused = run(dir, &["up", "--processes"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains(&format!("{next} runs already, as process {}", by_hand.id())), "{text}");
    Command::new("kill").args(["-TERM", &by_hand.id().to_string()]).status().unwrap();
    assert!(by_hand.wait().unwrap().success());

    // The same folder goes on with all three, and with what was paid.
    let up = Up::start(dir, &["--central-banks", "5"]);
    assert!(said().contains("--central-banks 5: for a new network only") && said().contains("3 nodes"), "{}", said());
    assert_eq!(available(dir, "alice"), 100_000 - 400);
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "1"]), 0);

    // One node's folder is enough to ask all of them, and so is an address; but it is no whole network.
    let alone = dir.join("alone");
    std::fs::create_dir(&alone).unwrap();
    std::fs::copy(dir.join("net/genesis.bin"), alone.join("genesis.bin")).unwrap();
    copy_folder(&dir.join("net/auditor-1"), &alone.join("auditor-1"));
    let address = up.greeting["nodes"][1]["grpc"].as_str().unwrap();
    let from_address = object(dir, &["chain", "members", "--network", "alone", "--central-bank", address]);
    let reached = |members: &Value| (members["members"].as_array().unwrap().len(), members["reached"].clone());
    assert_eq!(reached(&from_address), (3, Value::from(3)), "{from_address}");
    let refused = run(dir, &["chain", "members", "--network", "alone"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("--central-bank ADDRESS"), "{text}");
    copy_folder(&dir.join("net/central-bank-3"), &alone.join("central-bank-3"));
    let from_folder = object(dir, &["chain", "members", "--network", "alone"]);
    assert_eq!(reached(&from_folder), (3, Value::from(3)), "{from_folder}");
    let refused = run(dir, &["up", "alone"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && text.contains("central-bank-1, central-bank-2, bank-1"), "{text}");
    up.stop();
}

/// Copies the files of a folder, and no folder within.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    let files = std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    for file in files {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

fn wait_for(said: &dyn Fn() -> String, expected: &str) {
    wait_until(&|| said().contains(expected), expected);
}

fn wait_until(is_so: &dyn Fn() -> bool, what: &str) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < give_up, "in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
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
