//! The whole network on one thread and one clock, from one seed.

pub mod disk;
pub mod faults;
pub mod hosts;
pub mod links;
mod logging;
pub mod machine;
pub mod picture;
pub mod plan;
pub mod run;
pub mod shrink;
pub mod trace;
