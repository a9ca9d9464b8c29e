//! Whole simulations from their scenarios: reproducible, balanced to the cent, and as their models say.

mod closure;
mod digest;
mod identities;
mod report;
mod scenarios;
mod simulation;
mod support;
