//! The paper's parameters, and the few that it does not give.

use cbdc_scenario_file::{ScenarioError, Section};

use crate::conversion::ConversionParameters;
use crate::parameters::{Origin, Parameter, Reader};

/// Sizes, behaviour and rates; rates are a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Households.
    pub households: usize,
    /// Firms.
    pub firms: usize,
    /// Banks.
    pub banks: usize,
    /// Steps of a run.
    pub steps: usize,
    /// Steps dropped from the beginning.
    pub dropped: usize,
    /// Seeds, from 1.
    pub seeds: usize,
    /// θ: tax on wages and profits.
    pub tax: f64,
    /// dF: share of its worth that a firm in profit pays out.
    pub firm_worth_paid: f64,
    /// δF: share of its profit that a firm pays out.
    pub firm_profit_paid: f64,
    /// δB: share of its profit that a bank pays out.
    pub bank_profit_paid: f64,
    /// α: output a worker.
    pub productivity: f64,
    /// c1: consumption out of income.
    pub out_of_income: f64,
    /// c2: consumption out of wealth.
    pub out_of_wealth: f64,
    /// rL = rD = rB = rCBDC: the floor, and the rate on deposits, bonds and CBDC.
    pub floor: f64,
    /// rH: the ceiling.
    pub ceiling: f64,
    /// rr: required reserves.
    pub required_reserves: f64,
    /// v1: growth of risk with leverage.
    pub risk_growth: f64,
    /// l*: firms' leverage at which risk is v0.
    pub firm_leverage: f64,
    /// lb*: banks' leverage at which risk is v0.
    pub bank_leverage: f64,
    /// λ: assets over worth at most.
    pub leverage_cap: f64,
    /// ω1: risk weight of loans.
    pub loan_weight: f64,
    /// ω2: risk weight of interbank claims.
    pub interbank_weight: f64,
    /// |ε| of bonds.
    pub bond_elasticity: f64,
    /// |ε| of loans.
    pub loan_elasticity: f64,
    /// γq: unsold share at which a firm has too much.
    pub unsold: f64,
    /// γp: share of the mean price at which a firm is cheap.
    pub cheap: f64,
    /// qb: largest change of output.
    pub output_change: f64,
    /// μmin.
    pub markup_low: f64,
    /// μmax.
    pub markup_high: f64,
    /// μ0.
    pub markup_start: f64,
    /// μa: largest change of the mark-up.
    pub markup_change: f64,
    /// wb: largest change of the wage.
    pub wage_change: f64,
    /// u*: unemployment above which wages fall.
    pub unemployment: f64,
    /// ζ: share of its worth that a firm spends on wages.
    pub own_funds: f64,
    /// Probability that a job seeker finds work.
    pub finds_work: f64,
    /// Share of firms that a household sees.
    pub seen: f64,
    /// Number of them that it visits.
    pub visits: usize,
    /// Attempts to borrow, of firms.
    pub loan_attempts: usize,
    /// Attempts to borrow, of banks.
    pub interbank_attempts: usize,
    /// Largest change of a bank's bid.
    pub bid_change: f64,
    /// Exposure to one firm, in worth, over its risk.
    pub single_exposure: f64,
    /// The least number of steps for which a failed bank is idle.
    pub idle_steps: u32,
    /// Steps after which a failed firm is replaced.
    pub firm_entry_steps: u32,
    /// Households' deposits at the start, in GDP.
    pub household_deposits: f64,
    /// Firms' deposits at the start, in GDP.
    pub firm_deposits: f64,
    /// Banks' worth over deposits, at the start and when recapitalised.
    pub bank_worth: f64,
    /// Bonds over deposits.
    pub bonds: f64,
    /// W0: the wage at the start, in model units of which IT is 5.4.
    pub wage_start: f64,
    /// κ: sensitivity of a firm to a lower rate when it may switch banks.
    pub switching: f64,
    /// Share of their wealth that shareholders put into a new firm or a failed bank at most.
    pub shareholders_put_in: f64,
    /// The rules of conversion.
    pub conversion: ConversionParameters,
}

