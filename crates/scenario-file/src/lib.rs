//! Scenario files: TOML that remembers where each key and value stands, so that every mistake names file, line, key and
//! the allowed range.
//!
//! | room | holds |
//! |---|---|
//! | [`document`] | the parsed file with its overrides |
//! | [`section`] | one table read key by key, with defaults and ranges, and nothing left over |
//! | [`error`] | a mistake as it is shown |
//! | [`suggestion`] | "did you mean" |
//!
//! What a scenario means is told by the crates that read one: the load harness and the economy.

#![forbid(unsafe_code)]

pub mod document;
pub mod error;
pub mod section;
pub mod suggestion;

pub use document::Document;
pub use error::{Mistake, ScenarioError};
pub use section::Section;
