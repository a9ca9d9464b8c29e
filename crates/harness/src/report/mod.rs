//! A run's result for people: a terminal summary and one self-contained HTML page.
//!
//! Both show the same figures as `summary.json`, in the same words, and first say what would make them misleading: a
//! check that was off, a failed audit, a load generator that could not keep up.

use cbdc_report::plot;

mod curve;
mod flows;
mod format;
pub mod html;
mod plots;
mod policy;
pub mod terminal;

#[cfg(test)]
pub(crate) mod sample;

pub use html::page;
pub use terminal::summary;
