//! Static outflow: the deposits that leave banks if everyone fills a wallet up to the limit.
//!
//! Outflow = Σ min(depositᵢ, limit), exact in minor units for a *given* distribution; monotone and concave in the limit
//! for any distribution, so neither property is evidence.
//!
//! The distribution itself is ours: a log-normal with a published mean, cut into classes of equally many holders, whose
//! spread is set so that 699 bn leave at 3,000. That figure is calibration. The curve can only be
//! judged by its distance from figures that it was not fitted to. The European Central Bank's bank-level data are
//! confidential, and its 699 bn count every eligible wallet as full.
//!
//! Sources: ECB technical note of October 2025 (699 bn at 3,000, 8.2 % of 8.52 tn), Copenhagen Economics (739 bn at
//! 3,000, 10 % of household deposits), ECB working paper 2980 (0.10 to 0.38 tn at 3,000).

use cbdc_scenario_file::Section;

use super::ReplicationError;
use super::comparison::{Chart, Claim, Comparison, Kind, Line, Outcome, Quantity, Table};
use super::normal;
use super::parameters::{Origin, Reader};

const ECB_NOTE: &str = "ECB technical note, October 2025, read in reports of it";
const COPENHAGEN: &str = "Copenhagen Economics";
const WORKING_PAPER: &str = "ECB working paper 2980";

/// Minor units in one of the currency.
const MINOR: u64 = 100;

/// A class of holders with the same deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HolderClass {
    /// Number of holders.
    pub holders: u64,
    /// Deposit of each, in minor units.
    pub deposit_minor: u64,
}

/// Σ min(deposit, limit) over all holders, in minor units.
pub fn outflow_minor(classes: &[HolderClass], limit_minor: u64) -> u128 {
    classes.iter().map(|class| u128::from(class.holders) * u128::from(class.deposit_minor.min(limit_minor))).sum()
}

/// Log-normal deposits cut into `classes` of (nearly) equally many holders, each class at the mean of its slice of the
/// distribution, so that the classes together hold `total` whatever the spread.
///
/// `deviation` is that of the deposit's logarithm.
pub fn log_normal(holders: u64, total: f64, deviation: f64, classes: u64) -> Vec<HolderClass> {
    slices(holders, total, deviation, &quantiles(classes))
}

/// The points that cut a standard normal distribution into `classes` equal parts.
fn quantiles(classes: u64) -> Vec<f64> {
    (1..classes).map(|class| normal::quantile(class as f64 / classes as f64)).collect()
}

fn slices(holders: u64, total: f64, deviation: f64, quantiles: &[f64]) -> Vec<HolderClass> {
    let classes = quantiles.len() as u64 + 1;
    let mean = total / holders as f64;
    // The share of all deposits that belongs to holders below a quantile z is Φ(z − σ).
    let held_below = |class: u64| match quantiles.get(class as usize - 1) {
        Some(quantile) => normal::cumulative(quantile - deviation),
        None => 1.0,
    };
    let mut below = 0.0;
    let mut taken = 0;
    (1..=classes)
        .map(|class| {
            let up_to = held_below(class);
            let average = mean * (up_to - below) * classes as f64;
            let last = (u128::from(holders) * u128::from(class) / u128::from(classes)) as u64;
            let class =
                HolderClass { holders: last - taken, deposit_minor: libm::round(average * MINOR as f64) as u64 };
            (below, taken) = (up_to, last);
            class
        })
        .collect()
}

