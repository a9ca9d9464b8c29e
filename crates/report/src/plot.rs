//! Plots as inline SVG: axes with units, lines, stacked areas, marks for events, bars.
//!
//! Colours and fonts come from the page's style sheet by class, so that one drawing serves light and dark. Each
//! plot carries a title and a description for screen readers, and its data for the hover read-out.

use std::fmt::Write;

use crate::format;

pub(crate) const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 46.0;

/// Text made safe for HTML and SVG, in content and in attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Scales of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Equal steps.
    Linear,
    /// Equal factors.
    Log,
    /// Shares from 0 towards 1, with equal width for each further nine.
    Nines,
}

/// One axis: its range, its ticks and its label.
#[derive(Debug, Clone)]
pub struct Axis {
    label: String,
    scale: Scale,
    low: f64,
    high: f64,
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis from `low` to at least `high`; with `round` it begins and ends on a tick.
    pub fn linear(label: &str, low: f64, high: f64, round: bool) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let step = nice_step((high - low) / 5.0);
        let (low, high) = if round { ((low / step).floor() * step, (high / step).ceil() * step) } else { (low, high) };
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let ticks =
            (first..=last).map(|index| index as f64 * step).map(|at| (at, tick_label(at, step, high))).collect();
        Self { label: label.to_owned(), scale: Scale::Linear, low, high, ticks }
    }

    /// A logarithmic axis over positive values.
    pub fn log(label: &str, low: f64, high: f64) -> Self {
        let low = low.max(1e-3);
        let high = high.max(low * 1.5);
        let wide = high / low > 300.0;
        let factors: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let steps: Vec<f64> =
            (-3..=9).flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade))).collect();
        let low = steps.iter().copied().rev().find(|step| *step <= low * 1.000_001).unwrap_or(low);
        let high = steps.iter().copied().find(|step| *step >= high * 0.999_999).unwrap_or(high);
        let within = |step: &f64| *step >= low * 0.999 && *step <= high * 1.001;
        let ticks = steps.iter().copied().filter(within).map(|at| (at, plain(at))).collect();
        Self { label: label.to_owned(), scale: Scale::Log, low, high, ticks }
    }

    /// An axis of shares of payments up to that of `finest`, below 1.
    pub fn nines(label: &str, finest: f64) -> Self {
        let ticks = [
            (0.0, "0"),
            (0.5, "50"),
            (0.9, "90"),
            (0.99, "99"),
            (0.999, "99.9"),
            (0.9999, "99.99"),
            (0.999_99, "99.999"),
        ];
        let high = ticks.iter().map(|(at, _)| *at).find(|at| *at >= finest - 1e-9).unwrap_or(0.999_99).max(0.99);
        let ticks = ticks.iter().filter(|(at, _)| *at <= high).map(|(at, text)| (*at, (*text).to_owned())).collect();
        Self { label: label.to_owned(), scale: Scale::Nines, low: 0.0, high, ticks }
    }

    /// The position of a value, 0 at the low end and 1 at the high end; values outside are clamped.
    pub(crate) fn fraction(&self, value: f64) -> f64 {
        let along = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(self.low).ln(),
            Scale::Nines => -(1.0 - value.min(self.high)).log10(),
        };
        ((along(value) - along(self.low)) / (along(self.high) - along(self.low))).clamp(0.0, 1.0)
    }
}

/// A line or area; `None` leaves a gap.
#[derive(Debug, Clone)]
pub struct Series {
    /// Shown in the legend.
    pub name: String,
    /// CSS class that gives the colour.
    pub colour: &'static str,
    /// Values at the plot's x positions.
    pub values: Vec<Option<f64>>,
}

/// A vertical mark.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Position on the horizontal axis.
    pub at: f64,
    /// Label.
    pub label: String,
}

/// A plot of series over a common x.
#[derive(Debug, Clone)]
pub struct Plot {
    /// Heading.
    pub title: String,
    /// Description for screen readers.
    pub description: String,
    /// Unit of x in the read-out.
    pub x_unit: String,
    /// Unit of y in the read-out.
    pub y_unit: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Positions common to all series.
    pub positions: Vec<f64>,
    /// The series drawn.
    pub series: Vec<Series>,
    /// Areas stacked on each other instead of lines.
    pub stacked: bool,
    /// A horizontal bound with its label.
    pub bound: Option<(f64, String)>,
    /// Events.
    pub marks: Vec<Mark>,
    /// Shaded from the left end up to here: the warm-up.
    pub shaded_to: Option<f64>,
    /// A sentence below the plot.
    pub note: Option<String>,
}

