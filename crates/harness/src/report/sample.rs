//! An invented run with every part filled, for tests and for viewing the page.

use crate::measure::{LatencyRecorder, Machine, Timeline, timeline::Answer};
use crate::result::{
    AmountCounter, AuditVerdict, BankDeposits, BooksSample, Checks, ClassHoldings, CpuPerPayment, EventRecord,
    HoldingBucket, IdleStalls, LeaderChange, Limit, LoadGenerator, LoadPoint, Maximum, NotOrdered, PolicyVersionReport,
    RunResult, SettlingGap, SloVerdict, SupplySample, SupplyTerms,
};
use crate::scenario::Scenario;
use crate::workload::{Plan, amounts::REPORT_EDGES_MINOR};
use cbdc_ledger::Reason;

const TEXT: &str = r#"
    name = "policy-shock"
    description = "The household limit falls from 3,000 to 500 while payments run; a bank is killed and comes back"
    seed = 11
    [network]
    central_banks = 3
    [wallets]
    count = 20_000
    [load]
    rate_per_s = 3_000
    warm_up_s = 5
    duration_s = 40
    [policy]
    preset = "digital-euro"
    [slo]
    p99_ms = 200
    [[event]]
    at_s = 20
    action = "policy"
    holding_limit_minor = { household = 50_000 }
    [[event]]
    at_s = 32
    action = "kill"
    node = "bank-2"
    [[event]]
    at_s = 34
    action = "restart"
    node = "bank-2"
    [[event]]
    at_s = 38
    action = "kill"
    node = "leader"
"#;

/// A run with every list and option filled.
pub fn full_run() -> RunResult {
    let scenario = Scenario::parse("sample.toml", "sample", TEXT, &[]).expect("the sample scenario is valid");
    let machine = Machine {
        cores: 2,
        cpu: "AMD EPYC 9R14".to_owned(),
        memory_gib: 15.6,
        kernel: "linux 6.1.0-28-cloud-amd64".to_owned(),
    };
    let mut result =
        RunResult::begin(&scenario, "0.1.0", "cbdc bench simulations/load/policy-shock.toml", &machine, false);
    result.scenario.file = Some("simulations/load/policy-shock.toml".to_owned());
    result.started_unix_ms = 1_795_397_156_000;
    result.machine.verify_per_core_s = 81_200.0;
    result.machine.idle =
        Some(IdleStalls { sync_ms_p99: 0.9, sync_ms_max: 2.4, oversleep_ms_max: 0.3, core_slowest_share: 0.94 });
    play(&mut result, &scenario);
    result.settled_per_s = result.settled as f64 / result.duration_s;
    result.settled_in_window_per_s = result.settled_per_s;
    result.slo = SloVerdict { p99_ms: 200.0, held: result.latency_ms.p99 <= 200.0 };
    result.cpu_us_per_payment = CpuPerPayment {
        total: 21.4,
        verify: 12.3,
        central_bank: Some(14.6),
        banks: Some(3.9),
        load_generator: Some(2.9),
    };
    let issued_minor = 20_000 * 500_000 + 750_000_000;
    result.supply = SupplyTerms {
        issued_minor,
        redeemed_minor: 125_000_000,
        waterfall_minor: 48_211_507,
        wallets_minor: issued_minor - 125_000_000 - 48_211_507,
        ..SupplyTerms::default()
    };
    result.supply_before = SupplyTerms {
        issued_minor,
        redeemed_minor: 125_000_000,
        wallets_minor: issued_minor - 125_000_000,
        ..SupplyTerms::default()
    };
    result.policy.versions = versions(&result);
    result.policy.not_ordered =
        NotOrdered { refused: 23, refusals: [("UNKNOWN_PAYEE".to_owned(), 23)].into(), unanswered: 0 };
    result.deposits = (1..=3).map(|bank| (format!("bank-{bank}"), deposits(bank))).collect();
    result.supply_over_time = (0..=45).map(|at_s| supply_at(at_s, result.supply_before)).collect();
    result.holdings = vec![holdings()];
    result.audit = AuditVerdict { ok: true, blocks: 9_412, findings: Vec::new() };
    result.checks = Checks { signatures: Some(true), fsync: Some(true), tls: true, policy: true };
    result.load_generator = LoadGenerator {
        bottleneck: false,
        starved: false,
        late_ms_p99: 2.4,
        own_late_ms_p99: 0.4,
        cpu_share: Some(0.1),
        machine_busy_share: 0.3,
        others_busy_share: 0.02,
    };
    result.events = scenario
        .events
        .iter()
        .map(|event| EventRecord {
            at_s: event.at_s,
            began_at_s: Some(event.at_s + 0.01),
            done_at_s: Some(event.at_s + 0.12),
            what: event.action.to_string(),
            note: Some("height 4,711".to_owned()),
            settling: event.action.is_a_disturbance().then(|| SettlingGap {
                gap_ms: Some(212.4),
                from_s: event.at_s + 0.02,
                refused: 0,
                unknown: 1_204,
                leader_before: Some("central-bank-1".to_owned()),
                leader_after: Some("central-bank-3".to_owned()),
            }),
        })
        .collect();
    let leader = |at_s, leader: &str, term| LeaderChange { at_s, leader: leader.to_owned(), term };
    result.leaders = vec![leader(0.0, "central-bank-1", 1), leader(38.2, "central-bank-3", 2)];
    result.books = (0..=45).map(books).collect();
    result.load_curve = [1.0, 2.0, 4.0, 6.0, 7.0, 8.0]
        .into_iter()
        .map(|step: f64| LoadPoint {
            offered_per_s: step * 10_000.0,
            settled_per_s: step.min(7.2) * 10_000.0,
            settled_in_window_per_s: step.min(7.2) * 10_000.0,
            p50_ms: 4.0 + step,
            p99_ms: 9.0 + step.powi(3),
            held: step < 6.0,
            limit: if step < 6.0 { Limit::None } else { Limit::Latency },
            refused: 0,
            failed: 0,
            cpu_us_per_payment: 14.0,
            verify_us_per_payment: 9.0,
            generator_us_per_payment: Some(1.2),
            generator_late_ms_p99: 0.5,
            machine_busy_share: (step * 0.13).min(1.0),
            others_busy_share: 0.01,
        })
        .collect();
    result.maximum = Some(Maximum {
        slo_p99_ms: result.slo.p99_ms,
        offered_per_s: 40_000.0,
        settled_per_s: 40_000.0,
        failed_at_per_s: Some(60_000.0),
        limit: Limit::Latency,
        steps: 6,
        took_s: 93.0,
    });
    result
}

