//! Units, names and answers: the vocabulary of all other folders.

pub mod amount;
pub mod format;
pub(crate) mod hex;
pub mod identity;
pub mod outcome;
pub mod text;
pub mod time;
