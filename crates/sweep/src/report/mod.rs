//! `report.html` of a sweep: one self-contained page that loads nothing from any network.
//!
//! From top to bottom: the sweep; designs compared at the end of their runs (`comparison`); medians over time, and
//! fan charts over seeds (`fan_charts`); balance sheets (`balance_sheets`); the provenance of every figure: hashes,
//! seeds, digest, plan.
//!
//! `plot_data` collects what the plots need while the runs are read, so that memory does not grow with the tables.

mod balance_sheets;
mod comparison;
mod fan_charts;
mod plot_data;

use std::fmt::Write;

use cbdc_report::format::count;
use cbdc_report::page::document;
use cbdc_report::plot::escape;

use crate::error::ranges;
use crate::plan::Plan;
use crate::summary::Merged;

pub use plot_data::PlotData;

/// Colours of designs, in their order; the one for warnings is left out.
const COLOURS: [&str; 6] = ["c1", "c2", "c3", "c5", "c6", "c7"];

/// The page of a sweep.
pub fn page(plan: &Plan, merged: &Merged, plot_data: &PlotData) -> String {
    let mut body = String::new();
    let mut number = 0;
    head(&mut body, merged);
    comparison::tables(&mut body, merged);
    comparison::plots(&mut body, merged, &mut number);
    fan_charts::medians(&mut body, plot_data, &mut number);
    fan_charts::fan_charts(&mut body, plot_data, &mut number);
    balance_sheets::write(&mut body, merged, plot_data);
    origins(&mut body, plan, merged);
    document(&format!("{} \u{b7} cbdc sweep", merged.name), "", &body)
}

fn head(html: &mut String, merged: &Merged) {
    let done = merged.runs - merged.missing.len();
    let _ = write!(
        html,
        "<header><p class=\"eyebrow\">cbdc sweep \u{b7} {} designs \u{d7} {} seeds</p><h1>{}</h1>\
         <p class=\"lead\">{}</p></header><p class=\"verdict {}\">{} of {} runs. All designs ran with the same seeds, \
         so designs differ only by their settings. Bands and boxes show the variation over seeds. Designs whose bands \
         overlap may still differ in every seed, as the second table shows. None of this says how well the model fits \
         any country.</p>",
        merged.designs.len(),
        merged.seeds.len(),
        escape(&merged.name),
        escape(&merged.description),
        if merged.missing.is_empty() { "good" } else { "warning" },
        count(done as u64),
        count(merged.runs as u64),
    );
    if !merged.missing.is_empty() {
        let _ = write!(
            html,
            "<p class=\"verdict bad\">Missing runs: {}. Designs that lack seeds are not strictly comparable.</p>",
            escape(&ranges(&merged.missing))
        );
    }
}

fn origins(html: &mut String, plan: &Plan, merged: &Merged) {
    let seeds: Vec<String> = merged.seeds.iter().take(200).map(u64::to_string).collect();
    let more = if merged.seeds.len() > 200 { " \u{2026}" } else { "" };
    let _ = write!(
        html,
        "<section class=\"card\"><h2>Repeat it</h2><pre><code>cbdc sweep plan {file} --out FOLDER\n\
         cbdc sweep run FOLDER\ncbdc sweep merge FOLDER</code></pre><dl>\
         <dt>Digest of all runs</dt><dd><code>{}</code></dd><dt>Scenario</dt><dd>{}</dd>\
         <dt>Version</dt><dd>{}</dd><dt>Seeds</dt><dd>{}{more}</dd></dl><div class=\"scroll\"><table>\
         <caption>Each design with its settings and the hash of all its values. To repeat one run, use \
         <code>cbdc simulate</code> with its seed and each key as <code>--set</code>.</caption><thead><tr>\
         <th scope=\"col\">#</th><th scope=\"col\">design</th><th scope=\"col\">sets</th>\
         <th scope=\"col\">scenario hash</th></tr></thead><tbody>",
        escape(&merged.digest),
        escape(&merged.scenario),
        escape(&merged.version),
        escape(&seeds.join(", ")),
        file = escape(&merged.plan),
    );
    for design in &plan.designs {
        let all = plan.set.iter().chain(&design.set);
        let set: Vec<String> =
            all.map(|one| format!("<code>{} = {}</code>", escape(&one.key), escape(&one.value))).collect();
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            design.design,
            escape(&design.name),
            set.join("<br>"),
            escape(design.scenario_hash.get(..16).unwrap_or(&design.scenario_hash))
        );
    }
    let _ = write!(
        html,
        "</tbody></table></div><details><summary>The scenario's text</summary><pre><code>{}</code></pre></details>\
         <p class=\"note\">The same plan and version give identical files on any machine, for any number of threads \
         and parts.</p></section>",
        escape(&plan.scenario.text)
    );
}