/// Invents an answer to every payment of the plan.
fn play(result: &mut RunResult, scenario: &Scenario) {
    let warm_up_ns = (scenario.load.warm_up_s * 1e9) as u64;
    let mut latency = LatencyRecorder::new(warm_up_ns);
    let mut timeline = Timeline::new(scenario.load.total_s());
    let mut amounts = AmountCounter::new(&REPORT_EDGES_MINOR);
    for (number, payment) in Plan::new(scenario).enumerate() {
        let at_s = payment.due_ns as f64 / 1e9;
        // Cheap noise between 0 and 1.
        let noise = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / u64::MAX as f64;
        let stall_ms = if (32.0..32.8).contains(&at_s) { (32.8 - at_s) * 300.0 } else { 0.0 };
        let ms = 4.0 + 6.0 * noise + 3.0 * (at_s * 1.7).sin() - 2.5 * (1.0 - noise).ln() * noise.powi(9) + stall_ms;
        let answered_ns = payment.due_ns + (ms.max(1.0) * 1e6) as u64;
        timeline.offered(payment.due_ns);
        let refused = |reason: Reason| (Answer::Refused(reason), reason.name());
        let limited = at_s > 20.0 && number % 17 == 0;
        let (answer, reason) = match number {
            _ if limited => refused(Reason::HoldingLimit),
            _ if number % 401 == 0 => refused(Reason::InsufficientFunds),
            _ if number % 2_503 == 0 => refused(Reason::UnknownPayee),
            _ => (Answer::Settled, ""),
        };
        timeline.answered(payment.due_ns, answered_ns, answer);
        if payment.due_ns < warm_up_ns {
            continue;
        }
        amounts.count(payment.amount_minor);
        result.offered += 1;
        if answer == Answer::Settled {
            result.settled += 1;
            latency.record(payment.due_ns, answered_ns);
        } else {
            result.refused += 1;
            *result.refusals.entry(reason.to_owned()).or_default() += 1;
        }
    }
    for second in 0..45_u64 {
        let swept = if second > 20 { (second as i64 - 20) * 2_008_812 } else { 0 };
        timeline.supply(second * 1_000_000_000, 10_625_000_000 - swept);
    }
    result.latency_ms = latency.summary();
    result.latency_distribution = latency.distribution();
    result.timeline = timeline.seconds();
    result.amounts = amounts.buckets();
}

