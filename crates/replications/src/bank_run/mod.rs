//! A bank run into CBDC under six regimes, with and without CBDC: signs only.
//!
//! The paper is a large agent-based model; ours is a smaller one of our own that keeps its experiment: at one step
//! everybody wants CBDC instead of deposits, banks replace them at the central bank, and in three regimes a bank fails
//! later. [`regime`] holds the regimes, [`economy`] the stock-flow consistent model. Differences are between runs with
//! equal seeds; effects of a failure are differences of differences, against the same run without it.
//!
//! Source: Hess, Rostock working paper 171: code and settings read, results known from its abstract.

pub mod economy;
pub mod parameters;
pub mod regime;

use cbdc_scenario_file::Section;

use self::economy::{Course, run};
use self::parameters::Parameters;
use self::regime::Regime;
use super::ReplicationError;
use super::comparison::{Chart, Claim, Comparison, Kind, Line, Quantity, Table};
use super::paired::{Difference, Sign, mean};
use super::parallel;

const SOURCE: &str = "Rostock working paper 171: settings from the code, results from the abstract";

/// The runs of one regime and seed.
#[derive(Debug, Clone, Default)]
struct Quartet {
    base: Course,
    cbdc: Course,
    /// The same without the failure, in regimes that have one.
    base_sound: Course,
    cbdc_sound: Course,
}

/// A sign: the quantity measured, the regime, and the paper's finding.
struct Effect {
    regime: Regime,
    what: &'static str,
    unit: &'static str,
    digits: usize,
    expected: Sign,
    measure: fn(&Parameters, &Quartet) -> (f64, f64),
}

const EFFECTS: [Effect; 10] = [
    Effect {
        regime: Regime::Corridor,
        what: "Output: seigniorage is spent",
        unit: "%",
        digits: 3,
        expected: Sign::Up,
        measure: |p, runs| late(p, &runs.base, &runs.cbdc, |course| &course.output),
    },
    Effect {
        regime: Regime::Corridor,
        what: "Banks' cost of funds",
        unit: "bp a step",
        digits: 2,
        expected: Sign::Up,
        measure: |p, runs| funding(p, runs),
    },
    Effect {
        regime: Regime::ZeroRates,
        what: "Output",
        unit: "%",
        digits: 3,
        expected: Sign::Same,
        measure: |p, runs| late(p, &runs.base, &runs.cbdc, |course| &course.output),
    },
    Effect {
        regime: Regime::ZeroRates,
        what: "Banks' cost of funds",
        unit: "bp a step",
        digits: 2,
        expected: Sign::Same,
        measure: |p, runs| funding(p, runs),
    },
    Effect {
        regime: Regime::Floor,
        what: "Banks' profit",
        unit: "% of output",
        digits: 3,
        expected: Sign::Down,
        measure: |p, runs| of_output(p, runs, |course| &course.bank_profit),
    },
    Effect {
        regime: Regime::Floor,
        what: "Interest of those who hold money",
        unit: "% of output",
        digits: 3,
        expected: Sign::Up,
        measure: |p, runs| of_output(p, runs, |course| &course.household_interest),
    },
    Effect {
        regime: Regime::BailOut,
        what: "Output lost through the failure",
        unit: "% of a step's output",
        digits: 3,
        expected: Sign::Same,
        measure: output_lost,
    },
    Effect {
        regime: Regime::BailOut,
        what: "Inequality through the failure",
        unit: "points of Gini, of 100",
        digits: 3,
        expected: Sign::Same,
        measure: inequality,
    },
    Effect {
        regime: Regime::BailIn,
        what: "Inequality through the failure",
        unit: "points of Gini, of 100",
        digits: 3,
        expected: Sign::Down,
        measure: inequality,
    },
    Effect {
        regime: Regime::DepositInsurance,
        what: "When the state bears the cost, on average",
        unit: "steps after the failure",
        digits: 2,
        expected: Sign::Up,
        measure: when_borne,
    },
];

