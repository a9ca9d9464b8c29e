//! Designs compared at the end of their runs: medians with their quantiles, differences from the first design seed by
//! seed, and a box plot of each figure.

use std::collections::BTreeMap;
use std::fmt::Write;

use cbdc_report::box_plot::{BoxRow, box_plot};
use cbdc_report::format::figure;
use cbdc_report::plot::{Axis, escape};

use super::COLOURS;
use crate::quantiles::Quantiles;
use crate::summary::{DesignSummary, Merged};

/// The most designs in the table and in the plots.
const ROWS_MAX: usize = 40;

/// A figure of a run's summary as the page shows it.
struct Shown {
    title: &'static str,
    name: &'static str,
    unit: &'static str,
    /// Values are multiplied by this.
    factor: f64,
}

const SHOWN: [Shown; 14] = [
    Shown { title: "CBDC of liquid money", name: "cbdc_of_liquid_wealth", unit: "%", factor: 100.0 },
    Shown { title: "Households with a wallet", name: "adopters_share", unit: "%", factor: 100.0 },
    Shown { title: "Change of deposits", name: "deposits_change", unit: "%", factor: 100.0 },
    Shown { title: "Change of loans", name: "loans_change", unit: "%", factor: 100.0 },
    Shown { title: "Reserves", name: "reserves_minor", unit: "EUR m", factor: 1e-8 },
    Shown { title: "Central-bank loans", name: "central_bank_loans_minor", unit: "EUR m", factor: 1e-8 },
    Shown { title: "CBDC at its highest", name: "cbdc_households_minor_max", unit: "EUR m", factor: 1e-8 },
    Shown {
        title: "Reserves and facility at their lowest",
        name: "reserves_and_facility_minor_min",
        unit: "EUR m",
        factor: 1e-8,
    },
    Shown {
        title: "Central-bank loans at their highest",
        name: "central_bank_loans_minor_max",
        unit: "EUR m",
        factor: 1e-8,
    },
    Shown { title: "Equity of banks", name: "bank_equity_minor", unit: "EUR m", factor: 1e-8 },
    Shown { title: "Deposit rate", name: "deposit_rate_ppm", unit: "% a year", factor: 1e-4 },
    Shown { title: "Paid with CBDC", name: "payments_cbdc_share", unit: "%", factor: 100.0 },
    Shown { title: "Banks failed", name: "banks_failed", unit: "", factor: 1.0 },
    Shown { title: "Runs that collapsed", name: "collapsed", unit: "%", factor: 100.0 },
];

impl Shown {
    /// 5, 25, 50, 75 and 95 % in the figure's unit.
    fn of(&self, figures: &BTreeMap<String, Quantiles>) -> Option<[f64; 5]> {
        let Quantiles { p05, p25, median, p75, p95, .. } = figures.get(self.name)?;
        Some([p05, p25, median, p75, p95].map(|value| value * self.factor))
    }
}

fn rows(merged: &Merged) -> impl Iterator<Item = &DesignSummary> {
    merged.designs.iter().filter(|design| design.runs > 0).take(ROWS_MAX)
}

/// The figures shown design by design: all of a single design, else those in which designs differ as printed.
fn differing(merged: &Merged) -> Vec<&'static Shown> {
    let told = |shown: &Shown, design: &DesignSummary| shown.of(&design.figures).map(|quantiles| quantiles.map(minus));
    let differs = |shown: &&Shown| {
        let mut all = merged.designs.iter().filter(|design| design.runs > 0).map(|design| told(shown, design));
        let first = all.next();
        merged.designs.len() == 1 || all.any(|other| Some(other) != first)
    };
    SHOWN.iter().filter(differs).collect()
}

/// The other figures in one sentence.
fn the_same(merged: &Merged, differing: &[&Shown]) -> String {
    let Some(design) = rows(merged).next() else { return String::new() };
    let told: Vec<String> = SHOWN
        .iter()
        .filter(|shown| !differing.iter().any(|other| other.name == shown.name))
        .filter_map(|shown| {
            let [_, _, median, _, _] = shown.of(&design.figures)?;
            Some(format!("{} {} {}", shown.title.to_lowercase(), minus(median), shown.unit).trim_end().to_owned())
        })
        .collect();
    if told.is_empty() {
        return String::new();
    }
    format!("<p class=\"note\">The same in all designs (medians): {}.</p>", told.join(", "))
}

