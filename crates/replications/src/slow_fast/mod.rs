//! Slow and fast disintermediation: CBDC shrinks run-prone banks in calm times and speeds up runs. Signs only.
//!
//! The paper solves a dynamic general equilibrium globally; ours is a bank at one moment ([`bank`]) with parameters
//! drawn from wide ranges. A sign holds if it does so in nearly all draws, so it does not depend on one choice of
//! parameters; if it does, the page says so.
//!
//! Source: Bidder, Jackson and Rottner, read in the abstract; its parameters and run rates were not found.

pub mod bank;
pub mod parameters;

use cbdc_scenario_file::Section;

use self::bank::Bank;
use self::parameters::Parameters;
use super::ReplicationError;
use super::comparison::{Chart, Claim, Comparison, Kind, Line, Outcome, Quantity, Table};
use super::rng::Rng;

const SOURCE: &str = "Bidder, Jackson and Rottner, read in the abstract";

/// A drawn set of parameters.
#[derive(Debug, Clone, Copy)]
struct Draw {
    without: Bank,
    calm: f64,
    calm_remunerated: f64,
    into: f64,
    deterred: f64,
    /// A limit as a share of deposits.
    limit: f64,
}

/// The designs of CBDC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Design {
    SlowAlone,
    FastAlone,
    Unlimited,
    Limited,
    Pegged,
}

const DESIGNS: [(Design, &str, bool); 5] = [
    (Design::SlowAlone, "Slow alone: calm-time substitution, no flight into CBDC", false),
    (Design::FastAlone, "Fast alone: flight into CBDC, no calm-time substitution", true),
    (Design::Unlimited, "Unlimited CBDC: fast wins", true),
    (Design::Limited, "A limit of 1,500 to 2,500 reverses it", false),
    (Design::Pegged, "A rate pegged to the policy rate reverses it", false),
];

impl Draw {
    fn new(p: &Parameters, rng: &mut Rng) -> Self {
        let mut from = |range: parameters::Range| range.at(rng.unit());
        Self {
            without: Bank {
                leverage: from(p.leverage),
                gone: 0.0,
                flight: from(p.flight_without),
                fire_sale: from(p.fire_sale),
                risk: from(p.risk),
            },
            calm: from(p.calm_demand),
            calm_remunerated: from(p.calm_demand_if_remunerated),
            into: from(p.flight_into),
            deterred: from(p.flight_deterred),
            limit: (from(p.limits) / p.deposits_a_person).min(1.0),
        }
    }

    /// Share of deposits gone in calm times, and share of the remaining that can flee.
    fn bank(&self, design: Design) -> Bank {
        let before = self.without.flight;
        let more = |into: f64| before + (1.0 - before) * into;
        let (gone, flight) = match design {
            Design::SlowAlone => (self.calm, before),
            Design::FastAlone => (0.0, more(self.into)),
            Design::Unlimited => (self.calm, more(self.into)),
            Design::Limited => {
                let gone = self.calm.min(self.limit);
                // A wallet takes only what the limit leaves.
                let headroom = (self.limit - gone) / (1.0 - gone);
                (gone, before + headroom.min((1.0 - before) * self.into))
            }
            Design::Pegged => {
                let gone = (self.calm + self.calm_remunerated).min(1.0);
                (gone, more(self.into * (1.0 - self.deterred)))
            }
        };
        Bank { gone, flight, ..self.without }
    }
}

/// Reads the scenario, draws parameters and counts how often each sign holds.
///
/// # Errors
/// A mistake in the scenario.
pub fn compare(root: &mut Section<'_>) -> Result<Comparison, ReplicationError> {
    let (p, read) = Parameters::read(root)?;
    let mut rng = Rng::new(1, 0);
    let draws: Vec<Draw> = (0..p.draws).map(|_| Draw::new(&p, &mut rng)).collect();
    let base: Vec<f64> = draws.iter().map(|draw| draw.without.run_probability()).collect();
    let mut claims = Vec::new();
    let mut rows = vec![row("No CBDC", &base, &base)];
    for (design, what, expected_up) in DESIGNS {
        let with: Vec<f64> = draws.iter().map(|draw| draw.bank(design).run_probability()).collect();
        let pairs = || base.iter().zip(&with);
        let holds = pairs().filter(|(base, with)| if expected_up { with > base } else { with < base }).count();
        let share = holds as f64 / p.draws as f64;
        claims.push(Claim {
            what: what.to_owned(),
            paper: format!("runs {} than without CBDC", if expected_up { "likelier" } else { "less likely" }),
            ours: format!("so in {:.1} % of draws", 100.0 * share),
            distance: String::new(),
            kind: Kind::Sign,
            outcome: judged(share, p.required),
            source: SOURCE,
        });
        rows.push(row(what, &base, &with));
    }
    Ok(page(&p, read, claims, rows, &draws))
}

/// A sign holds in nearly all draws, fails in nearly none, and otherwise depends on the parameters.
fn judged(share: f64, required: f64) -> Outcome {
    if share >= required {
        Outcome::Holds
    } else if share <= 1.0 - required {
        Outcome::Fails
    } else {
        Outcome::Undecided
    }
}

