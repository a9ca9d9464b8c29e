//! The program as a newcomer uses it: a network that starts, pays, proves, stops and continues where it stopped.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::running::{Up, available, cbdc, child_of, code, killed_and_again, object, run, wait_for_balance};

#[test]
fn from_nothing_to_a_paid_wallet_and_a_receipt_and_on_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &[]);
    assert_eq!((&up.greeting["resumed"], up.greeting["wallets"].as_array().unwrap().len()), (&Value::Bool(false), 3));

    let paid = object(dir, &["wallet", "pay", "alice", "bob", "12.50"]);
    assert_eq!((paid["outcome"].as_str(), paid["amount_minor"].as_u64()), (Some("SETTLED"), Some(1250)));
    assert_eq!(available(dir, "alice"), 100_000 - 1250);
    wait_for_balance(dir, "bob", 50_000 + 1250);
    let position = format!("{}:{}", paid["height"], paid["index"]);
    assert_eq!(object(dir, &["wallet", "receipt", "alice", &position, "--save", "r"])["valid"], true);
    assert_eq!(object(dir, &["audit"])["ok"], true);
    up.stop();

    assert_eq!(object(dir, &["wallet", "receipt", "--verify", "r"])["settled"], true, "no server is needed for that");
    assert_eq!(object(dir, &["audit", "--data", "net/central-bank-1/data"])["ok"], true);

    let up = Up::start(dir, &[]);
    assert_eq!(up.greeting["resumed"], true);
    assert_eq!((available(dir, "alice"), available(dir, "carol")), (100_000 - 1250, 20_000), "nobody is funded twice");
    up.stop();
}

/// The findings of an audit that must find something.
fn findings(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, &[&["audit", "--json"], arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{arguments:?}: {errors}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["findings"].to_string()
}

/// Genesis as a head that an audit may expect.
fn genesis_head(dir: &Path) -> String {
    let genesis = cbdc_ledger::Genesis::from_bytes(&std::fs::read(dir.join("net/genesis.bin")).unwrap()).unwrap();
    let hash = cbdc_ledger::Ledger::new(genesis).unwrap().tip_hash();
    format!("0:{}", cbdc_ledger::encoding::hex(&hash))
}

#[test]
fn an_audited_folder_is_compared_with_a_published_head_and_with_a_node_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &[]);
    object(dir, &["wallet", "pay", "alice", "bob", "1.00"]);
    up.stop();
    let data = ["audit", "--data", "net/central-bank-1/data"];
    let alone = object(dir, &data);
    assert!(alone["not_known"].to_string().contains("newest"), "{alone}");
    let (height, hash) = (alone["blocks"].as_u64().unwrap(), alone["tip"].as_str().unwrap());
    let (here, later) = (format!("{height}:{hash}"), format!("{}:{hash}", height + 19));
    let compared = object(dir, &[&data[..], &["--expect-head", &here]].concat());
    assert_eq!((&compared["ok"], compared["not_known"].as_array().unwrap().len()), (&Value::Bool(true), 0));
    assert!(findings(dir, &[&data[1..], &["--expect-head", &later]].concat()).contains("19 blocks are missing"));
    let other = format!("{height}:{}", "ab".repeat(32));
    assert!(findings(dir, &[&data[1..], &["--expect-head", &other]].concat()).contains("abab"));
    // Genesis has a header as well: the one that the first block names as its parent.
    let first = object(dir, &["audit", "--data", "net/central-bank-1/data", "--expect-head", &genesis_head(dir)]);
    assert_eq!(first["ok"], true, "{first}");
    let other = format!("0:{}", "ab".repeat(32));
    assert!(findings(dir, &[&data[1..], &["--expect-head", &other]].concat()).contains("genesis"));
    assert_eq!(code(dir, &[&data[..], &["--expect-head", "59"]].concat()), 2);
    assert_eq!(code(dir, &[&data[..], &["--peer", "bank-1"]].concat()), 4, "nobody listens");

    // An old copy of the folder is too short for a network that has continued.
    std::fs::create_dir(dir.join("old")).unwrap();
    for file in std::fs::read_dir(dir.join("net/central-bank-1/data")).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), dir.join("old").join(file.file_name())).unwrap();
    }
    let up = Up::start(dir, &[]);
    object(dir, &["wallet", "pay", "alice", "bob", "2.00"]);
    let found = findings(dir, &["--data", "old", "--genesis", "net/genesis.bin", "--peer", "central-bank-1"]);
    assert!(found.contains("missing") && found.contains("central-bank-1"), "{found}");
    assert_eq!(object(dir, &["audit", "--node", "bank-2", "--peer", "central-bank-1"])["ok"], true);
    up.stop();
}

