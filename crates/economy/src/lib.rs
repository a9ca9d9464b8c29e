//! An economy in virtual time: households, firms, banks, investors, a government and a central bank, in which every
//! movement of CBDC is a command on the real ledger.
//!
//! # What it promises
//! - **Exact.** Money is whole minor units. At the end of every day every balance sheet balances, the ledger's books
//!   among them, and the day's flows explain every sector's change of worth, to the unit. A violated identity is an
//!   error that names the day, the identity and both sides, and leaves no results.
//! - **The same everywhere.** A scenario and a seed give one digest on any machine, in any order, on any number of
//!   threads.
//! - **The ledger itself.** Except for signatures ([`cbdc_ledger::virtual_time`]), everything settles as on a real
//!   network: limits, waterfalls, tiers, reserves, proposals and votes are the ledger's own.
//!
//! # The interface
//! ```
//! use cbdc_economy::{Go, Scenario, explain, simulate};
//!
//! let mut scenario = Scenario::parse("small.toml", "[households]\ncount = 200\n[time]\ndays = 10")?;
//! scenario.set("policy.holding_limit_minor", "50_000")?;
//! let results = simulate(&scenario, scenario.seed, &mut |_progress| Go::On)?;
//! assert_eq!(results.scenario_hash, scenario.hash());
//! assert_eq!(results.digest, simulate(&scenario, scenario.seed, &mut |_| Go::On)?.digest);
//! assert!(explain(&scenario).iter().any(|behaviour| behaviour.name == "adoption"));
//! # Ok::<(), cbdc_economy::EconomyError>(())
//! ```
//!
//! # Modules, low to high
//! | module | holds |
//! |---|---|
//! | [`rng`], [`calendar`], [`accounts`] | random streams, days, sectors and flows |
//! | [`expression`] | a policy rule written in a scenario |
//! | [`behaviour`] | how agents decide: one module each |
//! | [`scenario`] | the scenario file |
//! | [`agent`] | agents and their balance sheets |
//! | [`authority`] | every signer's commands, applied in virtual time |
//! | [`simulation`] | the economy, day by day |
//! | [`results`], [`explain`](mod@explain), [`report`] | tables and digest, behaviours in force, the page |

#![forbid(unsafe_code)]

pub mod accounts;
pub mod agent;
pub mod authority;
pub mod behaviour;
pub mod calendar;
pub mod error;
pub mod explain;
pub mod expression;
pub mod report;
pub mod results;
pub mod rng;
pub mod scenario;
pub mod simulation;

pub use behaviour::{Behaviour, Parameter};
pub use cbdc_scenario_file::ScenarioError;
pub use error::{BrokenIdentity, EconomyError};
pub use explain::{explain, explanation};
pub use results::{Cell, Results, Summary};
pub use scenario::Scenario;
pub use simulation::{Go, Progress, simulate};
