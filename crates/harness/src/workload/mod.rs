//! Workloads: which payments fall due when, from whom to whom, over how much.
//!
//! Everything is drawn before or apart from the clock, from one seed: the same scenario gives the same payments on
//! any run. Each question has a random number generator of its own (arrivals, payers, payees, amounts), so that changing
//! one answer leaves the others as they were.

pub mod amounts;
pub mod arrivals;
pub mod plan;
pub mod popularity;
mod random;

pub use amounts::{AmountSource, Channel};
pub use arrivals::Arrivals;
pub use plan::{Plan, PlannedPayment};
pub use popularity::{Payees, Payers, WalletIndex, Zipf};
