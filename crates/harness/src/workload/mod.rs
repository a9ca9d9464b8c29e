//! Workloads: the due time, payer, payee and amount of every payment.
//!
//! Everything is drawn from one seed and independent of the clock: the same scenario gives the same payments in any
//! run. Arrivals, payers, payees and amounts each have a random number generator, so that changing one leaves the
//! others unchanged.

pub mod amounts;
pub mod arrivals;
pub mod plan;
pub mod popularity;
pub(crate) mod random;

pub use amounts::{AmountSource, Channel};
pub use arrivals::Arrivals;
pub use plan::{Plan, PlannedPayment};
pub use popularity::{Payees, Payers, WalletIndex, Zipf};
