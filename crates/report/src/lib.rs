//! The parts of every report: plots as inline SVG, the page's style and script, and number formats.
//!
//! | module | holds |
//! |---|---|
//! | [`plot`] | axes, lines, stacked areas, marks, bars |
//! | [`fan_chart`] | a median and percentile bands over time |
//! | [`box_plot`] | distributions at one moment, one row each |
//! | [`page`] | one style sheet and one script for every report |
//! | [`format`](mod@format) | thousands separators, a fitting number of digits |

#![forbid(unsafe_code)]

pub mod box_plot;
pub mod fan_chart;
pub mod format;
pub mod page;
pub mod plot;