#[test]
fn each_failure_has_the_exit_code_that_the_help_names() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    assert_eq!(code(dir, &["wallet", "list"]), 2, "there is no network yet");
    for words in [
        &["wallet", "receipt", "--verify", "nowhere"][..],
        &["bench", "nowhere.toml"],
        &["simulate", "nowhere.toml"],
        &["sweep", "plan", "nowhere.toml"],
        &["audit", "--data", "nowhere", "--genesis", "nowhere"],
        &["node", "bank", "--config", "nowhere.toml"],
    ] {
        assert_eq!(code(dir, words), 2, "{words:?} names a file that is missing");
    }
    let up = Up::start(dir, &[]);
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "1.001"]), 2, "an amount that is not exact");
    assert_eq!(code(dir, &["wallet", "receipt", "--verify", "nowhere"]), 2, "a file that is missing");
    let output = run(dir, &["bank", "deposits", "--bank", "9"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("bank 9") && text.contains("bank 3"), "{text}");
    for words in [
        &["wallet", "pay", "alice", "nobody", "1"][..],
        &["wallet", "pay", "nobody", "bob", "1"],
        &["wallet", "show", "nobody"],
        &["chain", "block", "999999"],
        &["chain", "receipt", "999999", "0"],
    ] {
        assert_eq!(code(dir, words), 2, "{words:?} names what is not there");
    }
    let refused = run(dir, &["wallet", "pay", "alice", "bob", "1000000", "--json"]);
    assert_eq!(refused.status.code(), Some(3));
    let refused: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(refused["refusal"]["reason"], "PAYMENT_LIMIT");
    assert_eq!(available(dir, "alice"), 100_000);
    up.stop();
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "1"]), 4, "nobody listens");
    assert!(!dir.join("net/wallets/alice.pending").exists(), "what was never sent is not kept");
    assert_eq!(code(dir, &["init", "net"]), 1, "a network is never overwritten unasked");
}

#[test]
fn an_early_signal_leaves_no_half_made_folder() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for (at, after_ms) in [0_u64, 3, 6, 9, 12, 15, 20, 25, 30, 40, 50].into_iter().enumerate() {
        let net = format!("net-{at}");
        let mut made = cbdc(dir, &["init", &net]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after_ms));
        Command::new("kill").args(["-INT", &made.id().to_string()]).status().unwrap();
        made.wait().unwrap();
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let half_made: Vec<String> = names.filter(|name| name.starts_with('.')).collect();
        assert_eq!(half_made, [""; 0], "after {after_ms} ms");
        assert_eq!(dir.join(&net).exists(), dir.join(&net).join("genesis.bin").exists());
    }
}

#[test]
fn the_version_names_the_parts_of_the_build() {
    let folder = tempfile::tempdir().unwrap();
    let short = run(folder.path(), &["--version"]);
    assert_eq!(String::from_utf8_lossy(&short.stdout), concat!("cbdc ", env!("CARGO_PKG_VERSION"), "\n"));
    let build = object(folder.path(), &["--version", "--verbose"]);
    assert!(["avx512", "portable"].contains(&build["signatures"].as_str().unwrap()), "{build}");
    assert!(build["target"].as_str().unwrap().contains(std::env::consts::ARCH), "{build}");
    assert!(build["compiler"].as_str().unwrap().starts_with("rustc "), "{build}");
    assert!(build["rocksdb"].as_str().unwrap().starts_with(|digit: char| digit.is_ascii_digit()), "{build}");
}