/// Reads the scenario, runs all regimes and compares the signs with the paper's.
///
/// # Errors
/// A mistake in the scenario, or a defect of the model.
pub fn compare(root: &mut Section<'_>, threads: usize) -> Result<Comparison, ReplicationError> {
    let (p, read) = Parameters::read(root)?;
    let jobs: Vec<(Regime, u64)> =
        Regime::ALL.into_iter().flat_map(|regime| (1..=p.seeds as u64).map(move |seed| (regime, seed))).collect();
    let runs = parallel::map(jobs.len(), threads, |job| quartet(&p, jobs[job].0, jobs[job].1));
    let runs = runs.into_iter().collect::<Result<Vec<_>, _>>()?;
    let of = |regime: Regime| -> Vec<&Quartet> {
        jobs.iter().zip(&runs).filter(|((other, _), _)| *other == regime).map(|(_, runs)| runs).collect()
    };
    let mut claims = Vec::new();
    let mut rows = Vec::new();
    for effect in &EFFECTS {
        let (base, cbdc): (Vec<f64>, Vec<f64>) =
            of(effect.regime).into_iter().map(|runs| (effect.measure)(&p, runs)).unzip();
        let difference = Difference::between(&base, &cbdc);
        rows.push(vec![
            effect.regime.name().to_owned(),
            format!("{}, {}", effect.what.to_lowercase(), effect.unit),
            format!("{:.1$}", mean(&base), effect.digits),
            format!("{:.1$}", mean(&cbdc), effect.digits),
            difference.words(effect.digits, ""),
        ]);
        claims.push(Claim {
            what: format!("{}: {}", capitalised(effect.regime.name()), effect.what.to_lowercase()),
            paper: effect.expected.word().to_owned(),
            ours: difference.words(effect.digits, effect.unit),
            distance: String::new(),
            kind: Kind::Sign,
            outcome: difference.judge(effect.expected, p.negligible),
            source: SOURCE,
        });
    }
    let charts = charts(&p, &of(Regime::Corridor), &of(Regime::DepositInsurance));
    Ok(page(&p, read, claims, rows, charts))
}

fn quartet(p: &Parameters, regime: Regime, seed: u64) -> Result<Quartet, economy::Imbalance> {
    let fails = regime.has_failure();
    let sound = |has_cbdc| if fails { run(p, regime, has_cbdc, false, seed) } else { Ok(Course::default()) };
    Ok(Quartet {
        base: run(p, regime, false, fails, seed)?,
        cbdc: run(p, regime, true, fails, seed)?,
        base_sound: sound(false)?,
        cbdc_sound: sound(true)?,
    })
}

/// Means over the second half of the steps between run and failure: the first half settles.
fn settled(p: &Parameters, values: &[f64]) -> f64 {
    mean(&values[(p.run_step + p.failure_step) / 2..p.failure_step])
}

/// Levels in % of the base's.
fn late(p: &Parameters, base: &Course, cbdc: &Course, read: fn(&Course) -> &Vec<f64>) -> (f64, f64) {
    let level = settled(p, read(base));
    (100.0, 100.0 * settled(p, read(cbdc)) / level)
}

fn funding(p: &Parameters, runs: &Quartet) -> (f64, f64) {
    let basis_points = |course: &Course| 1e4 * settled(p, &course.funding_cost);
    (basis_points(&runs.base), basis_points(&runs.cbdc))
}

/// In % of the base's output, so that output itself does not show.
fn of_output(p: &Parameters, runs: &Quartet, read: fn(&Course) -> &Vec<f64>) -> (f64, f64) {
    let output = settled(p, &runs.base.output);
    (100.0 * settled(p, read(&runs.base)) / output, 100.0 * settled(p, read(&runs.cbdc)) / output)
}

