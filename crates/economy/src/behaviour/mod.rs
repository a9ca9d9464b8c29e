//! Behaviours: how agents decide. One small module each, with its source, its parameters and their defaults.
//!
//! A behaviour has a *model* (the variant in force, chosen by a word under `[behaviour]`) and *parameters* (a separate
//! table, such as `[adoption]`). It computes with `f64` from its arguments and moves no money: the
//! [`simulation`](crate::simulation) rounds to whole minor units.
//!
//! To add a behaviour, write its module, add a line to [`Behaviours`], and call it where it decides. To change one,
//! give it another model.

mod adoption;
mod cash;
mod consumption;
mod credit;
mod default;
mod deposit_pricing;
mod fiscal;
mod funding;
mod instrument;
mod loan_pricing;
mod payout;
mod portfolio;
mod prices;
mod resolution;
mod seasonality;
mod switching;
mod trust;
mod workload;

use cbdc_scenario_file::{ScenarioError, Section};
use serde::Serialize;

pub use adoption::Adoption;
pub use cash::Cash;
pub use consumption::{Consumption, SpendingView};
pub use credit::Credit;
pub use default::LoanDefault;
pub use deposit_pricing::DepositPricing;
pub use fiscal::Fiscal;
pub use funding::Funding;
pub use instrument::Instrument;
pub use loan_pricing::LoanPricing;
pub use payout::Payout;
pub use portfolio::{Portfolio, PortfolioView};
pub use prices::Prices;
pub use resolution::Resolution;
pub use seasonality::Seasonality;
pub use switching::Switching;
pub use trust::Trust;
pub use workload::{AmountTable, Channel, Workload};

/// A parameter with the value in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameter {
    /// Key as in a scenario: `adoption.innovation`.
    pub key: String,
    pub value: f64,
    pub least: f64,
    pub most: f64,
    pub meaning: &'static str,
}

/// A behaviour in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Behaviour {
    pub name: &'static str,
    /// The model in force, and all models, by the words of a scenario.
    pub model: &'static str,
    pub models: Vec<&'static str>,
    pub equation: &'static str,
    /// The publication on which it is based, or a note that it is this project's own choice.
    pub source: &'static str,
    pub parameters: Vec<Parameter>,
}

/// Declares a behaviour's parameters: name, default, range and meaning in one line each.
macro_rules! parameters {
    ($table:literal { $($field:ident = $default:literal, $least:literal to $most:literal, $meaning:literal;)* }) => {
        /// The behaviour's parameters.
        #[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
        pub struct Parameters { $(#[doc = $meaning] pub $field: f64,)* }

        impl Parameters {
            /// Name of the table in a scenario.
            pub const TABLE: &'static str = $table;

            fn read(
                section: &mut cbdc_scenario_file::Section<'_>,
            ) -> Result<Parameters, cbdc_scenario_file::ScenarioError> {
                Ok(Parameters { $($field: section.number(stringify!($field), $least..=$most, $default)?,)* })
            }

            fn listed(&self) -> Vec<super::Parameter> {
                vec![$(super::Parameter {
                    key: concat!($table, ".", stringify!($field)).to_owned(),
                    value: self.$field,
                    least: $least,
                    most: $most,
                    meaning: $meaning,
                },)*]
            }
        }

        impl Default for Parameters {
            fn default() -> Self {
                Parameters { $($field: $default,)* }
            }
        }
    };
}

/// Declares a behaviour: its models by name, the first being the default, and its parameters.
macro_rules! behaviour {
    ($(#[$doc:meta])* $name:ident $key:literal { $($model:ident $word:literal,)* }) => {
        /// The models to choose from.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Model { $($model,)* }

        impl Model {
            const WORDS: &'static [(&'static str, Model)] = &[$(($word, Model::$model),)*];

            fn word(self) -> &'static str {
                match self { $(Model::$model => $word,)* }
            }
        }

        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
        pub struct $name {
            pub model: Model,
            #[serde(flatten)]
            pub parameters: Parameters,
        }

        impl $name {
            /// Reads the model's word from `[behaviour]` and the parameters from the behaviour's own table.
            pub(crate) fn read(
                root: &mut cbdc_scenario_file::Section<'_>,
                behaviour: &mut cbdc_scenario_file::Section<'_>,
            ) -> Result<Self, cbdc_scenario_file::ScenarioError> {
                let model = behaviour.choice($key, Model::WORDS)?;
                let mut section = root.section(Parameters::TABLE)?;
                let parameters = Parameters::read(&mut section)?;
                section.end()?;
                Ok($name { model, parameters })
            }

            /// Describes the behaviour in force.
            pub(crate) fn describe(&self) -> super::Behaviour {
                super::Behaviour {
                    name: $key,
                    model: self.model.word(),
                    models: Model::WORDS.iter().map(|(word, _)| *word).collect(),
                    equation: self.equation(),
                    source: self.source(),
                    parameters: self.parameters.listed(),
                }
            }
        }
    };
}

