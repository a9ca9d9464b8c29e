//! Quantities over time: each design's median in one plot, then each design with its bands over seeds.

use std::fmt::Write;

use cbdc_report::fan_chart::{NAMES, fan_chart};
use cbdc_report::plot::{Axis, Plot, Series, escape};

use super::COLOURS;
use super::picture::{Days, MEASURES, Measure, Picture};
use crate::spread::Spread;

/// Medians of the designs, a plot for each measure.
pub fn medians(html: &mut String, picture: &Picture, number: &mut usize) {
    let _ = write!(html, "<h2>Designs compared: medians over time</h2>{}", selection(picture));
    html.push_str("<section class=\"plots\" aria-label=\"Medians\">");
    for (at, measure) in MEASURES.iter().enumerate() {
        let mut positions: Vec<i64> = drawn(picture).flat_map(|(_, seen)| seen.days[at].keys().copied()).collect();
        positions.sort_unstable();
        positions.dedup();
        let series: Vec<Series> = drawn(picture)
            .map(|(colour, seen)| {
                let median = |day: &i64| seen.days[at].get(day).map(|values| Spread::of(values).median);
                Series { name: seen.name.clone(), colour, values: positions.iter().map(median).collect() }
            })
            .collect();
        let range = range(measure, series.iter().flat_map(|series| series.values.iter().flatten().copied()));
        *number += 1;
        html.push_str(&plot(measure, measure.title, &positions, range, series).figure(*number));
    }
    html.push_str("</section>");
}

/// Each design with its bands, the designs of a measure beside each other on one scale.
pub fn spreads(html: &mut String, picture: &Picture, number: &mut usize) {
    html.push_str(
        "<h2>Bands over seeds</h2><p class=\"note\">The line is the median over seeds, the darker band reaches from quartile to \
         quartile, the lighter one from 5 to 95 %. All designs of a quantity share one scale.</p>",
    );
    for (at, measure) in MEASURES.iter().enumerate() {
        let all: Vec<(&'static str, &str, Vec<i64>, Vec<Series>)> = drawn(picture)
            .map(|(colour, seen)| {
                let days: Vec<i64> = seen.days[at].keys().copied().collect();
                (colour, seen.name.as_str(), days, percentiles(&seen.days[at], colour))
            })
            .collect();
        let values =
            all.iter().flat_map(|(.., series)| series).flat_map(|series| series.values.iter().flatten().copied());
        let range = range(measure, values);
        let _ =
            write!(html, "<details{}><summary>{}</summary>", if at < 2 { " open" } else { "" }, escape(measure.title));
        html.push_str("<section class=\"plots\">");
        for (_, name, days, series) in all {
            *number += 1;
            html.push_str(&fan_chart(&plot(measure, name, &days, range, series), *number));
        }
        html.push_str("</section></details>");
    }
}

fn drawn(picture: &Picture) -> impl Iterator<Item = (&'static str, &super::picture::Seen)> {
    let seen = picture.shown.iter().map(|design| &picture.designs[*design]);
    COLOURS.iter().copied().zip(seen).filter(|(_, seen)| seen.runs > 0)
}

fn selection(picture: &Picture) -> String {
    if picture.shown.len() == picture.designs.len() {
        return String::new();
    }
    format!(
        "<p class=\"note\">Lines and bands show {} of {} designs, evenly spaced in the plan's order; all are in the tables.</p>",
        picture.shown.len(),
        picture.designs.len()
    )
}

fn percentiles(days: &Days, colour: &'static str) -> Vec<Series> {
    let spreads: Vec<Spread> = days.values().map(|values| Spread::of(values)).collect();
    let columns: [fn(&Spread) -> f64; 5] = [|s| s.p95, |s| s.p75, |s| s.median, |s| s.p25, |s| s.p05];
    let series = |(name, value): (&str, fn(&Spread) -> f64)| Series {
        name: name.to_owned(),
        colour,
        values: spreads.iter().map(|spread| Some(value(spread))).collect(),
    };
    NAMES.into_iter().zip(columns).map(series).collect()
}

/// Least and most on the axis.
fn range(measure: &Measure, values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)));
    if least > most {
        return (0.0, 1.0);
    }
    let pad = ((most - least) * 0.08).max(most.abs() * 1e-4).max(1e-6);
    if measure.from_zero { (least.min(0.0), most.max(pad)) } else { (least - pad, most + pad) }
}

fn plot(measure: &Measure, title: &str, days: &[i64], (low, high): (f64, f64), series: Vec<Series>) -> Plot {
    Plot {
        title: title.to_owned(),
        description: format!("{}: {}", measure.title, measure.description),
        x_unit: "days".to_owned(),
        y_unit: measure.unit.to_owned(),
        x: Axis::linear("days from the start", 0.0, days.last().map_or(1.0, |day| *day as f64), false),
        y: Axis::linear(measure.unit, low, high, true),
        positions: days.iter().map(|day| *day as f64).collect(),
        series,
        stacked: false,
        bound: None,
        marks: Vec::new(),
        shaded_to: None,
        note: None,
    }
}
