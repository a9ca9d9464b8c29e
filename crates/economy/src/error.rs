//! Errors of a simulation.

use cbdc_ledger::Outcome;
use cbdc_ledger::encoding::DecodeError;
use cbdc_ledger::ledger::InvariantBroken;
use cbdc_ledger::virtual_time::VirtualTimeError;
use cbdc_scenario_file::ScenarioError;

/// The reason why an economy could not be simulated.
#[derive(Debug, thiserror::Error)]
pub enum EconomyError {
    /// A mistake in the scenario.
    #[error("{0}")]
    Scenario(#[from] ScenarioError),
    /// No ledger can be founded on the opening balance sheets and members.
    #[error("no ledger can be created from the scenario: {0}")]
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
    /// The ledger refused a command that the simulation had prepared to succeed.
    #[error("expected the ledger to settle {what} on day {day}, found it refused: {outcome}")]
    Refused {
        /// Days since the start.
        day: u32,
        /// The command.
        what: &'static str,
        /// The refusal.
        outcome: Outcome,
    },
    /// No bank is left to take over a failed one. [`simulate`](crate::simulate) ends the run with its results instead.
    #[error("the last bank failed on day {day}: nobody is left to take over its customers")]
    NoBankLeft {
        /// Days since the start.
        day: u32,
    },
    /// Prices or rates have driven amounts beyond the simulated range.
    #[error(
        "on day {day} the net worth of {sector} is {worth} minor units, and {most} either way is the most that is \
        simulated: lower rates, inflation, amounts or the number of days"
    )]
    OutOfRange {
        /// Days since the start.
        day: u32,
        /// The sector.
        sector: &'static str,
        /// Its net worth, minor units.
        worth: i128,
        /// The bound.
        most: i128,
    },
    /// The progress callback asked to stop.
    #[error("stopped on day {day} of {days}: nothing was written")]
    Stopped {
        /// Days done.
        day: u32,
        /// Days asked for.
        days: u32,
    },
}

/// An accounting identity whose two sides differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the accounts do not balance at the end of day {day} ({date}): {identity}: {left_name} is {left} minor units, \
    {right_name} is {right}"
)]
pub struct BrokenIdentity {
    /// Days since the start.
    pub day: u32,
    /// The calendar date.
    pub date: String,
    /// Name of the identity.
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
