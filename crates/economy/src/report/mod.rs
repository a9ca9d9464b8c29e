//! `report.html`: one self-contained page that loads nothing from any network.
//!
//! From top to bottom: scenario and headline figures; money, prices and rates; banks; payments; holdings against
//! the limit; events; the provenance of every figure: scenario hash, seed, digest, and each behaviour with its source
//! and the values in force.

use std::fmt::Write;

use cbdc_report::format::{count, percent, rounded};
use cbdc_report::page::document;
use cbdc_report::plot::{Axis, Bar, Mark, Plot, Series, bars, escape};

use crate::explain::explain;
use crate::results::{BankRow, MacroRow, PaymentRow, Results, Summary};
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

/// A drawing over the days of the simulation.
struct Drawing<'a> {
    title: &'a str,
    description: String,
    unit: &'a str,
    series: Vec<Series>,
    stacked: bool,
    from_zero: bool,
    bound: Option<(f64, String)>,
    note: Option<String>,
}

fn plots(html: &mut String, scenario: &Scenario, results: &Results) {
    html.push_str("<section class=\"plots\" aria-label=\"Plots\">");
    let days: Vec<f64> = results.macro_rows.iter().map(|row| row.day as f64).collect();
    let marks = marks(results);
    let mut number = 0;
    for drawing in drawings(scenario, results) {
        number += 1;
        html.push_str(&plot(drawing, &days, &marks).figure(number));
    }
    html.push_str(&holdings(results, number + 1));
    html.push_str("</section>");
}

/// The indices of the events that plots mark with numbers: the first nine that no rule decided, since rules decide
/// often; if there are fewer, the first decisions of rules as well.
fn marked(results: &Results) -> Vec<usize> {
    const MOST: usize = 9;
    let of_kind = |by_rule: bool| {
        let is_wanted = move |kind: &str| kind != "run" && (kind == "rule") == by_rule;
        (0..results.event_rows.len()).filter(move |at| is_wanted(&results.event_rows[*at].kind))
    };
    let mut marked: Vec<usize> = of_kind(false).chain(of_kind(true)).take(MOST).collect();
    marked.sort_unstable();
    marked
}

fn marks(results: &Results) -> Vec<Mark> {
    let told = marked(results).into_iter().map(|at| &results.event_rows[at]);
    told.map(|event| Mark { at: event.day as f64, label: format!("{}: {}", event.date, event.what) }).collect()
}

fn plot(drawing: Drawing<'_>, days: &[f64], marks: &[Mark]) -> Plot {
    let values = || drawing.series.iter().flat_map(|series| series.values.iter().flatten().copied());
    let top = if drawing.stacked {
        (0..days.len())
            .map(|index| {
                drawing.series.iter().filter_map(|series| series.values.get(index).copied().flatten()).sum::<f64>()
            })
            .fold(0.0, f64::max)
    } else {
        values().fold(f64::NEG_INFINITY, f64::max)
    };
    let top = drawing.bound.as_ref().map_or(top, |(bound, _)| top.max(*bound));
    let least = values().fold(f64::INFINITY, f64::min);
    let pad = ((top - least) * 0.08).max(top.abs() * 1e-4).max(1e-6);
    let low = if drawing.from_zero { least.min(0.0) } else { least - pad };
    let end = days.last().copied().unwrap_or(1.0);
    Plot {
        title: drawing.title.to_owned(),
        description: drawing.description,
        x_unit: "days".to_owned(),
        y_unit: drawing.unit.to_owned(),
        x: Axis::linear("days from the start", 0.0, end, false),
        y: Axis::linear(drawing.unit, low, top + if drawing.from_zero { 0.0 } else { pad }, true),
        positions: days.to_vec(),
        series: drawing.series,
        stacked: drawing.stacked,
        bound: drawing.bound,
        marks: marks.to_vec(),
        shaded_to: None,
        note: drawing.note,
    }
}

/// The most events that the page lists; all are in the table.
const EVENTS_MAX: usize = 200;

type Column = fn(&MacroRow) -> f64;
type BankColumn = fn(&BankRow) -> i64;

fn major(minor: i64) -> f64 {
    minor as f64 / 100.0
}

fn share_of(ppm: i64) -> f64 {
    ppm as f64 / 1e4
}

