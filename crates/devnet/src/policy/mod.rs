//! A first policy, as written in scenarios and presets.
//!
//! * [`per_class`]: figures that differ by class of holder;
//! * [`change`]: the keys of `[policy]`, each a parameter of the ledger;
//! * [`preset`]: published figures of known systems.

pub mod change;
pub mod per_class;
pub mod preset;

pub use change::{CURRENCY_EXPONENT, MINOR_MAX, PolicyChange};
pub use per_class::{PerClass, is_person};
pub use preset::{Preset, SourceMark};
