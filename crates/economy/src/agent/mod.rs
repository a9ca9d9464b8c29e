//! Agents: who holds and owes what. Households and firms are columns, so that a day runs through memory in order.

mod bank;
mod firms;
mod households;
mod investors;

pub use bank::{Bank, BankPhase};
pub use firms::Firms;
pub use households::{Households, NO_EMPLOYER};
pub use investors::Investors;
