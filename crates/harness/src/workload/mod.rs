//! Workloads: which payments fall due when, from whom to whom, over how much.
//!
//! Everything is drawn before or apart from the clock, from one seed: the same scenario gives the same payments on
//! any run. Each question has its own stream of random numbers (arrivals, payers, payees, amounts), so that changing
//! one answer leaves the others as they were.

pub mod amounts;
pub mod arrivals;
pub mod plan;
pub mod popularity;

pub use amounts::{AmountSource, Channel};
pub use arrivals::Arrivals;
pub use plan::{Plan, PlannedPayment, WalletIndex};
pub use popularity::{Payees, Payers, Zipf};

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The random stream number `stream` of a seed.
pub(crate) fn stream(seed: u64, stream: u8) -> StdRng {
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = stream;
    StdRng::from_seed(bytes)
}
