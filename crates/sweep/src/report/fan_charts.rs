//! Quantities over time: the designs' medians in one plot, then a fan chart over seeds for each design.

use std::fmt::Write;

use cbdc_report::fan_chart::{NAMES, fan_chart};
use cbdc_report::plot::{Axis, Plot, Series, escape};

use super::COLOURS;
use super::plot_data::{Days, PlotData, QUANTITIES, Quantity};
use crate::quantiles::Quantiles;

/// Medians of the designs, a plot for each quantity.
pub fn medians(html: &mut String, plot_data: &PlotData, number: &mut usize) {
    let _ = write!(html, "<h2>Designs compared: medians over time</h2>{}", selection(plot_data));
    html.push_str("<section class=\"plots\" aria-label=\"Medians\">");
    for (at, quantity) in QUANTITIES.iter().enumerate() {
        let mut positions: Vec<i64> =
            drawn(plot_data).flat_map(|(_, design)| design.days[at].keys().copied()).collect();
        positions.sort_unstable();
        positions.dedup();
        let series: Vec<Series> = drawn(plot_data)
            .map(|(colour, design)| {
                let median = |day: &i64| design.days[at].get(day).map(|values| Quantiles::of(values).median);
                Series { name: design.name.clone(), colour, values: positions.iter().map(median).collect() }
            })
            .collect();
        let range = range(quantity, series.iter().flat_map(|series| series.values.iter().flatten().copied()));
        *number += 1;
        html.push_str(&plot(quantity, quantity.title, &positions, range, series).figure(*number));
    }
    html.push_str("</section>");
}

/// A fan chart for each design; those of one quantity are side by side on one scale.
pub fn fan_charts(html: &mut String, plot_data: &PlotData, number: &mut usize) {
    html.push_str(
        "<h2>Bands over seeds</h2><p class=\"note\">The line is the median over seeds, the darker band reaches from \
         quartile to quartile, the lighter one from 5 to 95 %. All designs of a quantity share one scale.</p>",
    );
    for (at, quantity) in QUANTITIES.iter().enumerate() {
        let all: Vec<(&'static str, &str, Vec<i64>, Vec<Series>)> = drawn(plot_data)
            .map(|(colour, design)| {
                let days: Vec<i64> = design.days[at].keys().copied().collect();
                (colour, design.name.as_str(), days, percentiles(&design.days[at], colour))
            })
            .collect();
        let values =
            all.iter().flat_map(|(.., series)| series).flat_map(|series| series.values.iter().flatten().copied());
        let range = range(quantity, values);
        let _ =
            write!(html, "<details{}><summary>{}</summary>", if at < 2 { " open" } else { "" }, escape(quantity.title));
        html.push_str("<section class=\"plots\">");
        for (_, name, days, series) in all {
            *number += 1;
            html.push_str(&fan_chart(&plot(quantity, name, &days, range, series), *number));
        }
        html.push_str("</section></details>");
    }
}

fn drawn(plot_data: &PlotData) -> impl Iterator<Item = (&'static str, &super::plot_data::DesignData)> {
    let designs = plot_data.shown.iter().map(|design| &plot_data.designs[*design]);
    COLOURS.iter().copied().zip(designs).filter(|(_, design)| design.runs > 0)
}

fn selection(plot_data: &PlotData) -> String {
    if plot_data.shown.len() == plot_data.designs.len() {
        return String::new();
    }
    format!(
        "<p class=\"note\">Lines and bands show {} of {} designs, evenly spaced in the plan's order; all are in the \
        tables.</p>",
        plot_data.shown.len(),
        plot_data.designs.len()
    )
}

fn percentiles(days: &Days, colour: &'static str) -> Vec<Series> {
    let quantiles: Vec<Quantiles> = days.values().map(|values| Quantiles::of(values)).collect();
    let columns: [fn(&Quantiles) -> f64; 5] = [|s| s.p95, |s| s.p75, |s| s.median, |s| s.p25, |s| s.p05];
    let series = |(name, value): (&str, fn(&Quantiles) -> f64)| Series {
        name: name.to_owned(),
        colour,
        values: quantiles.iter().map(|quantiles| Some(value(quantiles))).collect(),
    };
    NAMES.into_iter().zip(columns).map(series).collect()
}

/// The range of the axis.
fn range(quantity: &Quantity, values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)));
    if least > most {
        return (0.0, 1.0);
    }
    let pad = ((most - least) * 0.08).max(most.abs() * 1e-4).max(1e-6);
    if quantity.from_zero { (least.min(0.0), most.max(pad)) } else { (least - pad, most + pad) }
}

fn plot(quantity: &Quantity, title: &str, days: &[i64], (low, high): (f64, f64), series: Vec<Series>) -> Plot {
    Plot {
        title: title.to_owned(),
        description: format!("{}: {}", quantity.title, quantity.description),
        x_unit: "days".to_owned(),
        y_unit: quantity.unit.to_owned(),
        x: Axis::linear("days from the start", 0.0, days.last().map_or(1.0, |day| *day as f64), false),
        y: Axis::linear(quantity.unit, low, high, true),
        positions: days.iter().map(|day| *day as f64).collect(),
        series,
        stacked: false,
        bound: None,
        marks: Vec::new(),
        shaded_to: None,
        note: None,
    }
}
