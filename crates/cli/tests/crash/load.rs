//! The real program under load, a random node killed at a random moment, again and again.
//!
//! The run itself compares every answer with the chain and audits it from genesis; this test makes the plan of kills
//! and reads the verdict.

use std::fmt::Write;
use std::process::Command;

use crate::kills::{Dice, away_s, rounds_and_seed};

const BANKS: u64 = 2;
const ROUND_S: f64 = 1.2;

fn scenario(rounds: u64, dice: &mut Dice) -> String {
    let duration_s = (rounds as f64 * ROUND_S).ceil() + 3.0;
    let mut text = format!(
        "description = \"Kills at random moments\"\nseed = 11\n[network]\nbanks = {BANKS}\n[wallets]\ncount = 600\n\
         opening_balance_minor = 3_000_000\n[load]\nprofile = \"poisson\"\nrate_per_s = 300\nwarm_up_s = 1\n\
         duration_s = {duration_s}\nbatch_size = 40\n"
    );
    for round in 0..rounds {
        let node = match dice.among(0..BANKS + 1) {
            0 => "central-bank".to_owned(),
            bank => format!("bank-{bank}"),
        };
        let killed_at = 1.5 + round as f64 * ROUND_S + dice.share() * 0.6;
        let restarted_at = killed_at + away_s(dice);
        write!(
            text,
            "[[event]]\nat_s = {killed_at:.3}\naction = \"kill\"\nnode = \"{node}\"\n\
             [[event]]\nat_s = {restarted_at:.3}\naction = \"restart\"\nnode = \"{node}\"\n"
        )
        .unwrap();
    }
    text
}

#[test]
fn after_any_kill_every_payment_has_one_outcome_and_the_books_balance() {
    let (rounds, seed) = rounds_and_seed(20);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crash.toml");
    std::fs::write(&file, scenario(rounds, &mut Dice::new(seed, 0))).unwrap();
    let out = folder.path().join("out");
    let run = Command::new(env!("CARGO_BIN_EXE_cbdc"))
        .args(["bench", "--json", "--quiet", "--out"])
        .arg(&out)
        .arg(&file)
        .output()
        .unwrap();
    let logs = || format!("{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    let result: serde_json::Value =
        serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", logs()));
    assert_eq!(result["audit"]["ok"], true, "{}", result["audit"]["findings"]);
    assert_eq!(result["failed"], 0, "payments without an outcome");
    assert!(result["settled"].as_u64().unwrap() > rounds * 100, "only {} payments settled", result["settled"]);
    let events = result["events"].as_array().unwrap();
    assert_eq!(events.len() as u64, 2 * rounds);
    for event in events {
        assert!(event["done_at_s"].is_number(), "{event}");
    }
    assert!(run.status.success(), "{}", logs());
}
