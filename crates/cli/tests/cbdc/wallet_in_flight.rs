//! Payments and holds whose answers were not shown: found again, told, made once, and never sent for another command.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cbdc_client::NetworkFolder;
use serde_json::Value;

use crate::running::{Up, available, cbdc, child_of, code, killed_and_again, object, run, wait_for_balance};

/// A network of one bank whose central bank can be stopped and continued.
struct Outage {
    up: Up,
    central_bank: String,
}

impl Outage {
    fn start(dir: &Path) -> Outage {
        let up = Up::start(dir, &["--processes", "--banks", "1"]);
        let central_bank = child_of(&up, "central-bank-1").to_string();
        let outage = Outage { up, central_bank };
        outage.signal("-STOP");
        // Whatever is sent before the bank notices may be ordered afterwards.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let wallet = NetworkFolder::open(&dir.join("net")).unwrap();
        runtime.block_on(async {
            let wallet = wallet.wallet("alice").unwrap();
            while wallet.status().await.unwrap().central_bank_reachable {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        outage
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.central_bank]).status().unwrap().success());
    }

    fn end(&self) {
        self.signal("-CONT");
    }
}

/// Runs with `--json`; the exit code, the object, and what was told beside it.
fn told(dir: &Path, words: &[&str]) -> (i32, Value, String) {
    let output = run(dir, &[words, &["--json"]].concat());
    let object = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), object, String::from_utf8(output.stderr).unwrap())
}

/// The amounts that a wallet has paid and the ledger has settled, newest first.
fn paid(dir: &Path, wallet: &str) -> Vec<u64> {
    let account = object(dir, &["wallet", "show", wallet])["account"].clone();
    let history = object(dir, &["wallet", "history", wallet, "--count", "500"]);
    let payments = history["payments"].as_array().unwrap();
    let settled = payments.iter().filter(|payment| payment["kind"] == "transfer" && payment["from"] == account);
    settled.filter(|payment| payment["reason"] == "SETTLED").map(|one| one["amount_minor"].as_u64().unwrap()).collect()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_refused_payment_is_never_sent_for_another_one_which_takes_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let outage = Outage::start(dir);
    assert_eq!(object(dir, &["wallet", "pay", "alice", "bob", "900", "--accept"])["outcome"], "ACCEPTED");
    let (exit, refused, notes) = told(dir, &["wallet", "pay", "alice", "bob", "200", "--accept"]);
    assert_eq!((exit, &refused["refusal"]["reason"]), (3, &Value::from("NOT_ACCEPTED")), "{refused}");
    assert!(refused["refusal"]["may_settle_until_ms"].is_u64() && notes.contains("may still settle until"), "{notes}");
    outage.end();
    wait_for_balance(dir, "bob", 50_000 + 90_000);
    // From here on the refused payment would settle if it were sent.
    object(dir, &["wallet", "fund", "alice", "500", "--credit"]);
    let (exit, other, notes) = told(dir, &["wallet", "pay", "alice", "carol", "3"]);
    assert_eq!((exit, &other["outcome"], &other["amount_minor"]), (0, &"SETTLED".into(), &300.into()), "{other}");
    assert!(notes.contains("a payment of 200.00") && notes.contains("can never settle now"), "{notes}");
    assert_eq!(paid(dir, "alice"), [300, 90_000]);
    // Typed again, it is a payment of its own, and the accepted one is told.
    assert_eq!(object(dir, &["wallet", "pay", "alice", "bob", "200"])["outcome"], "SETTLED");
    assert_eq!(object(dir, &["wallet", "pay", "alice", "bob", "900"])["outcome"], "SETTLED");
    assert_eq!(paid(dir, "alice"), [20_000, 300, 90_000]);
    outage.up.stop();
}