fn books(at_s: u64) -> BooksSample {
    let swept = if at_s > 20 { (at_s as i64 - 20) * 20_088_120 } else { 0 };
    BooksSample {
        at_s,
        securities_minor: 26_000_000_000,
        loans_minor: 4_000_000_000,
        banknotes_minor: 9_000_000_000,
        reserves_minor: 7_375_000_000 + swept,
        deposit_facility_minor: 1_000_000_000,
        cbdc_minor: 10_625_000_000 - swept,
        government_minor: 1_200_000_000,
        equity_minor: 800_000_000,
    }
}

fn deposits(bank: i64) -> BankDeposits {
    let (credited_minor, funded_minor) = (3_000_000_000 * bank, 2_900_000_000 * bank);
    let expected_minor = credited_minor - funded_minor + 125_000 + 16_070_502 - 40_000;
    BankDeposits {
        credited_minor,
        funded_minor,
        defunded_minor: 125_000,
        waterfall_minor: 16_070_502,
        reverse_waterfall_minor: 40_000,
        waterfall_in_load_minor: 16_070_502,
        reverse_waterfall_in_load_minor: 40_000,
        expected_minor,
        after_minor: Some(expected_minor),
        in_transit_minor: Some(0),
        agrees: true,
        ..BankDeposits::default()
    }
}

fn supply_at(at_s: u64, before: SupplyTerms) -> SupplySample {
    let swept = at_s.saturating_sub(20) as i64 * 2_008_812;
    SupplySample { at_s, terms: SupplyTerms { waterfall_minor: swept, fees_minor: at_s as i64 * 41_000, ..before } }
}

fn versions(result: &RunResult) -> Vec<PolicyVersionReport> {
    let refusals =
        |limit: u64| result.refusals.iter().map(|(rule, number)| (rule.clone(), number.min(&limit) / 2)).collect();
    let first = PolicyVersionReport {
        version: 1,
        since_s: -31.4,
        changed: vec!["holding-limit.household = 3000.00".to_owned(), "holding-limit.merchant = 0.00".to_owned()],
        first_height: Some(1_204),
        last_height: Some(4_710),
        settled: result.settled / 2,
        settled_minor: result.settled * 2_820,
        refused: 300,
        refusals: refusals(300),
        ..PolicyVersionReport::default()
    };
    let second = PolicyVersionReport {
        version: 2,
        since_s: 20.12,
        changed: vec![
            "holding-limit.household = 500.00".to_owned(),
            "remuneration.household = 0 % up to 500.00, -1 % above".to_owned(),
        ],
        first_height: Some(4_711),
        last_height: Some(9_412),
        refused: result.refused - 300,
        refusals: refusals(u64::MAX),
        waterfall_minor: 48_211_507,
        ..first.clone()
    };
    vec![first, second]
}

fn holdings() -> ClassHoldings {
    let bucket = |number: u64| HoldingBucket {
        up_to_minor: (number < 20).then_some((number + 1) * 5_000),
        holders: 2_400 / (number + 1),
    };
    ClassHoldings {
        class: "household".to_owned(),
        limit_minor: Some(50_000),
        holders: 18_000,
        above_limit: 5_130,
        total_minor: 912_345_600,
        accrual_a_day_minor: -41_200,
        buckets: (0..=20).map(bucket).collect(),
    }
}
