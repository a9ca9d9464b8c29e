//! Sizes and behaviour; a round is a week.

use cbdc_scenario_file::{ScenarioError, Section};

use crate::parameters::{Origin, Parameter, Reader};

/// Parameters of the model. Satisfaction is in units of that from a payment without any trouble.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Consumers.
    pub consumers: usize,
    /// Merchants.
    pub merchants: usize,
    /// Rounds of a run.
    pub rounds: usize,
    /// Last rounds that are measured.
    pub measured: usize,
    /// Seeds, from 1.
    pub seeds: usize,
    /// Payments of a consumer in a round.
    pub payments: usize,
    /// Mean payment, minor units.
    pub mean_payment: f64,
    /// Standard deviation of the payment's logarithm.
    pub payment_spread: f64,
    /// Share of consumers who like cash best.
    pub cash_lovers: f64,
    /// The additional attraction of cash to them.
    pub cash_liking: f64,
    /// Standard deviation of each taste.
    pub taste_spread: f64,
    /// Weight of the newest experience.
    pub learning: f64,
    /// Strength of the response of choice to experience.
    pub decisiveness: f64,
    /// The cost of a payment that fails for lack of funds.
    pub failure_cost: f64,
    /// Planned CBDC spending of a round that a consumer keeps in the wallet.
    pub precaution: f64,
    /// Standard deviation of the logarithm of merchants' sales.
    pub merchant_spread: f64,
    /// The cost of a terminal a round, in sales of a mean merchant.
    pub terminal: f64,
    /// Share of sales that a card payment costs the merchant.
    pub card_fee: f64,
    /// Share of sales that a CBDC payment costs the merchant.
    pub cbdc_fee: f64,
    /// Share of a sale that a merchant gains when a customer can pay in the preferred way.
    pub goodwill: f64,
    /// Balance limit of that design, minor units.
    pub balance_limit: i64,
    /// Top-up limit a round of that design, minor units.
    pub top_up_limit: i64,
    /// Rate on CBDC above deposits of that design, a year.
    pub rate_spread: f64,
    /// Satisfaction from a year's interest of 1 % on a round's spending.
    pub rate_liking: f64,
    /// Share of the terminal and of fees that the subsidy bears.
    pub subsidy: f64,
    /// Reward of a consumer for a CBDC payment under the subsidy.
    pub reward: f64,
    /// Change of a share in percentage points that counts as none.
    pub negligible: f64,
}

impl Parameters {
    /// Reads `[run]`, `[model]` and `[designs]`.
    ///
    /// # Errors
    /// A value outside its range, or an unknown key.
    pub fn read(root: &mut Section<'_>) -> Result<(Self, Vec<Parameter>), ScenarioError> {
        let mut run = Reader::new(root.section("run")?, "run");
        let mut size = |key, low, high, standard, meaning| {
            run.integer(key, low..=high, standard, Origin::Run, meaning).map(|size| size as usize)
        };
        let consumers = size("consumers", 10, 100_000, 500, "consumers")?;
        let merchants = size("merchants", 5, 10_000, 100, "merchants")?;
        let rounds = size("rounds", 2, 10_000, 200, "rounds of a run, each a week")?;
        let measured = size("measured", 1, rounds as u64, 50, "last rounds that are measured")?;
        let seeds = size("seeds", 2, 10_000, 20, "seeds, the same for every design")?;
        let mut read = run.end()?;
        let mut model = Reader::new(root.section("model")?, "model");
        let payments =
            model.integer("payments", 1..=100, 10, Origin::Ours, "payments of a consumer in a round")? as usize;
        let mut number = |key, low: f64, high: f64, standard, meaning| {
            model.number(key, low..=high, standard, Origin::Ours, meaning)
        };
        let mut parameters = Self {
            consumers,
            merchants,
            rounds,
            measured,
            seeds,
            payments,
            mean_payment: number("mean_payment_minor", 1.0, 1e9, 3_000.0, "mean payment, minor units")?,
            payment_spread: number("payment_spread", 0.0, 3.0, 1.0, "deviation of the payment's logarithm")?,
            cash_lovers: number("cash_lovers", 0.0, 1.0, 0.35, "share of consumers who like cash best")?,
            cash_liking: number("cash_liking", 0.0, 20.0, 1.5, "how much more they like it")?,
            taste_spread: number("taste_spread", 0.0, 10.0, 0.2, "deviation of each taste")?,
            learning: number("learning", 0.0, 1.0, 0.1, "weight of the newest experience")?,
            decisiveness: number("decisiveness", 0.0, 100.0, 5.0, "how closely choice follows what was learned")?,
            failure_cost: number("failure_cost", 0.0, 100.0, 1.5, "cost of a payment that lacks funds")?,
            precaution: number("precaution", 0.0, 100.0, 1.5, "rounds of planned CBDC spending kept in the wallet")?,
            merchant_spread: number("merchant_spread", 0.0, 3.0, 1.0, "deviation of log sales of merchants")?,
            terminal: number("terminal", 0.0, 10.0, 0.01, "terminal a round, in sales of a mean merchant")?,
            card_fee: number("card_fee", 0.0, 1.0, 0.01, "share of sales")?,
            cbdc_fee: number("cbdc_fee", 0.0, 1.0, 0.008, "share of sales")?,
            goodwill: number("goodwill", 0.0, 1.0, 0.03, "gain from a sale paid as the customer likes best")?,
            balance_limit: 0,
            top_up_limit: 0,
            rate_spread: 0.0,
            rate_liking: number("rate_liking", 0.0, 100.0, 0.1, "satisfaction a point of interest")?,
            subsidy: 0.0,
            reward: 0.0,
            negligible: number("negligible_points", 0.0, 50.0, 0.5, "change in percentage points taken as none")?,
        };
        read.extend(model.end()?);
        let mut designs = Reader::new(root.section("designs")?, "designs");
        let mut limit = |key, standard, meaning| {
            designs.integer(key, 1..=1_000_000_000, standard, Origin::Ours, meaning).map(|limit| limit as i64)
        };
        parameters.balance_limit = limit("balance_limit_minor", 5_000, "balance limit, minor units")?;
        parameters.top_up_limit = limit("top_up_limit_minor", 5_000, "top-up limit a round, minor units")?;
        let mut number = |key, low: f64, high: f64, standard, meaning| {
            designs.number(key, low..=high, standard, Origin::Ours, meaning)
        };
        parameters.rate_spread = number("rate_spread_percent", -10.0, 10.0, 1.0, "CBDC over deposits, % a year")?;
        parameters.subsidy = number("subsidy", 0.0, 1.0, 0.8, "share of terminal and fees that the subsidy bears")?;
        parameters.reward = number("reward", 0.0, 10.0, 0.3, "reward of a consumer a payment under the subsidy")?;
        read.extend(designs.end()?);
        Ok((parameters, read))
    }
}
