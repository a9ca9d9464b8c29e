//! `cbdc`: a retail central bank digital currency on one machine, from the first key to the last receipt.
//!
//! One file a subcommand. What all share: [`arguments`] (the command line), [`output`] (for people or as JSON),
//! [`exit`] (codes that scripts can use), [`logging`].

mod arguments;
mod audit;
mod bank;
mod bench;
mod chain;
mod completions;
mod exit;
mod init;
mod logging;
mod network;
mod node;
mod output;
mod papers;
mod policy;
mod preset;
mod runtime;
mod simulate;
mod sweep;
mod up;
mod wallet;

use std::process::ExitCode;

/// A node allocates and frees buffers of a proposal's size on many threads all the time: this allocator keeps them, where
/// the system's gives their pages back and faults them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exit::code_of(|arguments, output| async move { arguments.run(&output).await })
}
