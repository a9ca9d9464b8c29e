//! `report.html`: one page that needs nothing else: style, script and drawings are inside it, and it asks for nothing
//! from any network. Light or dark follows the reader's system.
//!
//! From top to bottom: the verdict and whatever qualifies it; headline figures; how rate, latency and refusals ran;
//! outcomes, amounts and holdings; supply and books; the policy and what settled under it; the audit; what ran, where,
//! and how to repeat it.

use std::fmt::Write;

use cbdc_figures::page::document;

use super::format::{count, date, figure, given, in_window, money, percent, rounded, share, stalls, verdict, warnings};
use super::plot::{Axis, Bar, Mark, Plot, Series, bars, escape};
use super::{curve, flows, policy};
use crate::result::{BooksSample, RunResult, Second};

/// The page of a result.
pub fn page(result: &RunResult) -> String {
    let mut body = String::new();
    head(&mut body, result);
    tiles(&mut body, result);
    plots(&mut body, result);
    curve::section(&mut body, result);
    events(&mut body, result);
    policy::section(&mut body, result);
    books_and_audit(&mut body, result);
    flows::deposits(&mut body, result);
    what_ran(&mut body, result);
    repeat(&mut body, result);
    document(&format!("{} \u{b7} cbdc bench", result.scenario.name), "", &body)
}

fn head(html: &mut String, result: &RunResult) {
    let _ = write!(
        html,
        "<header><p class=\"eyebrow\">cbdc bench \u{b7} {}</p><h1>{}</h1><p class=\"lead\">{}</p><ul class=\"badges\" aria-label=\"Checks\">",
        date(result.started_unix_ms),
        escape(&result.scenario.name),
        escape(&result.scenario.description)
    );
    for (name, on) in result.named_checks() {
        let (class, sign, state) = if on { ("on", "\u{2713}", "on") } else { ("off", "!", "OFF") };
        let _ =
            write!(html, "<li class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> {name} {state}</li>");
    }
    let _ = write!(html, "</ul></header>");
    let good = result.audit.ok && result.slo.held;
    let class = if good { "good" } else { "bad" };
    let _ = write!(html, "<p class=\"verdict {class}\">{}</p>", escape(&verdict(result).join(" ")));
    for warning in warnings(result) {
        let _ = write!(html, "<p class=\"verdict warning\">{}</p>", escape(&warning));
    }
}

fn tiles(html: &mut String, result: &RunResult) {
    let ms = &result.latency_ms;
    let cpu = &result.cpu_us_per_payment;
    let bound = if result.slo.held { "held" } else { "missed" };
    let audit = if result.audit.ok { "ok" } else { "failed" };
    let rows = [
        (
            "settled a second",
            rounded(result.settled_per_s),
            in_window(result).unwrap_or_else(|| {
                format!("of {} offered", rounded(result.offered as f64 / result.duration_s.max(0.001)))
            }),
            "",
        ),
        ("p50 latency", unit(ms.p50, "ms"), format!("mean {} ms", figure(ms.mean)), ""),
        (
            "p99 latency",
            unit(ms.p99, "ms"),
            format!("bound {} ms {bound}", given(result.slo.p99_ms)),
            if result.slo.held { "good" } else { "bad" },
        ),
        (
            "refused",
            count(result.refused),
            format!("{} of offered", percent(share(result.refused, result.offered))),
            "",
        ),
        ("CPU a payment", unit(cpu.total, "\u{b5}s"), format!("signatures {} \u{b5}s", figure(cpu.verify)), ""),
        (
            "audit",
            audit.to_owned(),
            format!("{} blocks", count(result.audit.blocks)),
            if result.audit.ok { "good" } else { "bad" },
        ),
    ];
    html.push_str("<section class=\"tiles\" aria-label=\"Headline figures\">");
    for (name, value, below, class) in rows {
        let value = if value.contains('<') { value } else { escape(&value) };
        let _ = write!(
            html,
            "<div class=\"card tile {class}\"><h2>{name}</h2><p class=\"value\">{value}</p><p class=\"below\">{}</p></div>",
            escape(&below)
        );
    }
    html.push_str("</section>");
}