fn row(what: &str, base: &[f64], with: &[f64]) -> Vec<String> {
    let median = |values: Vec<f64>| {
        let mut values = values;
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let change: Vec<f64> = base.iter().zip(with).map(|(base, with)| 100.0 * (with - base)).collect();
    vec![
        what.to_owned(),
        format!("{:.2}", 100.0 * median(with.to_vec())),
        format!("{:+.2}", median(change)).replace('-', "\u{2212}"),
    ]
}

fn page(
    p: &Parameters,
    parameters: Vec<super::parameters::Parameter>,
    claims: Vec<Claim>,
    rows: Vec<Vec<String>>,
    draws: &[Draw],
) -> Comparison {
    Comparison {
        name: "slow-fast",
        title: "Slow against fast disintermediation",
        citation: "Bidder, Jackson and Rottner, on CBDC, bank runs and disintermediation",
        reading: "Only the abstract was read: its parameters and run rates were not found.",
        model: vec![
            "A bank at one moment, of our own making, not the paper's dynamic model: deposits that became CBDC in calm \
             times make it smaller and less levered; deposits that can flee in a crisis force sales at falling prices."
                .to_owned(),
            format!(
                "{} sets of parameters are drawn evenly from the ranges below, the same for every design. A sign holds \
                 if it does in at least {:.0} % of them.",
                p.draws,
                100.0 * p.required
            ),
        ],
        claims,
        tables: vec![Table::new(
            "Probability of a run in a year, median over draws; ours, not claimed",
            &["design", ">median, %", ">median change, points"],
            rows,
        )],
        charts: vec![chart(p, draws)],
        calibrated: vec!["Nothing: no figure of the paper was fitted.".to_owned()],
        results: vec![
            "How often each sign holds over the ranges. That slow substitution alone helps and flight alone hurts is \
             built into any such bank; which of the two wins is not."
                .to_owned(),
        ],
        differences: vec![
            "Static and partial: no price of capital, no response of banks' worth, lending or rates, no expectations \
            of runs."
                .to_owned(),
            "A limit acts through deposits a person: it caps what is held in calm times and leaves only the rest of it \
             for flight. That it reverses the sign rests on calm-time demand, which fills most of such a limit in \
             nearly all draws."
                .to_owned(),
            "A pegged rate raises calm-time demand and deters part of the flight, both drawn from ranges.".to_owned(),
        ],
        not_claimed: vec![
            "The best limit. The paper's 1,500 to 2,500 is the optimum of its own calibrated model; ours only asks for \
             the sign within it."
                .to_owned(),
            "Run probabilities and welfare.".to_owned(),
        ],
        parameters,
    }
}

/// Median change of the run probability as the limit grows.
fn chart(p: &Parameters, draws: &[Draw]) -> Chart {
    let limits: Vec<f64> = (0..=40).map(|step| 500.0 * f64::from(step)).collect();
    let some: Vec<&Draw> = draws.iter().take(400).collect();
    let quantile = |values: &mut Vec<f64>, share: f64| {
        values.sort_by(f64::total_cmp);
        values[((values.len() - 1) as f64 * share) as usize]
    };
    let mut bands = [Vec::new(), Vec::new(), Vec::new()];
    for limit in &limits {
        let mut changes: Vec<f64> = some
            .iter()
            .map(|draw| {
                let draw = Draw { limit: (limit / p.deposits_a_person).min(1.0), ..**draw };
                100.0 * (draw.bank(Design::Limited).run_probability() - draw.without.run_probability())
            })
            .collect();
        for (band, share) in bands.iter_mut().zip([0.5, 0.05, 0.95]) {
            band.push(quantile(&mut changes, share));
        }
    }
    let [median, low, high] = bands;
    Chart {
        title: "Run probability as the limit grows".to_owned(),
        description: "Median and 5th and 95th percentile over draws of the change against no CBDC.".to_owned(),
        x: Quantity::new("limit a person", ""),
        y: Quantity::new("points", "points"),
        positions: limits,
        lines: vec![
            Line::whole("median", median),
            Line::whole("5th percentile", low),
            Line::whole("95th percentile", high),
        ],
        marks: vec![(p.limits.low, "the paper's lower limit".to_owned()), (p.limits.high, "the upper one".to_owned())],
        note: Some("Percentage points against no CBDC: below zero CBDC makes runs rarer.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_parameters_is_said_to() {
        assert_eq!(judged(0.97, 0.95), Outcome::Holds);
        assert_eq!(judged(0.5, 0.95), Outcome::Undecided);
        assert_eq!(judged(0.02, 0.95), Outcome::Fails);
    }

    #[test]
    fn a_limit_of_zero_changes_nothing_and_a_large_one_is_none() {
        let without = Bank { leverage: 12.0, gone: 0.0, flight: 0.05, fire_sale: 0.25, risk: 0.05 };
        let draw = Draw { without, calm: 0.1, calm_remunerated: 0.0, into: 0.8, deterred: 0.5, limit: 0.0 };
        assert_eq!(draw.bank(Design::Limited), without);
        let unlimited = Draw { limit: 1.0, ..draw };
        assert_eq!(unlimited.bank(Design::Limited), unlimited.bank(Design::Unlimited));
    }
}
