//! Whole runs with all nodes in this process.

use cbdc_harness::run::{BenchOptions, bench};

fn options(folder: &std::path::Path, overrides: &[(&str, &str)]) -> BenchOptions {
    BenchOptions {
        scenario: "../../simulations/load/smoke.toml".into(),
        overrides: overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        out: folder.join("out"),
        in_process: true,
        quiet: true,
        command: "a test".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_settles_its_payments_and_the_audit_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let result = bench(&options(folder.path(), &[])).await.unwrap();
    assert!(result.audit.ok, "{:?}", result.audit.findings);
    assert_eq!((result.failed, result.refused), (0, 0), "{:?}", result.refusals);
    assert_eq!(result.settled, result.offered);
    assert!(result.settled > 900, "{} settled", result.settled);
    assert_eq!(result.supply.wallets_minor, result.supply.issued_minor);
    assert!(result.named_checks().iter().all(|(_, on)| *on == Some(true)), "{:?}", result.checks);
    assert_eq!(result.deposits.len(), result.shape.banks as usize);
    assert!(result.deposits.values().all(|bank| bank.agrees && bank.funded_minor > 0), "{:?}", result.deposits);
    for file in ["summary.json", "report.html"] {
        assert!(folder.path().join("out").join(file).exists(), "{file}");
    }
    // A second run over old data replaces it.
    let again = bench(&options(folder.path(), &[("load.mode", "unary"), ("load.rate_per_s", "100")])).await.unwrap();
    assert!(again.audit.ok, "{:?}", again.audit.findings);
    assert_eq!((again.failed, again.settled), (0, again.offered));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_voted_in_the_middle_refuses_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("limit.toml");
    let smoke = std::fs::read_to_string("../../simulations/load/smoke.toml").unwrap();
    let event = "\n[[event]]\nat_s = 2.0\naction = \"policy\"\npayment_limit_minor = { household = 500 }\n";
    std::fs::write(&scenario, smoke + event).unwrap();
    let result = bench(&BenchOptions { scenario, ..options(folder.path(), &[]) }).await.unwrap();
    assert!(result.audit.ok, "{:?}", result.audit.findings);
    assert!(result.events[0].done_at_s.is_some(), "{:?}", result.events);
    assert!(result.refusals.get("PAYMENT_LIMIT").is_some_and(|count| *count > 50), "{:?}", result.refusals);
    assert_eq!(result.settled + result.refused, result.offered);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_classes_and_issuance_happen_while_the_load_runs() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("orders.toml");
    let smoke = std::fs::read_to_string("../../simulations/load/smoke.toml").unwrap();
    let event = |text: &str| format!("\n[[event]]\nat_s = 1.0\n{text}\n");
    let events = [
        "action = \"freeze\"\nclass = \"household\"\ncount = 5\namount_minor = 100",
        "action = \"unfreeze\"\nclass = \"household\"\ncount = 5\namount_minor = 100",
        "action = \"unfreeze\"\nwallet = 1\namount_minor = 100",
        "action = \"seize\"\nwallet = 1\nto_wallet = 2\namount_minor = 100",
        "action = \"reclassify\"\nwallet = 3\nclass = \"tier-1\"",
        "action = \"report-deposits\"\nnode = \"bank-1\"",
        "action = \"issue\"\nnode = \"bank-1\"\namount_minor = 1000",
        "action = \"redeem\"\nnode = \"bank-1\"\namount_minor = 400",
    ];
    std::fs::write(&scenario, smoke + &events.map(event).concat()).unwrap();
    let result = bench(&BenchOptions { scenario, ..options(folder.path(), &[]) }).await.unwrap();
    assert!(result.audit.ok, "{:?}", result.audit.findings);
    let done: Vec<bool> = result.events.iter().map(|event| event.done_at_s.is_some()).collect();
    assert_eq!(done, [true, true, false, true, true, true, true, true], "{:?}", result.events);
    assert_eq!(result.supply.issued_minor - result.supply_before.issued_minor, 1_000);
    assert_eq!(result.supply.redeemed_minor - result.supply_before.redeemed_minor, 400);
    assert!(result.holdings.iter().any(|class| class.class == "tier-1" && class.holders == 1), "{:?}", result.holdings);
}

#[tokio::test(flavor = "multi_thread")]
async fn banks_with_partial_replicas_settle_and_agree() {
    let folder = tempfile::tempdir().unwrap();
    let partial = [("network.replica", "partial"), ("network.banks", "3"), ("network.precheck_signatures", "true")];
    let result = bench(&options(folder.path(), &partial)).await.unwrap();
    assert!(result.audit.ok, "{:?}", result.audit.findings);
    assert_eq!((result.shape.replica.as_str(), result.failed, result.settled), ("partial", 0, result.offered));
    assert!(result.deposits.values().all(|bank| bank.agrees), "{:?}", result.deposits);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_of_the_central_bank_settle_and_hand_over() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("three.toml");
    let smoke = std::fs::read_to_string("../../simulations/load/smoke.toml").unwrap();
    let events = "\n[[event]]\nat_s = 1.0\naction = \"hand-over\"\n[[event]]\nat_s = 1.5\naction = \"kill\"\nnode = \"leader\"\n";
    std::fs::write(&scenario, smoke + events).unwrap();
    let three = [("network.central_banks", "3"), ("network.header_signatures", "2")];
    let result = bench(&BenchOptions { scenario, ..options(folder.path(), &three) }).await.unwrap();
    assert!(result.audit.ok, "{:?}", result.audit.findings);
    assert_eq!((result.failed, result.refused, result.settled), (0, 0, result.offered), "{:?}", result.refusals);
    assert_eq!((result.shape.central_banks, result.shape.header_signatures), (3, 2));
    let [hand_over, kill] = result.events.as_slice() else { panic!("{:?}", result.events) };
    let settling = hand_over.settling.as_ref().unwrap();
    assert!(settling.gap_ms.is_some() && settling.refused == 0, "{settling:?}");
    assert_ne!(settling.leader_before, settling.leader_after, "{settling:?}");
    assert_eq!(result.leaders.len(), 2, "{:?}", result.leaders);
    assert!(kill.done_at_s.is_none() && kill.note.as_ref().unwrap().contains("--in-process"), "{kill:?}");
}