impl Parameters {
    /// Reads `[run]`, `[model]` and `[conversion]`.
    ///
    /// # Errors
    /// A value outside its range, or an unknown key.
    pub fn read(root: &mut Section<'_>) -> Result<(Self, Vec<Parameter>), ScenarioError> {
        let mut run = Reader::new(root.section("run")?, "run");
        let mut size = |key, low, high, standard, origin, meaning| {
            run.integer(key, low..=high, standard, origin, meaning).map(|size| size as usize)
        };
        let households = size("households", 10, 60_000, 2_500, Origin::Paper, "households")?;
        let firms = size("firms", 5, 50_000, 500, Origin::Paper, "firms")?;
        let banks = size("banks", 2, 200, 10, Origin::Paper, "banks")?;
        let steps = size("steps", 2, 100_000, 1_000, Origin::Paper, "steps of a run")?;
        let dropped = size("dropped", 0, steps as u64 - 1, 500, Origin::Paper, "steps dropped from the beginning")?;
        let seeds = size("seeds", 1, 100_000, 40, Origin::Run, "seeds, the same for every design")?;
        let mut read = run.end()?;

        let mut conversion = Reader::new(root.section("conversion")?, "conversion");
        let rules = ConversionParameters::read(&mut conversion)?;
        read.extend(conversion.end()?);

        let mut model = Reader::new(root.section("model")?, "model");
        let mut paper = |key, low: f64, high: f64, standard, meaning| {
            model.number(key, low..=high, standard, Origin::Paper, meaning)
        };
        let mut parameters = Self {
            households,
            firms,
            banks,
            steps,
            dropped,
            seeds,
            tax: paper("tax", 0.0, 0.9, 0.3, "θ: on wages and profits")?,
            firm_worth_paid: paper("firm_worth_paid", 0.0, 1.0, 0.06, "dF")?,
            firm_profit_paid: paper("firm_profit_paid", 0.0, 1.0, 0.25, "δF")?,
            bank_profit_paid: paper("bank_profit_paid", 0.0, 1.0, 0.49, "δB")?,
            productivity: paper("productivity", 0.01, 100.0, 1.0, "α: output a worker")?,
            out_of_income: paper("out_of_income", 0.0, 1.0, 0.8, "c1")?,
            out_of_wealth: paper("out_of_wealth", 0.0, 1.0, 0.2, "c2")?,
            floor: paper("floor", 0.0, 0.5, 0.03, "rL = rD = rB = rCBDC, a step")?,
            ceiling: paper("ceiling", 0.0, 0.5, 0.04, "rH, a step")?,
            required_reserves: paper("required_reserves", 0.0, 1.0, 0.1, "rr")?,
            risk_growth: paper("risk_growth", 0.0, 20.0, 2.0, "v1")?,
            firm_leverage: paper("firm_leverage", 0.01, 100.0, 4.4, "l*")?,
            bank_leverage: paper("bank_leverage", 0.01, 100.0, 2.0, "lb*")?,
            leverage_cap: paper("leverage_cap", 1.0, 100.0, 1.0 / 0.07, "λ")?,
            loan_weight: paper("loan_weight", 0.01, 10.0, 1.0, "ω1: risk weight of loans")?,
            interbank_weight: paper("interbank_weight", 0.01, 10.0, 0.3, "ω2: risk weight of interbank claims")?,
            bond_elasticity: paper("bond_elasticity", 0.01, 100.0, 1.5, "|ε| of bonds in a sale")?,
            loan_elasticity: paper("loan_elasticity", 0.01, 100.0, 0.9, "|ε| of loans in a sale")?,
            unsold: paper("unsold", 0.0, 1.0, 0.1, "γq")?,
            cheap: paper("cheap", 0.0, 2.0, 0.87, "γp")?,
            output_change: paper("output_change", 0.0, 1.0, 0.4, "qb")?,
            markup_low: paper("markup_low", 0.0, 1.0, 0.01, "μ, lowest")?,
            markup_high: paper("markup_high", 0.0, 5.0, 0.25, "μ, highest")?,
            markup_start: paper("markup_start", 0.0, 5.0, 0.19, "μ0")?,
            markup_change: paper("markup_change", 0.0, 1.0, 0.78, "μa")?,
            wage_change: paper("wage_change", 0.0, 0.5, 0.01, "wb")?,
            unemployment: paper("unemployment", 0.0, 0.9, 0.094, "u*")?,
            own_funds: paper("own_funds", 0.0, 1.0, 0.16, "ζ")?,
            finds_work: paper("finds_work", 0.0, 1.0, 0.5, "probability that a job seeker finds work")?,
            seen: paper("seen", 0.01, 1.0, 0.3, "share of firms that a household sees")?,
            single_exposure: paper("single_exposure", 0.0, 10.0, 0.15, "exposure to one firm: this · worth / ρ")?,
            bid_change: paper("bid_change", 0.0, 1.0, 0.15, "largest change of a bank's bid")?,
            household_deposits: paper("household_deposits", 0.0, 100.0, 1.06, "at the start, in GDP")?,
            firm_deposits: paper("firm_deposits", 0.0, 100.0, 0.9, "at the start, in GDP")?,
            bank_worth: paper("bank_worth", 0.001, 1.0, 0.1, "over deposits, at the start and when recapitalised")?,
            bonds: paper("bonds", 0.0, 1.0, 0.1, "over deposits")?,
            visits: 0,
            loan_attempts: 0,
            interbank_attempts: 0,
            idle_steps: 0,
            firm_entry_steps: 0,
            wage_start: 0.0,
            switching: 0.0,
            shareholders_put_in: 0.0,
            conversion: rules,
        };
        let mut count = |key, low, high, standard, meaning| {
            model.integer(key, low..=high, standard, Origin::Paper, meaning).map(|count| count as usize)
        };
        parameters.visits = count("visits", 1, 100, 2, "firms visited a step")?;
        parameters.loan_attempts = count("loan_attempts", 1, 100, 3, "attempts of a firm to borrow")?;
        parameters.interbank_attempts = count("interbank_attempts", 1, 100, 5, "attempts of a bank to borrow")?;
        parameters.idle_steps = count("idle_steps", 1, 1_000, 4, "steps that a failed bank is idle at least")? as u32;
        parameters.firm_entry_steps = count("firm_entry_steps", 1, 1_000, 2, "steps until a firm is replaced")? as u32;
        let mut ours = |key, low: f64, high: f64, standard, meaning| {
            model.number(key, low..=high, standard, Origin::Ours, meaning)
        };
        parameters.wage_start =
            ours("wage_start", 0.001, 1e3, 5.0, "W0, model units: a year's GDP a household is then about IT")?;
        parameters.switching = ours("switching", 0.0, 1e4, 20.0, "κ, on the relative difference of loan rates")?;
        parameters.shareholders_put_in =
            ours("shareholders_put_in", 0.0, 1.0, 0.5, "share of their wealth that shareholders put in at most")?;
        read.extend(model.end()?);
        Ok((parameters, read))
    }

    /// v0: the risk at which a fair loan rate is the ceiling.
    pub fn base_risk(&self) -> f64 {
        1.0 - (1.0 + self.floor) / (1.0 + self.ceiling)
    }

    /// ρ = v0 · exp(v1 · (leverage / usual − 1)), below 1.
    pub fn risk(&self, leverage: f64, usual: f64) -> f64 {
        (self.base_risk() * libm::exp(self.risk_growth * (leverage / usual - 1.0))).min(0.95)
    }
}
