//! One self-contained page per paper: paper and ours side by side, and everything needed to judge the comparison.
//!
//! From top to bottom: the verdict; the claims; tables and plots; calibrated figures and results; differences and
//! reasons; statements not claimed; every parameter with its origin; how to rebuild. The page loads nothing from any
//! network.

use std::fmt::Write;

use cbdc_report::page::document;
use cbdc_report::plot::{Axis, Mark, Plot, Series, escape};

use super::comparison::{Chart, Claim, Comparison, Kind, Outcome, Table};
use super::parameters::Origin;

/// Style rules of this page, added to those of all reports.
const OWN_STYLE: &str = "td.outcome { white-space: nowrap; font-weight: 600; } .holds { color: var(--good); } \
    .fails { color: var(--bad); } .undecided { color: var(--warn); } .shown { color: var(--soft); font-weight: 500; } \
    .claims td { min-width: 90px; } .claims td:first-child { min-width: 220px; } \
    ul.plain { margin: 0; padding-left: 20px; } \
    ul.plain li { margin: 3px 0; } td small { color: var(--soft); } .plots { grid-template-columns: repeat(auto-fit, \
    minmax(min(100%, 460px), 1fr)); } .plots > figure { max-width: 640px; }";

const COLOURS: [&str; 7] = ["c1", "c3", "c2", "c4", "c5", "c7", "c6"];

/// The page of a comparison.
pub fn page(comparison: &Comparison) -> String {
    let mut body = String::new();
    head(&mut body, comparison);
    claims(&mut body, &comparison.claims);
    for table in &comparison.tables {
        body.push_str("<section class=\"card\"><div class=\"scroll\">");
        draw_table(&mut body, table);
        body.push_str("</div></section>");
    }
    body.push_str("<section class=\"plots\" aria-label=\"Plots\">");
    for (number, chart) in comparison.charts.iter().enumerate() {
        body.push_str(&plot(chart).figure(number + 1));
    }
    body.push_str("</section>");
    judgement(&mut body, comparison);
    parameters(&mut body, comparison);
    rebuild(&mut body, comparison);
    document(&format!("{} \u{b7} paper against ours", comparison.title), OWN_STYLE, &body)
}

/// The page that lists all comparisons.
pub fn index(comparisons: &[Comparison]) -> String {
    let mut body = String::from(
        "<header><p class=\"eyebrow\">cbdc replications</p><h1>Published results, paper against ours</h1>\
         <p class=\"lead\">Each page rebuilds one paper and states which claims hold and which do not, what was \
         calibrated, and what is not claimed.</p></header><section class=\"card\"><div class=\"scroll\"><table><thead>\
         <tr><th>Paper</th><th class=\"number\">holds</th><th class=\"number\">does not</th>\
         <th class=\"number\">undecided</th><th class=\"number\">shown only</th></tr></thead><tbody>",
    );
    for comparison in comparisons {
        let _ = write!(
            body,
            "<tr><td><a href=\"{}.html\">{}</a><br><small>{}</small></td><td class=\"number\">{}</td><td \
             class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            comparison.name,
            escape(comparison.title),
            escape(comparison.citation),
            comparison.count(Outcome::Holds),
            comparison.count(Outcome::Fails),
            comparison.count(Outcome::Undecided),
            comparison.count(Outcome::Shown)
        );
    }
    body.push_str("</tbody></table></div></section>");
    document("Published results, paper against ours", OWN_STYLE, &body)
}

fn head(html: &mut String, comparison: &Comparison) {
    let _ = write!(
        html,
        "<header><p class=\"eyebrow\">cbdc replications \u{b7} paper against ours</p><h1>{}</h1>\
         <p class=\"lead\">{}</p><p class=\"note\">{}</p></header>",
        escape(comparison.title),
        escape(comparison.citation),
        escape(comparison.reading)
    );
    let class = match (comparison.count(Outcome::Fails), comparison.count(Outcome::Undecided)) {
        (0, 0) => "good",
        _ => "warning",
    };
    let _ = write!(html, "<p class=\"verdict {class}\">{}</p>", escape(&verdict(comparison)));
    html.push_str("<section class=\"card\"><h2>Our version</h2><ul class=\"plain\">");
    items(html, &comparison.model);
    html.push_str("</ul></section>");
}

