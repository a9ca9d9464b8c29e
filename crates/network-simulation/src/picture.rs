//! The time line of a run as an SVG: a row for each node, its faults as bars, and the payments as they settled.

use std::fmt::Write as _;

use crate::run::Outcome;

const LEFT: f64 = 130.0;
const WIDTH: f64 = 1_000.0;
const ROW: f64 = 26.0;
const TOP: f64 = 48.0;

/// The colour of a kind of fault.
fn colour(kind: &str) -> &'static str {
    match kind {
        "kill" | "kill after writes" => "#b3261e",
        "stop" => "#8c6d1f",
        "pause" => "#6750a4",
        "isolate" | "mute" | "deafen" | "flap" => "#1565c0",
        "slow" | "loss" => "#0b8793",
        "clock step" => "#7a4a9e",
        _ => "#5d4037",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Draws the time line.
pub fn picture(outcome: &Outcome) -> String {
    let begin = outcome.story.iter().find(|event| event.what == "the faults begin").map_or(0, |event| event.at_ms);
    let end = outcome.story.iter().find(|event| event.what == "the faults are over").map_or(0, |event| event.at_ms);
    let last = outcome.settled_ms.last().copied().unwrap_or(0).max(end).min(end + 5_000).max(1);
    let x = |at_ms: u64| LEFT + WIDTH * at_ms.min(last) as f64 / last as f64;
    let rows = outcome.nodes.len() as f64;
    let height = TOP + ROW * (rows + 2.0) + 60.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"10\" y=\"22\" \
         font-size=\"15\">Seed {}: {} payments, {} settled, {} blocks</text>\n",
        LEFT + WIDTH + 30.0,
        outcome.seed,
        outcome.payments,
        outcome.settled,
        outcome.blocks
    );
    for (row, name) in outcome.nodes.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let (text_y, line_y, right) = (y + 16.0, y + 12.0, LEFT + WIDTH);
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{text_y}\">{}</text><line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{line_y}\" \
             y2=\"{line_y}\" stroke=\"#ccc\"/>",
            escaped(name)
        );
    }
    for planned in &outcome.faults {
        let (from, to) = (x(begin + planned.at_ms), x(begin + planned.at_ms + planned.lasts_ms));
        let (row, span) = match planned.fault.node() {
            Some(node) => (node as f64, ROW - 8.0),
            None => (0.0, ROW * rows - 8.0),
        };
        let opacity = if planned.fault.node().is_some() { 0.8 } else { 0.12 };
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{span:.1}\" fill=\"{}\" \
             fill-opacity=\"{opacity}\"><title>{}, {} ms</title></rect>",
            TOP + ROW * row + 3.0,
            (to - from).max(2.0),
            colour(planned.fault.kind()),
            escaped(&planned.fault.to_string()),
            planned.lasts_ms
        );
        if planned.fault.node().is_some() && to - from > 60.0 {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"white\" font-size=\"11\">{}</text>",
                from + 4.0,
                TOP + ROW * row + 16.0,
                planned.fault.kind()
            );
        }
    }
    let y = TOP + ROW * (rows + 0.3);
    let _ = writeln!(svg, "<text x=\"10\" y=\"{:.1}\">settled</text>", y + 12.0);
    for at_ms in outcome.settled_ms.iter().filter(|at_ms| **at_ms <= last) {
        let x = x(*at_ms);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y:.1}\" y2=\"{:.1}\" stroke=\"#2e7d32\"/>",
            y + 16.0
        );
    }
    for (at_ms, word) in [(begin, "faults begin"), (end, "faults are over")] {
        let x = x(at_ms);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#555\" \
             stroke-dasharray=\"4 3\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{word}</text>",
            TOP - 6.0,
            y + 20.0,
            y + 33.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{0:.1}\">0 s</text><text x=\"{1:.1}\" y=\"{0:.1}\" \
         text-anchor=\"end\">{2:.1} s</text>\n</svg>",
        y + 50.0,
        LEFT + WIDTH,
        last as f64 / 1_000.0
    );
    svg
}
