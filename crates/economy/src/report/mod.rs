//! `report.html`: one self-contained page that loads nothing from any network.
//!
//! From top to bottom: scenario and headline figures; money, prices and rates; banks; payments; holdings against
//! the limit; events; the provenance of every figure: scenario hash, seed, digest, and each behaviour with its source
//! and the values in force.

mod plots;

use std::fmt::Write;

use cbdc_report::format::{count, percent, rounded};
use cbdc_report::page::document;
use cbdc_report::plot::escape;

use self::plots::{marked, plots};
use crate::explain::explain;
use crate::results::{Results, Summary};
use crate::scenario::Scenario;

/// The page of a simulation. `command` is the command line, `wall_s` the duration in seconds.
pub fn page(scenario: &Scenario, results: &Results, command: &str, wall_s: f64) -> String {
    let mut body = String::new();
    let summary = results.summary();
    head(&mut body, scenario, &summary);
    tiles(&mut body, results, &summary, wall_s);
    plots(&mut body, scenario, results);
    events(&mut body, results);
    ledger(&mut body, results);
    policy(&mut body, scenario);
    sources(&mut body, scenario);
    repeat(&mut body, scenario, results, command, wall_s);
    document(&format!("{} \u{b7} cbdc simulate", scenario.name), "", &body)
}

/// Whole euros of minor units, as people read them.
fn euro(minor: i64) -> String {
    let sign = if minor < 0 { "\u{2212}" } else { "" };
    format!("{sign}{}", count(minor.unsigned_abs() / 100))
}

/// Millions, billions or trillions of euros.
fn short(minor: i64) -> String {
    let major = minor as f64 / 100.0;
    match major.abs() {
        size if size >= 1e12 => format!("{:.2} tn", major / 1e12),
        size if size >= 1e9 => format!("{:.2} bn", major / 1e9),
        size if size >= 1e6 => format!("{:.1} m", major / 1e6),
        _ => rounded(major),
    }
}

/// A count that fits a tile.
fn short_count(number: f64) -> String {
    match number {
        size if size >= 1e9 => format!("{:.2} bn", size / 1e9),
        size if size >= 1e6 => format!("{:.2} m", size / 1e6),
        _ => rounded(number),
    }
}

fn rate(ppm: i64) -> String {
    format!("{:.2} %", ppm as f64 / 1e4)
}

fn head(html: &mut String, scenario: &Scenario, summary: &Summary) {
    let _ = write!(
        html,
        "<header><p class=\"eyebrow\">cbdc simulate \u{b7} seed {}</p><h1>{}</h1><p class=\"lead\">{}</p></header>\
         <p class=\"verdict good\">{} households over {} days. {} hold a wallet; they keep EUR {} in CBDC, {} of \
         households' liquid money. Every balance sheet balanced to the cent on every day.</p>",
        summary.seed,
        escape(&scenario.name),
        escape(&scenario.description),
        count(summary.households),
        summary.days,
        percent(summary.adopters_share),
        short(summary.cbdc_households_minor),
        percent(summary.cbdc_of_liquid_wealth)
    );
    if summary.banks_failed > 0 {
        let _ = write!(
            html,
            "<p class=\"verdict warning\">{}</p>",
            match summary.banks_failed {
                1 => "One bank failed and was resolved.".to_owned(),
                failed => format!("{failed} banks failed and were resolved."),
            }
        );
    }
}

fn tiles(html: &mut String, results: &Results, summary: &Summary, wall_s: f64) {
    let household_days = summary.households as f64 * f64::from(summary.days);
    let signed = |share: f64| format!("{}{}", if share < 0.0 { "\u{2212}" } else { "+" }, percent(share.abs()));
    let rows = [
        (
            "CBDC of households",
            short(summary.cbdc_households_minor),
            format!("EUR, {} of liquid money", percent(summary.cbdc_of_liquid_wealth)),
        ),
        ("adopters", percent(summary.adopters_share), "of households have a wallet".to_owned()),
        ("deposits", signed(summary.deposits_change), format!("EUR {} at the end", short(summary.deposits_minor))),
        ("loans", signed(summary.loans_change), format!("EUR {} at the end", short(summary.loans_minor))),
        (
            "paid with CBDC",
            percent(summary.payments_cbdc_share),
            format!(
                "of {} payments; cash {}",
                count(summary.payments.max(0) as u64),
                percent(summary.payments_cash_share)
            ),
        ),
        ("deposit rate", rate(summary.deposit_rate_ppm), format!("loan rate {}", rate(summary.loan_rate_ppm))),
        (
            "commands on the ledger",
            short_count(summary.ledger_commands as f64),
            format!("{} refused by it", count(summary.ledger_refused)),
        ),
        (
            "household-days a second",
            short_count(household_days / wall_s.max(1e-9)),
            format!("{wall_s:.1} s, {} blocks", count(results.ledger.height)),
        ),
    ];
    // A number and its unit stay on one line.
    let together = |text: &str| escape(text).replace(" %", "\u{a0}%");
    html.push_str("<section class=\"tiles four\" aria-label=\"Headline figures\">");
    for (name, value, below) in rows {
        let _ = write!(
            html,
            "<div class=\"card tile\"><h2>{name}</h2><p class=\"value\">{}</p><p class=\"below\">{}</p></div>",
            together(&value),
            together(&below)
        );
    }
    html.push_str("</section>");
}

/// The most events that the page lists; all are in the table.
const EVENTS_MAX: usize = 200;