/// The number of claims that hold, in a sentence.
fn verdict(comparison: &Comparison) -> String {
    let [holds, fails, undecided] =
        [Outcome::Holds, Outcome::Fails, Outcome::Undecided].map(|outcome| comparison.count(outcome));
    let calibrated = comparison.claims.iter().filter(|claim| claim.kind == Kind::Calibration).count();
    let mut sentence = format!("{holds} of {} claims come out as in the paper", holds + fails + undecided);
    let mut add = |count: usize, one: &str, more: &str| match count {
        0 => {}
        1 => sentence += &format!("; 1 {one}"),
        _ => sentence += &format!("; {count} {more}"),
    };
    add(fails, "does not", "do not");
    add(undecided, "is undecided", "are undecided");
    add(
        calibrated,
        "further figure was calibrated and is no evidence",
        "further figures were calibrated and are no evidence",
    );
    add(comparison.count(Outcome::Shown), "is shown for its distance only", "are shown for their distance only");
    sentence + "."
}

/// The claims; an empty column is left out, and a source that all share is named once.
fn claims(html: &mut String, claims: &[Claim]) {
    let has_distance = claims.iter().any(|claim| !claim.distance.is_empty());
    let shared = claims.first().map(|first| first.source).filter(|source| claims.iter().all(|c| c.source == *source));
    html.push_str("<section class=\"card\"><h2>Paper against ours</h2><div class=\"scroll\"><table class=\"claims\">");
    if let Some(source) = shared {
        let _ = write!(html, "<caption>Source: {}</caption>", escape(source));
    }
    let distance = if has_distance { "<th>Distance</th>" } else { "" };
    let _ = write!(
        html,
        "<thead><tr><th>Claim</th><th>Paper</th><th>Ours</th>{distance}<th>Kind</th><th>Outcome</th></tr></thead>\
         <tbody>"
    );
    for claim in claims {
        let (class, word) = outcome(claim.outcome);
        let source = match shared {
            Some(_) => String::new(),
            None => format!("<br><small>{}</small>", escape(claim.source)),
        };
        let distance = if has_distance { format!("<td>{}</td>", escape(&claim.distance)) } else { String::new() };
        let _ = write!(
            html,
            "<tr><td>{}{source}</td><td>{}</td><td>{}</td>{distance}<td>{}</td><td class=\"outcome \
            {class}\">{word}</td></tr>",
            escape(&claim.what),
            escape(&claim.paper),
            escape(&claim.ours),
            kind(claim.kind)
        );
    }
    html.push_str("</tbody></table></div></section>");
}

fn outcome(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Holds => ("holds", "\u{2713} holds"),
        Outcome::Fails => ("fails", "\u{2717} does not"),
        Outcome::Undecided => ("undecided", "~ undecided"),
        Outcome::Shown => ("shown", "shown"),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Exact => "exact",
        Kind::Calibration => "calibration",
        Kind::Sign => "sign or order",
        Kind::Distance => "distance",
    }
}

fn draw_table(html: &mut String, table: &Table) {
    let figures: Vec<bool> = table.headings.iter().map(|heading| heading.starts_with('>')).collect();
    let class = |column: usize| if figures[column] { " class=\"number\"" } else { "" };
    let _ = write!(html, "<table><caption>{}</caption><thead><tr>", escape(&table.caption));
    for (column, heading) in table.headings.iter().enumerate() {
        let heading = escape(heading.trim_start_matches('>')).replacen(", ", ",<br>", 1);
        let _ = write!(html, "<th{}>{heading}</th>", class(column));
    }
    html.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(html, "<td{}>{}</td>", class(column), escape(cell));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>");
}

fn plot(chart: &Chart) -> Plot {
    let values = || chart.lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    // An axis from zero that would leave most of its length empty begins near the values instead.
    let low = if low > 0.0 && low < 0.7 * high { 0.0 } else { low };
    let (first, last) = (chart.positions[0], chart.positions[chart.positions.len() - 1]);
    Plot {
        title: chart.title.clone(),
        description: chart.description.clone(),
        x_unit: chart.x.unit.clone(),
        y_unit: chart.y.unit.clone(),
        x: Axis::linear(&chart.x.label, first, last, false),
        y: Axis::linear(&chart.y.label, low, high.max(0.0), true),
        positions: chart.positions.clone(),
        series: chart
            .lines
            .iter()
            .enumerate()
            .map(|(index, line)| Series {
                name: line.name.clone(),
                colour: COLOURS[index % COLOURS.len()],
                values: line.values.clone(),
            })
            .collect(),
        stacked: false,
        bound: None,
        marks: chart.marks.iter().map(|(at, label)| Mark { at: *at, label: label.clone() }).collect(),
        shaded_to: None,
        note: note(chart),
    }
}

