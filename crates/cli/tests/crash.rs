//! Crashes: the real program under load, a random node killed (SIGKILL) at a random moment, again and again.
//!
//! The run itself compares every answer with the chain and audits it from genesis; this test makes the plan of kills
//! and reads the verdict. `CBDC_CRASH_ROUNDS` sets the number of rounds, `CBDC_CRASH_SEED` repeats a failed plan.

use std::fmt::Write;
use std::process::Command;

const BANKS: u64 = 2;
const ROUND_S: f64 = 1.5;

/// A small generator, so that a printed seed repeats the plan (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in 0..1.
    fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn scenario(rounds: u64, dice: &mut Dice) -> String {
    let duration_s = (rounds as f64 * ROUND_S).ceil() + 3.0;
    let mut text = format!(
        "description = \"Kills at random moments\"\nseed = 11\n[network]\nbanks = {BANKS}\n[wallets]\ncount = 600\n\
         opening_balance_minor = 3_000_000\n[load]\nprofile = \"poisson\"\nrate_per_s = 300\nwarm_up_s = 1\n\
         duration_s = {duration_s}\nbatch_size = 40\n"
    );
    for round in 0..rounds {
        let node = match dice.roll() % (BANKS + 1) {
            0 => "central-bank".to_owned(),
            bank => format!("bank-{bank}"),
        };
        let killed_at = 1.5 + round as f64 * ROUND_S + dice.share() * 0.6;
        let restarted_at = killed_at + 0.05 + dice.share() * 0.4;
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
    let rounds = environment("CBDC_CRASH_ROUNDS", 30);
    let seed = environment("CBDC_CRASH_SEED", u64::from(std::process::id()));
    println!("CBDC_CRASH_SEED={seed} CBDC_CRASH_ROUNDS={rounds}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crash.toml");
    std::fs::write(&file, scenario(rounds, &mut Dice(seed))).unwrap();
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