fn unit(value: f64, unit: &str) -> String {
    format!("{}<small> {unit}</small>", figure(value))
}

fn plots(html: &mut String, result: &RunResult) {
    html.push_str("<section class=\"plots\" aria-label=\"Plots\">");
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    let rows = trimmed(&result.timeline);
    if !rows.is_empty() {
        html.push_str(&rate_plot(result, rows).figure(next()));
        html.push_str(&latency_plot(result, rows).figure(next()));
    }
    if rows.iter().any(|row| !row.refusals.is_empty()) {
        html.push_str(&refusals_plot(result, rows).figure(next()));
    }
    if !result.latency_distribution.is_empty() {
        html.push_str(&distribution_plot(result).figure(next()));
    }
    if !result.load_curve.is_empty() {
        html.push_str(&curve::plot(result).figure(next()));
    }
    html.push_str(&outcome_bars(result, next()));
    if result.amounts.iter().any(|bucket| bucket.count > 0) {
        html.push_str(&amount_bars(result, next()));
    }
    for class in policy::drawn_holdings(result) {
        html.push_str(&policy::holdings_bars(result, class, next()));
    }
    if rows.iter().any(|row| row.supply_minor.is_some()) {
        html.push_str(&supply_plot(result, rows).figure(next()));
    }
    if let Some(plot) = flows::plot(result, marks(result)) {
        html.push_str(&plot.figure(next()));
    }
    if !result.books.is_empty() {
        html.push_str(&books_plot(result).figure(next()));
    }
    html.push_str("</section>");
}

/// The timeline without its end once the load is over and only the last few answers, below a fiftieth of the
/// busiest second's, come in.
fn trimmed(timeline: &[Second]) -> &[Second] {
    let answers = |row: &Second| row.settled + row.refused + row.failed;
    let busiest = timeline.iter().map(answers).max().unwrap_or(0);
    let busy = |row: &Second| row.offered > 0 || answers(row) * 50 > busiest;
    let end = timeline.iter().rposition(busy).map_or(0, |last| last + 1);
    &timeline[..end]
}

fn marks(result: &RunResult) -> Vec<Mark> {
    result
        .events
        .iter()
        .map(|event| Mark {
            at: event.done_at_s.unwrap_or(event.at_s),
            label: format!("{}: {}", time(event.at_s), event.what),
        })
        .collect()
}

fn time(at_s: f64) -> String {
    format!("{} s", given(at_s))
}

/// A plot over the seconds of the load, with events and warm-up; the caller adds what is its own.
fn over_time(
    result: &RunResult,
    rows: &[Second],
    title: &str,
    description: String,
    y: Axis,
    series: Vec<Series>,
) -> Plot {
    let end = rows.last().map_or(1.0, |row| row.at_s as f64 + 1.0);
    Plot {
        title: title.to_owned(),
        description,
        x_unit: "s".to_owned(),
        y_unit: String::new(),
        x: Axis::linear("seconds from the start of the load", 0.0, end, false),
        y,
        positions: rows.iter().map(|row| row.at_s as f64 + 0.5).collect(),
        series,
        stacked: false,
        bound: None,
        marks: marks(result),
        shaded_to: Some(result.shape.warm_up_s),
        note: None,
    }
}

fn rate_plot(result: &RunResult, rows: &[Second]) -> Plot {
    let series = |name: &str, colour, value: fn(&Second) -> u64| Series {
        name: name.to_owned(),
        colour,
        values: rows.iter().map(|row| Some(value(row) as f64)).collect(),
    };
    let mut all = vec![series("offered", "c1", |row| row.offered), series("settled", "c2", |row| row.settled)];
    if result.refused > 0 || rows.iter().any(|row| row.refused > 0) {
        all.push(series("refused", "c3", |row| row.refused));
    }
    if rows.iter().any(|row| row.failed > 0) {
        all.push(series("failed", "c4", |row| row.failed));
    }
    let most = rows.iter().map(|row| row.offered.max(row.settled)).max().unwrap_or(1);
    let description = format!(
        "Payments a second over {} seconds: of those due in the measured time {} offered and {} settled a second on average.",
        rows.len(),
        rounded(result.offered as f64 / result.duration_s.max(0.001)),
        rounded(result.settled_per_s)
    );
    let y = Axis::linear("payments a second", 0.0, most as f64 * 1.02, true);
    Plot { y_unit: "/s".to_owned(), ..over_time(result, rows, "Rate", description, y, all) }
}

