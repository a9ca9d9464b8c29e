//! Numbers for people: thousands separated, a sensible number of digits, units in words.

pub use cbdc_report::format::{count, figure, given, percent, rounded, share};

use cbdc_ledger::Timestamp;

use crate::result::{Currency, IdleStalls, RunResult, SettlingGap, Shape};

/// An amount in the currency's major unit: 123456 as `1,234.56`; negative amounts with a true minus sign.
pub fn money(minor: i64, currency: &Currency) -> String {
    let scale = 10_u64.pow(currency.exponent.min(18));
    let size = minor.unsigned_abs();
    let sign = if minor < 0 { "\u{2212}" } else { "" };
    let whole = count(size / scale);
    if currency.exponent == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{:0width$}", size % scale, width = currency.exponent as usize)
}

/// A date and time in UTC: `2026-11-23 01:25 UTC`.
pub fn date(unix_ms: u64) -> String {
    let minutes = unix_ms / 60_000;
    format!("{} {:02}:{:02} UTC", Timestamp(unix_ms).ledger_day(0), minutes / 60 % 24, minutes % 60)
}

/// The run in two sentences: throughput, then latency and the audit.
pub fn verdict(result: &RunResult) -> [String; 2] {
    let bound = if result.slo.held { "within" } else { "above" };
    let audit = match (result.audit.ok, result.audit.blocks) {
        (true, blocks) => format!("the audit of {} blocks passed", count(blocks)),
        (false, _) => "the audit FAILED".to_owned(),
    };
    let settled = format!(
        "{} of {} payments settled, {} a second{}.",
        count(result.settled),
        count(result.offered),
        rounded(result.settled_per_s),
        in_window(result).map_or_else(String::new, |rate| format!(" ({rate})"))
    );
    let speed = format!(
        "99 % were final within {} ms, {bound} the bound of {} ms; {audit}.",
        figure(result.latency_ms.p99),
        given(result.slo.p99_ms)
    );
    [settled, speed]
}

/// The difference, as a share of the lower rate, from which both rates are named.
const BACKLOG_SHARE: f64 = 0.01;

/// The rate settled within the measured time, if it differs from that of the payments due in it.
pub fn in_window(result: &RunResult) -> Option<String> {
    let (due, in_window) = (result.settled_per_s, result.settled_in_window_per_s);
    let differ = (in_window - due).abs() > due.min(in_window) * BACKLOG_SHARE;
    let why = if in_window > due { "a backlog of the warm-up included" } else { "the rest after the load had ended" };
    differ.then(|| format!("{} a second settled within the measured time, {why}", rounded(in_window)))
}

/// The idle machine's own stalls.
pub fn stalls(idle: &IdleStalls) -> String {
    format!(
        "longest sync {} ms (99 % within {}), latest wake-up {} ms late, a core's slowest 0.1 s at {} of its median",
        figure(idle.sync_ms_max),
        figure(idle.sync_ms_p99),
        figure(idle.oversleep_ms_max),
        percent(idle.core_slowest_share)
    )
}

/// The tail is doubtful if the idle machine stalled for this share of p99, or if a core's slowest tenth of a second did
/// less than this share of its median work.
const STALL_SHARE: f64 = 0.5;
const SLOW_SHARE: f64 = 0.7;

/// The largest share of the cores that other programs use on a quiet machine.
const QUIET: f64 = 0.1;