/// Output of all steps after the failure that the failure costs, in % of a step's output.
fn output_lost(p: &Parameters, runs: &Quartet) -> (f64, f64) {
    let lost = |sound: &Course, failed: &Course| {
        let after = p.failure_step - 1..;
        let missing: f64 =
            sound.output[after.clone()].iter().zip(&failed.output[after]).map(|(sound, failed)| sound - failed).sum();
        100.0 * missing / settled(p, &sound.output)
    };
    (lost(&runs.base_sound, &runs.base), lost(&runs.cbdc_sound, &runs.cbdc))
}

/// The failure's effect on the Gini coefficient, in hundredths, mean of the first 50 steps after it.
fn inequality(p: &Parameters, runs: &Quartet) -> (f64, f64) {
    let added = |sound: &Course, failed: &Course| {
        let after = p.failure_step..(p.failure_step + 50).min(p.last_step);
        100.0 * (mean(&failed.inequality[after.clone()]) - mean(&sound.inequality[after]))
    };
    (added(&runs.base_sound, &runs.base), added(&runs.cbdc_sound, &runs.cbdc))
}

/// Mean step, counted from the failure, at which the state spends less because of it, within ten years: later
/// cuts are due to the missing loans.
fn when_borne(p: &Parameters, runs: &Quartet) -> (f64, f64) {
    let date = |sound: &Course, failed: &Course| {
        let after = p.failure_step - 1..(p.failure_step + 39).min(p.last_step);
        let missing: Vec<f64> = sound.state_spending[after.clone()]
            .iter()
            .zip(&failed.state_spending[after])
            .map(|(sound, failed)| (sound - failed).max(0.0))
            .collect();
        let total: f64 = missing.iter().sum();
        missing.iter().enumerate().map(|(step, missing)| step as f64 * missing).sum::<f64>() / total.max(1e-9)
    };
    (date(&runs.base_sound, &runs.base), date(&runs.cbdc_sound, &runs.cbdc))
}

fn charts(p: &Parameters, corridor: &[&Quartet], insurance: &[&Quartet]) -> Vec<Chart> {
    let every = 5;
    let averaged = |runs: &[&Quartet], read: &dyn Fn(&Quartet, usize) -> f64, last: usize| -> Vec<f64> {
        (0..last)
            .step_by(every)
            .map(|step| runs.iter().map(|runs| read(runs, step)).sum::<f64>() / runs.len() as f64)
            .collect()
    };
    let base = settled_mean(p, corridor);
    let steps = |last: usize| (0..last).step_by(every).map(|step| step as f64 + 1.0).collect::<Vec<_>>();
    vec![
        Chart {
            title: "Corridor: output before and after the run".to_owned(),
            description: "Output with and without CBDC, equal until the run.".to_owned(),
            x: Quantity::new("step", ""),
            y: Quantity::new("% of output without CBDC", "%"),
            positions: steps(p.failure_step),
            lines: vec![
                Line::whole(
                    "base",
                    averaged(corridor, &|runs, step| 100.0 * runs.base.output[step] / base, p.failure_step),
                ),
                Line::whole(
                    "CBDC",
                    averaged(corridor, &|runs, step| 100.0 * runs.cbdc.output[step] / base, p.failure_step),
                ),
            ],
            marks: vec![(p.run_step as f64, "everybody wants CBDC".to_owned())],
            note: Some(format!("Means over {} seeds.", corridor.len())),
        },
        Chart {
            title: "Deposit insurance: what the failure takes from the state's spending".to_owned(),
            description: "With CBDC the cost is smaller at first and lasts longer.".to_owned(),
            x: Quantity::new("step", ""),
            y: Quantity::new("% of a step's output", "%"),
            positions: steps(p.last_step).into_iter().filter(|step| *step as usize >= p.failure_step - 20).collect(),
            lines: [("base", false), ("CBDC", true)]
                .map(|(name, has_cbdc)| {
                    let read = |runs: &Quartet, step: usize| {
                        let (sound, failed) =
                            if has_cbdc { (&runs.cbdc_sound, &runs.cbdc) } else { (&runs.base_sound, &runs.base) };
                        100.0 * (sound.state_spending[step] - failed.state_spending[step]) / settled(p, &sound.output)
                    };
                    let values = averaged(insurance, &read, p.last_step);
                    let first = steps(p.last_step).iter().position(|step| *step as usize >= p.failure_step - 20);
                    Line::whole(name, values.into_iter().skip(first.unwrap_or(0)))
                })
                .to_vec(),
            marks: vec![(p.failure_step as f64, "a bank fails".to_owned())],
            note: Some(format!("Means over {} seeds.", insurance.len())),
        },
    ]
}

