//! Figures for reports: plots as inline SVG, the page's style and script, and numbers as people read them.
//!
//! | room | holds |
//! |---|---|
//! | [`plot`] | axes, lines, stacked areas, marks, bars |
//! | [`page`] | one style sheet and one script for every report |
//! | [`words`] | thousands separated, a fitting number of digits |

pub mod page;
pub mod plot;
pub mod words;