fn refusals_plot(result: &RunResult, rows: &[Second]) -> Plot {
    let series = policy::refusals_by_rule(rows);
    let refused = |row: &Second| row.refusals.values().sum::<u64>();
    let most = rows.iter().map(refused).max().unwrap_or(1);
    let names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
    let description = format!("Refused payments a second, stacked by rule: {}.", names.join(", "));
    let y = Axis::linear("refused a second", 0.0, most as f64 * 1.02, true);
    let plot = over_time(result, rows, "Refusals by rule", description, y, series);
    Plot { y_unit: "/s".to_owned(), stacked: true, ..plot }
}

fn latency_plot(result: &RunResult, rows: &[Second]) -> Plot {
    let p50 = Series { name: "p50".to_owned(), colour: "c1", values: rows.iter().map(|row| row.p50_ms).collect() };
    let p99 = Series { name: "p99".to_owned(), colour: "c5", values: rows.iter().map(|row| row.p99_ms).collect() };
    let values: Vec<f64> = p50.values.iter().chain(&p99.values).flatten().copied().collect();
    let (y, bound, note) = latency_axis(&values, result.slo.p99_ms, "ms from due to final");
    let description = format!(
        "Latency by the second in which payments were due: over the whole run p50 {} ms and p99 {} ms.",
        figure(result.latency_ms.p50),
        figure(result.latency_ms.p99)
    );
    let plot = over_time(result, rows, "Latency", description, y, vec![p50, p99]);
    Plot { y_unit: "ms".to_owned(), bound, note, ..plot }
}

pub(super) type Bound = Option<(f64, String)>;

/// A latency axis over these values: logarithmic if they differ much. The bound is drawn if it is near, else told.
pub(super) fn latency_axis(values: &[f64], bound_ms: f64, label: &str) -> (Axis, Bound, Option<String>) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min).min(1e6);
    let high = values.iter().copied().fold(0.0, f64::max).max(0.1);
    let near = bound_ms <= high * 6.0;
    let top = if near { high.max(bound_ms) } else { high };
    let axis = if top / low.max(0.001) > 20.0 {
        Axis::log(&format!("{label}, log scale"), low.min(bound_ms), top * 1.05)
    } else {
        Axis::linear(label, 0.0, top * 1.08, true)
    };
    let words = format!("bound on p99: {} ms", given(bound_ms));
    if near {
        (axis, Some((bound_ms, words)), None)
    } else {
        (axis, None, Some(format!("The {words} lies above this picture.")))
    }
}

fn distribution_plot(result: &RunResult) -> Plot {
    let points = &result.latency_distribution;
    let finest = points.iter().map(|point| point[1]).filter(|share| *share < 1.0).fold(0.0, f64::max);
    let values: Vec<f64> = points.iter().map(|point| point[0]).collect();
    let (y, bound, note) = latency_axis(&values, result.slo.p99_ms, "ms from due to final");
    Plot {
        title: "Latency distribution".to_owned(),
        description: format!(
            "Latency against the share of payments that were faster: p50 {} ms, p90 {} ms, p99 {} ms, p99.9 {} ms, slowest {} ms.",
            figure(result.latency_ms.p50),
            figure(result.latency_ms.p90),
            figure(result.latency_ms.p99),
            figure(result.latency_ms.p99_9),
            figure(result.latency_ms.max)
        ),
        x_unit: "% of payments".to_owned(),
        y_unit: "ms".to_owned(),
        x: Axis::nines("% of payments that were faster", finest),
        y,
        positions: points.iter().map(|point| point[1]).collect(),
        series: vec![Series {
            name: "settled payments".to_owned(),
            colour: "c1",
            values: values.into_iter().map(Some).collect(),
        }],
        stacked: false,
        bound,
        marks: Vec::new(),
        shaded_to: None,
        note,
    }
}