/// Caveats to know before comparing this run with another, one sentence each.
pub fn warnings(result: &RunResult) -> Vec<String> {
    let mut warnings = Vec::new();
    let in_state = |state: Option<bool>| -> Vec<&str> {
        result.named_checks().into_iter().filter(|(_, found)| *found == state).map(|(name, _)| name).collect()
    };
    let (off, unknown) = (in_state(Some(false)), in_state(None));
    if !off.is_empty() {
        warnings.push(format!("Not a run of real use: {} off.", list(&off)));
    }
    if !unknown.is_empty() {
        warnings.push(format!(
            "The central bank did not run to the end, and its counters are lost: {} unknown.",
            list(&unknown)
        ));
    }
    warnings.extend(generator(result));
    warnings.extend(result.scenario.notes.iter().cloned());
    if result.failed > 0 {
        warnings.push(format!("{} payments had no known outcome when the run ended.", count(result.failed)));
    }
    if result.load_generator.others_busy_share > QUIET {
        warnings.push(format!(
            "The machine was not quiet: other programs used {} of its cores while the load ran.",
            percent(result.load_generator.others_busy_share)
        ));
    }
    let is_restless = |idle: &IdleStalls| {
        idle.longest_ms() > result.latency_ms.p99 * STALL_SHARE || idle.core_slowest_share < SLOW_SHARE
    };
    if let Some(idle) = result.machine.idle.filter(is_restless) {
        warnings.push(format!("The machine stalls when idle, so part of the tail may be its own: {}.", stalls(&idle)));
    }
    if let Some(preset) = &result.policy.preset {
        let about = |sentence: &String| format!("Provisional in {} ({}): {sentence}", preset.name, preset.date);
        warnings.extend(preset.provisional.iter().map(about));
    }
    if result.supply.expected_minor() != Some(result.supply.wallets_minor) {
        warnings.push("The wallets do not hold what the supply terms add up to.".to_owned());
    }
    warnings
}

/// The reason why the load generator was late, if it was.
fn generator(result: &RunResult) -> Option<String> {
    let generator = &result.load_generator;
    let late = format!("99 % of payments left it within {} ms of when they could", figure(generator.own_late_ms_p99));
    let share =
        generator.cpu_share.map_or(String::new(), |share| format!(", of which the generator used {}", percent(share)));
    let busy = percent(generator.machine_busy_share);
    match (generator.bottleneck, generator.starved) {
        (true, _) => Some(format!(
            "The load generator was the bottleneck ({late}; the run used {busy} of the cores{share}): the network may \
            be faster than this."
        )),
        (false, true) => Some(format!(
            "The machine's {} cores were full, and the load generator waited for one ({late}; the run used {busy} of \
            the cores{share}).",
            result.machine.cores
        )),
        (false, false) => None,
    }
}

fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The network in a few words.
pub fn network(shape: &Shape) -> String {
    let central_bank = match shape.central_banks {
        0 | 1 => "1 central bank".to_owned(),
        nodes if shape.header_signatures > 1 => {
            format!("central bank of {nodes} nodes ({} sign each header)", shape.header_signatures)
        }
        nodes => format!("central bank of {nodes} nodes"),
    };
    format!("{central_bank} and {} banks", shape.banks)
}

/// The gap in settling after an event.
pub fn gap(gap: &SettlingGap) -> String {
    gap.gap_ms.map_or_else(|| "nothing settled after it".to_owned(), |ms| format!("{} ms", figure(ms)))
}

/// The leader before and after an event; empty if none is known.
pub fn leaders(gap: &SettlingGap) -> String {
    match (&gap.leader_before, &gap.leader_after) {
        (Some(before), Some(after)) if before == after => before.clone(),
        (Some(before), Some(after)) => format!("{before}, then {after}"),
        (only, None) | (None, only) => only.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_the_currencys_decimals() {
        let euro = Currency::default();
        assert_eq!(money(123_456, &euro), "1,234.56");
        assert_eq!(money(-5, &euro), "\u{2212}0.05");
        assert_eq!(money(123_456, &Currency { code: "JPY".to_owned(), exponent: 0 }), "123,456");
    }

    #[test]
    fn a_backlog_that_was_cleared_is_named_beside_what_was_due() {
        let mut result =
            RunResult { settled_per_s: 220_000.0, settled_in_window_per_s: 220_100.0, ..RunResult::default() };
        assert_eq!(in_window(&result), None);
        result.settled_in_window_per_s = 232_681.0;
        let [settled, _] = verdict(&result);
        assert!(settled.contains("220,000 a second (232,681 a second settled within the measured time"), "{settled}");
        result.settled_in_window_per_s = 180_000.0;
        assert!(verdict(&result)[0].contains("the rest after the load had ended"), "{}", verdict(&result)[0]);
    }

    #[test]
    fn dates_are_civil() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_827_696_000), "2000-02-29 12:34 UTC");
        assert_eq!(date(1_795_397_156_000), "2026-11-23 01:25 UTC");
    }
}