#[test]
fn the_committee_and_the_court_decide() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &["--manual-operator"]);
    let waiting = object(dir, &["policy", "issue", "500", "--bank", "2"]);
    assert_eq!(waiting["settled"], false, "it waits for the operator");
    assert_eq!(object(dir, &["policy", "endorse"])["requests"][0]["settled"], true);
    // One of three cannot settle: each is reported, and the others settle.
    for amount in ["1", "1000000000000", "2"] {
        assert_eq!(object(dir, &["policy", "issue", amount, "--bank", "2"])["settled"], false);
    }
    let listed = object(dir, &["policy", "endorse", "--list"]);
    let number = listed["requests"][0]["number"].to_string();
    let endorsed = run(dir, &["policy", "endorse", "--json"]);
    assert_eq!(endorsed.status.code(), Some(3));
    let endorsed: Value = serde_json::from_slice(&endorsed.stdout).unwrap();
    let states: Vec<_> = endorsed["requests"].as_array().unwrap().iter().map(|request| &request["state"]).collect();
    assert_eq!(states, ["settled", "refused", "settled"], "{endorsed}");
    assert!(endorsed["requests"][1]["error"].as_str().unwrap().contains("refused with"), "{endorsed}");
    assert_eq!(code(dir, &["policy", "endorse", "--request", &format!("2:{number}")]), 2, "it waits no more");
    assert_eq!(object(dir, &["policy", "issue", "3", "--bank", "2"])["settled"], false);
    assert_eq!(object(dir, &["policy", "endorse", "--reject"])["requests"][0]["state"], "rejected");
    assert_eq!(object(dir, &["policy", "endorse"])["requests"].as_array().unwrap().len(), 0);

    assert_eq!(code(dir, &["policy", "propose", "payment-limit.household=10", "--approve"]), 0);
    let give_up = Instant::now() + Duration::from_secs(5);
    while object(dir, &["policy", "show"])["version"] != 2 {
        assert!(Instant::now() < give_up, "{}", object(dir, &["policy", "proposals"]));
        std::thread::sleep(Duration::from_millis(50));
    }
    let history = object(dir, &["policy", "history"]);
    let newest = &history["versions"][0];
    assert_eq!((&newest["version"], &newest["changes"][0]["after"]), (&Value::from(2), &Value::from("10.00")));
    assert_eq!(newest["proposal"]["votes"].as_array().unwrap().len(), 2, "{newest}");
    assert_eq!(object(dir, &["policy", "show", "--at", "0"])["version"], 1);
    assert_eq!(code(dir, &["policy", "propose", "payment-limit.household=10"]), 2, "that is in force already");
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "10.01"]), 3);
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "10"]), 0);

    let members = object(dir, &["policy", "members"]);
    let key = members["members"][0]["signing_key"].as_str().unwrap();
    std::fs::write(dir.join("auditor.toml"), format!("name = \"Second auditor\"\nsigning_key = \"{key}\"\n")).unwrap();
    assert_eq!(code(dir, &["policy", "propose", "admit=auditor-9:nowhere.toml"]), 2);
    assert_eq!(code(dir, &["policy", "propose", "admit=auditor-9:auditor.toml", "--approve"]), 0);
    let give_up = Instant::now() + Duration::from_secs(5);
    while !object(dir, &["policy", "members"])["members"].to_string().contains("Second auditor") {
        assert!(Instant::now() < give_up, "{}", object(dir, &["policy", "proposals"]));
        std::thread::sleep(Duration::from_millis(50));
    }

    let frozen = run(dir, &["policy", "freeze", "alice", "985"]);
    let text = String::from_utf8_lossy(&frozen.stdout);
    assert!(frozen.status.success() && text.contains(" 0000 1000 0000 001 at "), "{text}");
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "6"]), 3);
    assert_eq!(code(dir, &["policy", "unfreeze", "alice", "985"]), 0);
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "6"]), 0);
    assert_eq!(code(dir, &["wallet", "defund", "alice", "4"]), 0);
    assert_eq!(object(dir, &["wallet", "show", "alice"])["deposit_minor"], 400);

    let seized = object(dir, &["policy", "seize", "alice", "1000", "--to", "carol"]);
    let (taken, lien) = (seized["taken_minor"].as_u64().unwrap(), seized["lien_minor"].as_u64().unwrap());
    assert_eq!((taken, lien), (100_000 - 1_000 - 600 - 400, 2_000), "the rest is a lien");
    assert_eq!(code(dir, &["policy", "reclassify", "alice", "merchant"]), 0);
    let aggregates = object(dir, &["policy", "aggregates"]);
    assert_eq!(aggregates["classes"]["merchant"]["wallets"], 2, "carol's and now alice's: {aggregates}");
    let of_banks = aggregates["banks"].as_object().unwrap().values();
    let minor = |parts: &Value, name: &str| parts[name].as_u64().unwrap();
    let cbdc: u64 = of_banks.map(|parts| minor(parts, "available_minor") + minor(parts, "treasury_minor")).sum();
    assert_eq!(cbdc, minor(&aggregates, "cbdc_minor"));
    for words in ["show", "history", "balance-sheet", "profit-and-loss", "aggregates", "programmes", "proposals"] {
        assert_eq!(code(dir, &["policy", words]), 0, "{words}");
    }
    assert_eq!(object(dir, &["audit", "--node", "bank-2"])["ok"], true);
    up.stop();
}