fn events(html: &mut String, results: &Results) {
    if results.event_rows.is_empty() {
        return;
    }
    html.push_str(
        "<section class=\"card\"><h2>Events</h2><div class=\"scroll\"><table><caption>Numbers are those of the marks \
         in the plots</caption><thead><tr><th scope=\"col\">#</th><th scope=\"col\">date</th><th scope=\"col\">by</th>\
         <th scope=\"col\">what</th><th scope=\"col\" class=\"number\">proposal</th>\
         <th scope=\"col\" class=\"number\">policy version</th></tr></thead><tbody>",
    );
    let marked = marked(results);
    for (at, event) in results.event_rows.iter().enumerate().take(EVENTS_MAX) {
        let number = marked.iter().position(|marked| *marked == at);
        let number = number.map(|number| (number + 1).to_string()).unwrap_or_default();
        let proposal = if event.proposal == 0 { String::new() } else { event.proposal.to_string() };
        let _ = write!(
            html,
            "<tr><td>{number}</td><td class=\"date\">{}</td><td>{}</td><td>{}</td><td class=\"number\">{proposal}</td>\
             <td class=\"number\">{}</td></tr>",
            event.date,
            escape(&event.kind),
            escape(&event.what),
            event.policy_version
        );
    }
    html.push_str("</tbody></table></div>");
    if let Some(more @ 1..) = results.event_rows.len().checked_sub(EVENTS_MAX) {
        let _ = write!(html, "<p class=\"note\">{} more are in the table of events.</p>", count(more as u64));
    }
    html.push_str("</section>");
}

fn ledger(html: &mut String, results: &Results) {
    let table = |html: &mut String, title: &str, rows: &std::collections::BTreeMap<String, u64>| {
        let _ = write!(html, "<div class=\"card\"><h2>{title}</h2><table><tbody>");
        for (name, number) in rows {
            let _ = write!(html, "<tr><td>{}</td><td class=\"number\">{}</td></tr>", escape(name), count(*number));
        }
        if rows.is_empty() {
            html.push_str("<tr><td>none</td></tr>");
        }
        html.push_str("</tbody></table></div>");
    };
    html.push_str("<section class=\"two\">");
    table(html, "Settled on the ledger", &results.ledger.kinds);
    table(html, "Refused by the ledger", &results.ledger.refusals);
    html.push_str("</section>");
}

fn policy(html: &mut String, scenario: &Scenario) {
    html.push_str(
        "<section class=\"card\"><details><summary>Policy at the start, as the ledger enforces it</summary>\
         <div class=\"scroll\"><table><tbody>",
    );
    for provision in scenario.values.policy.listed() {
        let _ = write!(
            html,
            "<tr><td><code>{}</code></td><td class=\"number\">{}</td><td>{}</td></tr>",
            escape(&provision.key),
            escape(&provision.value),
            escape(provision.meaning)
        );
    }
    html.push_str("</tbody></table></div></details></section>");
}

fn sources(html: &mut String, scenario: &Scenario) {
    html.push_str(
        "<section class=\"card\"><h2>Behaviours in force</h2><p class=\"note\">[S] read in the source or a report of \
         it, [A] abstract or report only, [K] known and not checked, [C] computed.</p>",
    );
    for behaviour in explain(scenario) {
        let _ = write!(
            html,
            "<details><summary>{} = {}</summary><p><code>{}</code></p><p>Source: {}.</p><div \
            class=\"scroll\"><table><tbody>",
            escape(behaviour.name),
            escape(behaviour.model),
            escape(behaviour.equation),
            escape(behaviour.source)
        );
        for parameter in &behaviour.parameters {
            let _ = write!(
                html,
                "<tr><td><code>{}</code></td><td class=\"number\">{}</td><td>{}</td></tr>",
                escape(&parameter.key),
                parameter.value,
                escape(parameter.meaning)
            );
        }
        html.push_str("</tbody></table></div></details>");
    }
    html.push_str("</section>");
}

fn repeat(html: &mut String, scenario: &Scenario, results: &Results, command: &str, wall_s: f64) {
    let values = serde_json::to_string_pretty(&scenario.values).unwrap_or_default();
    let last = results.macro_rows.last().cloned().unwrap_or_default();
    let _ = write!(
        html,
        "<section class=\"card\"><h2>Repeat it</h2><pre><code>{}</code></pre><dl><dt>Scenario</dt><dd>{}</dd>\
         <dt>Scenario hash</dt><dd><code>{}</code></dd><dt>Seed</dt><dd>{}</dd><dt>Digest of all results</dt>\
         <dd><code>{}</code></dd><dt>Last header of the ledger</dt><dd><code>{}</code></dd><dt>Version</dt><dd>{}</dd>\
         <dt>Time</dt><dd>{wall_s:.1} s</dd><dt>At the end</dt><dd>deposits EUR {}, CBDC EUR {}, loans EUR {}</dd></dl>\
         <details><summary>The scenario with every default written out</summary><pre><code>{}</code></pre></details>\
         <p class=\"note\">The same scenario hash and seed give the same digest on any machine and with any number of \
         threads. One run is one draw: a sweep shows the spread over seeds.</p></section>",
        escape(command),
        escape(scenario.file()),
        results.scenario_hash,
        results.seed,
        results.digest,
        results.ledger.tip,
        escape(&results.version),
        euro(last.deposits_households_minor + last.deposits_firms_minor + last.deposits_investors_minor),
        euro(last.cbdc_households_minor),
        euro(last.loans_minor),
        escape(&values)
    );
}
