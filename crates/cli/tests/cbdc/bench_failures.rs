//! `cbdc bench` while nodes and links fail, each node its own process.

use super::running::object;

const SCENARIO: &str = r#"
    seed = 3
    [network]
    central_banks = 3
    banks = 2
    [wallets]
    count = 200
    opening_balance_minor = 2_000_000
    [load]
    profile = "constant"
    rate_per_s = 300
    warm_up_s = 1
    duration_s = 11
    batch_size = 50
    [slo]
    p99_ms = 60_000
    [[event]]
    at_s = 2
    action = "partition"
    nodes = ["leader"]
    [[event]]
    at_s = 4
    action = "heal"
    [[event]]
    at_s = 5
    action = "kill"
    node = "leader"
    [[event]]
    at_s = 7
    action = "restart"
    node = "former-leader"
    [[event]]
    at_s = 9
    action = "slow-link"
    nodes = ["bank-1"]
    delay_ms = 50
    [[event]]
    at_s = 10
    action = "heal"
"#;

#[test]
fn every_payment_settles_once_though_the_leader_is_cut_off_and_the_next_one_killed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("failures.toml"), SCENARIO).unwrap();
    let result = object(folder.path(), &["bench", "failures.toml", "--out", "out", "--quiet"]);
    assert_eq!(result["audit"]["ok"], true, "{}", result["audit"]);
    assert_eq!((&result["failed"], &result["refused"]), (&0.into(), &0.into()), "{}", result["refusals"]);
    assert_eq!(result["settled"], result["offered"]);
    for check in ["signatures", "fsync", "tls", "policy"] {
        assert_eq!(result["checks"][check], true, "{check}");
    }
    let event = |number: usize| &result["events"][number];
    for number in 0..6 {
        assert!(event(number)["done_at_s"].is_f64(), "{}", event(number));
        assert!(event(number)["settling"]["gap_ms"].is_f64(), "{}", event(number));
    }
    // The leader that was cut off is followed by another, and so is the one that was killed.
    for number in [0, 2] {
        let settling = &event(number)["settling"];
        assert_ne!(settling["leader_before"], settling["leader_after"], "{settling}");
        assert_eq!(event(number)["note"], settling["leader_before"], "{}", event(number));
    }
    // The former leader returns and deposes nobody.
    assert_eq!(event(3)["settling"]["leader_after"], event(2)["settling"]["leader_after"], "{}", result["leaders"]);
    assert!(result["cpu_us_per_payment"]["central_bank"].as_f64() > Some(0.0), "{}", result["cpu_us_per_payment"]);
}
