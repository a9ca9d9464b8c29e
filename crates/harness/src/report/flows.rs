//! The page's section on flows: the terms of the supply over time, and the movements between wallets and deposits at
//! each bank.

use std::fmt::Write;

use super::format::money;
use super::plot::{Axis, Mark, Plot, Series, escape};
use crate::result::{BankDeposits, RunResult, SupplySample, SupplyTerms};

type Term = (&'static str, &'static str, fn(&SupplyTerms) -> i64);

/// The terms that policy moves, with their colours. Issuance and redemption are omitted: banks request them.
const TERMS: [Term; 8] = [
    ("interest", "c2", |terms| terms.interest_minor),
    ("demurrage", "c4", |terms| terms.demurrage_minor),
    ("waterfall", "c1", |terms| terms.waterfall_minor),
    ("reverse waterfall", "c3", |terms| terms.reverse_waterfall_minor),
    ("fees to equity", "c7", |terms| terms.fees_minor),
    ("unbacked issuance", "c5", |terms| terms.unbacked_minor),
    ("targeted", "c6", |terms| terms.targeted_minor),
    ("expired", "c4", |terms| terms.expired_minor),
];

/// A term's flow between successive samples, in minor units per second.
fn flow(samples: &[SupplySample], term: fn(&SupplyTerms) -> i64) -> Vec<f64> {
    let between = samples.windows(2).map(|pair| {
        let seconds = pair[1].at_s.saturating_sub(pair[0].at_s).max(1) as f64;
        term(&pair[1].terms).saturating_sub(term(&pair[0].terms)) as f64 / seconds
    });
    between.collect()
}

/// The last sample of each second.
fn by_second(samples: &[SupplySample]) -> Vec<SupplySample> {
    let mut kept: Vec<SupplySample> = Vec::with_capacity(samples.len());
    for sample in samples {
        match kept.last_mut() {
            Some(last) if last.at_s == sample.at_s => *last = *sample,
            _ => kept.push(*sample),
        }
    }
    kept
}

/// The flows of the terms that moved while the load ran; `None` if none did.
pub fn plot(result: &RunResult, marks: Vec<Mark>) -> Option<Plot> {
    let samples = by_second(&result.supply_over_time);
    let scale = 10_f64.powi(result.currency.exponent as i32);
    let moved = TERMS.into_iter().filter_map(|(name, colour, term)| {
        let flow = flow(&samples, term);
        let values = flow.iter().map(|minor| Some(minor / scale)).collect();
        flow.iter().any(|minor| *minor != 0.0).then(|| Series { name: name.to_owned(), colour, values })
    });
    let series: Vec<Series> = moved.collect();
    if series.is_empty() {
        return None;
    }
    let values = || series.iter().flat_map(|series| series.values.iter().flatten().copied());
    let (low, high) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    let code = &result.currency.code;
    let names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
    Some(Plot {
        title: format!("Flows of the supply, {code} a second"),
        description: format!("By how much each term of the supply grew a second: {}.", names.join(", ")),
        x_unit: "s".to_owned(),
        y_unit: format!("{code}/s"),
        x: Axis::linear("seconds from the start of the load", 0.0, samples.last()?.at_s as f64, false),
        y: Axis::linear(&format!("{code} a second"), low, high * 1.02, true),
        positions: samples.windows(2).map(|pair| (pair[0].at_s + pair[1].at_s) as f64 / 2.0).collect(),
        series,
        stacked: false,
        bound: None,
        marks,
        shaded_to: Some(result.shape.warm_up_s),
        note: Some("Terms that did not move are left out. The supply is sampled once a second.".to_owned()),
    })
}

