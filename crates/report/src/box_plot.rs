//! Box plots: one row per distribution, a whisker from 5 to 95 %, a box from quartile to quartile, a stroke at the
//! median.

use std::fmt::Write;

use crate::plot::{Axis, WIDTH, escape};

const NAME_WIDTH: f64 = 190.0;
const ROW: f64 = 24.0;
const MARGIN: f64 = 18.0;

/// One row of a box plot.
#[derive(Debug, Clone)]
pub struct BoxRow {
    /// Label at the left.
    pub name: String,
    /// CSS class that gives the colour.
    pub colour: &'static str,
    /// 5, 25, 50, 75 and 95 %.
    pub percentiles: [f64; 5],
    /// Read-out under the pointer.
    pub label: String,
}

/// The rows as an HTML figure over a common axis; `number` makes its ids unique on the page.
pub fn box_plot(number: usize, title: &str, description: &str, axis: &Axis, rows: &[BoxRow]) -> String {
    let px = |value: f64| NAME_WIDTH + axis.fraction(value) * (WIDTH - NAME_WIDTH - MARGIN);
    let base = rows.len() as f64 * ROW + 6.0;
    let mut svg = String::new();
    for (at, label) in &axis.ticks {
        let x = px(*at);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{base}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            base + 15.0,
            escape(label)
        );
    }
    for (at, row) in rows.iter().enumerate() {
        let middle = at as f64 * ROW + ROW / 2.0 + 3.0;
        let [p05, p25, p50, p75, p95] = row.percentiles.map(px);
        let _ = write!(
            svg,
            "<g><title>{}</title><text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <line class=\"whisker {colour}\" x1=\"{p05:.1}\" x2=\"{p95:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>\
             <rect class=\"box {colour}\" x=\"{p25:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" rx=\"2\"/>\
             <line class=\"middle\" x1=\"{p50:.1}\" x2=\"{p50:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/></g>",
            escape(&row.label),
            NAME_WIDTH - 10.0,
            middle + 4.0,
            escape(&shortened(&row.name)),
            middle - 6.0,
            (p75 - p25).max(1.0),
            middle - 8.0,
            middle + 8.0,
            colour = row.colour,
        );
    }
    format!(
        "<figure class=\"card plot\"><figcaption><h3>{title}</h3></figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-labelledby=\"t{number} d{number}\">\
         <title id=\"t{number}\">{title}</title><desc id=\"d{number}\">{}</desc>{svg}</svg><p class=\"note\">{}</p>\
         </figure>",
        base + 22.0,
        escape(description),
        escape(description),
        title = escape(title),
    )
}

/// A name shortened to its column; the page's tables show it in full.
fn shortened(name: &str) -> String {
    const MOST: usize = 28;
    if name.chars().count() <= MOST {
        return name.to_owned();
    }
    name.chars().take(MOST - 1).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_drawn_for_each_distribution() {
        let axis = Axis::linear("", 0.0, 10.0, true);
        let row = |name: &str| BoxRow {
            name: name.to_owned(),
            colour: "c1",
            percentiles: [1.0, 2.0, 3.0, 4.0, 5.0],
            label: "<b>".to_owned(),
        };
        let html = box_plot(1, "t", "d", &axis, &[row("a"), row(&"long ".repeat(20))]);
        assert_eq!(html.matches("class=\"box c1\"").count(), 2);
        assert!(html.contains('\u{2026}') && !html.contains("<b>"));
    }
}