/// Copies the keys that another network gave an operator to `net`, as those of its member `name`, and writes the file
/// that admits that member.
fn take_keys(dir: &Path, name: &str) {
    let genesis: toml::Table = std::fs::read_to_string(dir.join("other/genesis.toml")).unwrap().parse().unwrap();
    let members = genesis["members"].as_array().unwrap();
    let operator = members.iter().find(|member| member["role"].as_str() == Some("operator")).unwrap();
    let file =
        format!("name = \"{name}\"\nsigning_key = {}\nnode_key = {}\n", operator["signing_key"], operator["node_key"]);
    std::fs::write(dir.join(format!("{name}.toml")), file).unwrap();
    std::fs::rename(dir.join("other/operator-1"), dir.join("net").join(name)).unwrap();
}

#[test]
fn rotated_roles_act_under_their_new_numbers_and_reading_needs_no_auditor() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &["--banks", "1"]);
    assert_eq!(code(dir, &["init", "other", "--banks", "1", "--base-port", "0"]), 0);
    take_keys(dir, "operator-2");
    let sentence = |words: &[&str]| {
        let output = run(dir, words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    };

    let rotate = ["policy", "propose", "dismiss=operator-1", "admit=operator-2:operator-2.toml", "--approve"];
    let rotated = object(dir, &rotate);
    assert_eq!(
        (&rotated["status"], &rotated["warnings"]),
        (&Value::from("enacted"), &Value::from(Vec::<Value>::new()))
    );
    let deposited = object(dir, &["policy", "operate", "place-deposit", "5", "--bank", "1"]);
    assert_eq!(deposited["amount_minor"], 500, "operator 2 signs");

    let dismiss = ["policy", "propose", "dismiss=auditor-1", "dismiss=court-1", "--as", "2", "--approve"];
    assert_eq!(object(dir, &dismiss)["warnings"].as_array().unwrap().len(), 2);
    for words in
        [&["policy", "balance-sheet"][..], &["chain", "head"], &["chain", "head", "--node", "bank-1"], &["audit"]]
    {
        assert_eq!(code(dir, words), 0, "{words:?} needs no auditor");
    }
    let nobody = sentence(&["policy", "freeze", "alice", "1"]);
    assert!(nobody.contains("court-1 was dismissed") && nobody.contains("admit=court-2:FILE"), "{nobody}");
    let no_seat = sentence(&["policy", "vote", "1", "yes", "--as", "7"]);
    assert!(no_seat.contains("there is no committee-7; there are committee-1, committee-2, committee-3"), "{no_seat}");

    let proposed = object(dir, &["policy", "propose", "threshold=3", "--as", "2"]);
    assert_eq!(proposed["status"], "open");
    let number = proposed["proposal"].to_string();
    let voted = object(dir, &["policy", "vote", &number, "yes", "--as", "3"]);
    assert_eq!(voted["status"], "enacted", "two of three carry it, and the vote says so");
    up.stop();
    Up::start(dir, &["--processes"]).stop();
}

