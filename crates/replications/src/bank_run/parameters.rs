//! Sizes, rates and behaviour; a step is a quarter.

use cbdc_scenario_file::{ScenarioError, Section};

use crate::parameters::{Origin, Parameter, Reader};

/// Parameters of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Households.
    pub households: usize,
    /// Banks.
    pub banks: usize,
    /// Seeds, from 1.
    pub seeds: usize,
    /// The step at which everybody wants CBDC instead of deposits.
    pub run_step: usize,
    /// The step at which one bank's loans lose value, in the regimes that have a failure; others end here.
    pub failure_step: usize,
    /// The last step of regimes with a failure.
    pub last_step: usize,
    /// Share of their value that the failing bank's loans keep.
    pub loans_keep: f64,
    /// Tax on wages.
    pub tax: f64,
    /// Reserves over deposits that banks hold.
    pub liquidity: f64,
    /// Worth over loans that banks hold.
    pub capital: f64,
    /// Rate of the lending facility in a corridor.
    pub ceiling: f64,
    /// Rate of the deposit facility in a corridor.
    pub bottom: f64,
    /// The one rate of a floor system.
    pub floor: f64,
    /// Deposit rates rise up to this share of the policy rate.
    pub deposit_ceiling: f64,
    /// Margin that a bank adds to its cost of funds.
    pub margin: f64,
    /// Loans over the start's output.
    pub loans: f64,
    /// Consumption out of income.
    pub out_of_income: f64,
    /// Consumption out of wealth.
    pub out_of_wealth: f64,
    /// Share of households that own the banks.
    pub owners: f64,
    /// Standard deviation of the logarithm of earnings and of wealth at the start.
    pub spread: f64,
    /// Difference in % that counts as negligible.
    pub negligible: f64,
}

impl Parameters {
    /// Reads `[run]` and `[model]`.
    ///
    /// # Errors
    /// A value outside its range, or an unknown key.
    pub fn read(root: &mut Section<'_>) -> Result<(Self, Vec<Parameter>), ScenarioError> {
        let mut run = Reader::new(root.section("run")?, "run");
        let mut size = |key, low, high, standard, origin, meaning| {
            run.integer(key, low..=high, standard, origin, meaning).map(|size| size as usize)
        };
        let households = size("households", 20, 100_000, 1_000, Origin::Run, "households")?;
        let banks = size("banks", 2, 200, 10, Origin::Paper, "banks")?;
        let seeds = size("seeds", 2, 10_000, 30, Origin::Run, "seeds, the same for every regime and design")?;
        let run_step = size("run_step", 1, 10_000, 200, Origin::Paper, "everybody wants CBDC from here on")?;
        let failure_step = size("failure_step", run_step as u64 + 1, 20_000, 400, Origin::Paper, "a bank fails")?;
        let last_step =
            size("last_step", failure_step as u64 + 1, 40_000, 600, Origin::Paper, "last step after a failure")?;
        let mut read = run.end()?;
        let mut model = Reader::new(root.section("model")?, "model");
        let mut number = |key, low: f64, high: f64, standard, origin, meaning| {
            model.number(key, low..=high, standard, origin, meaning)
        };
        let parameters = Self {
            households,
            banks,
            seeds,
            run_step,
            failure_step,
            last_step,
            loans_keep: number(
                "loans_keep",
                0.0,
                1.0,
                0.25,
                Origin::Paper,
                "value that the failing bank's loans keep",
            )?,
            tax: number("tax", 0.0, 0.9, 0.18, Origin::Paper, "on wages")?,
            liquidity: number("liquidity", 0.0, 1.0, 0.05, Origin::Paper, "reserves over deposits")?,
            capital: number("capital", 0.0, 1.0, 0.08, Origin::Paper, "worth over loans")?,
            ceiling: number("ceiling", 0.0, 0.2, 0.0075, Origin::Ours, "corridor: lending facility, a step")?,
            bottom: number("bottom", 0.0, 0.2, 0.0025, Origin::Ours, "corridor: deposit facility, a step")?,
            floor: number("floor", 0.0, 0.2, 0.005, Origin::Ours, "floor system: the one rate, a step")?,
            deposit_ceiling: number(
                "deposit_ceiling",
                0.0,
                1.0,
                0.5,
                Origin::Ours,
                "deposit rates rise to this share of the policy rate",
            )?,
            margin: number("margin", 0.0, 0.2, 0.005, Origin::Ours, "added to the cost of funds, a step")?,
            loans: number("loans", 0.1, 50.0, 4.0, Origin::Ours, "loans over a step's output at the start")?,
            out_of_income: number("out_of_income", 0.0, 0.99, 0.8, Origin::Ours, "consumption out of income")?,
            out_of_wealth: number("out_of_wealth", 0.001, 1.0, 0.04, Origin::Ours, "consumption out of wealth")?,
            owners: number("owners", 0.01, 1.0, 0.1, Origin::Ours, "share of households that own the banks")?,
            spread: number("spread", 0.0, 3.0, 0.8, Origin::Ours, "deviation of log earnings and log wealth")?,
            negligible: number("negligible_percent", 0.0, 10.0, 0.01, Origin::Ours, "difference in % taken as none")?,
        };
        read.extend(model.end()?);
        Ok((parameters, read))
    }
}
