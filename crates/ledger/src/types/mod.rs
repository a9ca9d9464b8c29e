//! Units, names and answers: what every other folder speaks in.

pub mod amount;
pub mod format;
pub(crate) mod hex;
pub mod identity;
pub mod outcome;
pub mod text;
pub mod time;