#[test]
fn customers_change_bank_and_a_bank_without_any_is_dismissed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &[]);
    let moved = object(dir, &["wallet", "move", "bob", "--bank", "1"]);
    assert_eq!(moved["bank"], 1);
    wait_for_balance(dir, "bob", 50_000);
    assert_eq!(code(dir, &["wallet", "pay", "bob", "alice", "5"]), 0);
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "5"]), 0);
    let refused = run(dir, &["wallet", "pay", "alice", moved["moved_from"].as_str().unwrap(), "1", "--json"]);
    let refused: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(refused["refusal"]["reason"], "WALLET_MOVED", "{refused}");
    assert_eq!(code(dir, &["wallet", "move", "bob", "--bank", "1"]), 3, "it is there already");
    assert_eq!(object(dir, &["wallet", "link", "alice", "--bank", "2"])["linked_bank"], 2, "bank 2 consents");

    let decide = |actions: &[&str]| {
        let words = [&["policy", "propose"], actions, &["--approve"]].concat();
        assert_eq!(object(dir, &words)["status"], "enacted", "{actions:?}");
    };
    assert_eq!(code(dir, &["policy", "propose", "dismiss=bank-3", "--approve"]), 3, "it has a customer");
    decide(&["bank-status=bank-3:resolved"]);
    decide(&["move-customers=bank-3:bank-1"]);
    let give_up = Instant::now() + Duration::from_secs(10);
    while code(dir, &["wallet", "move", "carol", "--bank", "1"]) != 0 {
        assert!(Instant::now() < give_up, "bank 3 does not say where carol's wallet is");
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_for_balance(dir, "carol", 20_000);
    assert_eq!(code(dir, &["wallet", "pay", "carol", "alice", "1"]), 0);
    decide(&["dismiss=bank-3"]);
    let sheet = object(dir, &["policy", "balance-sheet"]);
    assert_eq!(sheet["banks"][2]["status"], "dismissed", "{sheet}");
    assert_eq!(object(dir, &["audit"])["ok"], true);
    up.stop();
}

#[test]
fn a_bank_reports_its_deposits_pays_reserves_and_closes_an_empty_wallet() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &["--banks", "2"]);
    let minor = |object: &Value, name: &str| object[name].as_u64().unwrap_or_else(|| panic!("{name} in {object}"));
    let sheet = || object(dir, &["policy", "balance-sheet"]);
    let before = sheet();
    assert_eq!(before["unposted_interest_minor"], Value::Null, "it was not asked for");
    assert_eq!(object(dir, &["policy", "balance-sheet", "--unposted"])["unposted_interest_minor"], 0);
    assert!(before["equity_minor"].is_i64() && before["cbdc_minor"].is_u64(), "{before}");

    let words = ["bank", "transfer-reserves", "250.50", "--from", "1", "--to", "2"];
    let left = minor(&object(dir, &words), "reserves_left_minor");
    let after = sheet();
    let reserves = |sheet: &Value, bank: usize| minor(&sheet["banks"][bank], "reserves_minor");
    assert_eq!((reserves(&after, 0), reserves(&before, 0)), (left, left + 25_050));
    assert_eq!(reserves(&after, 1), reserves(&before, 1) + 25_050);
    assert_eq!(code(dir, &["bank", "transfer-reserves", "1", "--from", "1", "--to", "1"]), 3);
    assert_eq!(code(dir, &["bank", "transfer-reserves", "1", "--from", "1", "--to", "9"]), 3);

    assert_eq!(code(dir, &["bank", "close-wallet", "alice"]), 3, "there is money on it");
    assert_eq!(code(dir, &["wallet", "defund", "alice", "1000"]), 0);
    assert_eq!(minor(&object(dir, &["bank", "report-deposits", "--bank", "1"]), "deposits_minor"), 100_000);
    let text = String::from_utf8(run(dir, &["bank", "deposits", "--bank", "1"]).stdout).unwrap();
    assert!(text.contains(" 0000 1000 0000 001 "), "people read account numbers in groups of four: {text}");
    let deposits = object(dir, &["bank", "deposits", "--bank", "1"]);
    assert_eq!((&deposits["in_doubt"], &deposits["deposits"][0]["balance_minor"]), (&false.into(), &100_000.into()));
    let accept = ["bank", "accept-deposits", "--bank", "1", "--statement", "7", "--set"];
    assert_eq!(object(dir, &[&accept[..], &["alice=5"]].concat())["accepted"], false, "nothing is in doubt");
    assert_eq!(code(dir, &[&accept[..], &["alice"]].concat()), 2, "no amount");
    assert_eq!(minor(&sheet()["banks"][0], "deposits_reported_minor"), 100_000);
    assert_eq!(object(dir, &["bank", "close-wallet", "alice"])["open"], false);
    assert_eq!(code(dir, &["bank", "close-wallet", "alice"]), 2, "there is no such open wallet any more");
    assert_eq!(code(dir, &["wallet", "pay", "bob", "alice", "1"]), 3);
    up.stop();

    let up = Up::start(dir, &[]);
    assert_eq!(available(dir, "bob"), 50_000, "a network with a closed wallet continues");
    up.stop();
}