fn settled_mean(p: &Parameters, runs: &[&Quartet]) -> f64 {
    runs.iter().map(|runs| settled(p, &runs.base.output)).sum::<f64>() / runs.len() as f64
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn page(
    p: &Parameters,
    parameters: Vec<super::parameters::Parameter>,
    claims: Vec<Claim>,
    rows: Vec<Vec<String>>,
    charts: Vec<Chart>,
) -> Comparison {
    Comparison {
        name: "bank-run",
        title: "A run from banks into CBDC under six regimes",
        citation: "Hess, Rostock working paper 171",
        reading: "Code and settings were read; results are known from the abstract, as signs.",
        model: vec![
            format!(
                "A smaller model of our own, not the paper's: {} households, one sector of firms, {} banks, a state \
                 and a central bank; {} seeds, the same in every regime with and without CBDC.",
                p.households, p.banks, p.seeds
            ),
            format!(
                "The paper's experiment: from step {} everybody wants CBDC instead of deposits and banks borrow from \
                 the central bank; in three regimes one bank's loans keep {:.0} % of their value at step {}.",
                p.run_step,
                100.0 * p.loans_keep,
                p.failure_step
            ),
            "Money is whole minor units; every balance sheet is checked at every step.".to_owned(),
        ],
        claims,
        tables: vec![Table::new(
            "CBDC against base, means over seeds; differences \u{b1} standard error",
            &["regime", "measure", ">base", ">CBDC", ">difference"],
            rows,
        )],
        charts,
        calibrated: vec!["Nothing: no figure of the paper was fitted.".to_owned()],
        results: vec![
            "Signs. They follow from who earns interest from whom once deposits have become CBDC, which is the paper's \
             own argument: a smaller model may carry it."
                .to_owned(),
            format!(
                "\u{201c}No change\u{201d} means a mean difference of at most {} in the unit shown.",
                p.negligible
            ),
        ],
        differences: vec![
            "One sector of firms, no capital goods, no growth, no entry, no interbank market: the paper has 100 \
             consumption and 10 capital firms and grows by 0.75 %."
                .to_owned(),
            "Rates, margins and propensities to consume are ours; loans are rolled over instead of running for 20 \
            steps."
                .to_owned(),
            "After a failure the bank has its capital again in all three regimes, so only who bears the loss differs. \
             Regimes with a failure have a corridor; effects of the failure are differences against the same run \
             without it."
                .to_owned(),
            "Banks pass dearer funds on to firms in full. Under a floor, most of what depositors gain is therefore \
             paid by firms and only a little by banks' profit; the signs are the paper's, the division is not."
                .to_owned(),
            "The loans of the failed bank are not made anew. With CBDC the central bank then lends less for good and \
             seigniorage stays smaller, so a bail-out costs somewhat more output than without CBDC: contrary to the \
             paper."
                .to_owned(),
            "The central bank makes good its losses from later profits before it pays the state again; under deposit \
             insurance this is why the cost comes later."
                .to_owned(),
        ],
        not_claimed: vec!["Any size. The paper's numbers were not found, and ours depend on our rates.".to_owned()],
        parameters,
    }
}
