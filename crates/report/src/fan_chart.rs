//! Fan charts: a median over time, within a darker band from quartile to quartile and a lighter one from 5 to 95 %.

use std::fmt::Write;

use crate::plot::{Plot, Series};

/// The series of a fan chart, in their order.
pub const NAMES: [&str; 5] = ["95 %", "75 %", "median", "25 %", "5 %"];

/// A plot whose five series are those of [`NAMES`], as an HTML figure; `number` makes its ids unique on the page.
pub fn fan_chart(plot: &Plot, number: usize) -> String {
    plot.framed(number, &[], &|svg| {
        if let [p95, p75, median, p25, p05] = plot.series.as_slice() {
            draw_band(plot, svg, p95, p05);
            draw_band(plot, svg, p75, p25);
            draw_line(plot, svg, median);
        }
    })
}

/// The area between two series, wherever both have values.
fn draw_band(plot: &Plot, svg: &mut String, high: &Series, low: &Series) {
    let points = plot.positions.iter().zip(high.values.iter().zip(&low.values));
    let points: Vec<(f64, f64, f64)> =
        points.filter_map(|(x, (high, low))| Some((*x, high.as_ref().copied()?, low.as_ref().copied()?))).collect();
    let mut path = String::new();
    for (index, (x, high, _)) in points.iter().enumerate() {
        let _ = write!(path, "{}{:.1} {:.1}", if index == 0 { 'M' } else { 'L' }, plot.px(*x), plot.py(*high));
    }
    for (x, _, low) in points.iter().rev() {
        let _ = write!(path, "L{:.1} {:.1}", plot.px(*x), plot.py(*low));
    }
    if !points.is_empty() {
        let _ = write!(svg, "<path class=\"band {}\" d=\"{path}Z\"/>", high.colour);
    }
}

fn draw_line(plot: &Plot, svg: &mut String, series: &Series) {
    let mut path = String::new();
    for (x, value) in plot.positions.iter().zip(&series.values).filter_map(|(x, value)| Some((*x, (*value)?))) {
        let _ = write!(path, "{}{:.1} {:.1}", if path.is_empty() { 'M' } else { 'L' }, plot.px(x), plot.py(value));
    }
    let _ = write!(svg, "<path class=\"line {}\" d=\"{path}\"/>", series.colour);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Axis;

    #[test]
    fn two_bands_and_a_median_are_drawn() {
        let series = |at: usize| Series {
            name: NAMES[at].to_owned(),
            colour: "c1",
            values: (0..3).map(|x| Some(f64::from(x) - at as f64)).collect(),
        };
        let plot = Plot {
            title: "t".to_owned(),
            description: "d".to_owned(),
            x_unit: "days".to_owned(),
            y_unit: String::new(),
            x: Axis::linear("x", 0.0, 2.0, false),
            y: Axis::linear("y", -5.0, 2.0, true),
            positions: vec![0.0, 1.0, 2.0],
            series: (0..5).map(series).collect(),
            stacked: false,
            bound: None,
            marks: Vec::new(),
            shaded_to: None,
            note: None,
        };
        let html = fan_chart(&plot, 1);
        assert_eq!(html.matches("class=\"band c1\"").count(), 2);
        assert_eq!(html.matches("class=\"line c1\"").count(), 1);
        assert!(!html.contains("<li>"));
    }
}