/// The chart's note, followed by its numbered marks.
fn note(chart: &Chart) -> Option<String> {
    let marks = chart.marks.iter().enumerate().map(|(number, (_, label))| format!("({}) {label}.", number + 1));
    let sentences: Vec<String> = chart.note.iter().cloned().chain(marks).collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

fn judgement(html: &mut String, comparison: &Comparison) {
    let parts: [(&str, &[String]); 4] = [
        ("Calibrated: no evidence", &comparison.calibrated),
        ("Results", &comparison.results),
        ("What differs, and why", &comparison.differences),
        ("Not claimed", &comparison.not_claimed),
    ];
    html.push_str("<section class=\"two\">");
    for (heading, sentences) in parts.into_iter().filter(|(_, sentences)| !sentences.is_empty()) {
        let _ = write!(html, "<div class=\"card\"><h2>{heading}</h2><ul class=\"plain\">");
        items(html, sentences);
        html.push_str("</ul></div>");
    }
    html.push_str("</section>");
}

fn items(html: &mut String, sentences: &[String]) {
    for sentence in sentences {
        let _ = write!(html, "<li>{}</li>", escape(sentence));
    }
}

fn parameters(html: &mut String, comparison: &Comparison) {
    html.push_str(
        "<section class=\"card\"><details><summary>Every parameter with its value and origin</summary>\
         <div class=\"scroll\"><table><thead><tr><th>Key</th><th class=\"number\">Value</th><th>Meaning</th>\
         <th>Origin</th></tr></thead><tbody>",
    );
    for parameter in &comparison.parameters {
        let _ = write!(
            html,
            "<tr><td><code>{}</code></td><td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>",
            escape(&parameter.key),
            escape(&parameter.value),
            escape(parameter.meaning),
            origin(parameter.origin)
        );
    }
    html.push_str("</tbody></table></div></details></section>");
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Paper => "paper",
        Origin::Published => "published figure",
        Origin::Calibrated => "calibrated",
        Origin::Ours => "our choice",
        Origin::Run => "size of the run",
    }
}

fn rebuild(html: &mut String, comparison: &Comparison) {
    let _ = write!(
        html,
        "<section class=\"card\"><h2>Rebuild</h2><pre>cbdc replications {}</pre><dl><dt>parameters</dt><dd><code>\
         simulations/replications/{}.toml</code></dd><dt>digest</dt><dd><code>{}</code></dd><dt>version</dt>\
         <dd>{}</dd></dl></section>",
        comparison.name,
        comparison.name,
        comparison.digest(),
        env!("CARGO_PKG_VERSION")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(what: &str, kind: Kind, outcome: Outcome) -> Claim {
        Claim {
            what: what.to_owned(),
            paper: String::new(),
            ours: String::new(),
            distance: String::new(),
            kind,
            outcome,
            source: "",
        }
    }

    fn comparison(claims: Vec<Claim>) -> Comparison {
        Comparison {
            name: "x",
            title: "x",
            citation: "",
            reading: "",
            model: vec![],
            claims,
            tables: vec![],
            charts: vec![],
            calibrated: vec![],
            results: vec![],
            differences: vec![],
            not_claimed: vec![],
            parameters: vec![],
        }
    }

    #[test]
    fn the_verdict_counts_what_did_not_come_out_and_leaves_calibration_aside() {
        let exact = |outcome| claim("", Kind::Exact, outcome);
        let claims = vec![exact(Outcome::Holds), claim("", Kind::Calibration, Outcome::Holds)];
        let words = verdict(&comparison(claims));
        assert_eq!(
            words,
            "1 of 1 claims come out as in the paper; 1 further figure was calibrated and is no evidence."
        );
        let claims = [Outcome::Holds, Outcome::Fails, Outcome::Undecided, Outcome::Undecided].map(exact).to_vec();
        let words = verdict(&comparison(claims));
        assert_eq!(words, "1 of 4 claims come out as in the paper; 1 does not; 2 are undecided.");
    }

    #[test]
    fn text_of_a_claim_cannot_leave_its_cell() {
        let mut html = String::new();
        let claim = claim("<script>", Kind::Sign, Outcome::Fails);
        claims(&mut html, &[claim]);
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"));
        assert!(html.contains("does not"));
    }
}
