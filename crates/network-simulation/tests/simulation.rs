//! The program from the outside: seeds repeat, keep every promise, and find canaries.

use std::path::Path;
use std::process::{Command, Output};

fn simulate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cbdc-simulate-network")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_seed_repeats_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    for seed in ["12", "47", "293"] {
        let traces = ["one", "two"].map(|name| {
            let path = folder.path().join(name);
            let ran = simulate(&["--seed", seed, "--trace", path.to_str().unwrap()]);
            assert!(ran.status.success(), "{}", text(&ran.stdout));
            std::fs::read(path).unwrap()
        });
        assert!(traces[0].len() > 10_000);
        assert!(traces[0] == traces[1], "seed {seed}");
    }
}

#[test]
fn seeds_keep_every_promise() {
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../simulations/network/seeds.txt");
    let out = tempfile::tempdir().unwrap();
    let arguments = ["--seed", "1000", "--seeds", "25", "--known", known.to_str().unwrap(), "--out"];
    let ran = simulate(&[&arguments[..], &[out.path().to_str().unwrap()]].concat());
    assert!(ran.status.success(), "{}", text(&ran.stdout));
}

#[test]
fn a_seed_does_the_same_among_others() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let among = simulate(&["--seed", "4", "--seeds", "3", "--small", "--out", out]);
    assert!(among.status.success(), "{}", text(&among.stdout));
    let told = text(&among.stdout);
    let of = |seed: &str| -> serde_json::Value {
        let ran = simulate(&["--seed", seed, "--small", "--json"]);
        serde_json::from_slice(&ran.stdout).unwrap()
    };
    let sum: u64 = ["4", "5", "6"].map(|seed| of(seed)["payments"].as_u64().unwrap()).iter().sum();
    assert!(told.contains(&format!("{sum} payments")), "{told}");
}

#[test]
fn wrong_arguments_are_refused_with_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let seeds = folder.path().join("seeds.txt");
    std::fs::write(&seeds, "7 # once failed\nseven\n").unwrap();
    let wrong: [(&[&str], &str); 6] = [
        (&["--known", seeds.to_str().unwrap()], "line 2: expected a seed, found `seven`"),
        (&["--seeds", "0"], "0 is not in 1.."),
        (&["--minutes", "0"], "expected a number of minutes above 0"),
        (&["--seeds", "2", "--watch"], "cannot be used with"),
        (&["--known", "/nowhere"], "No such file"),
        (&["--plan", "/dev/null"], "expected a plan as --json prints it"),
    ];
    for (arguments, sentence) in wrong {
        let ran = simulate(arguments);
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}");
        assert!(text(&ran.stderr).contains(sentence), "{arguments:?}: {}", text(&ran.stderr));
    }
}

#[test]
fn canaries_are_found() {
    for canary in ["acknowledges-before-sync", "acknowledges-before-quorum", "skips-pre-votes"] {
        let ran = simulate(&["--canary", canary, "--seed", "1", "--seeds", "20"]);
        assert!(ran.status.success(), "{canary}: {}", text(&ran.stdout));
    }
}

#[test]
fn a_failure_is_shortened_told_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, picture) = (folder.path().join("plan.json"), folder.path().join("picture.svg"));
    // A plan of its own: nothing but a node that is killed.
    let shape = r#"{"central_banks":3,"header_signatures":1,"banks":1,"full_replicas":1,"wallets":4,"rate_per_s":10.0,
        "checkpoint_every_blocks":60,"duration_ms":1500}"#;
    let faults = r#"[{"at_ms":300,"lasts_ms":400,"fault":{"Kill":{"node":0,"silently":false}}}]"#;
    std::fs::write(&plan, format!("{{\"shape\":{shape},\"faults\":{faults}}}")).unwrap();
    let [plan, drawn] = [&plan, &picture].map(|path| path.to_str().unwrap());
    let ran = simulate(&["--seed", "3", "--plan", plan, "--picture", drawn]);
    let told = text(&ran.stdout);
    assert!(ran.status.success(), "{told}");
    for sentence in ["central-bank-1 is killed, for 400 ms", "central-bank-1 starts again", "every promise was kept"] {
        assert!(told.contains(sentence), "{sentence}: {told}");
    }
    let picture = std::fs::read_to_string(picture).unwrap();
    assert!(picture.contains("central-bank-1") && picture.contains("is killed, 400 ms"));
}
