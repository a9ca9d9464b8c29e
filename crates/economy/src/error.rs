//! Why an economy could not be simulated.

use cbdc_ledger::Outcome;
use cbdc_ledger::encoding::DecodeError;
use cbdc_ledger::ledger::InvariantBroken;
use cbdc_ledger::virtual_time::VirtualTimeError;
use cbdc_scenario_file::ScenarioError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum EconomyError {
    /// The scenario says something that cannot be.
    #[error("{0}")]
    Scenario(#[from] ScenarioError),
    /// The opening balance sheet or the members give no ledger.
    #[error("the scenario gives no ledger: {0}")]
    Ledger(#[from] VirtualTimeError),
    /// A proposal could not be read back.
    #[error("a proposal of the simulation cannot be read, which is a defect of this program: {0}")]
    BlockProposal(#[from] DecodeError),
    /// An accounting identity does not hold.
    #[error(transparent)]
    Identity(Box<BrokenIdentity>),
    /// One of the ledger's own invariants does not hold.
    #[error("{0}")]
    Invariant(#[from] InvariantBroken),
    /// The ledger refused what the simulation had made sure of.
    #[error("the ledger refused {what} on day {day}, which the simulation had provided for: {outcome}")]
    Refused {
        /// Days since the start.
        day: u32,
        /// The command.
        what: &'static str,
        /// The refusal.
        outcome: Outcome,
    },
    /// No bank is left that could take over a failed one.
    #[error("the last bank failed on day {day}: nobody is left to take over its customers")]
    NoBankLeft {
        /// Days since the start.
        day: u32,
    },
    /// Prices or rates have carried amounts beyond what can be counted.
    #[error(
        "on day {day} {sector} are worth {worth} minor units, and {most} either way is the most that is counted: lower rates, inflation, amounts or the number of days"
    )]
    OutOfRange {
        /// Days since the start.
        day: u32,
        /// The sector.
        sector: &'static str,
        /// What it is worth, minor units.
        worth: i128,
        /// The bound.
        most: i128,
    },
    /// Whoever watches the progress asked to stop.
    #[error("stopped on day {day} of {days}: nothing was written")]
    Stopped {
        /// Days done.
        day: u32,
        /// Days asked for.
        days: u32,
    },
}

/// Two sides that should be equal and are not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the accounts do not balance at the end of day {day} ({date}): {identity}: {left_name} is {left} minor units, {right_name} is {right}"
)]
pub struct BrokenIdentity {
    /// Days since the start.
    pub day: u32,
    /// The calendar date.
    pub date: String,
    /// What must be equal.
    pub identity: &'static str,
    /// One side.
    pub left_name: String,
    /// Its amount.
    pub left: i128,
    /// The other side.
    pub right_name: String,
    /// Its amount.
    pub right: i128,
}
