//! CBDC and the operational framework of monetary policy: from floor over corridor to ceiling as CBDC demand grows.
//!
//! A complete steady state of nine equations: [`equations`] states them, [`newton`] solves them, [`path`] follows the
//! solution from no CBDC upwards, [`vectors`] holds the printed figures. CBDC drains deposits; reserves fall first,
//! while the market rate stays at the floor; then it leaves the floor; in the end banks borrow from the central bank at
//! the ceiling.
//!
//! Source: Abad, Nuño and Thomas, Journal of Monetary Economics 2025; equations and calibration read in the authors'
//! code. Beyond a demand of 15 % the authors' own guard distorts their series, so ours stops there.

pub mod equations;
pub mod newton;
pub mod parameters;
pub mod path;
pub mod vectors;

use cbdc_scenario_file::Section;

use self::equations::Steady;
use self::parameters::Calibration;
use self::path::{middle_of_the_corridor, steady_states};
use self::vectors::{
    MIDDLE_OF_THE_CORRIDOR, OUTPUT_WITHOUT_CBDC, QUANTITIES, VECTORS, as_printed, is_printed, last_digits_off,
};
use super::ReplicationError;
use super::comparison::{Chart, Claim, Comparison, Kind, Line, Outcome, Quantity, Table};
use super::parameters::{Origin, Reader};

const SOURCE: &str = "the authors' code, solved independently; the paper prints no such table";

/// The demands for CBDC at which the model is solved.
struct Walk {
    longest_step: f64,
    last: f64,
    points: usize,
}

/// Reads the scenario, solves the model and compares it with the printed figures.
///
/// # Errors
/// A mistake in the scenario, or a calibration without a steady state.
pub fn compare(root: &mut Section<'_>) -> Result<Comparison, ReplicationError> {
    let mut reader = Reader::new(root.section("calibration")?, "calibration");
    let calibration = Calibration::read(&mut reader)?;
    let mut parameters = reader.end()?;
    let mut reader = Reader::new(root.section("path")?, "path");
    let walk = Walk {
        longest_step: reader.number("longest_step_percent", 0.01..=5.0, 0.5, Origin::Run, "% of yearly output")?
            / 100.0,
        last: reader.number(
            "last_percent",
            1.0..=15.0,
            15.0,
            Origin::Run,
            "largest CBDC demand, % of yearly output",
        )?,
        points: reader.integer("points", 2..=1_000, 61, Origin::Run, "points of the drawn path")? as usize,
    };
    parameters.extend(reader.end()?);

    let shares: Vec<f64> = VECTORS.iter().map(|vector| vector.cbdc / 100.0).collect();
    let states = steady_states(&calibration, &shares, walk.longest_step)?;
    let middle = 100.0 * middle_of_the_corridor(&calibration, (0.0, 0.15), walk.longest_step)?;
    let drawn: Vec<f64> = (0..walk.points).map(|point| walk.last * point as f64 / (walk.points - 1) as f64).collect();
    let path = steady_states(&calibration, &drawn.iter().map(|t| t / 100.0).collect::<Vec<_>>(), walk.longest_step)?;

    Ok(Comparison {
        name: "operational-framework",
        title: "CBDC and the operational framework: floor, corridor, ceiling",
        citation: "Abad, Nu\u{f1}o and Thomas, \u{201c}CBDC and the operational framework of monetary policy\u{201d}, \
                   Journal of Monetary Economics, 2025",
        reading: "Equations, calibration and starting values read in the authors' code.",
        model: vec![
            "The paper's own steady state: nine equations in nine unknowns, solved by Newton's method with a numeric \
             Jacobian, starting without CBDC and raising its demand in small steps."
                .to_owned(),
            "Not agent-based, and no transition: each point is a steady state of its own.".to_owned(),
        ],
        claims: claims(&states, middle),
        tables: vec![table(&states)],
        charts: charts(&drawn, &path, middle),
        calibrated: vec![
            "All parameters are the authors' calibration to the euro area, taken as published; none was moved here."
                .to_owned(),
        ],
        results: vec![
            "Everything in the table: the model is complete, so equal equations must give equal figures.".to_owned(),
        ],
        differences: vec![
            "We solve for the gap between the two thresholds in logarithms, so it may become very small; the authors \
             add 1 to a share once the gap is below 1e-7, which distorts their series beyond 15.7 %. Ours stops at \
             15 %."
                .to_owned(),
            "The figures compared with are a solution of the authors' code, since the paper prints no table of \
             steady states. Earlier pages had 0.000 for borrowing from the central bank without CBDC; the authors' \
             stored solution has 0.0011 % of yearly output, as ours."
                .to_owned(),
            "At 14 % our deposit rate is 104.6249 bp and the printed one 104.63: they are nearer to each other than \
             the 3e-9 to which the printed figures are known, so the cell counts as alike."
                .to_owned(),
        ],
        not_claimed: vec![
            "The transition paths and the welfare figures of the paper are not rebuilt.".to_owned(),
            "That the euro area will behave so: this is the authors' model with their calibration.".to_owned(),
        ],
        parameters,
    })
}

