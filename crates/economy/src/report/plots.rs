//! The plots of the page over the days of a simulation: money, prices and rates, balance sheets, payments, holdings.

use cbdc_report::format::{count, percent};
use cbdc_report::plot::{Axis, Bar, Mark, Plot, Series, bars};

use super::{rate, short};
use crate::results::{BankRow, MacroRow, PaymentRow, Results};
use crate::scenario::Scenario;

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

fn plain<'a>(title: &'a str, description: String, unit: &'a str, series: Vec<Series>) -> Drawing<'a> {
    Drawing { title, description, unit, series, stacked: false, from_zero: false, bound: None, note: None }
}

pub(super) fn plots(html: &mut String, scenario: &Scenario, results: &Results) {
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
pub(super) fn marked(results: &Results) -> Vec<usize> {
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

/// Every drawing of the page but the holdings by tenths of the limit, in the page's order.
fn drawings<'a>(scenario: &Scenario, results: &Results) -> Vec<Drawing<'a>> {
    let mut all = money(results);
    all.extend(prices(results));
    all.extend(balance_sheets(results));
    all.extend(payments_and_holdings(scenario, results));
    all.extend(only_where_they_moved(results));
    all
}

/// Households' money, by kind.
fn money<'a>(results: &Results) -> Vec<Drawing<'a>> {
    let last = results.macro_rows.last().cloned().unwrap_or_default();
    vec![
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
    ]
}

/// Rates, and what they do to prices and spending.
fn prices<'a>(results: &Results) -> Vec<Drawing<'a>> {
    let last = results.macro_rows.last().cloned().unwrap_or_default();
    vec![
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
    ]
}

/// The balance sheets of all banks together and of the central bank.
fn balance_sheets<'a>(results: &Results) -> Vec<Drawing<'a>> {
    vec![
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
    ]
}

/// What people hold and pay.
fn payments_and_holdings<'a>(scenario: &Scenario, results: &Results) -> Vec<Drawing<'a>> {
    let households = results.households.max(1) as f64;
    vec![
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
    ]
}

/// Fees and trust, each only where it moved.
fn only_where_they_moved<'a>(results: &Results) -> Vec<Drawing<'a>> {
    let mut all = Vec::new();
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
         <p class=\"note\">CBDC of a household against the holding limit in force. Above it are those who held more \
         when the limit was lowered, or received interest.</p></figure>",
        bars(number, "Wallets by share of the limit", "Wallets by tenths of the holding limit.", 130.0, &rows)
    )
}