fn outcome_bars(result: &RunResult, number: usize) -> String {
    let part = |value: u64| percent(share(value, result.offered));
    let (settled, refused) = (share(result.settled, result.offered), share(result.refused, result.offered));
    let failed = share(result.failed, result.offered);
    let mut html = String::from("<figure class=\"card plot\"><figcaption><h3>Outcomes</h3></figcaption>");
    let _ = write!(
        html,
        "<div class=\"strip\" aria-hidden=\"true\"><span class=\"c2\" style=\"flex-grow:{settled:.6}\"></span>\
         <span class=\"c3\" style=\"flex-grow:{refused:.6}\"></span><span class=\"c4\" style=\"flex-grow:{failed:.6}\"></span></div>\
         <ul class=\"legend counts\"><li><span class=\"swatch c2\"></span>settled {} ({})</li>\
         <li><span class=\"swatch c3\"></span>refused {} ({})</li><li><span class=\"swatch c4\"></span>failed {} ({})</li></ul>",
        count(result.settled),
        part(result.settled),
        count(result.refused),
        part(result.refused),
        count(result.failed),
        part(result.failed)
    );
    let mut reasons: Vec<(&String, &u64)> = result.refusals.iter().filter(|(_, number)| **number > 0).collect();
    reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    if reasons.is_empty() {
        html.push_str("<p class=\"note\">No payment was refused.</p></figure>");
        return html;
    }
    let bar = |(reason, number): &(&String, &u64)| Bar {
        name: (*reason).clone(),
        colour: "c3",
        value: **number as f64,
        label: count(**number),
    };
    let rows: Vec<Bar> = reasons.iter().take(8).map(bar).collect();
    let spoken: Vec<String> = reasons.iter().map(|(reason, number)| format!("{reason} {number}")).collect();
    html.push_str("<h4>Refusals by reason</h4>");
    html.push_str(&bars(number, "Refusals by reason", &spoken.join(", "), 220.0, &rows));
    html.push_str("</figure>");
    html
}

fn amount_bars(result: &RunResult, number: usize) -> String {
    let payments: u64 = result.amounts.iter().map(|bucket| bucket.count).sum();
    let value: u64 = result.amounts.iter().map(|bucket| bucket.total_minor).sum();
    let scale = 10_u64.pow(result.currency.exponent.min(18)).max(1);
    let mut rows = Vec::new();
    let mut low = 0;
    for bucket in &result.amounts {
        let edge = |minor: u64| count(minor / scale);
        let name = match bucket.below_minor {
            Some(below) => format!("{} \u{2013} {}", edge(low), edge(below)),
            None => format!("{} and more", edge(low)),
        };
        low = bucket.below_minor.unwrap_or(low);
        if bucket.count == 0 && bucket.below_minor.is_none() {
            continue;
        }
        let (of_payments, of_value) = (share(bucket.count, payments), share(bucket.total_minor, value));
        rows.push(Bar { name, colour: "c1", value: of_payments, label: percent(of_payments) });
        rows.push(Bar { name: String::new(), colour: "c6", value: of_value, label: percent(of_value) });
    }
    let code = escape(&result.currency.code);
    let mean = money((value as f64 / payments.max(1) as f64).round() as i64, &result.currency);
    let description = format!("Offered payments by amount; the mean is {mean} {code}.");
    format!(
        "<figure class=\"card plot\"><figcaption><h3>Amounts, {code}</h3><ul class=\"legend\"><li><span class=\"swatch c1\"></span>\
         share of payments</li><li><span class=\"swatch c6\"></span>share of value</li></ul></figcaption>{}\
         <p class=\"note\">Workload {}; mean payment {code} {mean}.</p></figure>",
        bars(number, "Amounts", &description, 110.0, &rows),
        escape(&result.shape.amounts)
    )
}

