//! The highest rate that a network holds within a bound on latency.
//!
//! 1. Starting at a quarter of the scenario's rate, the rate is doubled until it does not hold, or halved until it
//!    does; then the gap is bisected (geometrically) until its ends are within [`CLOSE_ENOUGH`] of each other.
//! 2. Each step is a whole run on **a separate network**, with the scenario's wallets, warm-up and load shortened to
//!    [`WARM_UP_S_MAX`] and [`MEASURED_S_MAX`]. So no step inherits anything from the one before: no backlog, no used
//!    sequence numbers, no grown log or caches; and the audit covers every payment of every step. The price is a set-up
//!    for each step.
//! 3. A rate *holds* if 99 of 100 payments were final within the bound, counted from when they were due; settlements in
//!    the measured time kept up with what was offered ([`SETTLED_SHARE_MIN`]; refusals under a rule of policy count as
//!    settled); no payment went without an outcome or was refused because a queue was full; and the audit passed.
//! 4. If the load generator was late by its own fault, a rate that did not hold counts against the generator and not
//!    the network, and the result names it; likewise if it was late because the machine's cores were full.
//! 5. It ends after [`STEPS_MAX`] steps or [`TIME_MAX`], whichever is first.
//!
//! The result is that of the highest rate that held (or of the lowest tried, if none did), with the curve of all steps.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{BenchOptions, own_folder, run, write_files};
use crate::result::{Limit, LoadPoint, Maximum, RunResult};
use crate::scenario::{RATE_PER_S_MAX, SEQUENCE_WINDOW, Scenario};

/// The most steps.
pub const STEPS_MAX: u32 = 14;
/// The time after which no step begins.
pub const TIME_MAX: Duration = Duration::from_secs(20 * 60);
/// Measured time of a step, at most.
pub const MEASURED_S_MAX: f64 = 5.0;
/// Warm-up of a step, at most.
pub const WARM_UP_S_MAX: f64 = 2.0;
/// The search ends when the lowest rate that failed is at most this many times the highest that held.
const CLOSE_ENOUGH: f64 = 1.05;
/// Factor between rates while one end of the gap is unknown.
const FACTOR: f64 = 2.0;
/// The first rate is the scenario's divided by this.
const FIRST_DIVISOR: f64 = 4.0;
/// The lowest rate tried.
const RATE_MIN: f64 = 10.0;
/// The least share of the offered payments that must settle, in number and within the measured time.
const SETTLED_SHARE_MIN: f64 = 0.97;

/// The bound of the search.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// 99 of 100 payments must be final within this time of being due, ms.
    pub p99_ms: f64,
}

/// The state of the search, which determines the next rate.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Search {
    first: f64,
    /// The highest rate that the scenario's wallets can offer.
    most: f64,
    held: Option<f64>,
    failed: Option<f64>,
    steps: u32,
}

impl Search {
    fn new(first: f64, most: f64) -> Search {
        Search { first: first.clamp(RATE_MIN, most), most, held: None, failed: None, steps: 0 }
    }

    /// The next rate; `None` when the search is over.
    fn next(&self) -> Option<f64> {
        if self.steps >= STEPS_MAX {
            return None;
        }
        let rate = match (self.held, self.failed) {
            (None, None) => self.first,
            (Some(held), None) if held >= self.most => return None,
            (Some(held), None) => (held * FACTOR).min(self.most),
            (None, Some(failed)) if failed <= RATE_MIN => return None,
            (None, Some(failed)) => (failed / FACTOR).max(RATE_MIN),
            (Some(held), Some(failed)) if failed <= held * CLOSE_ENOUGH => return None,
            (Some(held), Some(failed)) => (held * failed).sqrt(),
        };
        Some(three_digits(rate, self.held, self.failed))
    }

    fn note(&mut self, rate: f64, held: bool) {
        self.steps += 1;
        let end = if held { &mut self.held } else { &mut self.failed };
        *end = Some(match (*end, held) {
            (Some(before), true) => before.max(rate),
            (Some(before), false) => before.min(rate),
            (None, _) => rate,
        });
    }
}

/// A rate rounded to three digits, unless that would put it outside the gap.
fn three_digits(rate: f64, held: Option<f64>, failed: Option<f64>) -> f64 {
    let unit = 10_f64.powf(rate.log10().floor() - 2.0);
    let rounded = (rate / unit).round() * unit;
    let is_between = held.is_none_or(|held| rounded > held) && failed.is_none_or(|failed| rounded < failed);
    if is_between { rounded } else { rate }
}

