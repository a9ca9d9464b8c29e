//! Balance sheets at the end of the runs: all banks together, and the central bank.
//!
//! Positions are means over seeds: means of balanced balance sheets balance too, medians would not.

use std::fmt::Write;

use cbdc_report::format::rounded;
use cbdc_report::plot::escape;

use super::plot_data::{DesignData, PlotData};
use crate::summary::Merged;

/// The most designs whose balance sheets are shown.
const DESIGNS_MAX: usize = 12;

/// A line of a balance sheet: its name, and the columns that it sums.
type Line = (&'static str, &'static [&'static str]);

const BANKS_ASSETS: [Line; 6] = [
    ("loans", &["banks.loans_minor"]),
    ("government bonds", &["banks.bonds_minor"]),
    ("reserves", &["banks.reserves_minor"]),
    ("deposit facility", &["banks.deposit_facility_minor"]),
    ("banknotes and CBDC", &["banks.vault_minor", "banks.treasury_minor"]),
    ("claims on failed banks", &["banks.estate_minor"]),
];

const BANKS_LIABILITIES: [Line; 4] = [
    ("deposits", &["banks.deposits_minor"]),
    ("wholesale funding", &["banks.wholesale_minor"]),
    ("central bank", &["banks.central_bank_loans_minor"]),
    ("equity", &["banks.equity_minor"]),
];

const CENTRAL_BANK_ASSETS: [Line; 2] =
    [("loans to banks", &["macro.central_bank_loans_minor"]), ("securities", &["macro.central_bank_securities_minor"])];

const CENTRAL_BANK_LIABILITIES: [Line; 6] = [
    ("banknotes", &["macro.cash_minor", "macro.vault_minor"]),
    ("CBDC", &["macro.cbdc_households_minor", "macro.cbdc_firms_minor", "macro.cbdc_treasuries_minor"]),
    ("reserves", &["macro.reserves_minor"]),
    ("deposit facility", &["macro.deposit_facility_minor"]),
    ("government", &["macro.government_minor"]),
    ("equity", &["macro.central_bank_equity_minor"]),
];

/// Writes the balance sheets of all designs side by side.
pub fn write(html: &mut String, merged: &Merged, plot_data: &PlotData) {
    let designs: Vec<&DesignData> =
        plot_data.designs.iter().filter(|design| design.runs > 0).take(DESIGNS_MAX).collect();
    html.push_str("<section class=\"card\"><h2>Balance sheets at the end</h2>");
    sheet(html, "All banks", &designs, &BANKS_ASSETS, &BANKS_LIABILITIES);
    sheet(html, "Central bank", &designs, &CENTRAL_BANK_ASSETS, &CENTRAL_BANK_LIABILITIES);
    let first = match merged.designs.len() {
        all if all > DESIGNS_MAX => format!("The first {DESIGNS_MAX} of {all} designs. "),
        _ => String::new(),
    };
    let _ = write!(
        html,
        "<p class=\"note\">{first}Means over seeds, thousands of euros, rounded. In every run both sides are equal to \
         the cent on every day; otherwise the run would have no results.</p></section>"
    );
}

fn sheet(html: &mut String, name: &str, designs: &[&DesignData], assets: &[Line], liabilities: &[Line]) {
    let _ = write!(
        html,
        "<div class=\"scroll\"><table><caption>{name}, EUR thousand</caption><thead><tr><th scope=\"col\"></th>"
    );
    for design in designs {
        let _ = write!(html, "<th scope=\"col\" class=\"number\">{}</th>", escape(&design.name));
    }
    html.push_str("</tr></thead><tbody>");
    side(html, "assets", designs, assets);
    side(html, "liabilities and equity", designs, liabilities);
    html.push_str("</tbody></table></div>");
}

fn side(html: &mut String, name: &str, designs: &[&DesignData], lines: &[Line]) {
    let thousands = |minor: f64| match rounded(minor / 1e5).as_str() {
        "-0" => "0".to_owned(),
        told => told.replace('-', "\u{2212}"),
    };
    let sum = |design: &DesignData, columns: &[&str]| columns.iter().map(|column| design.position(column)).sum::<f64>();
    for (line, columns) in lines {
        let _ = write!(html, "<tr><td>{line}</td>");
        for design in designs {
            let _ = write!(html, "<td class=\"number\">{}</td>", thousands(sum(design, columns)));
        }
        html.push_str("</tr>");
    }
    let _ = write!(html, "<tr><th scope=\"row\">{name}</th>");
    for design in designs {
        let whole: f64 = lines.iter().map(|(_, columns)| sum(design, columns)).sum();
        let _ = write!(html, "<td class=\"number\"><b>{}</b></td>", thousands(whole));
    }
    html.push_str("</tr>");
}
