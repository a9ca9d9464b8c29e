//! The plots of the page: rate, latency and refusals over time, outcomes, amounts, supply and the central bank's books.

use std::fmt::Write;

use super::format::{count, figure, given, money, percent, rounded, share};
use super::plot::{Axis, Bar, Mark, Plot, Series, bars, escape};
use super::policy;
use crate::result::{BooksSample, RunResult, Second};

/// The timeline without its tail: the seconds after the load in which fewer answers came than a fiftieth of the busiest
/// second's.
pub fn trimmed(timeline: &[Second]) -> &[Second] {
    let answers = |row: &Second| row.settled + row.refused + row.failed;
    let busiest = timeline.iter().map(answers).max().unwrap_or(0);
    let busy = |row: &Second| row.offered > 0 || answers(row) * 50 > busiest;
    let end = timeline.iter().rposition(busy).map_or(0, |last| last + 1);
    &timeline[..end]
}

pub fn marks(result: &RunResult) -> Vec<Mark> {
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

/// A plot over the seconds of the load, with events and warm-up marked.
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

pub fn rate_plot(result: &RunResult, rows: &[Second]) -> Plot {
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
        "Payments a second over {} seconds: of those due in the measured time {} offered and {} settled a second on \
        average.",
        rows.len(),
        rounded(result.offered as f64 / result.duration_s.max(0.001)),
        rounded(result.settled_per_s)
    );
    let y = Axis::linear("payments a second", 0.0, most as f64 * 1.02, true);
    Plot { y_unit: "/s".to_owned(), ..over_time(result, rows, "Rate", description, y, all) }
}

pub fn refusals_plot(result: &RunResult, rows: &[Second]) -> Plot {
    let series = policy::refusals_by_rule(rows);
    let refused = |row: &Second| row.refusals.values().sum::<u64>();
    let most = rows.iter().map(refused).max().unwrap_or(1);
    let names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
    let description = format!("Refused payments a second, stacked by rule: {}.", names.join(", "));
    let y = Axis::linear("refused a second", 0.0, most as f64 * 1.02, true);
    let plot = over_time(result, rows, "Refusals by rule", description, y, series);
    Plot { y_unit: "/s".to_owned(), stacked: true, ..plot }
}

pub fn latency_plot(result: &RunResult, rows: &[Second]) -> Plot {
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

pub type Bound = Option<(f64, String)>;

/// A latency axis over these values, logarithmic if they differ much. A distant bound becomes a note.
pub fn latency_axis(values: &[f64], bound_ms: f64, label: &str) -> (Axis, Bound, Option<String>) {
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
        (axis, None, Some(format!("The {words} lies above this plot.")))
    }
}

pub fn distribution_plot(result: &RunResult) -> Plot {
    let points = &result.latency_distribution;
    let finest = points.iter().map(|point| point[1]).filter(|share| *share < 1.0).fold(0.0, f64::max);
    let values: Vec<f64> = points.iter().map(|point| point[0]).collect();
    let (y, bound, note) = latency_axis(&values, result.slo.p99_ms, "ms from due to final");
    Plot {
        title: "Latency distribution".to_owned(),
        description: format!(
            "Latency against the share of payments that were faster: p50 {} ms, p90 {} ms, p99 {} ms, p99.9 {} ms, \
            slowest {} ms.",
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

pub fn outcome_bars(result: &RunResult, number: usize) -> String {
    let part = |value: u64| percent(share(value, result.offered));
    let (settled, refused) = (share(result.settled, result.offered), share(result.refused, result.offered));
    let failed = share(result.failed, result.offered);
    let mut html = String::from("<figure class=\"card plot\"><figcaption><h3>Outcomes</h3></figcaption>");
    let _ = write!(
        html,
        "<div class=\"strip\" aria-hidden=\"true\"><span class=\"c2\" style=\"flex-grow:{settled:.6}\"></span>\
         <span class=\"c3\" style=\"flex-grow:{refused:.6}\"></span>\
         <span class=\"c4\" style=\"flex-grow:{failed:.6}\"></span></div>\
         <ul class=\"legend counts\"><li><span class=\"swatch c2\"></span>settled {} ({})</li>\
         <li><span class=\"swatch c3\"></span>refused {} ({})</li>\
         <li><span class=\"swatch c4\"></span>failed {} ({})</li></ul>",
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

pub fn amount_bars(result: &RunResult, number: usize) -> String {
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
        "<figure class=\"card plot\"><figcaption><h3>Amounts, {code}</h3><ul class=\"legend\">\
         <li><span class=\"swatch c1\"></span>share of payments</li>\
         <li><span class=\"swatch c6\"></span>share of value</li></ul></figcaption>{}\
         <p class=\"note\">Workload {}; mean payment {code} {mean}.</p></figure>",
        bars(number, "Amounts", &description, 110.0, &rows),
        escape(&result.shape.amounts)
    )
}

pub fn supply_plot(result: &RunResult, rows: &[Second]) -> Plot {
    let scale = 10_f64.powi(result.currency.exponent as i32);
    let values: Vec<Option<f64>> = rows.iter().map(|row| row.supply_minor.map(|minor| minor as f64 / scale)).collect();
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let low = known.iter().copied().fold(f64::INFINITY, f64::min);
    let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // A steady supply is drawn in the middle of a range of a thousandth; a changing one fills the plot.
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

pub fn books_plot(result: &RunResult) -> Plot {
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
