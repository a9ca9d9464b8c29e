//! The summary that ends a run on the terminal: about 30 lines, aligned, with units.

use std::fmt::Write;

use super::curve;
use super::format::{
    self, count, figure, given, in_window, leaders, money, network, percent, rounded, share, stalls, verdict, warnings,
};
use super::policy::by_rule;
use crate::result::{EventRecord, RunResult, SettlingGap};

/// Width of the labels, in columns.
const LABEL_WIDTH: usize = 14;

/// The number of characters of an event's description that are shown.
const WORDS_MAX: usize = 90;
/// The number of gaps in settling that are shown.
const GAPS_MAX: usize = 4;
/// The number of policy versions that are shown.
const VERSIONS_MAX: usize = 4;

/// Colours, or none when the output is not a terminal.
struct Paint {
    on: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }

    fn good(&self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(&self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn warning(&self, text: &str) -> String {
        self.with("1;33", text)
    }
}

/// The summary; `colours` only when the output is a terminal.
pub fn summary(result: &RunResult, colours: bool) -> String {
    let paint = Paint { on: colours };
    let mut text = String::new();
    head(&mut text, result, &paint);
    payments(&mut text, result, &paint);
    latency(&mut text, result, &paint);
    costs(&mut text, result, &paint);
    search(&mut text, result, &paint);
    versions(&mut text, result, &paint);
    money_and_audit(&mut text, result, &paint);
    foot(&mut text, result, &paint);
    text
}

fn line(text: &mut String, paint: &Paint, label: &str, content: &str) {
    let label = paint.dim(&format!("{label:<LABEL_WIDTH$}"));
    let _ = writeln!(text, "  {label}{content}");
}

fn head(text: &mut String, result: &RunResult, paint: &Paint) {
    let shape = &result.shape;
    let _ = writeln!(text, "\n{}  {}", paint.bold(&result.scenario.name), result.scenario.description);
    let processes = if shape.in_process { "in one process" } else { "one process a node" };
    let network = format!("{}, {} wallets, {processes}", network(shape), count(u64::from(shape.wallets)));
    line(text, paint, "network", &network);
    let messages = if shape.mode == "unary" {
        "unary calls".to_owned()
    } else {
        format!("streams of up to {} a message", count(u64::from(shape.batch_size)))
    };
    let load = format!(
        "{}, {} a second for {} s after {} s of warm-up, {messages}",
        shape.profile,
        rounded(shape.rate_per_s),
        given(result.duration_s),
        given(shape.warm_up_s)
    );
    line(text, paint, "load", &load);
    let machine = &result.machine;
    line(text, paint, "machine", &format!("{} cores, {}, {} GiB", machine.cores, machine.cpu, machine.memory_gib));
    let checks: Vec<String> = result
        .named_checks()
        .into_iter()
        .map(|(name, on)| match on {
            Some(true) => paint.good(&format!("{name} on")),
            Some(false) => paint.bad(&format!("{name} OFF")),
            None => paint.bad(&format!("{name} unknown")),
        })
        .collect();
    line(text, paint, "checks", &checks.join("  "));
}

fn payments(text: &mut String, result: &RunResult, paint: &Paint) {
    let _ = writeln!(text);
    let rate = paint.bold(&format!("{:>12} a second", rounded(result.settled_per_s)));
    line(text, paint, "settled", &format!("{:>12}  {:>8}{rate}", count(result.settled), part(result.settled, result)));
    if let Some(rate) = in_window(result) {
        line(text, paint, "", &paint.dim(&format!("{:>12}  {rate}", "")));
    }
    let mut reasons: Vec<(&String, &u64)> = result.refusals.iter().collect();
    reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let top: Vec<String> =
        reasons.iter().take(3).map(|(reason, number)| format!("{reason} {}", count(**number))).collect();
    let more = reasons.len().saturating_sub(3);
    let more = if more > 0 { format!(", {more} more") } else { String::new() };
    let why = if top.is_empty() { String::new() } else { paint.dim(&format!("   {}{more}", top.join(", "))) };
    line(text, paint, "refused", &format!("{:>12}  {:>8}{why}", count(result.refused), part(result.refused, result)));
    let failed = format!("{:>12}  {:>8}", count(result.failed), part(result.failed, result));
    line(text, paint, "failed", &if result.failed > 0 { paint.bad(&failed) } else { failed });
    line(text, paint, "offered", &format!("{:>12}", count(result.offered)));
}

fn part(number: u64, result: &RunResult) -> String {
    percent(share(number, result.offered))
}

fn latency(text: &mut String, result: &RunResult, paint: &Paint) {
    let _ = writeln!(text);
    let ms = &result.latency_ms;
    let columns = [("p50", ms.p50), ("p90", ms.p90), ("p99", ms.p99), ("p99.9", ms.p99_9), ("max", ms.max)];
    let heads: String = columns.iter().map(|(name, _)| format!("{name:>10}")).collect();
    let figures: String = columns.iter().map(|(_, value)| format!("{:>10}", figure(*value))).collect();
    line(text, paint, "latency", &paint.dim(&heads));
    let bound = format!("{} ms", given(result.slo.p99_ms));
    let held = if result.slo.held {
        paint.good(&format!("p99 within {bound}"))
    } else {
        paint.bad(&format!("p99 above {bound}"))
    };
    line(text, paint, "  ms from due", &format!("{}   {held}", paint.bold(&figures)));
}

fn costs(text: &mut String, result: &RunResult, paint: &Paint) {
    let cpu = &result.cpu_us_per_payment;
    let mut roles = vec![format!("signatures {}", figure(cpu.verify))];
    for (name, value) in [("central bank", cpu.central_bank), ("banks", cpu.banks), ("load", cpu.load_generator)] {
        roles.extend(value.map(|value| format!("{name} {}", figure(value))));
    }
    let content = format!(
        "{} a payment   {}",
        paint.bold(&format!("{} \u{b5}s", figure(cpu.total))),
        paint.dim(&roles.join(", "))
    );
    line(text, paint, "CPU", &content);
    let rate = format!("{} signatures a second on one core", rounded(result.machine.verify_per_core_s));
    line(text, paint, "verifying", &rate);
    if let Some(idle) = result.machine.idle {
        line(text, paint, "when idle", &stalls(&idle));
    }
}

/// Every step of a search for the highest rate.
fn search(text: &mut String, result: &RunResult, paint: &Paint) {
    let Some(maximum) = &result.maximum else { return };
    let _ = writeln!(text);
    let [found, next] = curve::verdict(maximum);
    line(text, paint, "highest rate", &if maximum.offered_per_s > 0.0 { found } else { paint.bad(&found) });
    line(text, paint, "", &next);
    for (index, row) in curve::lines(&result.load_curve).into_iter().enumerate() {
        let is_best = index > 0 && result.load_curve[index - 1].offered_per_s == maximum.offered_per_s;
        line(text, paint, "", &if is_best { paint.bold(&row) } else { row });
    }
}

/// The preset and, if the policy changed, the payments under each version.
fn versions(text: &mut String, result: &RunResult, paint: &Paint) {
    let versions = &result.policy.versions;
    if result.policy.preset.is_none() && versions.len() < 2 {
        return;
    }
    let _ = writeln!(text);
    if let Some(preset) = &result.policy.preset {
        let mark = if preset.mark == "K" { "known, not checked: provisional" } else { "read in the source" };
        line(text, paint, "preset", &format!("{} of {} ({mark})", preset.name, preset.date));
    }
    for version in versions.iter().filter(|_| versions.len() > 1).take(VERSIONS_MAX) {
        let since = match version.version {
            1 => "genesis".to_owned(),
            _ => format!("{:.2} s", version.since_s),
        };
        let mut why = by_rule(&version.refusals, 2);
        if version.waterfall_minor > 0 {
            let swept = money(i64::try_from(version.waterfall_minor).unwrap_or(i64::MAX), &result.currency);
            why = format!("{why}; swept {swept}");
        }
        let counts = format!("{:>9} settled {:>9} refused", count(version.settled), count(version.refused));
        let about = format!("since {since:<8}{counts}   {}", paint.dim(&why));
        line(text, paint, &format!("policy {}", version.version), &about);
    }
    let not_ordered = &result.policy.not_ordered;
    if versions.len() > 1 && not_ordered.refused > 0 {
        let counts = format!("{:>32} refused", count(not_ordered.refused));
        line(text, paint, "not ordered", &format!("{counts}   {}", paint.dim(&by_rule(&not_ordered.refusals, 2))));
    }
}

fn money_and_audit(text: &mut String, result: &RunResult, paint: &Paint) {
    let _ = writeln!(text);
    let code = &result.currency.code;
    let moved: Vec<String> = result
        .supply
        .signed_terms()
        .into_iter()
        .filter(|(_, minor)| *minor != 0)
        .take(3)
        .map(|(name, minor)| format!("{} {}", name.to_lowercase(), money(minor, &result.currency)))
        .collect();
    let wallets = format!("{code} {}", money(result.supply.wallets_minor, &result.currency));
    line(text, paint, "supply", &format!("{wallets}   {}", paint.dim(&moved.join(", "))));
    let audit = &result.audit;
    if audit.ok {
        line(text, paint, "audit", &paint.good(&format!("ok, {} blocks", count(audit.blocks))));
    } else {
        line(text, paint, "audit", &paint.bad(&format!("FAILED after {} blocks", count(audit.blocks))));
        audit.findings.iter().take(5).for_each(|finding| line(text, paint, "", &paint.bad(finding)));
    }
    if !result.deposits.is_empty() {
        let agreeing = result.deposits.values().filter(|bank| bank.agrees).count();
        let words = format!("{agreeing} of {} banks agree with the chain (I3)", result.deposits.len());
        let all = agreeing == result.deposits.len();
        line(text, paint, "deposits", &if all { paint.good(&words) } else { paint.warning(&words) });
    }
    for event in result.events.iter().take(6) {
        let done = event.done_at_s.map_or("never done".to_owned(), |at_s| format!("done at {at_s:.2} s"));
        line(text, paint, "event", &format!("{:>7.2} s  {} ({done})", event.at_s, shortened(&event.what)));
    }
    gaps(text, result, paint);
}

/// The gaps in settling, the longest first.
fn gaps(text: &mut String, result: &RunResult, paint: &Paint) {
    let mut gaps: Vec<(&EventRecord, &SettlingGap)> =
        result.events.iter().filter_map(|event| Some((event, event.settling.as_ref()?))).collect();
    let length = |(_, gap): &(&EventRecord, &SettlingGap)| gap.gap_ms.unwrap_or(f64::INFINITY);
    gaps.sort_by(|a, b| length(b).total_cmp(&length(a)));
    for (event, gap) in gaps.iter().take(GAPS_MAX) {
        let counts = format!("{} refused, {} unknown in it", count(gap.refused), count(gap.unknown));
        let why = paint.dim(&format!("{counts}; {}", leaders(gap)));
        let about =
            format!("{:>12}  after {} at {:.2} s   {why}", format::gap(gap), shortened(&event.what), event.at_s);
        line(text, paint, "gap", about.trim_end());
    }
    if gaps.len() > GAPS_MAX {
        line(text, paint, "", &paint.dim(&format!("{} shorter ones are in the report", gaps.len() - GAPS_MAX)));
    }
}

/// The beginning of a text, which the report has in full.
fn shortened(words: &str) -> String {
    let short: String = words.chars().take(WORDS_MAX).collect();
    if short.len() < words.len() { format!("{short}\u{2026}") } else { short }
}

fn foot(text: &mut String, result: &RunResult, paint: &Paint) {
    for warning in warnings(result) {
        line(text, paint, "note", &paint.warning(&warning));
    }
    let hash: String = result.scenario.hash.chars().take(16).collect();
    line(text, paint, "repeat", &result.command);
    line(
        text,
        paint,
        "",
        &paint.dim(&format!("seed {}, scenario {hash}, cbdc {}", result.scenario.seed, result.version)),
    );
    let _ = writeln!(text, "\n{}", paint.bold(&verdict(result).join("\n")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn without_colours_there_are_no_escapes() {
        assert!(!summary(&sample::full_run(), false).contains('\u{1b}'));
        assert!(summary(&sample::full_run(), true).contains('\u{1b}'));
    }

    #[test]
    fn a_summary_fits_a_screen() {
        let run = RunResult { maximum: None, ..sample::full_run() };
        let text = summary(&run, false);
        assert!((18..=40).contains(&text.lines().count()), "{} lines\n{text}", text.lines().count());
        for text in [text, summary(&sample::full_run(), false)] {
            assert!(text.lines().all(|line| line.chars().count() <= 140), "{text}");
        }
    }

    #[test]
    fn what_would_mislead_is_said() {
        let mut result = sample::full_run();
        result.checks.fsync = Some(false);
        result.audit.ok = false;
        result.audit.findings = vec!["Block 17 does not follow its parent.".to_owned()];
        result.load_generator.bottleneck = true;
        let text = summary(&result, false);
        for words in ["fsync OFF", "Not a run of real use: fsync off.", "FAILED", "Block 17", "bottleneck"] {
            assert!(text.contains(words), "`{words}` is missing from\n{text}");
        }
    }

    #[test]
    fn an_empty_result_is_shown_without_a_panic() {
        assert!(summary(&RunResult::default(), false).contains("0 of 0 payments settled"));
    }
}