#[test]
fn of_several_accepted_payments_each_gets_its_own_answer_and_settles_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let outage = Outage::start(dir);
    let amounts = ["2", "3", "4"];
    let pay = |amount: &str| object(dir, &["wallet", "pay", "alice", "bob", amount, "--accept"]);
    for amount in amounts {
        assert_eq!(pay(amount)["outcome"], "ACCEPTED");
    }
    outage.end();
    wait_for_balance(dir, "bob", 50_000 + 900);
    // One that is made in between changes nothing for them.
    assert_eq!(object(dir, &["wallet", "pay", "alice", "carol", "1"])["amount_minor"], 100);
    let positions: BTreeSet<String> = amounts
        .into_iter()
        .map(|amount| {
            let answer = pay(amount);
            assert_eq!(answer["outcome"], "SETTLED");
            format!("{}:{}", answer["height"], answer["index"])
        })
        .collect();
    assert_eq!(positions.len(), 3, "{positions:?}");
    let made: BTreeSet<u64> = paid(dir, "alice").into_iter().collect();
    assert_eq!((paid(dir, "alice").len(), made), (4, BTreeSet::from([100, 200, 300, 400])));
    assert!(!dir.join("net/wallets/alice.pending").exists(), "all have been told");
    assert_eq!(pay("2")["outcome"], "SETTLED");
    assert_eq!(paid(dir, "alice").len(), 5, "from here on it is another payment");
    outage.up.stop();
}

#[test]
fn a_payment_without_an_answer_is_neither_sent_nor_accepted_for_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let outage = Outage::start(dir);
    let first = ["wallet", "pay", "alice", "bob", "5"];
    let mut sent = cbdc(dir, &first).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1_000));
    sent.kill().unwrap();
    sent.wait().unwrap();
    let accepted = || object(dir, &["wallet", "history", "alice"])["accepted"].as_array().unwrap().len();
    let second = ["wallet", "pay", "alice", "carol", "3", "--accept"];
    let (exit, blocked, _) = told(dir, &second);
    let sentence = blocked["error"].as_str().unwrap();
    assert_eq!((exit, accepted()), (4, 0), "{sentence}");
    assert!(sentence.contains("cbdc wallet pay alice") && sentence.contains("--instead"), "{sentence}");
    assert_eq!(code(dir, &["wallet", "defund", "alice", "1"]), 4, "whatever the other one is");
    assert_eq!(code(dir, &["wallet", "move", "alice", "--bank", "1"]), 4);

    // Meant instead of the first, it has the same number: one of the two settles.
    assert_eq!(object(dir, &[&second[..], &["--instead"]].concat())["outcome"], "ACCEPTED");
    outage.end();
    until("neither settles", || !paid(dir, "alice").is_empty() && accepted() == 0);
    let settled = paid(dir, "alice");
    let (exit, answer, _) = told(dir, &second);
    match settled[..] {
        [500] => {
            let sentence = answer["error"].as_str().unwrap();
            assert!(exit == 3 && sentence.contains("was not made"), "{sentence}");
            assert_eq!(object(dir, &first)["amount_minor"], 500, "it is told, not made");
        }
        [300] => assert_eq!((exit, &answer["outcome"]), (0, &"SETTLED".into()), "{answer}"),
        _ => panic!("{settled:?}"),
    }
    assert_eq!(paid(dir, "alice"), settled);
    outage.up.stop();
}