fn supply_plot(result: &RunResult, rows: &[Second]) -> Plot {
    let scale = 10_f64.powi(result.currency.exponent as i32);
    let values: Vec<Option<f64>> = rows.iter().map(|row| row.supply_minor.map(|minor| minor as f64 / scale)).collect();
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let low = known.iter().copied().fold(f64::INFINITY, f64::min);
    let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // A steady supply is drawn in the middle of a range of a thousandth; a moving one fills the picture.
    let pad = ((high - low) * 0.15).max(high.abs() * 0.0005).max(1.0);
    let y =
        Axis::linear(&format!("{}, axis not from zero", result.currency.code), (low - pad).max(0.0), high + pad, true);
    let description = format!(
        "CBDC in existence, from {} to {} {}.",
        money((known.first().copied().unwrap_or(0.0) * scale) as i64, &result.currency),
        money((known.last().copied().unwrap_or(0.0) * scale) as i64, &result.currency),
        result.currency.code
    );
    let series = vec![Series { name: "supply".to_owned(), colour: "c2", values }];
    Plot { y_unit: result.currency.code.clone(), ..over_time(result, rows, "Supply", description, y, series) }
}

fn books_plot(result: &RunResult) -> Plot {
    let scale = 10_f64.powi(result.currency.exponent as i32);
    let column = |name: &str, colour, value: fn(&BooksSample) -> i64| Series {
        name: name.to_owned(),
        colour,
        values: result.books.iter().map(|sample| Some(value(sample).max(0) as f64 / scale)).collect(),
    };
    let all = [
        column("banknotes", "c6", |books| books.banknotes_minor),
        column("reserves", "c1", |books| books.reserves_minor),
        column("deposit facility", "c5", |books| books.deposit_facility_minor),
        column("CBDC", "c2", |books| books.cbdc_minor),
        column("government", "c3", |books| books.government_minor),
        column("equity", "c7", |books| books.equity_minor),
    ];
    let series: Vec<Series> =
        all.into_iter().filter(|series| series.values.iter().flatten().any(|value| *value > 0.0)).collect();
    let total = |index: usize| series.iter().filter_map(|series| series.values[index]).sum::<f64>();
    let most = (0..result.books.len()).map(total).fold(0.0, f64::max);
    let negative = result.books.iter().any(|sample| sample.equity_minor < 0);
    let end = result.books.last().map_or(1.0, |sample| sample.at_s as f64);
    Plot {
        title: "The central bank's liabilities and equity".to_owned(),
        description: "Stacked over time: what the central bank owes, by kind, and its equity.".to_owned(),
        x_unit: "s".to_owned(),
        y_unit: result.currency.code.clone(),
        x: Axis::linear("seconds from the start of the load", 0.0, end, false),
        y: Axis::linear(&result.currency.code, 0.0, most, true),
        positions: result.books.iter().map(|sample| sample.at_s as f64).collect(),
        series,
        stacked: true,
        bound: None,
        marks: marks(result),
        shaded_to: None,
        note: negative.then(|| "Equity is below zero at times and not drawn there.".to_owned()),
    }
}

