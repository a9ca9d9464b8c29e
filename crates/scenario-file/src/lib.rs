//! Scenario files: TOML that remembers the position of each key and value, so that every mistake names file, line, key
//! and the allowed range.
//!
//! | module | holds |
//! |---|---|
//! | [`document`] | the parsed file with its overrides |
//! | [`section`] | one table read key by key, with defaults and ranges, and nothing left over |
//! | [`error`] | a mistake, as displayed |
//! | [`suggestion`] | "did you mean" |
//! | [`text_file`] | reading a file, up to a size |
//!
//! The meaning of a scenario is defined by the crates that read one: the load harness and the economy.

#![forbid(unsafe_code)]

pub mod document;
pub mod error;
pub mod section;
pub mod suggestion;
pub mod text_file;

pub use document::Document;
pub use error::{Mistake, ScenarioError};
pub use section::Section;
