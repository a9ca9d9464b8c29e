//! The program as its users meet it, and what must hold of the whole repository: its layers, its documents' links,
//! commands and examples.

mod architecture;
mod bench_core;
mod bench_failures;
mod documentation;
mod program;
mod replicas;
mod running;
mod wallet_in_flight;