fn books_and_audit(html: &mut String, result: &RunResult) {
    let code = escape(&result.currency.code);
    let _ = write!(
        html,
        "<section class=\"two\"><div class=\"card\"><h2>Supply</h2><div class=\"scroll\"><table><caption>How the supply came about, {code}\
         </caption><thead><tr><th scope=\"col\">Term</th><th scope=\"col\" class=\"number\">before the load</th>\
         <th scope=\"col\" class=\"number\">in it</th><th scope=\"col\" class=\"number\">at the end</th></tr></thead><tbody>"
    );
    let amount = |minor: i64| money(minor, &result.currency);
    let before = &result.supply_before;
    for ((name, minor), (_, earlier)) in result.supply.signed_terms().into_iter().zip(before.signed_terms()) {
        let class = if minor == 0 { " class=\"zero\"" } else { "" };
        let _ = write!(
            html,
            "<tr{class}><td>{name}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            amount(earlier),
            amount(minor.saturating_sub(earlier)),
            amount(minor)
        );
    }
    let agrees = result.supply.expected_minor() == Some(result.supply.wallets_minor);
    let verdict =
        if agrees { "<span class=\"ok\">\u{2713} equal</span>" } else { "<span class=\"fail\">! not equal</span>" };
    let sum = result.supply.expected_minor().map_or("beyond 64 bits".to_owned(), amount);
    let _ = write!(
        html,
        "</tbody><tfoot><tr><th scope=\"row\">Sum of terms</th><td></td><td></td><td class=\"number\">{sum}</td></tr>\
         <tr><th scope=\"row\">All wallets {verdict}</th><td class=\"number\">{}</td><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td></tr></tfoot></table></div></div>",
        amount(before.wallets_minor),
        amount(result.supply.wallets_minor.saturating_sub(before.wallets_minor)),
        amount(result.supply.wallets_minor)
    );
    let audit = &result.audit;
    let _ = write!(html, "<div class=\"card\"><h2>Audit</h2>");
    if audit.ok {
        let _ = write!(
            html,
            "<p class=\"verdict good\">{} blocks read again from genesis: chain, signatures, outcomes, books, supply and the banks' deposits agree.</p>",
            count(audit.blocks)
        );
    } else {
        let _ = write!(
            html,
            "<p class=\"verdict bad\">The audit failed over {} blocks.</p><ul class=\"findings\">",
            count(audit.blocks)
        );
        audit.findings.iter().for_each(|finding| {
            let _ = write!(html, "<li>{}</li>", escape(finding));
        });
        html.push_str("</ul>");
    }
    cpu_table(html, result);
    html.push_str("</div></section>");
}

fn cpu_table(html: &mut String, result: &RunResult) {
    let cpu = &result.cpu_us_per_payment;
    html.push_str("<h2>CPU time</h2><table><caption>\u{b5}s of CPU for each settled payment</caption><tbody>");
    let roles = [("Central bank", cpu.central_bank), ("Banks", cpu.banks), ("Load generator", cpu.load_generator)];
    for (name, value) in roles {
        if let Some(value) = value {
            let _ = write!(html, "<tr><td>{name}</td><td class=\"number\">{}</td></tr>", figure(value));
        }
    }
    let _ = write!(
        html,
        "</tbody><tfoot><tr><th scope=\"row\">All processes</th><td class=\"number\">{}</td></tr>\
         <tr><td>of which checking signatures</td><td class=\"number\">{}</td></tr></tfoot></table>",
        figure(cpu.total),
        figure(cpu.verify)
    );
}

fn events(html: &mut String, result: &RunResult) {
    if result.events.is_empty() {
        return;
    }
    html.push_str(
        "<section class=\"card\"><h2>Events</h2><div class=\"scroll\"><table><caption>Numbers as in the plots</caption><thead><tr>\
         <th scope=\"col\">#</th><th scope=\"col\" class=\"number\">planned, s</th><th scope=\"col\" class=\"number\">done, s</th>\
         <th scope=\"col\">what</th><th scope=\"col\">note</th></tr></thead><tbody>",
    );
    for (number, event) in result.events.iter().enumerate() {
        let done = event.done_at_s.map_or("never".to_owned(), |at_s| format!("{at_s:.2}"));
        let _ = write!(
            html,
            "<tr><td>{}</td><td class=\"number\">{:.2}</td><td class=\"number\">{done}</td><td>{}</td><td>{}</td></tr>",
            number + 1,
            event.at_s,
            escape(&event.what),
            escape(event.note.as_deref().unwrap_or(""))
        );
    }
    html.push_str("</tbody></table></div></section>");
}

