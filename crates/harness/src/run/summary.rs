//! The figures of a run, from the records of its tasks.

use std::collections::BTreeMap;

use cbdc_proto::packed::Answer;

use super::nodes::Nodes;
use super::probe::Counters;
use super::stream_outcome::{Figures, StreamOutcome};
use super::{disturbances, observer};
use crate::measure::cpu::CpuSpent;
use crate::result::{Checks, LoadGenerator, PolicyVersionReport, RunResult};
use crate::scenario::Scenario;

/// The load generator is the bottleneck when payments leave it late, by its own fault, by more than this share of the
/// bound on latency, clamped to the two figures below.
const LATE_SHARE: f64 = 0.25;
const LATE_MS_MIN: f64 = 5.0;
const LATE_MS_MAX: f64 = 50.0;
/// Cores that are busier than this are full; if the generator used more than the second share of the run's CPU time, it
/// filled them itself.
const FULL_SHARE: f64 = 0.9;
const OWN_WORK_SHARE: f64 = 0.5;

/// Fills in the figures of the load and returns the answers by stream. Only payments due after the warm-up count.
pub(super) fn summarize(
    scenario: &Scenario,
    result: &mut RunResult,
    outcomes: Vec<StreamOutcome>,
    amounts: Vec<crate::result::AmountBucket>,
    samples: Vec<observer::Sample>,
) -> Vec<Vec<Option<Answer>>> {
    disturbances::fill_in(&scenario.events, &mut result.events, &outcomes, &result.leaders);
    let warm_up_ns = (scenario.load.warm_up_s * 1e9) as u64;
    let mut figures = Figures::new(warm_up_ns, scenario.load.total_s());
    let mut answers = Vec::new();
    for outcome in outcomes {
        figures.count(&outcome);
        let counted = outcome.answers.iter().zip(&outcome.due_ns).filter(|(_, due)| **due >= warm_up_ns);
        for (answer, _) in counted {
            result.offered += 1;
            match answer {
                Some(answer) if answer.outcome.is_settled() => result.settled += 1,
                Some(answer) => {
                    result.refused += 1;
                    *result.refusals.entry(answer.outcome.reason.name().to_owned()).or_default() += 1;
                }
                None => result.failed += 1,
            }
        }
        answers.push(outcome.answers);
    }
    let Figures { latency, mut timeline, rates, lateness, own_lateness } = figures;
    for sample in &samples {
        timeline.supply(sample.at_ns, sample.cbdc_minor);
    }
    result.latency_ms = latency.summary();
    result.latency_distribution = latency.distribution();
    result.slo.held = result.latency_ms.p99 <= result.slo.p99_ms && result.failed == 0;
    let [late_ms_p99, own_late_ms_p99] = [lateness, own_lateness].map(|lateness| lateness.summary().p99);
    result.load_generator = LoadGenerator { late_ms_p99, own_late_ms_p99, ..LoadGenerator::default() };
    result.timeline = timeline.seconds();
    result.settled_per_s = rates.due_per_s();
    result.settled_in_window_per_s = rates.in_window_per_s();
    result.supply_over_time = samples.iter().filter_map(|sample| sample.supply).collect();
    result.books = samples.into_iter().map(|sample| sample.books).collect();
    result.amounts = amounts;
    answers
}

/// The growth of a counter; one that was reset by a restart of its node counts from zero.
fn growth(before: &Counters, after: &Counters, name: &str) -> f64 {
    let [before, after] = [before, after].map(|counters| counters.get(name).copied().unwrap_or(0.0));
    if after >= before { after - before } else { after }
}

/// CPU time of all processes, load generator included, per payment that was answered.
pub(super) fn account_for_cpu(
    result: &mut RunResult,
    answers: &[Vec<Option<Answer>>],
    cpu: Option<&CpuSpent>,
    nodes: &Nodes,
    (before, after): (&[Counters], &[Counters]),
) {
    let answered = answers.iter().flatten().flatten().count().max(1) as f64;
    let verify_ns = before.iter().zip(after).map(|(before, after)| growth(before, after, "cbdc_verify_cpu_ns_total"));
    result.cpu_us_per_payment.verify = verify_ns.sum::<f64>() / 1_000.0 / answered;
    let Some(cpu) = cpu else { return };
    let own = std::process::id();
    let sum = |wanted: &dyn Fn(u32) -> bool| {
        cpu.by_process_us.iter().filter(|(id, _)| wanted(**id)).map(|(_, us)| *us as f64).sum::<f64>() / answered
    };
    result.cpu_us_per_payment.total = sum(&|_| true);
    let central = nodes.central_bank_processes();
    if !central.is_empty() {
        result.cpu_us_per_payment.central_bank = Some(sum(&|id| central.contains(&id)));
        result.cpu_us_per_payment.banks = Some(sum(&|id| !central.contains(&id) && id != own));
        result.cpu_us_per_payment.load_generator = Some(sum(&|id| id == own));
        result.load_generator.cpu_share = Some(sum(&|id| id == own) / sum(&|_| true).max(f64::MIN_POSITIVE));
    }
    let (busy, others) = cpu.busy_shares(result.machine.cores);
    (result.load_generator.machine_busy_share, result.load_generator.others_busy_share) = (busy, others);
}

/// Decides whether the load generator was late, and if so, by its own fault or for lack of a core.
pub(super) fn judge_generator(generator: &mut LoadGenerator, bound_p99_ms: f64) {
    let is_late_ms = (bound_p99_ms * LATE_SHARE).clamp(LATE_MS_MIN, LATE_MS_MAX);
    let is_late = generator.own_late_ms_p99 > is_late_ms;
    let is_full = generator.machine_busy_share + generator.others_busy_share > FULL_SHARE;
    let is_its_own_work = generator.cpu_share.is_some_and(|share| share > OWN_WORK_SHARE);
    generator.starved = is_late && is_full && !is_its_own_work;
    generator.bottleneck = is_late && !generator.starved;
}

