//! Agents and their balance sheets. Households and firms are stored by column, so that a day runs through memory in
//! order.

mod bank;
mod firms;
mod households;
mod investors;

pub use bank::{Bank, BankPhase};
pub use firms::Firms;
pub use households::{Households, NO_EMPLOYER};
pub use investors::Investors;
