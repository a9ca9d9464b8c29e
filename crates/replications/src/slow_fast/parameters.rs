//! Ranges from which parameters are drawn: the signs must not depend on one choice of them.

use cbdc_scenario_file::{ScenarioError, Section};

use crate::parameters::{Origin, Parameter, Reader};

/// A range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lowest.
    pub low: f64,
    /// Highest.
    pub high: f64,
}

impl Range {
    /// The value at `share` of the range.
    pub fn at(self, share: f64) -> f64 {
        self.low + share * (self.high - self.low)
    }
}

/// The ranges of drawn parameters, and the fixed ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Number of parameter sets drawn.
    pub draws: usize,
    /// Share of draws in which a sign must hold.
    pub required: f64,
    /// Assets over worth before CBDC.
    pub leverage: Range,
    /// Share of deposits that people would hold as CBDC in calm times without a limit.
    pub calm_demand: Range,
    /// The additional share if CBDC paid the policy rate less its spread.
    pub calm_demand_if_remunerated: Range,
    /// Share of deposits that can flee in a run without CBDC.
    pub flight_without: Range,
    /// Share of the remaining deposits that flee into CBDC, if it may.
    pub flight_into: Range,
    /// The reduction of that share if the rate falls with the policy rate in a crisis.
    pub flight_deterred: Range,
    /// Share of their price that assets lose if all are sold.
    pub fire_sale: Range,
    /// Standard deviation of the assets' yearly log return.
    pub risk: Range,
    /// Limits examined, in the currency's unit.
    pub limits: Range,
    /// Deposits a person.
    pub deposits_a_person: f64,
}

impl Parameters {
    /// Reads `[run]`, `[ranges]` and `[limits]`.
    ///
    /// # Errors
    /// A value outside its range, or an unknown key.
    pub fn read(root: &mut Section<'_>) -> Result<(Self, Vec<Parameter>), ScenarioError> {
        let mut run = Reader::new(root.section("run")?, "run");
        let draws = run.integer("draws", 10..=1_000_000, 2_000, Origin::Run, "sets of parameters drawn")? as usize;
        let required =
            run.number("required_share", 0.5..=1.0, 0.95, Origin::Ours, "share of draws in which a sign must hold")?;
        let mut read = run.end()?;

        let mut reader = Reader::new(root.section("ranges")?, "ranges");
        let mut range = |low: &'static str, high: &'static str, bounds: (f64, f64), standard: (f64, f64), meaning| {
            let from = reader.number(low, bounds.0..=bounds.1, standard.0, Origin::Ours, meaning)?;
            let to = reader.number(high, from..=bounds.1, standard.1.max(from), Origin::Ours, meaning)?;
            Ok::<Range, ScenarioError>(Range { low: from, high: to })
        };
        let share = (0.0, 1.0);
        let parameters = Self {
            draws,
            required,
            leverage: range(
                "leverage_low",
                "leverage_high",
                (1.5, 50.0),
                (8.0, 16.0),
                "assets over worth without CBDC",
            )?,
            calm_demand: range(
                "calm_demand_low",
                "calm_demand_high",
                share,
                (0.05, 0.25),
                "share of deposits held as CBDC in calm times",
            )?,
            calm_demand_if_remunerated: range(
                "calm_more_if_remunerated_low",
                "calm_more_if_remunerated_high",
                share,
                (0.0, 0.1),
                "the same, in addition, if CBDC pays the policy rate less a spread",
            )?,
            flight_without: range(
                "flight_without_low",
                "flight_without_high",
                share,
                (0.02, 0.1),
                "share of deposits that can flee in a run without CBDC",
            )?,
            flight_into: range(
                "flight_into_low",
                "flight_into_high",
                share,
                (0.5, 1.0),
                "share of remaining deposits that flees into CBDC if it may",
            )?,
            flight_deterred: range(
                "flight_deterred_low",
                "flight_deterred_high",
                share,
                (0.5, 1.0),
                "share of that flight deterred by a rate that falls with the policy rate",
            )?,
            fire_sale: range(
                "fire_sale_low",
                "fire_sale_high",
                share,
                (0.1, 0.4),
                "share of their price that assets lose if all are sold",
            )?,
            risk: range("risk_low", "risk_high", (0.001, 1.0), (0.03, 0.08), "deviation of assets' yearly log return")?,
            limits: Range { low: 0.0, high: 0.0 },
            deposits_a_person: 0.0,
        };
        read.extend(reader.end()?);

        let mut reader = Reader::new(root.section("limits")?, "limits");
        let low = reader.number("low", 0.0..=1e9, 1_500.0, Origin::Paper, "lower end of the paper's limits")?;
        let high = reader.number("high", low..=1e9, 2_500.0, Origin::Paper, "upper end")?;
        let deposits = reader.number(
            "deposits_a_person",
            1.0..=1e9,
            24_343.0,
            Origin::Ours,
            "8.52 tn of sight deposits over 350 million people",
        )?;
        read.extend(reader.end()?);
        Ok((Self { limits: Range { low, high }, deposits_a_person: deposits, ..parameters }, read))
    }
}