/// Each bank's deposits compared with the chain's flows (I3), and the waterfall by bank.
pub fn deposits(html: &mut String, result: &RunResult) {
    if result.deposits.is_empty() {
        return;
    }
    let code = escape(&result.currency.code);
    let head = |name: &str| format!("<th scope=\"col\" class=\"number\">{name}</th>");
    let columns =
        ["before", "credited", "funded", "defunded", "waterfall", "reverse waterfall", "expected", "at the end"];
    let columns: String = columns.into_iter().map(head).collect();
    let _ = write!(
        html,
        "<section class=\"card\"><h2>Deposits at the banks (I3)</h2><div class=\"scroll\"><table>\
         <caption>Deposits and what is in transit, {code}, over the whole run, set-up included; flows from the audited \
         chain, balances as the banks report them before and at the end</caption><thead><tr>\
         <th scope=\"col\">bank</th>{columns}<th scope=\"col\">verdict</th></tr></thead><tbody>"
    );
    let amount = |minor: i64| money(minor, &result.currency);
    for (name, bank) in &result.deposits {
        let _ = write!(html, "<tr><td>{}</td>", escape(name));
        let BankDeposits { before_minor, credited_minor, funded_minor, defunded_minor, .. } = *bank;
        let flows = [-funded_minor, defunded_minor, bank.waterfall_minor, -bank.reverse_waterfall_minor];
        for minor in [before_minor, credited_minor].into_iter().chain(flows).chain([bank.expected_minor]) {
            let _ = write!(html, "<td class=\"number\">{}</td>", amount(minor));
        }
        let after = bank.after_minor.map_or("not read".to_owned(), amount);
        let _ = write!(html, "<td class=\"number\">{after}</td><td>{}</td></tr>", verdict(bank));
    }
    html.push_str("</tbody></table></div>");
    if result.deposits.values().any(|bank| bank.waterfall_minor != 0 || bank.reverse_waterfall_minor != 0) {
        waterfall_by_bank(html, result);
    }
    html.push_str("</section>");
}

fn verdict(bank: &BankDeposits) -> String {
    match (&bank.note, bank.agrees) {
        (Some(note), _) => format!("<span class=\"fail\">! {}</span>", escape(note)),
        (None, true) => "<span class=\"ok\">\u{2713} equal</span>".to_owned(),
        (None, false) => "<span class=\"fail\">! not equal</span>".to_owned(),
    }
}

fn waterfall_by_bank(html: &mut String, result: &RunResult) {
    let _ = write!(
        html,
        "<h3>Waterfall by bank</h3><div class=\"scroll\"><table><caption>Moved between wallets and deposits by the \
         waterfall, {}</caption><thead><tr><th scope=\"col\">bank</th>\
         <th scope=\"col\" class=\"number\">to deposits before the load</th>\
         <th scope=\"col\" class=\"number\">in it</th>\
         <th scope=\"col\" class=\"number\">from deposits before the load</th>\
         <th scope=\"col\" class=\"number\">in it</th></tr></thead><tbody>",
        escape(&result.currency.code)
    );
    for (name, bank) in &result.deposits {
        let figures = [
            bank.waterfall_minor.saturating_sub(bank.waterfall_in_load_minor),
            bank.waterfall_in_load_minor,
            bank.reverse_waterfall_minor.saturating_sub(bank.reverse_waterfall_in_load_minor),
            bank.reverse_waterfall_in_load_minor,
        ];
        let _ = write!(html, "<tr><td>{}</td>", escape(name));
        for minor in figures {
            let _ = write!(html, "<td class=\"number\">{}</td>", money(minor, &result.currency));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn only_terms_that_moved_are_drawn_and_by_the_second() {
        let plot = plot(&sample::full_run(), Vec::new()).expect("two terms moved");
        let names: Vec<&str> = plot.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["waterfall", "fees to equity"]);
        assert_eq!(plot.series[1].values.first(), Some(&Some(410.0)));
        assert_eq!(plot.positions.len(), plot.series[0].values.len());
    }

    #[test]
    fn a_gap_in_the_samples_is_spread_over_its_seconds_and_a_second_is_counted_once() {
        let at = |at_s, waterfall_minor| SupplySample {
            at_s,
            terms: SupplyTerms { waterfall_minor, ..SupplyTerms::default() },
        };
        let samples = by_second(&[at(0, 0), at(1, 5), at(1, 10), at(5, 50)]);
        assert_eq!(flow(&samples, |terms| terms.waterfall_minor), [10.0, 10.0]);
        assert!(plot(&RunResult::default(), Vec::new()).is_none());
    }

    #[test]
    fn a_bank_whose_deposits_differ_stands_out() {
        let mut result = sample::full_run();
        let mut html = String::new();
        deposits(&mut html, &result);
        assert!(html.contains("Waterfall by bank") && !html.contains("not equal"));
        result.deposits.get_mut("bank-2").expect("a bank").agrees = false;
        html.clear();
        deposits(&mut html, &result);
        assert!(html.contains("not equal"));
    }
}