impl Plot {
    /// The plot as an HTML figure; `number` makes its ids unique on the page.
    pub fn figure(&self, number: usize) -> String {
        self.framed(number, &self.series, &|svg| if self.stacked { self.draw_stack(svg) } else { self.draw_lines(svg) })
    }

    /// The figure with additional drawing between axes and marks, and its own legend.
    pub(crate) fn framed(&self, number: usize, legend: &[Series], draw: &dyn Fn(&mut String)) -> String {
        let mut html = String::new();
        let _ = write!(
            html,
            "<figure class=\"card plot\" data-plot=\"{}\"><figcaption><h3>{}</h3><ul class=\"legend\">",
            escape(&self.data()),
            escape(&self.title)
        );
        for series in legend {
            let _ = write!(html, "<li><span class=\"swatch {}\"></span>{}</li>", series.colour, escape(&series.name));
        }
        let _ = write!(
            html,
            "</ul></figcaption><div class=\"canvas\">{}<output class=\"readout\" hidden></output></div>",
            self.svg(number, draw)
        );
        if let Some(note) = &self.note {
            let _ = write!(html, "<p class=\"note\">{}</p>", escape(note));
        }
        html.push_str("</figure>");
        html
    }

    fn svg(&self, number: usize, draw: &dyn Fn(&mut String)) -> String {
        let mut svg = String::new();
        let _ = write!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"t{number} d{number}\">\
             <title id=\"t{number}\">{}</title><desc id=\"d{number}\">{}</desc>",
            escape(&self.title),
            escape(&self.description)
        );
        self.draw_shade(&mut svg);
        self.draw_axes(&mut svg);
        draw(&mut svg);
        self.draw_bound(&mut svg);
        self.draw_marks(&mut svg);
        let _ = write!(
            svg,
            "<line class=\"cursor\" x1=\"0\" x2=\"0\" y1=\"{TOP}\" y2=\"{}\" visibility=\"hidden\"/></svg>",
            HEIGHT - BOTTOM
        );
        svg
    }

    pub(crate) fn px(&self, value: f64) -> f64 {
        LEFT + self.x.fraction(value) * (WIDTH - LEFT - RIGHT)
    }

    pub(crate) fn py(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.fraction(value) * (HEIGHT - BOTTOM - TOP)
    }

    fn draw_shade(&self, svg: &mut String) {
        let Some(end) = self.shaded_to.filter(|end| *end > self.x.low) else {
            return;
        };
        let width = self.px(end) - LEFT;
        let _ = write!(
            svg,
            "<rect class=\"shade\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
            HEIGHT - BOTTOM - TOP
        );
        if width > 54.0 {
            let _ = write!(
                svg,
                "<text class=\"quiet\" x=\"{:.1}\" y=\"{}\">warm-up</text>",
                LEFT + 6.0,
                HEIGHT - BOTTOM - 7.0
            );
        }
    }

    fn draw_axes(&self, svg: &mut String) {
        for (at, label) in &self.y.ticks {
            let y = self.py(*at);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                escape(label)
            );
        }
        for (at, label) in &self.x.ticks {
            let x = self.px(*at);
            // A label at the right end is kept inside the plot.
            let anchor = if x > WIDTH - RIGHT - 12.0 { "end" } else { "middle" };
            let shift = if anchor == "end" { RIGHT - 2.0 } else { 0.0 };
            let base = HEIGHT - BOTTOM;
            let _ = write!(
                svg,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{base}\" y2=\"{}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                base + 4.0,
                x + shift,
                base + 18.0,
                escape(label)
            );
        }
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{base}\" y2=\"{base}\"/>\
             <text class=\"label\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"label\" x=\"8\" y=\"14\">{}</text>",
            WIDTH - RIGHT,
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 8.0,
            escape(&self.x.label),
            escape(&self.y.label),
            base = HEIGHT - BOTTOM
        );
    }

    fn draw_lines(&self, svg: &mut String) {
        for series in &self.series {
            let mut path = String::new();
            let mut pen_down = false;
            for (x, value) in self.positions.iter().zip(&series.values) {
                match value {
                    Some(value) => {
                        let command = if pen_down { 'L' } else { 'M' };
                        let _ = write!(path, "{command}{:.1} {:.1}", self.px(*x), self.py(*value));
                        pen_down = true;
                    }
                    None => pen_down = false,
                }
            }
            let _ = write!(svg, "<path class=\"line {}\" d=\"{path}\"/>", series.colour);
            self.draw_lone_points(svg, series);
        }
    }

    /// A point without neighbours makes an invisible path: a dot shows it.
    fn draw_lone_points(&self, svg: &mut String, series: &Series) {
        let given = |index: Option<usize>| index.and_then(|index| series.values.get(index).copied().flatten());
        for (index, x) in self.positions.iter().enumerate() {
            let Some(value) = given(Some(index)) else {
                continue;
            };
            if given(index.checked_sub(1)).is_some() || given(Some(index + 1)).is_some() {
                continue;
            }
            let _ = write!(
                svg,
                "<circle class=\"dot {}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>",
                series.colour,
                self.px(*x),
                self.py(value)
            );
        }
    }

    fn draw_stack(&self, svg: &mut String) {
        let mut base = vec![0.0; self.positions.len()];
        for series in &self.series {
            let top: Vec<f64> =
                base.iter().zip(&series.values).map(|(base, value)| base + value.unwrap_or(0.0)).collect();
            let mut path = String::new();
            for (index, (x, top)) in self.positions.iter().zip(&top).enumerate() {
                let command = if index == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{command}{:.1} {:.1}", self.px(*x), self.py(*top));
            }
            for (x, base) in self.positions.iter().zip(&base).rev() {
                let _ = write!(path, "L{:.1} {:.1}", self.px(*x), self.py(*base));
            }
            let _ = write!(svg, "<path class=\"area {}\" d=\"{path}Z\"/>", series.colour);
            base = top;
        }
    }

    fn draw_bound(&self, svg: &mut String) {
        let Some((value, label)) = &self.bound else {
            return;
        };
        let y = self.py(*value);
        let _ = write!(
            svg,
            "<line class=\"bound\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"bound-label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT + 6.0,
            y - 6.0,
            escape(label),
            right = WIDTH - RIGHT
        );
    }

    /// Marks are numbered on the plot; the page lists them in a table under the same numbers.
    fn draw_marks(&self, svg: &mut String) {
        for (number, mark) in self.marks.iter().enumerate() {
            let x = self.px(mark.at);
            let _ = write!(
                svg,
                "<g class=\"mark\"><title>{}</title><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <circle cx=\"{x:.1}\" cy=\"{cy}\" r=\"8\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text></g>",
                escape(&mark.label),
                HEIGHT - BOTTOM,
                TOP - 4.0,
                number + 1,
                cy = TOP - 8.0
            );
        }
    }

    /// The data of the read-out: pixel positions, formatted x, and each series' formatted values.
    fn data(&self) -> String {
        let series: Vec<serde_json::Value> = self
            .series
            .iter()
            .map(|series| {
                let values: Vec<Option<String>> = series
                    .values
                    .iter()
                    .map(|value| {
                        value.map(|value| format!("{} {}", format::figure(value), self.y_unit).trim_end().to_owned())
                    })
                    .collect();
                serde_json::json!({ "name": series.name, "colour": series.colour, "values": values })
            })
            .collect();
        let pixels: Vec<f64> = self.positions.iter().map(|x| (self.px(*x) * 10.0).round() / 10.0).collect();
        let labels: Vec<String> = self.positions.iter().map(|x| self.position_label(*x)).collect();
        serde_json::json!({ "width": WIDTH, "pixels": pixels, "labels": labels, "series": series }).to_string()
    }

    fn position_label(&self, x: f64) -> String {
        if self.x.scale == Scale::Nines {
            return format!("{:.4} {}", x * 100.0, self.x_unit);
        }
        format!("{} {}", format::figure(x), self.x_unit)
    }
}

