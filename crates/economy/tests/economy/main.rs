//! Whole simulations from their scenarios: reproducible, balanced to the cent, and as their models say.

mod banks;
mod closure;
mod digest;
mod identities;
mod policy;
mod report;
mod rest;
mod scenarios;
mod simulation;
mod support;
