//! Figures for reports: plots as inline SVG, the page's style and script, and numbers as people read them.
//!
//! | room | holds |
//! |---|---|
//! | [`plot`] | axes, lines, stacked areas, marks, bars |
//! | [`bands`] | a median in bands of percentiles, over time |
//! | [`whiskers`] | the same at one moment, side by side |
//! | [`page`] | one style sheet and one script for every report |
//! | [`words`] | thousands separated, a fitting number of digits |

#![forbid(unsafe_code)]

pub mod bands;
pub mod page;
pub mod plot;
pub mod whiskers;
pub mod words;
