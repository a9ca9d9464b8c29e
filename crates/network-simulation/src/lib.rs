//! The whole network on one thread and one clock, from one seed.

pub mod disk;
pub mod faults;
pub mod hosts;
pub mod links;
mod logging;
pub mod machine;
pub mod run;
pub mod trace;