/// Joins the counts under each version with the version's description and the audit's counts.
pub(super) fn count_under_versions(
    versions: &mut [PolicyVersionReport],
    mut counted: BTreeMap<u32, PolicyVersionReport>,
) {
    for said in versions {
        let counted = counted.remove(&said.version).unwrap_or_default();
        let (changed, waterfall_minor) = (std::mem::take(&mut said.changed), said.waterfall_minor);
        let (version, since_s) = (said.version, said.since_s);
        *said = PolicyVersionReport { version, since_s, changed, waterfall_minor, ..counted };
    }
}

/// The checks that were on, by the own counters of each of the central bank's nodes: signatures verified, by all
/// together, and syncs made, never fewer than block proposals at any of them. `before` is when a node was last
/// restarted, if it was; if one serves no counters at the end, nothing is known.
pub(super) fn checks(before: &[Counters], after: &[Counters], settled: u64, was_restarted: bool) -> Checks {
    let count = |counters: &Counters, name: &str| counters.get(name).copied().unwrap_or(0.0);
    let growth = |(before, after): (&Counters, &Counters), name: &str| count(after, name) - count(before, name);
    let nodes = || before.iter().zip(after);
    let verified: f64 = nodes().map(|node| growth(node, "cbdc_verified_commands_total")).sum();
    let synced = nodes().map(|node| (growth(node, "cbdc_block_proposals_total"), growth(node, "cbdc_wal_syncs_total")));
    let mut ordering = synced.filter(|(proposals, _)| *proposals > 0.0).peekable();
    let has_ordered = ordering.peek().is_some();
    let known = |is_on: bool| after.iter().all(|counters| !counters.is_empty()).then_some(is_on);
    Checks {
        signatures: known(verified >= if was_restarted { 1.0 } else { settled as f64 }),
        fsync: known(has_ordered && ordering.all(|(proposals, syncs)| syncs >= proposals)),
        // Nodes speak only TLS 1.3, and the ledger applies every rule to every command.
        tls: true,
        policy: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_generator_is_the_bottleneck_unless_others_left_it_no_core() {
        let judged = |own_late_ms_p99, machine_busy_share, cpu_share| {
            let mut generator =
                LoadGenerator { own_late_ms_p99, machine_busy_share, cpu_share, ..LoadGenerator::default() };
            judge_generator(&mut generator, 100.0);
            (generator.bottleneck, generator.starved)
        };
        assert_eq!(judged(24.0, 1.0, Some(0.1)), (false, false), "it was in time");
        assert_eq!(judged(26.0, 0.5, Some(0.1)), (true, false), "there were cores left");
        assert_eq!(judged(26.0, 0.98, Some(0.1)), (false, true));
        assert_eq!(judged(26.0, 0.98, Some(0.6)), (true, false), "it filled the cores itself");
        assert_eq!(judged(26.0, 0.98, None), (false, true), "one process: nobody can tell them apart");
    }

    #[test]
    fn checks_are_counted_from_a_restart_and_unknown_after_a_kill() {
        let counters = |verified: f64, proposals: f64, syncs: f64| {
            let names = ["cbdc_verified_commands_total", "cbdc_block_proposals_total", "cbdc_wal_syncs_total"];
            names.map(str::to_owned).into_iter().zip([verified, proposals, syncs]).collect::<Counters>()
        };
        let states = |after: &Counters, was_restarted| {
            let before = [counters(900.0, 100.0, 110.0)];
            let checks = checks(&before, std::slice::from_ref(after), 500, was_restarted);
            (checks.signatures, checks.fsync)
        };
        assert_eq!(states(&counters(1_400.0, 200.0, 215.0), false), (Some(true), Some(true)));
        assert_eq!(states(&counters(1_399.0, 200.0, 190.0), false), (Some(false), Some(false)));
        // What was verified before the restart was counted by another process.
        assert_eq!(states(&counters(901.0, 200.0, 215.0), true), (Some(true), Some(true)));
        assert_eq!(states(&counters(900.0, 200.0, 190.0), true), (Some(false), Some(false)));
        assert_eq!(states(&Counters::new(), true), (None, None));
    }

    #[test]
    fn of_several_nodes_all_verify_together_and_each_syncs_for_itself() {
        let counters = |verified: f64, proposals: f64, syncs: f64| {
            let names = ["cbdc_verified_commands_total", "cbdc_block_proposals_total", "cbdc_wal_syncs_total"];
            names.map(str::to_owned).into_iter().zip([verified, proposals, syncs]).collect::<Counters>()
        };
        let before = [counters(0.0, 0.0, 0.0), counters(0.0, 0.0, 0.0)];
        let states = |after: [Counters; 2]| {
            let checks = checks(&before, &after, 500, false);
            (checks.signatures, checks.fsync)
        };
        assert_eq!(states([counters(300.0, 10.0, 10.0), counters(200.0, 5.0, 9.0)]), (Some(true), Some(true)));
        assert_eq!(states([counters(500.0, 10.0, 4.0), counters(0.0, 0.0, 20.0)]), (Some(true), Some(false)));
        assert_eq!(states([counters(499.0, 10.0, 10.0), counters(0.0, 0.0, 20.0)]), (Some(false), Some(true)));
        assert_eq!(states([counters(500.0, 10.0, 10.0), Counters::new()]), (None, None), "one did not come back");
    }
}