fn claims(states: &[Steady], middle: f64) -> Vec<Claim> {
    let zero = &states[0];
    let mut claims = vec![exact("Output without CBDC, a quarter", OUTPUT_WITHOUT_CBDC, zero.output, "")];
    for column in &QUANTITIES {
        let cells = || VECTORS.iter().zip(states).map(|(vector, at)| (vector, (column.read)(at, zero)));
        let index = QUANTITIES.iter().position(|other| other.name == column.name).expect("it is one of them");
        let alike = cells().filter(|(vector, ours)| is_printed(*ours, vector.printed[index], column.slack)).count();
        let worst = cells().map(|(vector, ours)| last_digits_off(ours, vector.printed[index])).fold(0.0, f64::max);
        claims.push(Claim {
            what: format!("{}, {}, at CBDC of 0 to 14 %", capitalised(column.name), column.unit),
            paper: format!("{} printed figures", VECTORS.len()),
            ours: format!("{alike} of {} alike in every digit", VECTORS.len()),
            distance: format!("at most {worst:.2} of the last digit"),
            kind: Kind::Exact,
            outcome: if alike == VECTORS.len() { Outcome::Holds } else { Outcome::Fails },
            source: SOURCE,
        });
    }
    claims.push(exact("CBDC demand in the middle of the corridor", MIDDLE_OF_THE_CORRIDOR, middle, "% of GDP"));
    claims
}

fn exact(what: &str, printed: &str, ours: f64, unit: &str) -> Claim {
    let shown = as_printed(ours, printed);
    Claim {
        what: what.to_owned(),
        paper: format!("{printed} {unit}").trim_end().to_owned(),
        outcome: if shown == printed { Outcome::Holds } else { Outcome::Fails },
        ours: format!("{shown} {unit}").trim_end().to_owned(),
        distance: format!("{:.2} of the last digit", last_digits_off(ours, printed)),
        kind: Kind::Exact,
        source: SOURCE,
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn table(states: &[Steady]) -> Table {
    let mut headings = vec![">CBDC, %".to_owned(), String::new()];
    headings.extend(QUANTITIES.iter().map(|column| format!(">{}, {}", column.name, column.unit)));
    let mut rows = Vec::new();
    for (vector, at) in VECTORS.iter().zip(states) {
        let mut paper = vec![format!("{}", vector.cbdc), "paper".to_owned()];
        paper.extend(vector.printed.iter().map(|cell| cell.replace('-', "\u{2212}")));
        let mut ours = vec![String::new(), "ours".to_owned()];
        let cells = QUANTITIES.iter().zip(vector.printed);
        ours.extend(cells.map(|(column, printed)| {
            let cell = as_printed((column.read)(at, &states[0]), printed);
            let mark = if is_printed((column.read)(at, &states[0]), printed, column.slack) { "" } else { " \u{2260}" };
            format!("{}{mark}", cell.replace('-', "\u{2212}"))
        }));
        rows.extend([paper, ours]);
    }
    Table {
        caption: "Steady states as CBDC demand grows; \u{2260} marks a last digit that differs".to_owned(),
        headings,
        rows,
    }
}

fn charts(drawn: &[f64], path: &[Steady], middle: f64) -> Vec<Chart> {
    let zero = &path[0];
    let positions: Vec<f64> = merged(drawn);
    let ours = |column: usize| {
        let value = |at: &f64| drawn.iter().position(|t| t == at).map(|i| (QUANTITIES[column].read)(&path[i], zero));
        positions.iter().map(value).collect::<Vec<_>>()
    };
    let printed = |column: usize| -> Vec<Option<f64>> {
        let cell = |at: &f64| VECTORS.iter().find(|vector| vector.cbdc == *at).map(|vector| vector.printed[column]);
        positions.iter().map(|at| cell(at).and_then(|cell| cell.parse().ok())).collect()
    };
    let chart = |title: &str, unit: &str, columns: &[usize], note: Option<&str>| Chart {
        title: title.to_owned(),
        description: format!(
            "{title} against CBDC demand from 0 to 15 % of yearly output; dots are the paper's figures."
        ),
        x: Quantity::new("CBDC in circulation, % of yearly output", "%"),
        y: Quantity::new(unit, unit),
        positions: positions.clone(),
        lines: columns
            .iter()
            .flat_map(|column| {
                let name = QUANTITIES[*column].name;
                [
                    Line { name: format!("{name}, ours"), values: bridged(&ours(*column)) },
                    Line { name: format!("{name}, paper"), values: printed(*column) },
                ]
            })
            .collect(),
        marks: vec![(middle, format!("{middle:.2} %: the rate stands in the middle of the corridor"))],
        note: note.map(str::to_owned),
    };
    vec![
        chart("Reserves go first, then banks borrow", "% of yearly output", &[2, 3], None),
        chart(
            "The deposit facility's rate falls as the rate leaves the floor",
            "bp a year",
            &[4, 5],
            Some(
                "Without CBDC the facility pays 100 bp; once banks borrow at the ceiling it has fallen by the \
                corridor's width.",
            ),
        ),
        chart("What it costs", "% against no CBDC", &[6, 7], None),
    ]
}

/// The positions of the plot, those of the printed rows included.
fn merged(drawn: &[f64]) -> Vec<f64> {
    let mut positions: Vec<f64> = drawn.iter().copied().chain(VECTORS.iter().map(|vector| vector.cbdc)).collect();
    positions.sort_by(f64::total_cmp);
    positions.dedup();
    positions
}

/// Fills gaps by linear interpolation, so that positions of the other series break no line.
fn bridged(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut filled = values.to_vec();
    for index in 1..filled.len().saturating_sub(1) {
        if filled[index].is_none()
            && let (Some(before), Some(after)) = (filled[index - 1], values[index + 1])
        {
            filled[index] = Some(0.5 * (before + after));
        }
    }
    filled
}