/// Searches for the highest rate within `bound` and writes the result's files. `tell` is called with a line for people
/// before the first step and after each.
pub async fn find_maximum(options: &BenchOptions, bound: Bound, tell: impl Fn(&str)) -> Result<RunResult> {
    let scenario = step_scenario(Scenario::load_with(&options.scenario, &options.overrides)?, bound);
    let most = (SEQUENCE_WINDOW - 1) as f64 * scenario.payers() as f64;
    let mut search = Search::new(scenario.load.profile.mean_per_s() / FIRST_DIVISOR, most.min(RATE_PER_S_MAX));
    let _own = own_folder(&options.out)?;
    tell(&announcement(&scenario, bound));
    let quiet = BenchOptions { quiet: true, ..options.clone() };
    let (began, mut curve, mut best): (_, Vec<LoadPoint>, Option<RunResult>) = (Instant::now(), Vec::new(), None);
    let mut findings = Vec::new();
    while let Some(rate) = search.next().filter(|_| began.elapsed() < TIME_MAX) {
        let result = run(&scenario.at_rate(rate), &quiet).await.with_context(|| format!("at {rate:.0} a second"))?;
        let point = point(rate, &result);
        search.note(rate, point.held);
        tell(&line(search.steps, &point));
        findings.extend(result.audit.findings.iter().map(|finding| format!("at {rate:.0} a second: {finding}")));
        if is_better(&point, &result, best.as_ref()) {
            best = Some(result);
        }
        curve.push(point);
    }
    let mut result = best.context("the search made no step")?;
    curve.sort_by(|one, other| one.offered_per_s.total_cmp(&other.offered_per_s));
    result.maximum = Some(maximum(&curve, bound, &search, began.elapsed()));
    result.load_curve = curve;
    result.audit.ok &= findings.is_empty();
    result.audit.findings = findings;
    write_files(&result, &options.out)?;
    Ok(result)
}

/// The scenario with shorter times, the search's bound, and no events, so that steps differ only in their rate.
fn step_scenario(mut scenario: Scenario, bound: Bound) -> Scenario {
    scenario.load.duration_s = scenario.load.duration_s.min(MEASURED_S_MAX).floor().max(1.0);
    scenario.load.warm_up_s = scenario.load.warm_up_s.clamp(1.0, WARM_UP_S_MAX).round();
    scenario.slo.p99_ms = bound.p99_ms;
    if !scenario.events.is_empty() {
        scenario.notes.push("The scenario's events were left out of the search for the highest rate.".to_owned());
        scenario.events.clear();
    }
    scenario
}

fn announcement(scenario: &Scenario, bound: Bound) -> String {
    format!(
        "searching for the highest rate with p99 within {} ms: at most {STEPS_MAX} steps, each on a network of its own \
         with {} wallets and {:.0} s of load after {:.0} s of warm-up, and no new step after {} min",
        bound.p99_ms,
        scenario.wallets.count,
        scenario.load.duration_s,
        scenario.load.warm_up_s,
        TIME_MAX.as_secs() / 60
    )
}

/// A step as a line of the table.
fn line(step: u32, point: &LoadPoint) -> String {
    format!(
        "step {step:>2}  {:>9.0} offered/s  {:>9.0} settled/s  p50 {:>8.1} ms  p99 {:>8.1} ms  {:>5.1} \u{b5}s CPU  {}",
        point.offered_per_s,
        point.settled_per_s,
        point.p50_ms,
        point.p99_ms,
        point.cpu_us_per_payment,
        point.limit.words()
    )
}

/// A step's point of the curve.
fn point(rate: f64, result: &RunResult) -> LoadPoint {
    let limit = judge(result);
    let cpu = &result.cpu_us_per_payment;
    let generator = &result.load_generator;
    LoadPoint {
        offered_per_s: rate,
        settled_per_s: result.settled_per_s,
        settled_in_window_per_s: result.settled_in_window_per_s,
        p50_ms: result.latency_ms.p50,
        p99_ms: result.latency_ms.p99,
        held: limit == Limit::None,
        limit,
        refused: result.refused,
        failed: result.failed,
        cpu_us_per_payment: cpu.total,
        verify_us_per_payment: cpu.verify,
        generator_us_per_payment: cpu.load_generator,
        generator_late_ms_p99: generator.own_late_ms_p99,
        machine_busy_share: generator.machine_busy_share,
        others_busy_share: generator.others_busy_share,
    }
}

/// Refusals for a full queue, as opposed to a rule of policy.
const OVERLOAD: [&str; 2] = ["OVERLOADED", "UNAVAILABLE"];

fn judge(result: &RunResult) -> Limit {
    let overloaded: u64 = OVERLOAD.iter().filter_map(|name| result.refusals.get(*name)).sum();
    let by_rule = result.refused - overloaded;
    let in_number = (result.settled + by_rule) as f64 / result.offered.max(1) as f64;
    let answered_share = (result.settled + by_rule) as f64 / result.settled.max(1) as f64;
    // The payments offered, not the rate: the number of independent payments varies.
    let in_time = result.settled_in_window_per_s * answered_share * result.duration_s / result.offered.max(1) as f64;
    let is_late = result.latency_ms.p99 > result.slo.p99_ms;
    let is_short = in_number < SETTLED_SHARE_MIN || in_time < SETTLED_SHARE_MIN;
    let generator = &result.load_generator;
    match () {
        () if !result.audit.ok => Limit::Audit,
        () if result.failed > 0 || overloaded > 0 => Limit::Errors,
        () if (is_late || is_short) && generator.bottleneck => Limit::Generator,
        () if (is_late || is_short) && generator.starved => Limit::Machine,
        () if is_late => Limit::Latency,
        () if is_short => Limit::Throughput,
        () => Limit::None,
    }
}