fn lines(results: &Results, columns: &[(&str, &'static str, Column)]) -> Vec<Series> {
    let series = |(name, colour, value): &(&str, &'static str, Column)| Series {
        name: (*name).to_owned(),
        colour,
        values: results.macro_rows.iter().map(|row| Some(value(row))).collect(),
    };
    columns.iter().map(series).collect()
}

fn drawings<'a>(scenario: &Scenario, results: &Results) -> Vec<Drawing<'a>> {
    let last = results.macro_rows.last().cloned().unwrap_or_default();
    let plain = |title, description: String, unit, series| Drawing {
        title,
        description,
        unit,
        series,
        stacked: false,
        from_zero: false,
        bound: None,
        note: None,
    };
    let households = results.households.max(1) as f64;
    let mut all = vec![
        Drawing {
            from_zero: true,
            note: Some("Household by household the limit holds on every credit; this is the sum.".to_owned()),
            ..plain(
                "CBDC of households",
                format!("CBDC in households' wallets, EUR {} at the end.", short(last.cbdc_households_minor)),
                "EUR",
                lines(results, &[("CBDC of households", "c2", |row| major(row.cbdc_households_minor))]),
            )
        },
        Drawing {
            from_zero: true,
            ..plain(
                "Adoption",
                format!("Households with a wallet: {} at the end.", count(last.adopters.max(0) as u64)),
                "households",
                lines(
                    results,
                    &[
                        ("with a wallet", "c1", |row| row.adopters as f64),
                        ("at the limit", "c5", |row| row.at_limit as f64),
                    ],
                ),
            )
        },
        Drawing {
            stacked: true,
            from_zero: true,
            ..plain(
                "Households' money",
                "Stacked: households' deposits, banknotes in circulation, CBDC.".to_owned(),
                "EUR",
                lines(
                    results,
                    &[
                        ("deposits", "c1", |row| major(row.deposits_households_minor)),
                        ("banknotes", "c3", |row| major(row.cash_minor)),
                        ("CBDC", "c2", |row| major(row.cbdc_households_minor)),
                    ],
                ),
            )
        },
        Drawing {
            from_zero: true,
            ..plain(
                "Banknotes and CBDC",
                "Banknotes outside banks, and CBDC of households.".to_owned(),
                "EUR",
                lines(
                    results,
                    &[
                        ("banknotes", "c3", |row| major(row.cash_minor)),
                        ("CBDC", "c2", |row| major(row.cbdc_households_minor)),
                    ],
                ),
            )
        },
        plain(
            "Rates",
            format!(
                "Yearly rates; at the end deposits earn {}, loans cost {}.",
                rate(last.deposit_rate_ppm),
                rate(last.loan_rate_ppm)
            ),
            "% a year",
            lines(
                results,
                &[
                    ("policy", "c1", |row| share_of(row.policy_rate_ppm)),
                    ("deposits", "c2", |row| share_of(row.deposit_rate_ppm)),
                    ("loans", "c5", |row| share_of(row.loan_rate_ppm)),
                    ("CBDC", "c6", |row| share_of(row.cbdc_rate_ppm)),
                ],
            ),
        ),
        plain(
            "Inflation and output gap",
            "Yearly inflation, and real spending against its normal level.".to_owned(),
            "%",
            lines(
                results,
                &[
                    ("inflation", "c5", |row| share_of(row.inflation_ppm)),
                    ("output gap", "c1", |row| share_of(row.output_gap_ppm)),
                ],
            ),
        ),
        Drawing {
            stacked: true,
            from_zero: true,
            ..plain(
                "Banks' assets",
                "Stacked: all banks' reserves, deposit facility, vault cash, bonds and loans.".to_owned(),
                "EUR",
                bank_stack(
                    results,
                    &[
                        ("loans", "c1", |row| row.loans_minor),
                        ("bonds", "c6", |row| row.bonds_minor),
                        ("reserves", "c2", |row| row.reserves_minor),
                        ("deposit facility", "c5", |row| row.deposit_facility_minor),
                        ("vault and treasury", "c3", |row| row.vault_minor + row.treasury_minor),
                    ],
                ),
            )
        },
        Drawing {
            stacked: true,
            from_zero: true,
            ..plain(
                "Banks' liabilities and equity",
                "Stacked: deposits, wholesale funding, loans of the central bank, equity.".to_owned(),
                "EUR",
                bank_stack(
                    results,
                    &[
                        ("deposits", "c1", |row| row.deposits_minor),
                        ("wholesale", "c6", |row| row.wholesale_minor),
                        ("central bank", "c5", |row| row.central_bank_loans_minor),
                        ("equity", "c7", |row| row.equity_minor.max(0)),
                    ],
                ),
            )
        },
        Drawing {
            from_zero: true,
            ..plain(
                "Banks at the central bank",
                "Reserves and deposit facility, and loans of the central bank.".to_owned(),
                "EUR",
                lines(
                    results,
                    &[
                        ("reserves and facility", "c2", |row| major(row.reserves_minor + row.deposit_facility_minor)),
                        ("loans", "c5", |row| major(row.central_bank_loans_minor)),
                    ],
                ),
            )
        },
        Drawing {
            stacked: true,
            from_zero: true,
            ..plain(
                "The central bank's liabilities and equity",
                "Stacked: reserves, deposit facility, banknotes, CBDC, government, equity.".to_owned(),
                "EUR",
                lines(
                    results,
                    &[
                        ("banknotes", "c3", |row| major(row.cash_minor + row.vault_minor)),
                        ("reserves", "c1", |row| major(row.reserves_minor)),
                        ("deposit facility", "c5", |row| major(row.deposit_facility_minor)),
                        ("CBDC", "c2", |row| {
                            major(row.cbdc_households_minor + row.cbdc_firms_minor + row.cbdc_treasuries_minor)
                        }),
                        ("government", "c6", |row| major(row.government_minor)),
                        ("equity", "c7", |row| major(row.central_bank_equity_minor.max(0))),
                    ],
                ),
            )
        },
        Drawing {
            from_zero: true,
            bound: scenario
                .values
                .policy
                .holding_limit_minor
                .map(|limit| (major(limit as i64), "limit at the start".to_owned())),
            ..plain(
                "Holdings of adopters",
                "Percentiles of CBDC in the wallets of households that have one.".to_owned(),
                "EUR",
                percentiles(results),
            )
        },
        Drawing {
            stacked: true,
            from_zero: true,
            ..plain(
                "Payments by instrument",
                "Payments a household and day, stacked by instrument, without bills.".to_owned(),
                "a household and day",
                payments(results, households),
            )
        },
        Drawing {
            from_zero: true,
            ..plain(
                "Waterfalls",
                "Of CBDC payments: what came from deposits and what went to deposits, EUR a period.".to_owned(),
                "EUR a period",
                waterfalls(results),
            )
        },
        Drawing {
            from_zero: true,
            ..plain(
                "Spending and income",
                "Household consumption and income after tax in each period.".to_owned(),
                "EUR a period",
                lines(
                    results,
                    &[
                        ("consumption", "c1", |row| major(row.consumption_minor)),
                        ("income", "c2", |row| major(row.income_minor)),
                    ],
                ),
            )
        },
    ];
    if results.macro_rows.iter().any(|row| row.fees_minor != 0) {
        all.push(Drawing {
            from_zero: true,
            ..plain(
                "Fees",
                "Fees on CBDC payments in each period, of payers and merchants.".to_owned(),
                "EUR a period",
                lines(results, &[("fees", "c3", |row| major(row.fees_minor))]),
            )
        });
    }
    let trust_moved = results.macro_rows.iter().any(|row| row.trust_banks < 0.999 || row.trust_cbdc < 0.999);
    if trust_moved {
        all.push(Drawing {
            from_zero: true,
            ..plain(
                "Trust",
                "Mean trust in banks, and trust in CBDC; 1 is full trust.".to_owned(),
                "1 is full trust",
                lines(results, &[("banks", "c1", |row| row.trust_banks), ("CBDC", "c2", |row| row.trust_cbdc)]),
            )
        });
    }
    all
}

fn bank_stack(results: &Results, columns: &[(&str, &'static str, BankColumn)]) -> Vec<Series> {
    let series = |(name, colour, value): &(&str, &'static str, BankColumn)| {
        let mut sums = std::collections::BTreeMap::new();
        results.bank_rows.iter().for_each(|row| *sums.entry(row.day).or_insert(0) += value(row));
        let values = results.macro_rows.iter().map(|row| sums.get(&row.day).map(|sum| major(*sum))).collect();
        Series { name: (*name).to_owned(), colour, values }
    };
    columns.iter().map(series).collect()
}

fn percentiles(results: &Results) -> Vec<Series> {
    let series = |(percentile, name, colour): (i64, &str, &'static str)| {
        let rows = results.household_rows.iter().filter(|row| row.percentile == percentile);
        Series { name: name.to_owned(), colour, values: rows.map(|row| Some(major(row.cbdc_minor))).collect() }
    };
    [(10, "10 %", "c3"), (50, "median", "c1"), (90, "90 %", "c5"), (99, "99 %", "c6")].map(series).to_vec()
}

fn of_instrument<'r>(results: &'r Results, instrument: &'r str) -> impl Iterator<Item = &'r PaymentRow> {
    results.payment_rows.iter().filter(move |row| row.instrument == instrument)
}

fn payments(results: &Results, households: f64) -> Vec<Series> {
    let days: Vec<f64> = results.macro_rows.windows(2).map(|pair| (pair[1].day - pair[0].day).max(1) as f64).collect();
    let series = |(instrument, name, colour): (&'static str, &str, &'static str)| {
        // No payments yet at the opening.
        let counts = of_instrument(results, instrument).zip(&days);
        let mut values = vec![None];
        values.extend(counts.map(|(row, days)| Some(row.count as f64 / households / days)));
        Series { name: name.to_owned(), colour, values }
    };
    [("deposit", "from the deposit", "c1"), ("cash", "banknotes", "c3"), ("cbdc", "CBDC", "c2")].map(series).to_vec()
}

fn waterfalls(results: &Results) -> Vec<Series> {
    let series = |(name, colour, value): (&str, &'static str, fn(&PaymentRow) -> i64)| {
        let mut values = vec![None];
        values.extend(of_instrument(results, "cbdc").map(|row| Some(major(value(row)))));
        Series { name: name.to_owned(), colour, values }
    };
    vec![
        series(("from deposits (reverse waterfall)", "c5", |row| row.reverse_waterfall_minor)),
        series(("to deposits (waterfall)", "c2", |row| row.waterfall_minor)),
    ]
}

fn holdings(results: &Results, number: usize) -> String {
    let whole: u64 = results.holdings_of_limit.iter().sum();
    if whole == 0 {
        return String::new();
    }
    let name = |tenth: usize| match tenth {
        10 => "above the limit".to_owned(),
        _ => format!("{} \u{2013} {} %", tenth * 10, tenth * 10 + 10),
    };
    let bar = |(tenth, wallets): (usize, &u64)| Bar {
        name: name(tenth),
        colour: "c2",
        value: *wallets as f64,
        label: format!("{} ({})", count(*wallets), percent(*wallets as f64 / whole as f64)),
    };
    let rows: Vec<Bar> = results.holdings_of_limit.iter().enumerate().map(bar).collect();
    format!(
        "<figure class=\"card plot\"><figcaption><h3>Wallets by how full they are, at the end</h3></figcaption>{}\
         <p class=\"note\">CBDC of a household against the holding limit in force. Above it are those who held more when \
         the limit was lowered, or received interest.</p></figure>",
        bars(number, "Wallets by share of the limit", "Wallets by tenths of the holding limit.", 130.0, &rows)
    )
}

fn events(html: &mut String, results: &Results) {
    if results.event_rows.is_empty() {
        return;
    }
    html.push_str(
        "<section class=\"card\"><h2>Events</h2><div class=\"scroll\"><table><caption>Numbers are those of the marks in the \
         plots</caption><thead><tr><th scope=\"col\">#</th><th scope=\"col\">date</th><th scope=\"col\">by</th>\
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
        "<section class=\"card\"><details><summary>Policy at the start, as the ledger enforces it</summary><div class=\"scroll\">\
         <table><tbody>",
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
        "<section class=\"card\"><h2>Behaviours in force</h2><p class=\"note\">[S] read in the source or a report of it, \
         [A] abstract or report only, [K] known and not checked, [C] computed.</p>",
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
        "<section class=\"card\"><h2>Repeat it</h2><pre><code>{}</code></pre><dl><dt>Scenario</dt><dd>{}</dd><dt>Scenario hash</dt>\
         <dd><code>{}</code></dd><dt>Seed</dt><dd>{}</dd><dt>Digest of all results</dt><dd><code>{}</code></dd>\
         <dt>Last header of the ledger</dt><dd><code>{}</code></dd><dt>Version</dt><dd>{}</dd><dt>Time</dt><dd>{wall_s:.1} s</dd>\
         <dt>At the end</dt><dd>deposits EUR {}, CBDC EUR {}, loans EUR {}</dd></dl>\
         <details><summary>The scenario with every default written out</summary><pre><code>{}</code></pre></details>\
         <p class=\"note\">The same scenario hash and seed give the same digest on any machine and with any number of threads. One run \
         is one draw: a sweep shows the spread over seeds.</p></section>",
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