pub(crate) use {behaviour, parameters};

/// All behaviours in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Behaviours {
    pub adoption: Adoption,
    pub portfolio: Portfolio,
    pub consumption: Consumption,
    pub workload: Workload,
    pub seasonality: Seasonality,
    pub instrument: Instrument,
    pub cash: Cash,
    pub trust: Trust,
    pub switching: Switching,
    pub deposit_pricing: DepositPricing,
    pub loan_pricing: LoanPricing,
    pub funding: Funding,
    pub credit: Credit,
    pub default: LoanDefault,
    pub payout: Payout,
    pub resolution: Resolution,
    pub fiscal: Fiscal,
    pub prices: Prices,
}

impl Behaviours {
    pub(crate) fn read(root: &mut Section<'_>) -> Result<Behaviours, ScenarioError> {
        let mut words = root.section("behaviour")?;
        let behaviours = Behaviours {
            adoption: Adoption::read(root, &mut words)?,
            portfolio: Portfolio::read(root, &mut words)?,
            consumption: Consumption::read(root, &mut words)?,
            workload: Workload::read(root, &mut words)?,
            seasonality: Seasonality::read(root, &mut words)?,
            instrument: Instrument::read(root, &mut words)?,
            cash: Cash::read(root, &mut words)?,
            trust: Trust::read(root, &mut words)?,
            switching: Switching::read(root, &mut words)?,
            deposit_pricing: DepositPricing::read(root, &mut words)?,
            loan_pricing: LoanPricing::read(root, &mut words)?,
            funding: Funding::read(root, &mut words)?,
            credit: Credit::read(root, &mut words)?,
            default: LoanDefault::read(root, &mut words)?,
            payout: Payout::read(root, &mut words)?,
            resolution: Resolution::read(root, &mut words)?,
            fiscal: Fiscal::read(root, &mut words)?,
            prices: Prices::read(root, &mut words)?,
        };
        root.renamed("rhythm", "seasonality");
        words.renamed("rhythm", "seasonality");
        words.end()?;
        Ok(behaviours)
    }

    pub(crate) fn describe(&self) -> Vec<Behaviour> {
        vec![
            self.adoption.describe(),
            self.portfolio.describe(),
            self.consumption.describe(),
            self.workload.describe(),
            self.seasonality.describe(),
            self.instrument.describe(),
            self.cash.describe(),
            self.trust.describe(),
            self.switching.describe(),
            self.deposit_pricing.describe(),
            self.loan_pricing.describe(),
            self.funding.describe(),
            self.credit.describe(),
            self.default.describe(),
            self.payout.describe(),
            self.resolution.describe(),
            self.fiscal.describe(),
            self.prices.describe(),
        ]
    }
}

/// 1 / (1 + e^-x).
pub(crate) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}