/// The commands of a page's first indented block, without their remarks.
fn commands_of(page: &str) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page)).unwrap();
    let lines = page.lines().filter_map(|line| line.strip_prefix("    cbdc "));
    let words = |line: &str| line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    lines.map(words).collect()
}

/// The words of a line, as a shell splits it: a text in double quotes is one word, and a remark none.
fn shell_words(line: &str) -> Vec<String> {
    let parts = line.split(" #").next().unwrap_or_default().split('"').enumerate();
    let words = parts.flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

#[test]
fn the_commands_of_the_readme_work_in_the_order_in_which_they_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &[]);
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let section = readme.split("## A paid wallet").nth(1).unwrap().split("\n## ").next().unwrap();
    let lines: Vec<_> = section.lines().filter_map(|line| line.strip_prefix("    cbdc ")).collect();
    assert!(lines.len() >= 6, "{lines:?}");
    // A second time as well: what the committee has decided bars no payment.
    for line in lines.iter().chain(lines.iter().filter(|line| !line.starts_with("policy propose"))) {
        let words = shell_words(line);
        let output = run(dir, &words.iter().map(String::as_str).collect::<Vec<_>>());
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {errors}");
        assert!(!text.contains("\n\n\n"), "{line} prints two blank lines: {text}");
    }
    up.stop();
}

#[test]
fn the_example_of_holds_works_as_it_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &[]);
    let commands = commands_of("reference/policy/holds.md");
    assert_eq!(commands.len(), 2, "{commands:?}");
    for words in &commands {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(code(dir, &words), 0, "{words:?}");
    }
    wait_for_balance(dir, "carol", 20_000 + 6_500);
    assert_eq!(available(dir, "alice"), 100_000 - 6_500);
    up.stop();
}