/// Medians with 5 to 95 % beneath: of each design, and of its difference from the first.
pub fn tables(html: &mut String, merged: &Merged) {
    html.push_str("<section class=\"card\"><h2>At the end, and at the extremes on the way</h2>");
    let shown = differing(merged);
    let caption = "Median over seeds; in brackets from 5 to 95 %";
    table(html, caption, &shown, rows(merged), |design| &design.figures);
    if let [first, _, ..] = merged.designs.as_slice() {
        let _ = write!(html, "<h4>Difference from {}, seed by seed</h4>", escape(&first.name));
        let caption = "Median of the differences, in points where a figure is a percentage; in brackets from 5 to \
                       95 %. Where both ends have one sign, at least nine seeds in ten agree on it";
        table(html, caption, &shown, rows(merged).filter(|design| design.design > 0), |design| &design.against_first);
    }
    html.push_str(&the_same(merged, &shown));
    if merged.designs.len() > ROWS_MAX {
        let _ = write!(
            html,
            "<p class=\"note\">The first {ROWS_MAX} of {} designs; all are in summary.json and runs.parquet.</p>",
            merged.designs.len()
        );
    }
    html.push_str("</section>");
}

fn table<'a>(
    html: &mut String,
    caption: &str,
    columns: &[&Shown],
    designs: impl Iterator<Item = &'a DesignSummary>,
    figures: fn(&DesignSummary) -> &BTreeMap<String, Quantiles>,
) {
    let _ = write!(
        html,
        "<div class=\"scroll\"><table class=\"dense\"><caption>{caption}</caption><thead><tr>\
         <th scope=\"col\">design</th><th scope=\"col\" class=\"number\">runs</th>"
    );
    for shown in columns {
        let unit = if shown.unit.is_empty() { String::new() } else { format!("<br><small>{}</small>", shown.unit) };
        let _ =
            write!(html, "<th scope=\"col\" class=\"number\" style=\"white-space: normal\">{}{unit}</th>", shown.title);
    }
    html.push_str("</tr></thead><tbody>");
    for design in designs {
        let _ = write!(
            html,
            "<tr><th scope=\"row\" style=\"min-width: 9em\">{}</th><td class=\"number\">{}</td>",
            escape(&design.name),
            design.runs
        );
        for shown in columns {
            let cell = shown.of(figures(design)).map(|[p05, _, median, _, p95]| {
                format!("{}<br><small>({} to {})</small>", minus(median), minus(p05), minus(p95))
            });
            let _ = write!(html, "<td class=\"number\">{}</td>", cell.unwrap_or_default());
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
}

/// A box plot for each figure in which designs differ.
pub fn plots(html: &mut String, merged: &Merged, number: &mut usize) {
    html.push_str("<h2>Designs compared: at the end</h2><section class=\"plots\" aria-label=\"Comparison\">");
    for shown in differing(merged) {
        let drawn: Vec<BoxRow> = rows(merged)
            .filter_map(|design| {
                let percentiles = shown.of(&design.figures)?;
                let [p05, _, median, _, p95] = percentiles.map(minus);
                Some(BoxRow {
                    name: design.name.clone(),
                    colour: COLOURS[design.design as usize % COLOURS.len()],
                    percentiles,
                    label: format!("{}: {median} ({p05} to {p95}) {}", design.name, shown.unit),
                })
            })
            .collect();
        let values = || drawn.iter().flat_map(|row| row.percentiles);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        if least >= most {
            continue;
        }
        let axis = Axis::linear(shown.unit, least, most, true);
        let unit = if shown.unit.is_empty() { String::new() } else { format!("{}: ", shown.unit) };
        let description = format!("{unit}median, quartiles and 5 to 95 % over seeds.");
        *number += 1;
        html.push_str(&box_plot(*number, shown.title, &description, &axis, &drawn));
    }
    html.push_str("</section>");
}

fn minus(value: f64) -> String {
    let told = figure(value);
    let is_zero = !told.chars().any(|letter| letter.is_ascii_digit() && letter != '0');
    if is_zero { "0".to_owned() } else { told.replace('-', "\u{2212}") }
}