fn what_ran(html: &mut String, result: &RunResult) {
    let shape = &result.shape;
    let processes = if shape.in_process { "all nodes in one process" } else { "each node its own process" };
    let messages = if shape.mode == "unary" {
        "unary calls".to_owned()
    } else {
        format!("streams, up to {} payments a message", count(u64::from(shape.batch_size)))
    };
    let bank_checks = if shape.verify_at_bank { "central bank and banks" } else { "central bank" };
    let ran = [
        ("Network", format!("1 central bank and {} banks, {processes}", shape.banks)),
        ("Wallets", count(u64::from(shape.wallets))),
        (
            "Load",
            format!(
                "{}, {} a second on average, {} at the peak",
                shape.profile,
                rounded(shape.rate_per_s),
                rounded(shape.peak_per_s)
            ),
        ),
        ("Time", format!("{} s measured after {} s of warm-up", given(result.duration_s), given(shape.warm_up_s))),
        ("Messages", messages),
        ("Across banks", percent(shape.cross_bank_share)),
        ("Signatures checked by", bank_checks.to_owned()),
        (
            "Banks keep",
            match shape.replica.as_str() {
                "full" => "the whole chain".to_owned(),
                "own" => "headers and their own customers' part".to_owned(),
                other => other.to_owned(),
            },
        ),
        (
            "Generator",
            format!("99 % of payments sent within {} ms of being due", figure(result.load_generator.late_ms_p99)),
        ),
    ];
    let machine = &result.machine;
    let on = [
        ("Processor", machine.cpu.clone()),
        ("Cores", machine.cores.to_string()),
        ("Memory", format!("{} GiB", machine.memory_gib)),
        ("Kernel", machine.kernel.clone()),
        (
            "Signature checks",
            format!("{} a second on one core, in batches, in this run", rounded(machine.verify_per_core_s)),
        ),
        ("Stalls when idle", machine.idle.map_or_else(|| "not measured".to_owned(), |idle| stalls(&idle))),
        ("cbdc", result.version.clone()),
    ];
    html.push_str("<section class=\"two\">");
    for (title, rows) in [("What ran", &ran[..]), ("On what machine", &on[..])] {
        let _ = write!(html, "<div class=\"card\"><h2>{title}</h2><dl>");
        for (name, value) in rows {
            let _ = write!(html, "<dt>{name}</dt><dd>{}</dd>", escape(value));
        }
        html.push_str("</dl></div>");
    }
    html.push_str("</section>");
}

fn repeat(html: &mut String, result: &RunResult) {
    let _ = write!(
        html,
        "<section class=\"card\"><h2>Repeat it</h2><pre><code>{}</code></pre><dl><dt>Seed</dt><dd>{}</dd><dt>Scenario hash</dt>\
         <dd><code>{}</code></dd><dt>Version</dt><dd>{}</dd></dl><details><summary>The scenario with every default written out</summary>\
         <pre><code>{}</code></pre></details><p class=\"note\">Latency runs from the moment a payment was due, so a stall counts \
         against every payment it held up. Figures on this page are those of summary.json.</p></section>",
        escape(&result.command),
        result.scenario.seed,
        escape(&result.scenario.hash),
        escape(&result.version),
        escape(&result.scenario.resolved_toml)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_page_asks_nothing_of_any_network() {
        let html = page(&sample::full_run());
        for forbidden in ["http://", "https://", "src=\"", "href=\"", "@import", "url("] {
            assert!(!html.contains(forbidden), "`{forbidden}` is in the page");
        }
    }

    #[test]
    fn a_check_that_was_off_stands_out() {
        let mut result = sample::full_run();
        assert!(!page(&result).contains("badge off"));
        result.checks.signatures = false;
        let html = page(&result);
        assert!(html.contains("badge off"));
        assert!(html.contains("Not a run of real use: signatures off."));
    }

    #[test]
    fn what_a_scenario_says_cannot_become_markup() {
        let mut result = sample::full_run();
        result.scenario.name = "<script>alert(1)</script>".to_owned();
        result.refusals.insert("<img>".to_owned(), 3);
        result.events[0].what = "</title><b>".to_owned();
        let html = page(&result);
        assert!(!html.contains("<script>alert") && !html.contains("<img>") && !html.contains("</title><b>"));
    }

    #[test]
    fn every_drawing_names_and_describes_itself() {
        let html = page(&sample::full_run());
        let drawings = html.matches("<svg").count();
        assert!(drawings >= 9, "{drawings} drawings");
        assert_eq!(html.matches("<title id=").count(), drawings);
        assert_eq!(html.matches("<desc id=").count(), drawings);
        assert!(!html.contains("NaN") && !html.contains("inf "));
    }

    #[test]
    fn an_empty_result_still_makes_a_page() {
        assert!(page(&RunResult::default()).contains("</html>"));
    }
}
