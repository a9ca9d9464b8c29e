//! The search for the highest rate: a plot of latency against load, a table of the steps, and the verdict.

use std::fmt::Write;

use super::format::{figure, given, percent, rounded};
use super::plot::{Axis, Mark, Plot, Series, escape};
use super::plots::latency_axis;
use crate::result::{Limit, LoadPoint, Maximum, RunResult};

/// The result of the search and what stopped it, a sentence each.
pub fn verdict(maximum: &Maximum) -> [String; 2] {
    let bound = given(maximum.slo_p99_ms);
    let found = match maximum.offered_per_s {
        0.0 => format!("No rate that was tried held the bound of {bound} ms on p99."),
        offered => format!(
            "{} payments a second is the highest rate that held p99 within {bound} ms; {} a second of those due \
            settled.",
            rounded(offered),
            rounded(maximum.settled_per_s)
        ),
    };
    let next = match (maximum.failed_at_per_s, maximum.limit) {
        (Some(failed), Limit::Generator) => format!(
            "At {} the load generator did not keep up: this is the generator's limit here, and the network may be \
            faster.",
            rounded(failed)
        ),
        (Some(failed), Limit::Machine) => format!(
            "At {} the machine's cores were full, the load generator's work included: more needs more cores.",
            rounded(failed)
        ),
        (Some(failed), limit) => format!("{} did not hold: {}.", rounded(failed), limit.words()),
        (None, Limit::Wallets) => "The scenario has too few wallets to offer more.".to_owned(),
        (None, _) => "No higher rate was tried.".to_owned(),
    };
    [found, format!("{next} {} steps in {} s.", maximum.steps, rounded(maximum.took_s))]
}

/// A column of the table: heading and cell.
type Column = (&'static str, fn(&LoadPoint) -> String);

const COLUMNS: [Column; 9] = [
    ("offered/s", |point| rounded(point.offered_per_s)),
    ("settled/s", |point| rounded(point.settled_per_s)),
    ("p50 ms", |point| figure(point.p50_ms)),
    ("p99 ms", |point| figure(point.p99_ms)),
    ("CPU \u{b5}s", |point| figure(point.cpu_us_per_payment)),
    ("verify \u{b5}s", |point| figure(point.verify_us_per_payment)),
    ("load \u{b5}s", |point| point.generator_us_per_payment.map_or("\u{2013}".to_owned(), figure)),
    ("busy", |point| percent(point.machine_busy_share)),
    ("others", |point| percent(point.others_busy_share)),
];

/// The steps as lines of text, the heading first.
pub fn lines(points: &[LoadPoint]) -> Vec<String> {
    let row = |cells: Vec<String>, word: &str| {
        let padded = cells.iter().zip(COLUMNS).map(|(cell, (name, _))| {
            let width = name.chars().count().max(7) + 2;
            format!("{cell:>width$}")
        });
        format!("{}  {word}", padded.collect::<String>())
    };
    let heading = row(COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect(), "").trim_end().to_owned();
    let rows =
        points.iter().map(|point| row(COLUMNS.iter().map(|(_, cell)| cell(point)).collect(), point.limit.words()));
    std::iter::once(heading).chain(rows).collect()
}

/// The steps as a section of the page.
pub fn section(html: &mut String, result: &RunResult) {
    let Some(maximum) = &result.maximum else { return };
    let _ = write!(
        html,
        "<section class=\"card\"><h2>Latency against load</h2><p>{}</p><div class=\"scroll\"><table>\
         <caption>Each step on a network of its own; settled of what was due in the measured time; \u{b5}s of CPU for \
         each payment, all processes, signatures, load generator; the share of the machine's cores that the run kept \
         busy, and that others did</caption><thead><tr>",
        escape(&verdict(maximum).join(" "))
    );
    for (name, _) in COLUMNS {
        let _ = write!(html, "<th scope=\"col\" class=\"number\">{name}</th>");
    }
    html.push_str("<th scope=\"col\">verdict</th></tr></thead><tbody>");
    for point in &result.load_curve {
        html.push_str("<tr>");
        for (_, cell) in COLUMNS {
            let _ = write!(html, "<td class=\"number\">{}</td>", cell(point));
        }
        let _ = write!(html, "<td>{}</td></tr>", point.limit.words());
    }
    html.push_str("</tbody></table></div></section>");
}

/// Latency at each offered rate, with the bound and the highest rate that held it.
pub fn plot(result: &RunResult) -> Plot {
    let points = &result.load_curve;
    let series = |name: &str, colour, values: Vec<Option<f64>>| Series { name: name.to_owned(), colour, values };
    let values: Vec<f64> = points.iter().flat_map(|point| [point.p50_ms, point.p99_ms]).collect();
    let (y, bound, far) = latency_axis(&values, result.slo.p99_ms, "ms from due to final");
    let most = points.iter().map(|point| point.offered_per_s).fold(0.0, f64::max);
    let found = result.maximum.filter(|maximum| maximum.offered_per_s > 0.0);
    let marks = found.map(|maximum| Mark {
        at: maximum.offered_per_s,
        label: format!("highest rate that held: {} a second", rounded(maximum.offered_per_s)),
    });
    let best = points.iter().filter(|point| point.held).map(|point| point.settled_per_s).fold(0.0, f64::max);
    let legend = marks.as_ref().map(|mark| format!("1: {}.", mark.label));
    let notes: Vec<String> = legend.into_iter().chain(far).collect();
    Plot {
        title: "Latency against load".to_owned(),
        description: format!(
            "Latency at each offered rate; the highest settled rate within the bound is {} a second.",
            rounded(best)
        ),
        x_unit: "offered a second".to_owned(),
        y_unit: "ms".to_owned(),
        x: Axis::linear("payments offered a second", 0.0, most, true),
        y,
        positions: points.iter().map(|point| point.offered_per_s).collect(),
        series: vec![
            series("p50", "c1", points.iter().map(|point| Some(point.p50_ms)).collect()),
            series("p99", "c5", points.iter().map(|point| Some(point.p99_ms)).collect()),
        ],
        stacked: false,
        bound,
        marks: marks.into_iter().collect(),
        shaded_to: None,
        note: (!notes.is_empty()).then(|| notes.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_curve_shows_the_bound_the_maximum_and_every_step() {
        let mut result = sample::full_run();
        result.slo.p99_ms = 150.0;
        let figure = plot(&result).figure(1);
        assert!(
            figure.contains("bound on p99: 150 ms") && figure.contains("highest rate that held: 40,000"),
            "{figure}"
        );
        let mut html = String::new();
        section(&mut html, &result);
        assert_eq!(html.matches("<tr>").count(), 1 + result.load_curve.len());
        assert_eq!(lines(&result.load_curve).len(), 1 + result.load_curve.len());
    }

    #[test]
    fn a_generator_that_was_late_is_not_reported_as_the_networks_limit() {
        let mut maximum = sample::full_run().maximum.expect("the sample has one");
        assert!(
            verdict(&maximum)[1].contains("60,000 did not hold: latency above the bound"),
            "{:?}",
            verdict(&maximum)
        );
        maximum.limit = Limit::Generator;
        assert!(verdict(&maximum)[1].contains("the generator's limit here"), "{:?}", verdict(&maximum));
        maximum.offered_per_s = 0.0;
        assert!(verdict(&maximum)[0].starts_with("No rate that was tried held"));
    }
}