/// One horizontal bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Label at the left.
    pub name: String,
    /// CSS class that gives the colour.
    pub colour: &'static str,
    /// Length.
    pub value: f64,
    /// Label at the bar's end.
    pub label: String,
}

/// Horizontal bars, in groups that share a name when the name of the following ones is empty.
pub fn bars(number: usize, title: &str, description: &str, name_width: f64, bars: &[Bar]) -> String {
    let largest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max).max(1e-9);
    let grouped = bars.iter().any(|bar| bar.name.is_empty());
    let mut y = 8.0;
    let mut rows = String::new();
    for bar in bars {
        if grouped && !bar.name.is_empty() && y > 8.0 {
            y += 7.0;
        }
        let height = if grouped { 11.0 } else { 18.0 };
        let longest = WIDTH - name_width - 120.0;
        let width = (bar.value / largest * longest).max(if bar.value > 0.0 { 2.0 } else { 0.0 });
        let middle = y + height / 2.0 + 4.0;
        let name_at = if grouped { middle + 6.5 } else { middle };
        let _ = write!(
            rows,
            "<text class=\"name\" x=\"{:.1}\" y=\"{name_at:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"bar {}\" x=\"{name_width}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" rx=\"2\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{middle:.1}\">{}</text>",
            name_width - 8.0,
            escape(&bar.name),
            bar.colour,
            name_width + width + 6.0,
            escape(&bar.label)
        );
        y += height + if grouped { 2.0 } else { 9.0 };
    }
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-labelledby=\"t{number} d{number}\">\
         <title id=\"t{number}\">{}</title><desc id=\"d{number}\">{}</desc>{rows}</svg>",
        y + 4.0,
        escape(title),
        escape(description)
    )
}