#[test]
fn mistakes_of_a_newcomer_are_told_as_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let told = |arguments: &[&str]| {
        let output = run(dir, arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../simulations");
    for (file, says) in [
        ("economy/digital-euro.toml", "cbdc simulate"),
        ("sweeps/holding-limit.toml", "cbdc sweep plan"),
        ("presets/digital-euro.toml", "--preset digital-euro"),
    ] {
        let (code, text) = told(&["bench", repository.join(file).to_str().unwrap()]);
        assert!(code == Some(2) && text.contains("expected a load on a network") && text.contains(says), "{text}");
    }
    // What cannot be read is not called a folder without a network.
    std::fs::create_dir(dir.join("loop")).unwrap();
    std::os::unix::fs::symlink("genesis.bin", dir.join("loop/genesis.bin")).unwrap();
    let (_, text) = told(&["wallet", "list", "--network", "loop"]);
    assert!(!text.contains("holds no network") && text.contains("genesis.bin"), "{text}");

    let up = Up::start(dir, &["--banks", "1"]);
    object(dir, &["wallet", "pay", "alice", "bob", "1.00"]);
    let receipt = object(dir, &["wallet", "receipt", "alice", "--last", "--save", "r"]);
    assert_eq!(code(dir, &["wallet", "list"]), 0);
    // Whoever has place and hash fetches the receipt from a bank.
    let (height, index) = (receipt["height"].to_string(), receipt["index"].to_string());
    let hash = receipt["command_hash"].as_str().unwrap();
    let fetched = object(dir, &["chain", "receipt", &height, &index, "--hash", hash]);
    assert_eq!(fetched, object(dir, &["chain", "receipt", &height, &index]));
    assert_eq!(code(dir, &["chain", "receipt", &height, &index, "--hash", &"ab".repeat(32)]), 2);
    assert_eq!(code(dir, &["chain", "receipt", &height, &index, "--hash", hash, "--node", "central-bank-1"]), 2);
    assert_eq!(code(dir, &["chain", "receipt", &height, &index, "--hash", "ab"]), 2);
    // The network runs already.
    let again = cbdc(dir, &["up", "net"]).output().unwrap();
    let text = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success(), "{text}");
    up.stop();
    assert_eq!(code(dir, &["wallet", "list"]), 4, "nobody told a balance");

    let up = Up::start(dir, &["--banks", "2", "--no-limits"]);
    let notes = std::fs::read_to_string(dir.join("up.err")).unwrap();
    assert!(notes.contains("--banks 2, --no-limits: for a new network only"), "{notes}");
    up.stop();
    assert_eq!(code(dir, &["init", "other"]), 0);
    let (_, text) = told(&["wallet", "receipt", "--verify", "r", "--network", "other"]);
    assert!(text.contains("no receipt of the network"), "{text}");
}

#[test]
fn a_busy_port_is_told_with_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(dir, &["up", "net", "--base-port", &port]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("--base-port 8000"), "{text}");
}

#[test]
fn two_runs_do_not_write_into_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let other_run = std::fs::File::open(&out).unwrap();
    other_run.lock().unwrap();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../simulations/load/smoke.toml");
    let scenario = scenario.to_str().unwrap();
    let output = run(folder.path(), &["bench", scenario, "--in-process", "--quiet", "--out", "out"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("another run writes into"), "{text}");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
}

#[test]
fn a_command_that_is_killed_and_typed_again_moves_the_money_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &["--banks", "2"]);
    let minor = |object: &Value, name: &str| object[name].as_u64().unwrap_or_else(|| panic!("{name} in {object}"));
    let wealth = || {
        let (sheet, alice) = (object(dir, &["policy", "balance-sheet"]), object(dir, &["wallet", "show", "alice"]));
        let bank = &sheet["banks"][1];
        [
            minor(bank, "reserves_minor") + minor(bank, "treasury_minor"),
            minor(bank, "treasury_minor"),
            minor(&alice, "available_minor") + minor(&alice, "deposit_minor"),
        ]
    };
    let before = wealth();
    let commands: [&[&str]; 3] = [
        &["bank", "transfer-reserves", "1", "--from", "1", "--to", "2"],
        &["policy", "issue", "1", "--bank", "2"],
        &["wallet", "fund", "alice", "1", "--credit"],
    ];
    let mut expected = before;
    for (words, sum) in commands.iter().zip(&mut expected) {
        let mut shown = std::collections::HashSet::new();
        for after_ms in [0, 5, 10, 15, 20, 25, 30, 40, 60, 90] {
            shown.extend(killed_and_again(dir, words, after_ms).iter().map(|place| format!("{place:?}")));
        }
        assert!(shown.len() >= 10, "{words:?}: {shown:?}");
        *sum += 100 * shown.len() as u64;
    }
    // What was issued has taken reserves; the funding has moved within alice's sum.
    assert_eq!(wealth(), expected);
    up.stop();
}