/// The deviation at which `outflow` leaves at `limit`, by bisection; `None` if no deviation between 0.01 and 8 does it.
pub fn deviation_for(holders: u64, total: f64, limit: f64, outflow: f64, classes: u64) -> Option<f64> {
    let limit_minor = libm::round(limit * MINOR as f64) as u64;
    let quantiles = quantiles(classes);
    let at = |deviation| major(outflow_minor(&slices(holders, total, deviation, &quantiles), limit_minor));
    let (mut low, mut high) = (0.01, 8.0);
    // The wider the distribution, the less most holders have, and the less leaves.
    if at(low) < outflow || at(high) > outflow {
        return None;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if at(middle) > outflow {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(0.5 * (low + high))
}

fn major(minor: u128) -> f64 {
    minor as f64 / MINOR as f64
}

/// The parameters of the scenario.
struct Given {
    holders: u64,
    total: f64,
    limit: f64,
    outflow: f64,
    classes: u64,
    other_total: f64,
    other_outflow: f64,
    largest_limit: f64,
}

/// Reads the scenario, calibrates the distribution and compares the curve with figures that it was not fitted to.
///
/// # Errors
/// A mistake in the scenario, or a distribution that cannot give the outflow asked for.
pub fn compare(root: &mut Section<'_>) -> Result<Comparison, ReplicationError> {
    let mut reader = Reader::new(root.section("deposits")?, "deposits");
    let published = Origin::Published;
    let given = Given {
        holders: reader.integer(
            "holders",
            1..=10_000_000_000,
            350_000_000,
            Origin::Ours,
            "people with a deposit: about the euro area's population",
        )?,
        total: reader.number("total_bn", 1.0..=1e6, 8_520.0, published, "retail sight deposits, bn (ECB note)")? * 1e9,
        limit: reader.number("limit", 1.0..=1e7, 3_000.0, published, "limit of the figure calibrated to")?,
        outflow: reader.number("outflow_bn", 0.001..=1e6, 699.0, published, "outflow calibrated to, bn (ECB note)")?
            * 1e9,
        classes: reader.integer("classes", 10..=100_000, 2_000, Origin::Run, "classes of equally many holders")?,
        other_total: reader.number(
            "other_total_bn",
            1.0..=1e6,
            7_390.0,
            published,
            "household deposits, bn (Copenhagen Economics)",
        )? * 1e9,
        other_outflow: reader.number(
            "other_outflow_bn",
            0.001..=1e6,
            739.0,
            published,
            "outflow at the same limit, bn (Copenhagen Economics)",
        )? * 1e9,
        largest_limit: reader.number("largest_limit", 10.0..=1e7, 20_000.0, Origin::Run, "largest limit drawn")?,
    };
    let mut parameters = reader.end()?;
    let deviation =
        deviation_for(given.holders, given.total, given.limit, given.outflow, given.classes).ok_or_else(|| {
            ReplicationError::NoCalibration {
                what: "the spread of deposits".to_owned(),
                expected: format!(
                    "an outflow at the limit below that of equal deposits, {:.0} bn",
                    (given.holders as f64 * given.limit).min(given.total) / 1e9
                ),
                found: format!("{:.0} bn", given.outflow / 1e9),
            }
        })?;
    parameters.push(super::parameters::Parameter {
        key: "deposits.deviation".to_owned(),
        value: format!("{deviation:.6}"),
        meaning: "standard deviation of the deposit's logarithm, found by bisection",
        origin: Origin::Calibrated,
    });
    let classes = log_normal(given.holders, given.total, deviation, given.classes);
    Ok(page(&given, &classes, deviation, parameters))
}

fn page(
    given: &Given,
    classes: &[HolderClass],
    deviation: f64,
    parameters: Vec<super::parameters::Parameter>,
) -> Comparison {
    let at = |limit: f64| major(outflow_minor(classes, libm::round(limit * MINOR as f64) as u64));
    Comparison {
        name: "static-outflow",
        title: "Static outflow: everyone fills the wallet",
        citation: "ECB, technical note on the financial stability impact of the digital euro, October 2025; Copenhagen \
                   Economics; ECB working paper 2980",
        reading: "Headline figures read in the sources' text or in reports of them; the bank data behind them are \
                  confidential.",
        model: vec![
            "Outflow = \u{3a3} min(deposit, limit), exact in minor units for a given distribution of deposits."
                .to_owned(),
            format!(
                "The distribution is ours: log-normal with the published total over {} holders, cut into {} classes. A \
                 published distribution used instead would make the curve a result.",
                cbdc_report::format::count(given.holders),
                cbdc_report::format::count(given.classes)
            ),
        ],
        claims: claims(given, deviation, &at),
        tables: vec![limits_table(given, &at)],
        charts: vec![chart(given, classes, &at)],
        calibrated: vec![format!(
            "The spread of deposits (deviation of the logarithm {deviation:.3}) is set so that {:.0} bn leave at \
             {:.0}. One number fitted to one number: that it comes out proves nothing.",
            given.outflow / 1e9,
            given.limit
        )],
        results: vec![
            "Only the distances from figures that the curve was not set to.".to_owned(),
            "Monotone and concave in the limit: true for any distribution of deposits, so no evidence for this one."
                .to_owned(),
        ],
        differences: vec![
            "The ECB counts wallets per person and bank from confidential bank data and takes every eligible one as \
             full: 699 bn / 3,000 = 233 million full wallets. We have deposits per person from a smooth distribution."
                .to_owned(),
            "The number of holders is our assumption; with another number another spread fits as well.".to_owned(),
            "Deposits are sight deposits of retail customers in one study and all household deposits in the other: the \
             bases differ by 1.1 tn, and so do the studies."
                .to_owned(),
        ],
        not_claimed: vec![
            "That people would do so. Static outflow is an upper bound for a limit: WP 2980, where people choose, has \
             0.10 to 0.38 tn at 3,000."
                .to_owned(),
            "Which banks would be hit, and the 13 banks of the note: that needs the ECB's bank data.".to_owned(),
        ],
        parameters,
    }
}

fn claims(given: &Given, deviation: f64, at: &dyn Fn(f64) -> f64) -> Vec<Claim> {
    let ours = at(given.limit);
    let share = ours / given.total;
    let scaled = log_normal(given.holders, given.other_total, deviation, given.classes);
    let other = major(outflow_minor(&scaled, libm::round(given.limit * MINOR as f64) as u64));
    let bn = |value: f64| format!("{} bn", cbdc_report::format::rounded(value / 1e9));
    vec![
        by_hand(),
        Claim {
            what: format!("Outflow at a limit of {:.0}", given.limit),
            paper: bn(given.outflow),
            ours: bn(ours),
            distance: format!("{:.3} bn", (ours - given.outflow).abs() / 1e9),
            kind: Kind::Calibration,
            outcome: if (ours - given.outflow).abs() < 5e8 { Outcome::Holds } else { Outcome::Fails },
            source: ECB_NOTE,
        },
        Claim {
            what: "The same as a share of retail sight deposits".to_owned(),
            paper: "8.2 %".to_owned(),
            ours: format!("{:.1} %", 100.0 * share),
            distance: String::new(),
            kind: Kind::Calibration,
            outcome: if format!("{:.1}", 100.0 * share) == "8.2" { Outcome::Holds } else { Outcome::Fails },
            source: ECB_NOTE,
        },
        Claim {
            what: format!("Outflow at {:.0} of household deposits, another base, with the same spread", given.limit),
            paper: format!("{} ({:.0} %)", bn(given.other_outflow), 100.0 * given.other_outflow / given.other_total),
            ours: format!("{} ({:.1} %)", bn(other), 100.0 * other / given.other_total),
            distance: format!(
                "{} bn, {} %",
                signed((other - given.other_outflow) / 1e9),
                signed(100.0 * (other / given.other_outflow - 1.0))
            ),
            kind: Kind::Distance,
            outcome: Outcome::Shown,
            source: COPENHAGEN,
        },
        Claim {
            what: format!("Holdings at {:.0} when people choose", given.limit),
            paper: "100 to 380 bn".to_owned(),
            ours: format!("{}: an upper bound", bn(ours)),
            distance: format!("{:.1} times the upper end", ours / 380e9),
            kind: Kind::Distance,
            outcome: Outcome::Shown,
            source: WORKING_PAPER,
        },
        Claim {
            what: "Holdings without a limit when people choose".to_owned(),
            paper: "120 to 1,110 bn".to_owned(),
            ours: format!("{}: all deposits", bn(given.total)),
            distance: format!("{:.1} times the upper end", given.total / 1_110e9),
            kind: Kind::Distance,
            outcome: Outcome::Shown,
            source: WORKING_PAPER,
        },
        Claim {
            what: "Ordinary use rather than everyone's full wallet".to_owned(),
            paper: "just over 100 bn".to_owned(),
            ours: bn(ours),
            distance: format!("about {:.0} times", ours / 100e9),
            kind: Kind::Distance,
            outcome: Outcome::Shown,
            source: ECB_NOTE,
        },
    ]
}

/// Three classes that can be added up by hand: 3 · 1.00 + 2 · 2,500.00 + 1 · 3,000.00 of 10,000.00.
fn by_hand() -> Claim {
    let class = |holders, deposit_minor| HolderClass { holders, deposit_minor };
    let found = outflow_minor(&[class(3, 100), class(2, 250_000), class(1, 1_000_000)], 300_000);
    Claim {
        what: "A given distribution at 3,000: three holders of 1.00, two of 2,500.00, one of 10,000.00".to_owned(),
        paper: "8,003.00 by hand".to_owned(),
        ours: format!("{}.{:02}", cbdc_report::format::count((found / 100) as u64), found % 100),
        distance: String::new(),
        kind: Kind::Exact,
        outcome: if found == 800_300 { Outcome::Holds } else { Outcome::Fails },
        source: "the definition",
    }
}

/// Rounded, with a true minus sign, or a plus.
fn signed(value: f64) -> String {
    let sign = match value.round() {
        0.0 => "",
        rounded if rounded < 0.0 => "\u{2212}",
        _ => "+",
    };
    format!("{sign}{}", cbdc_report::format::rounded(value.abs()))
}

fn limits_table(given: &Given, at: &dyn Fn(f64) -> f64) -> Table {
    let limits = [500.0, 1_000.0, 2_000.0, 3_000.0, 5_000.0, 10_000.0, 20_000.0];
    let row = |limit: f64| {
        let full = limit * given.outflow / given.limit;
        vec![
            cbdc_report::format::rounded(limit),
            cbdc_report::format::rounded(at(limit) / 1e9),
            format!("{:.1}", 100.0 * at(limit) / given.total),
            cbdc_report::format::rounded(full / 1e9),
            signed((at(limit) - full) / 1e9),
        ]
    };
    Table::new(
        "Our curve beside the note's reading, in which every one of 233 million wallets is full whatever the limit (a \
         line through 699 bn at 3,000; above 3,000 it is an extrapolation)",
        &[">limit", ">ours, bn", ">ours, % of deposits", ">all wallets full, bn", ">difference, bn"],
        limits.into_iter().map(row).collect(),
    )
}

fn chart(given: &Given, classes: &[HolderClass], at: &dyn Fn(f64) -> f64) -> Chart {
    let points = 60;
    let mut positions: Vec<f64> =
        (0..=points).map(|point| given.largest_limit * f64::from(point) / f64::from(points)).collect();
    positions.push(given.limit);
    positions.sort_by(f64::total_cmp);
    positions.dedup();
    let only_at = |wanted: f64, value: f64| -> Vec<Option<f64>> {
        positions.iter().map(|limit| (*limit == wanted).then_some(value)).collect()
    };
    let holders: u64 = classes.iter().map(|class| class.holders).sum();
    Chart {
        title: "Outflow against the limit".to_owned(),
        description: "Static outflow of the fitted distribution rises with the limit ever more slowly; dots are \
                      published figures."
            .to_owned(),
        x: Quantity::new("limit a person", ""),
        y: Quantity::new("bn", "bn"),
        lines: vec![
            Line::whole("ours, set to the ECB's point", positions.iter().map(|limit| at(*limit) / 1e9)),
            Line::whole(
                "every holder full (upper bound)",
                positions.iter().map(|limit| (limit * holders as f64).min(given.total) / 1e9),
            ),
            Line { name: "ECB note".to_owned(), values: only_at(given.limit, given.outflow / 1e9) },
            Line { name: "Copenhagen Economics".to_owned(), values: only_at(given.limit, given.other_outflow / 1e9) },
            Line { name: "WP 2980, upper end".to_owned(), values: only_at(given.limit, 380.0) },
        ],
        positions,
        marks: vec![],
        note: Some("The curve passes through the ECB's point because it was made to.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(holders: u64, deposit_minor: u64) -> HolderClass {
        HolderClass { holders, deposit_minor }
    }

    #[test]
    fn the_outflow_of_a_given_distribution_is_exact() {
        let classes = [class(3, 100), class(2, 250_000), class(1, 1_000_000), class(7, 0)];
        assert_eq!(outflow_minor(&classes, 0), 0);
        assert_eq!(outflow_minor(&classes, 99), 3 * 99 + 2 * 99 + 99);
        assert_eq!(outflow_minor(&classes, 300_000), 300 + 500_000 + 300_000);
        assert_eq!(outflow_minor(&classes, u64::MAX), 300 + 500_000 + 1_000_000);
        assert_eq!(outflow_minor(&[class(u64::MAX, u64::MAX)], u64::MAX), u128::from(u64::MAX) * u128::from(u64::MAX));
    }

    #[test]
    fn any_distribution_gives_a_monotone_and_concave_curve() {
        let distributions = [
            log_normal(1_000_000, 2e10, 1.7, 500),
            vec![class(5, 7), class(900, 40), class(2, 3_000)],
            vec![class(1, 1)],
        ];
        for classes in &distributions {
            let curve: Vec<i128> = (0..4_000).map(|limit| outflow_minor(classes, limit) as i128).collect();
            let steps: Vec<i128> = curve.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(steps.iter().all(|step| *step >= 0));
            assert!(steps.windows(2).all(|pair| pair[1] <= pair[0]));
        }
    }

    #[test]
    fn classes_hold_the_whole_whatever_the_spread() {
        for deviation in [0.1, 1.0, 2.5] {
            let classes = log_normal(350_000_000, 8.52e12, deviation, 2_000);
            let total: u128 = classes.iter().map(|c| u128::from(c.holders) * u128::from(c.deposit_minor)).sum();
            let holders: u64 = classes.iter().map(|c| c.holders).sum();
            assert_eq!(holders, 350_000_000);
            assert!((major(total) / 8.52e12 - 1.0).abs() < 1e-6);
            assert!(classes.windows(2).all(|pair| pair[0].deposit_minor <= pair[1].deposit_minor));
        }
    }

    #[test]
    fn the_spread_is_found_or_said_to_be_impossible() {
        let deviation = deviation_for(350_000_000, 8.52e12, 3_000.0, 6.99e11, 500).expect("it exists");
        let out = outflow_minor(&log_normal(350_000_000, 8.52e12, deviation, 500), 300_000);
        assert!((major(out) - 6.99e11).abs() < 1e6, "{deviation} {out}");
        // 200 million wallets of 3,000 cannot hold 699 bn.
        assert_eq!(deviation_for(200_000_000, 8.52e12, 3_000.0, 6.99e11, 500), None);
    }
}