#[test]
fn of_payments_made_instead_of_each_other_one_settles_in_whatever_order_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let outage = Outage::start(dir);
    let first = ["wallet", "pay", "alice", "bob", "5"];
    let second = ["wallet", "pay", "alice", "bob", "4", "--instead"];
    let third = ["wallet", "pay", "alice", "bob", "3", "--instead", "--accept"];
    for words in [&first[..], &second] {
        let mut sent = cbdc(dir, words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1_000));
        sent.kill().unwrap();
        sent.wait().unwrap();
    }
    assert_eq!(object(dir, &third)["outcome"], "ACCEPTED");
    let refused = |words: &[&str], part: &str| {
        let (exit, answer, _) = told(dir, words);
        let sentence = answer["error"].as_str().unwrap();
        assert!(sentence.contains(part), "{words:?}: {sentence}");
        exit
    };
    // The accepted one decides, and is no reason to wait with others: only with those instead of it.
    assert_eq!(refused(&first, "was accepted instead of"), 4);
    assert_eq!(refused(&["wallet", "pay", "alice", "bob", "1", "--accept", "--instead"], "leave out --instead"), 4);
    let beside = ["wallet", "pay", "alice", "bob", "2", "--accept"];
    assert_eq!(object(dir, &beside)["outcome"], "ACCEPTED");

    outage.end();
    let accepted = || object(dir, &["wallet", "history", "alice"])["accepted"].as_array().unwrap().len();
    until("two settle", || paid(dir, "alice").len() == 2 && accepted() == 0);
    let settled = paid(dir, "alice");
    let mut made = Vec::new();
    for words in [&second[..], &first, &third] {
        let (exit, answer, _) = told(dir, words);
        match exit {
            0 => made.push(answer["amount_minor"].as_u64().unwrap()),
            3 => assert!(answer["error"].as_str().unwrap().contains("was not made"), "{answer}"),
            _ => panic!("{words:?}: {answer}"),
        }
    }
    assert!(made.len() == 1 && settled.contains(&made[0]), "{made:?} of {settled:?}");
    assert_eq!(object(dir, &beside)["amount_minor"], 200);
    assert_eq!(paid(dir, "alice"), settled, "nothing was made by asking");
    assert!(!dir.join("net/wallets/alice.pending").exists(), "all have been told");
    assert_eq!(object(dir, &first)["amount_minor"], 500);
    assert_eq!(paid(dir, "alice").len(), 3, "from here on it is another payment");
    outage.up.stop();
}

#[test]
fn a_hold_that_is_killed_and_typed_again_holds_the_money_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &["--banks", "1"]);
    let words = ["wallet", "hold", "alice", "carol", "1", "--expires-in-s", "3600"];
    let mut shown = BTreeSet::new();
    for after_ms in [0, 10, 20, 30, 40, 50, 60, 70, 80, 100, 130, 160] {
        shown.extend(killed_and_again(dir, &words, after_ms).iter().map(|place| format!("{place:?}")));
    }
    let holds = object(dir, &["wallet", "holds", "alice"]);
    assert_eq!(holds["holds"].as_array().unwrap().len(), shown.len(), "{shown:?}");
    assert_eq!(available(dir, "alice"), 100_000 - 100 * shown.len() as u64);
    up.stop();
}

#[test]
fn a_wallet_is_shown_while_its_banks_deposits_are_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &["--banks", "1"]);
    up.stop();
    let copy = |from: &str, to: &str| {
        std::fs::create_dir(dir.join(to)).unwrap();
        for file in std::fs::read_dir(dir.join(from)).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), dir.join(to).join(file.file_name())).unwrap();
        }
    };
    copy("net/bank-1/data", "older");
    let up = Up::start(dir, &[]);
    object(dir, &["wallet", "fund", "alice", "5", "--credit"]);
    up.stop();
    std::fs::remove_dir_all(dir.join("net/bank-1/data")).unwrap();
    copy("older", "net/bank-1/data");

    let up = Up::start(dir, &[]);
    wait_for_balance(dir, "alice", 100_500);
    until("deposits are not in doubt", || object(dir, &["bank", "deposits", "--bank", "1"])["in_doubt"] == true);
    let shown = object(dir, &["wallet", "show", "alice"]);
    assert_eq!((&shown["available_minor"], &shown["deposit_minor"]), (&100_500.into(), &Value::Null), "{shown}");
    let why = shown["deposit_not_shown"].as_str().unwrap();
    assert!(why.starts_with("DEPOSITS_IN_DOUBT") && why.contains("since block") && !why.contains("(limit"), "{why}");
    let text = String::from_utf8(run(dir, &["wallet", "show", "alice"]).stdout).unwrap();
    assert!(text.contains("not shown: DEPOSITS_IN_DOUBT") && text.contains("1,005.00"), "{text}");
    up.stop();
}