#[test]
fn a_payment_is_accepted_while_the_central_bank_is_away_and_settles_later_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &["--processes", "--banks", "1"]);
    let central_bank = child_of(&up, "central-bank-1").to_string();
    let signal = |signal: &str| assert!(Command::new("kill").args([signal, &central_bank]).status().unwrap().success());
    signal("-STOP");
    let accepted = |amount: &str| object(dir, &["wallet", "pay", "alice", "bob", amount, "--accept"]);
    assert_eq!(accepted("2")["outcome"], "ACCEPTED");
    // Asked again, it is the same payment; another one is made beside it.
    assert_eq!(accepted("2")["outcome"], "ACCEPTED");
    assert_eq!(accepted("3")["outcome"], "ACCEPTED");
    let history = object(dir, &["wallet", "history", "alice"]);
    assert_eq!(history["accepted"].as_array().unwrap().len(), 2, "{history}");
    assert_eq!(available(dir, "alice"), 100_000 - 500);
    signal("-CONT");
    wait_for_balance(dir, "bob", 50_000 + 500);
    let settled = accepted("3");
    assert_eq!((&settled["outcome"], available(dir, "bob")), (&Value::from("SETTLED"), 50_000 + 500));
    // From here on the same words are another payment.
    assert_eq!(accepted("3")["outcome"], "SETTLED");
    wait_for_balance(dir, "bob", 50_000 + 800);
    up.stop();
}

#[test]
fn under_the_digital_euro_a_merchant_that_may_hold_nothing_is_paid_into_the_deposit() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let up = Up::start(dir, &["--preset", "digital-euro"]);
    let linked: Vec<_> =
        up.greeting["wallets"].as_array().unwrap().iter().map(|wallet| &wallet["linked_bank"]).collect();
    assert_eq!(linked, [0, 0, 3], "carol's is a merchant's");
    let paid = object(dir, &["wallet", "pay", "alice", "carol", "5"]);
    assert_eq!((&paid["outcome"], &paid["credited_minor"]), (&Value::from("SETTLED"), &Value::from(500)));
    assert_eq!(paid.get("waterfall_minor"), None, "a payer learns nothing of the payee's holdings");
    let give_up = Instant::now() + Duration::from_secs(5);
    while object(dir, &["wallet", "show", "carol"])["deposit_minor"] != 500 {
        assert!(Instant::now() < give_up, "{}", object(dir, &["wallet", "show", "carol"]));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(available(dir, "carol"), 0);
    // Her history says why, and the block what was paid.
    let newest = &object(dir, &["wallet", "history", "carol", "--count", "1"])["payments"][0];
    assert_eq!((&newest["waterfall_minor"], &newest["balance_minor"]), (&Value::from(500), &Value::from(0)));
    let changes =
        newest["changes"].as_array().unwrap().iter().map(|change| (&change["cause"], &change["change_minor"]));
    let expected = [(Value::from("received"), Value::from(500)), (Value::from("waterfall"), Value::from(-500))];
    assert!(changes.eq(expected.iter().map(|(cause, minor)| (cause, minor))), "{newest}");
    let of_payer = &object(dir, &["wallet", "history", "alice", "--count", "1"])["payments"][0];
    assert_eq!((&of_payer["waterfall_minor"], &of_payer["changes"][0]["change_minor"]), (&0.into(), &(-500).into()));
    let block = object(dir, &["chain", "block", &newest["height"].to_string()]);
    let command = &block["commands"][newest["index"].as_u64().unwrap() as usize];
    assert_eq!((&command["kind"], &command["amount_minor"]), (&Value::from("transfer"), &Value::from(500)));
    assert_eq!(command.get("amount"), None, "{command}");
    up.stop();
}

#[test]
fn nodes_of_their_own_process_end_with_the_program_that_started_them_even_if_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut up = Up::start(dir, &["--processes", "--banks", "1"]);
    assert_eq!(code(dir, &["wallet", "pay", "alice", "bob", "1"]), 0);
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    let address = up.greeting["nodes"][1]["grpc"].as_str().unwrap().to_owned();
    let give_up = Instant::now() + Duration::from_secs(15);
    while std::net::TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < give_up, "bank 1 still serves at {address}");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(up);

    let up = Up::start(dir, &["--processes"]);
    assert_eq!(available(dir, "alice"), 100_000 - 100);
    up.stop();
}