/// A rate that held is better than one that did not; of two that held the higher, of two that did not the lower.
fn is_better(point: &LoadPoint, result: &RunResult, best: Option<&RunResult>) -> bool {
    let Some(best) = best else { return true };
    let best_rate = best.shape.rate_per_s;
    match (point.held, judge(best) == Limit::None) {
        (true, false) => true,
        (false, true) => false,
        (true, true) => result.shape.rate_per_s > best_rate,
        (false, false) => result.shape.rate_per_s < best_rate,
    }
}

fn maximum(curve: &[LoadPoint], bound: Bound, search: &Search, took: Duration) -> Maximum {
    let best = curve.iter().rfind(|point| point.held);
    let failed =
        curve.iter().find(|point| !point.held && best.is_none_or(|best| point.offered_per_s > best.offered_per_s));
    let limit = match (failed, search.held) {
        (Some(point), _) => point.limit,
        (None, Some(held)) if held >= search.most => Limit::Wallets,
        (None, _) => Limit::None,
    };
    Maximum {
        slo_p99_ms: bound.p99_ms,
        offered_per_s: best.map_or(0.0, |point| point.offered_per_s),
        settled_per_s: best.map_or(0.0, |point| point.settled_per_s),
        failed_at_per_s: failed.map(|point| point.offered_per_s),
        limit,
        steps: search.steps,
        took_s: took.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// The rates that a search tries on a network that holds every rate up to `capacity`.
    fn rates(first: f64, most: f64, capacity: f64) -> (Vec<f64>, Search) {
        let (mut search, mut rates) = (Search::new(first, most), Vec::new());
        while let Some(rate) = search.next() {
            search.note(rate, rate <= capacity);
            rates.push(rate);
        }
        (rates, search)
    }

    #[test]
    fn the_search_ends_close_below_the_capacity_wherever_it_begins() {
        for capacity in [11.0, 300.0, 4_321.0, 87_654.0, 150_000.0] {
            for first in [10.0, 1_000.0, 40_000.0] {
                let (rates, search) = rates(first, 1e7, capacity);
                assert!(rates.len() <= STEPS_MAX as usize, "{rates:?}");
                if rates.len() < STEPS_MAX as usize {
                    let held = search.held.expect("a rate held");
                    assert!(held <= capacity && capacity <= held * CLOSE_ENOUGH, "{capacity}: {rates:?}");
                }
            }
        }
    }

    #[test]
    fn the_search_is_bounded_when_nothing_holds_and_when_everything_does() {
        let (lowest, search) = rates(1_000.0, 1e6, 0.0);
        assert_eq!((lowest.last(), search.held), (Some(&RATE_MIN), None));
        let (highest, search) = rates(1_000.0, 50_000.0, 1e9);
        assert_eq!((highest.last(), search.failed), (Some(&50_000.0), None));
        assert_eq!(maximum(&[], Bound { p99_ms: 1.0 }, &search, Duration::ZERO).limit, Limit::Wallets);
    }

    #[test]
    fn a_step_is_judged_by_what_failed_first() {
        let mut result = sample::full_run();
        result.slo.p99_ms = 1_000.0;
        (result.offered, result.settled, result.refused, result.failed) = (1_000, 950, 50, 0);
        result.duration_s = 10.0;
        result.refusals = [("HOLDING_LIMIT".to_owned(), 50)].into();
        result.settled_in_window_per_s = 95.0;
        assert_eq!(judge(&result), Limit::None, "a rule's refusals are answers");
        result.settled_in_window_per_s = 80.0;
        assert_eq!(judge(&result), Limit::Throughput);
        result.latency_ms.p99 = 1_001.0;
        assert_eq!(judge(&result), Limit::Latency);
        result.load_generator.bottleneck = true;
        assert_eq!(judge(&result), Limit::Generator, "a late generator says nothing about the network");
        (result.load_generator.bottleneck, result.load_generator.starved) = (false, true);
        assert_eq!(judge(&result), Limit::Machine);
        result.refusals = [("OVERLOADED".to_owned(), 50)].into();
        assert_eq!(judge(&result), Limit::Errors);
        result.audit.ok = false;
        assert_eq!(judge(&result), Limit::Audit);
    }

    #[test]
    fn the_maximum_is_the_highest_rate_that_held_and_names_what_stopped_the_next() {
        let point = |offered_per_s, limit| LoadPoint {
            offered_per_s,
            held: limit == Limit::None,
            limit,
            ..LoadPoint::default()
        };
        let curve = [point(10.0, Limit::None), point(20.0, Limit::None), point(40.0, Limit::Generator)];
        let found = maximum(&curve, Bound { p99_ms: 5.0 }, &Search::new(10.0, 100.0), Duration::ZERO);
        assert_eq!((found.offered_per_s, found.failed_at_per_s, found.limit), (20.0, Some(40.0), Limit::Generator));
    }
}