fn nice_step(rough: f64) -> f64 {
    let magnitude = 10_f64.powf(rough.max(1e-9).log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].into_iter().find(|nice| rough <= nice * magnitude * 1.000_001).unwrap_or(10.0);
    nice * magnitude
}

/// A tick in thousands, millions or billions if the axis reaches that far, with the digits that its step needs.
fn tick_label(at: f64, step: f64, high: f64) -> String {
    let (scale, suffix) = match high.abs() {
        high if high >= 1e10 => (1e9, " bn"),
        high if high >= 1e7 => (1e6, " m"),
        high if high >= 1e5 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let decimals = (-(step / scale).log10() - 1e-9).ceil().max(0.0) as usize;
    let number = format!("{:.decimals$}", at.abs() / scale);
    let (whole, rest) = number.split_once('.').map_or((number.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let whole = format::count(whole.parse().unwrap_or(0));
    let sign = if at < 0.0 { "\u{2212}" } else { "" };
    match (at == 0.0, rest) {
        (true, _) => "0".to_owned(),
        (false, Some(rest)) => format!("{sign}{whole}.{rest}{suffix}"),
        (false, None) => format!("{sign}{whole}{suffix}"),
    }
}

fn plain(at: f64) -> String {
    if at >= 1.0 { format::rounded(at) } else { format!("{}", (at * 1e4).round() / 1e4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        let axis = Axis::linear("", 0.0, 8_312.0, true);
        let labels: Vec<&str> = axis.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]);
        let axis = Axis::log("", 3.0, 180.0);
        let labels: Vec<&str> = axis.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["2", "5", "10", "20", "50", "100", "200"]);
    }

    #[test]
    fn large_ticks_are_scaled_and_stay_distinct() {
        let axis = Axis::linear("", 119_999_000.0, 120_001_000.0, true);
        let labels: Vec<String> = axis.ticks.iter().map(|(_, label)| label.clone()).collect();
        let mut distinct = labels.clone();
        distinct.dedup();
        assert_eq!(labels, distinct);
        assert!(labels.contains(&"120.0000 m".to_owned()), "{labels:?}");
    }

    #[test]
    fn each_nine_is_as_wide_as_the_last() {
        let axis = Axis::nines("", 0.9999);
        let fractions: Vec<f64> = [0.9, 0.99, 0.999, 0.9999].into_iter().map(|share| axis.fraction(share)).collect();
        for (found, expected) in fractions.iter().zip([0.25, 0.5, 0.75, 1.0]) {
            assert!((found - expected).abs() < 1e-9);
        }
        assert_eq!(axis.fraction(1.0), 1.0);
    }

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(escape("<b a='\"&'>"), "&lt;b a=&#39;&quot;&amp;&#39;&gt;");
    }

    #[test]
    fn an_empty_range_still_has_an_axis() {
        for axis in [Axis::linear("", 0.0, 0.0, true), Axis::log("", 0.0, 0.0), Axis::nines("", 0.0)] {
            assert!(axis.ticks.len() >= 2 && axis.fraction(0.5).is_finite(), "{axis:?}");
        }
    }
}
